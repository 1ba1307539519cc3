"""Measure whether the whole loop keeps its deadlines on this machine, on the real clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from volition.app._output import emit, writable_parent
from volition.errors import ConfigError, MissingExtraError

_TWIN = 64 * 30_000.0  # channels x Hz that the numpy engine can follow, about


@dataclass(frozen=True)
class Certify:
    """Options of `volition certify`.

    Attributes:
        channels: recording electrodes.
        fs: sampling rate, Hz.
        seconds: length of the measured run, s.
        chunk_ms: how much voltage comes at a time, ms.
        effector: the body.
        feedback: how touch becomes stimulation.
        load: busy processes beside it, to see how it degrades.
        realtime: ask the system for real-time priority (SCHED_FIFO; usually the administrator's to give).
        limit_p50_ms: end to end, last voltage sample of a bin to command: median no longer than this.
        limit_p99_ms: 99th percentile no longer than this.
        limit_lost: at most so many frames (bins) without a command of their own in time.
        seed: of all random numbers.
        output: folder for report.json and report.txt.
        json: also save the table here.
    """

    channels: int = 1024
    fs: float = 30_000.0
    seconds: float = 60.0
    chunk_ms: float = 2.0
    effector: Literal["cursor", "arm"] = "arm"
    feedback: str = "linear"
    load: int = 0
    realtime: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    limit_p50_ms: float = 5.0
    limit_p99_ms: float = 20.0
    limit_lost: int = 0
    seed: int = 0
    output: Path = Path("runs/certify")
    json: Path | None = None


def _check(options: Certify) -> None:
    """Refuse what cannot be measured, before anything is started.

    Raises:
        ConfigError: an option out of range.
        MissingExtraError: no compiled kernels at a size that needs them.
    """
    from importlib.util import find_spec

    ranges = {
        "channels": (1, 4096),
        "fs": (12_000, 100_000),
        "seconds": (0.2, 86_400),
        "chunk_ms": (0.2, 20),
        "load": (0, 1024),
        "limit_p50_ms": (0, math.inf),
        "limit_p99_ms": (0, math.inf),
        "limit_lost": (0, math.inf),
    }
    for name, (low, high) in ranges.items():
        if not low <= getattr(options, name) <= high:
            raise ConfigError(f"--{name.replace('_', '-')} must be {low:g} to {high:g}, got {getattr(options, name)}")
    if find_spec("numba") is None and options.channels * options.fs > _TWIN:
        raise MissingExtraError(
            f"certify at {options.channels} channels x {options.fs:g} Hz needs compiled kernels: "
            "pip install 'volition[fast]', or try --channels 64"
        )


def main(options: Certify) -> int:
    """Fit, run, report; 1 if a limit was missed."""
    from volition.app._certify_report import figures, save, stage_rows, text, verdicts
    from volition.app._certify_run import certify

    _check(options)
    for path in (options.output / "report.json", options.json):
        if path is not None:
            writable_parent(path, "--output" if path is not options.json else "--json")
    found: dict[str, Any] = certify(options)
    stages, limits = stage_rows(found), verdicts(found, options)
    emit(stages, title="latency, ms")
    print()
    emit([*limits, *figures(found)], ("what", "value", "unit", "limit", "ok"), options.json)
    print("\n" + text(found, options))
    save(options, found, stages, limits)
    print(f"kept in {options.output}")
    return 0 if all(row["ok"] for row in limits) else 1
