"""Re-execute a recorded run stage by stage and compare every byte."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from volition.app._output import emit


@dataclass(frozen=True)
class Replay:
    """Options of `volition replay`.

    Attributes:
        folder: the run, as `volition run` saved it.
        json: also save the rows as JSON here.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    json: Path | None = None


def _load(file: str) -> Any:
    from volition.io.read import read

    return read(file)


def main(options: Replay) -> int:
    """Print how many records of each signal were equal; 1 if one was not."""
    from volition.loop.replay import replay

    verdict = replay(options.folder, load=_load)
    rows = [
        {"signal": name, "records": n, "differing": verdict.differing.get(name, 0), "ok": not verdict.differing.get(name)}
        for name, n in verdict.compared.items()
    ]
    emit(rows, ("signal", "records", "differing", "ok"), options.json)
    print(verdict)
    return 0 if verdict.equal else 1
