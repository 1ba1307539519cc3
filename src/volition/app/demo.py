"""Watch the loop close: a simulated person thinks of walking, and legs walk."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volition.app._output import emit, machine, this_command, writable_parent
from volition.app._output import save as save_rows
from volition.app._viewer import CALIBRATION_SPEED, Viewer, announce, opened
from volition.errors import ConfigError, VolitionError

if TYPE_CHECKING:
    from volition.app._viewer import View
    from volition.loop.loop import Loop
    from volition.loop.report import Report
    from volition.view._gather import Gather
    from volition.view.server import Chosen

_FOLDER = Path("runs/demo")
_CONTROL_S = 30.0
_SHORT = {
    "bit/s": "bit_rate_bit_s",
    "Fitts bit/s": "throughput_bit_s",
    "time s": "time_to_target_s",
    "path eff.": "path_efficiency",
    "m/s": "speed_m_s",
    "falls": "fell",
}
_FIGURES = ("success", "success_low", "success_high", *_SHORT.values())
_CHOSEN = ("channel", "decoder", "effector", "feedback", "task")
_CALIBRATION = 40.0, (0.5, 0.25, 0.0), 20.0  # shorter than the default: enough for 1,024 channels, and somebody waits
_PERSONS = 10
_WATCH_RUN = 4.0  # most simulated seconds a second in the terminal; the page shows real time


@dataclass(frozen=True)
class Demo:
    """Options of `volition demo`.

    Attributes:
        seconds: simulated time after calibration, s.
        seed: of all random numbers.
        output: folder for report.html, report.json and the run's log; by default runs/demo, or the next free runs/demo-N.
        viewer: "auto" shows the loop in the terminal (lines of progress where there is none) and serves the page to whoever
            opens it; "terminal" is the one alone, "page" the other, in real time from the start; "none" shows nothing.
        port: of the page; 0 takes 8700, or any free one.
        channel: the implant.
        decoder: what reads intent.
        effector: the body.
        feedback: how touch becomes stimulation.
        task: what the person tries to do.
        controls: also run the two controls: a random decoder, and the true intent going straight through.
        json: also save the scoreboard as JSON here.
    """

    seconds: float = 60.0
    seed: int = 0
    output: Path | None = None
    viewer: Viewer = "auto"
    port: int = 0
    channel: str = "thread1024"
    decoder: str = "kalman"
    effector: str = "legs"
    feedback: str = "linear"
    task: str = "walk"
    controls: bool = True
    json: Path | None = None


def folder_of(options: Demo) -> Path:
    """Where the run goes: what was asked for if it is free, by default the first free name.

    Raises:
        ConfigError: it holds something already.
    """
    if options.output is None:
        names = (_FOLDER if i < 2 else _FOLDER.with_name(f"{_FOLDER.name}-{i}") for i in range(1, 10_000))
        return next(path for path in names if not path.exists())
    if options.output.is_dir() and any(options.output.iterdir()):
        raise ConfigError(f"--output {options.output}: is not empty; choose another folder")
    return options.output


def offered(options: Demo) -> dict[str, list[str]]:
    """What the page may choose from: registered components that run here with their defaults, and a few persons by seed."""
    from importlib.util import find_spec

    from volition._registry import builtin
    from volition.stage import find

    found: dict[str, list[str]] = {"person": [str(seed) for seed in range(_PERSONS)]}
    for kind in _CHOSEN:
        found[kind] = []
        for name in builtin(kind):
            needs = getattr(getattr(find(kind, name)(), "spec", None), "requires", ())
            if all(need.startswith("package:") and find_spec(need[8:].split()[0]) for need in needs):
                found[kind].append(name)
    return found


def _loop(options: Demo, decoder: str, oracle: bool = False, record: Path | None = None) -> Loop:
    from volition.loop.config import LoopConfig
    from volition.loop.loop import Loop

    return Loop(
        channel=options.channel,
        decoder=decoder,
        effector=options.effector,
        feedback=options.feedback,
        task=options.task,
        config=LoopConfig(oracle=oracle),
        seed=options.seed,
        record=record,
    )


def _perform(options: Demo, loop: Loop, view: View | None, check: Callable[[], None]) -> tuple[Report, Gather]:
    """Calibrate, then run; what was kept of it for the report's pictures."""
    from volition.loop.calibrate import Calibration
    from volition.view._gather import Gather

    how = Calibration(*_CALIBRATION)
    look: Gather | View = view or Gather()

    def watch(loop: Loop) -> None:
        check()
        look(loop)

    if view:
        view.expect(how.seconds, CALIBRATION_SPEED)
    loop.calibrate(how, watch)
    before = view.cost_s if view else 0.0
    if view:
        view.expect(options.seconds, _WATCH_RUN if options.viewer == "terminal" else 1.0)
    report = loop.run(options.seconds, watch)
    if view:  # the loop did not wait for the eye: what the viewer took is none of its time
        report = replace(report, wall_s=report.wall_s - (view.cost_s - before))
    return report, look if isinstance(look, Gather) else look.gather


