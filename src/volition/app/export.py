"""Write a recorded run as NWB, MCAP, GIF, MP4, or an HTML file that plays by itself."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from volition.app._output import writable_parent
from volition.errors import ConfigError, InputError

Format = Literal["nwb", "mcap", "gif", "mp4", "html"]


@dataclass(frozen=True)
class Export:
    """Options of `volition export`.

    Attributes:
        folder: the run, as `volition run` and `volition demo` keep it.
        to: nwb for neuroscience, mcap for Foxglove, gif or mp4 for a talk, html to be looked at anywhere.
        output: the file; by default the run's name with the ending, in the working folder.
        other: a second run beside the first (html).
        from_s: where to begin, s of the run (html, gif, mp4); a film begins with the run proper by default.
        seconds: how much of it (html: all; gif, mp4: 15).
        most_mb: how large an html may become; frames are left out until it fits.
        width: of a film, pixels.
        force: replace an older file.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    to: Format
    output: Path | None = None
    other: Path | None = None
    from_s: float | None = None
    seconds: float | None = None
    most_mb: float = 12.0
    width: int = 640
    force: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


class _Progress:
    """How far it is, on a terminal only."""

    def __init__(self, what: str) -> None:
        self._what, self._shown, self._live = what, -1, sys.stderr.isatty()

    def __call__(self, share: float) -> None:
        percent = int(100 * share)
        if self._live and percent != self._shown:
            self._shown = percent
            sys.stderr.write(f"\r{self._what} {percent:3d} %")
            if percent >= 100:
                sys.stderr.write("\r\x1b[K")


def _check(options: Export) -> Path:
    """Refuse what cannot be, before any work is done; where to write to."""
    for name in ("from_s", "seconds"):
        value = getattr(options, name)
        if value is not None and not (0 <= value < math.inf and (value > 0 or name == "from_s")):
            least = "positive" if name == "seconds" else "0 or more"
            raise ConfigError(f"--{name.replace('_', '-')} must be {least} and finite, got {value}")
    if not options.most_mb > 0:
        raise ConfigError(f"--most-mb must be positive, got {options.most_mb}")
    if not 160 <= options.width <= 3840:
        raise ConfigError(f"--width must lie in 160..3840, got {options.width}")
    if options.to in ("nwb", "mcap") and (options.from_s is not None or options.seconds is not None):
        raise ConfigError(f"--from-s and --seconds are for html, gif and mp4; {options.to} takes the whole run")
    if options.other is not None and options.to != "html":
        raise ConfigError("--other is for html: two runs side by side")
    name = options.folder.resolve().name or "run"
    path = options.output or Path(f"{name}.{options.to}")
    if path.is_dir():
        path = path / f"{name}.{options.to}"
    if path.suffix != f".{options.to}":
        raise ConfigError(f"--output {path}: the name must end in .{options.to}")
    if path.exists() and not options.force:
        raise InputError(f"{path}: exists already; name another --output or give --force")
    writable_parent(path, "--output")
    return path


def main(options: Export) -> int:
    """Write the file and say in one line what is in it."""
    from volition.loop.played import PlayedRun

    path = _check(options)
    run = PlayedRun(options.folder)
    others = [PlayedRun(options.other)] if options.other is not None else []
    path.parent.mkdir(parents=True, exist_ok=True)
    what = _write(options, path, run, others, _Progress(f"writing {path.name}"))
    torn = "; the run's log is torn, what is whole was written" if run.truncated else ""
    print(f"{path}: {what}, {path.stat().st_size / 1e6:.1f} MB{torn}")
    return 0


def _write(options: Export, path: Path, run: Any, others: list[Any], progress: _Progress) -> str:
    """The file; what is in it."""
    begin = options.from_s or 0.0
    if options.to == "nwb":
        from volition.io.nwb_run import write_nwb_run

        write_nwb_run(run, path, progress)
        return f"{run.bins} bins of {run.bin_ns / 1e6:g} ms"
    if options.to == "mcap":
        from volition.io.mcap import write_mcap

        write_mcap(run, path, progress)
        return f"{run.seconds:.1f} s"
    if options.to == "html":
        from volition.view.single import save

        end = math.inf if options.seconds is None else begin + options.seconds
        save(path, [run, *others], begin, end, options.most_mb, progress)
        return f"{min(end, run.seconds) - begin:.1f} s, to be opened in any browser"
    from volition.view.film import save_film

    seconds = save_film(path, run, options.from_s, options.seconds or 15.0, options.width, progress)
    return f"{seconds:.1f} s"
