"""Play a recorded run in the page, or two side by side, with any moment at hand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from volition.errors import ConfigError


@dataclass(frozen=True)
class View:
    """Options of `volition view`.

    Attributes:
        folder: the run, as `volition run` and `volition demo` keep it.
        other: a second run, to be shown beside it.
        port: of the page; 0 takes 8700, or any free one.
        seconds: end by itself after so long, s; by default it serves until Ctrl-C.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    other: Annotated[Path | None, tyro.conf.Positional] = None
    port: int = 0
    seconds: float = math.inf


def main(options: View) -> int:
    """Serve the page until it is interrupted."""
    from volition.app._interrupt import Interrupt
    from volition.app._viewer import show
    from volition.loop.played import PlayedRun
    from volition.view.player import Player

    if not options.seconds > 0:
        raise ConfigError(f"--seconds must be positive, got {options.seconds}")
    runs = [PlayedRun(folder) for folder in (options.folder, options.other) if folder is not None]
    for run in runs:
        torn = "; its log is torn, what is whole is shown" if run.truncated else ""
        print(f"{run.folder}: {run.seconds:.1f} s, {' -> '.join(run.labels.values())}, seed {run.run['seed']}{torn}")
    with Interrupt() as interrupt, Player(runs, port=options.port) as player:
        print(f"watch it at {player.url}\nCtrl-C ends", flush=True)
        show(player.url)
        try:
            player.wait(interrupt.check, options.seconds)
        except KeyboardInterrupt:
            print()
    return 0