def _controls(options: Demo, check: Callable[[], None]) -> Iterator[tuple[str, Report]]:
    """The same person and body without a decoder that decodes, and with none that errs."""
    for name, decoder, oracle in (("random", "random", False), ("oracle", options.decoder, True)):
        with _loop(options, decoder, oracle) as loop:
            yield name, loop.run(min(options.seconds, _CONTROL_S), lambda loop: check())


def scoreboard(reports: Mapping[str, Report]) -> Iterator[dict[str, Any]]:
    """One row a decoder."""
    for name, report in reports.items():
        score = report.score
        yield {
            "decoder": name,
            "trials": len(report.trials),
            "seconds": report.seconds,
            **{key: score.get(key, math.nan) for key in _FIGURES},
        }


def _shown(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows as a narrow terminal shows them: with what the task scores."""
    told = {short: key for short, key in _SHORT.items() if any(math.isfinite(row[key]) for row in rows)}
    for row in rows:
        yield {
            "decoder": row["decoder"],
            "success": f"{row['success']:.0%}",
            "95 %": f"{100 * row['success_low']:.0f}-{100 * row['success_high']:.0f}",
            "of": row["trials"],
            **{short: round(row[key], 2) for short, key in told.items()},
        }


def _print(options: Demo, report: Report, controls: Mapping[str, Report], folder: Path) -> None:
    rows = list(scoreboard({report.stages["decoder"]: report, **controls}))
    if options.json is not None:
        save_rows(rows, options.json)
    print()
    emit(_shown(rows), title="scoreboard (simulated person, simulated time)")
    step = report.latency["step"]
    print(
        f"\none pass of the loop takes {step['p50_us']:.0f} µs, p99 {step['p99_us']:.0f} µs: {report.speed:.0f}x real time\n"
        f"report: {folder / 'report.html'}\n"
        f"figures: {folder / 'report.json'}\n"
        f"run log: {folder / 'signals.vlog'} (volition replay {folder}, volition play {folder})"
    )


def main(options: Demo) -> int:
    """Calibrate, run, run the controls, print the scoreboard, write the report."""
    from volition import __version__
    from volition.app._interrupt import Interrupt
    from volition.view.report import save, story_of

    if not 0 < options.seconds < math.inf:
        raise ConfigError(f"--seconds must be positive, got {options.seconds}")
    folder = folder_of(options)
    if options.json is not None:
        writable_parent(options.json, "--json")
    with (
        Interrupt() as interrupt,
        opened(options.viewer, options.port, interrupt.check, lambda: offered(options)) as view,
    ):
        options, folder, loop, report, gather = _until_done(options, folder, view, interrupt.check)
        try:
            controls = dict(_controls(options, interrupt.check)) if options.controls else {}
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"{loop.t_ns / 1e9:.2f} s of the run are kept in {folder}") from None
    facts = {"version": __version__, "command": this_command(), **machine()}
    save(folder / "report.html", story_of(loop, report, gather, controls, facts))
    _print(options, report, controls, folder)
    return 0


def _until_done(
    options: Demo, folder: Path, view: View | None, check: Callable[[], None]
) -> tuple[Demo, Path, Loop, Report, Gather]:
    """Run; where the page chooses another component, begin anew with it, in a folder of its own."""
    from volition.view.server import Chosen

    loop = _loop(options, options.decoder, record=folder)
    announce(view)
    with view or nullcontext():
        while True:
            try:
                report, gather = _perform(options, loop, view, check)
                loop.close(report)
                return options, folder, loop, report, gather
            except Chosen as chosen:
                loop.close()
                options, folder = _other(options, folder, chosen, view)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(f"{loop.t_ns / 1e9:.2f} s of the run are kept in {folder}") from None
            finally:
                loop.close()
            loop = _loop(options, options.decoder, record=folder)


def _other(options: Demo, folder: Path, chosen: Chosen, view: View | None) -> tuple[Demo, Path]:
    """The options with what was chosen, if that makes a loop; a line in the page says why where it does not."""
    change: dict[str, Any] = {"seed": int(chosen.name)} if chosen.kind == "person" else {chosen.kind: chosen.name}
    other = replace(options, **change)
    note = ""
    try:
        _loop(other, other.decoder).close()
    except VolitionError as error:
        note, other = f"{chosen.kind} {chosen.name} does not fit: {error}", options
    if view is not None:
        view.anew(note)
    return other, _next_to(folder)


def _next_to(folder: Path) -> Path:
    """The next free name beside a run's folder."""
    stem = re.sub(r"-\d+$", "", folder.name)
    return next(path for i in range(2, 10_000) if not (path := folder.with_name(f"{stem}-{i}")).exists())
