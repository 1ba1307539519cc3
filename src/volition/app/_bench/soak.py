"""Hours of simulated use in one piece, with faults: does it grow, slow down, lose its log, or fail to come back?"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from volition.app._bench import Found, Measure, SkipError
from volition.loop.calibrate import Calibration
from volition.loop.loop import Loop
from volition.loop.played import PlayedRun

_FAULT_EVERY_S, _FAULT_S = 600.0, 10.0
_FAULTS: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (  # an act, what it does, and what ends it
    ("drop", {"share": 1.0}, {"share": 0.0}),
    ("kill", {"share": 0.3}, {"share": 0.0}),
    ("touch", {"on": False}, {"on": True}),
)
_BODIES: Mapping[str, tuple[dict[str, Any], float]] = {  # stages, and the hours of a whole soak
    "cursor": ({"channel": "thread1024", "effector": "cursor", "task": "reach"}, 8.0),
    "legs": ({"channel": "thread1024", "effector": "legs", "task": "walk"}, 0.5),
}


@dataclass(frozen=True)
class _Soak:
    """What was seen; the lists hold a value for each part (an hour, in a whole soak)."""

    cpu_s: list[float]
    rss_mb: list[float]
    trials: list[int]
    reached: list[int]
    stray: dict[str, int]  # faults that nobody caused
    bins_lost: int  # of the log
    hours: float


def _rss_mb() -> float:
    """Resident memory of this process, MB (Linux)."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError as error:
        raise SkipError("resident memory is read from /proc, which is not here") from error
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _part(loop: Loop, seconds: float, every_s: float) -> None:
    """So long, with a fault at the end of each stretch; afterwards a user arms it again."""
    left, k = seconds, round(loop.t_ns / 1e9 / every_s)
    while left > 0:
        calm = min(left, every_s - _FAULT_S)
        loop.advance(calm)
        left -= calm
        if left <= 0:
            return
        act, begin, end = _FAULTS[k % len(_FAULTS)]
        loop.act(act, **begin)
        loop.advance(min(left, _FAULT_S))
        loop.act(act, **end)
        loop.act("arm")
        left, k = left - _FAULT_S, k + 1


@lru_cache(maxsize=1)
def _run(body: str, hours: float, parts: int, calibration: Calibration) -> _Soak:
    """One loop from its calibration to the end, logged; the log is read back."""
    stages, _ = _BODIES[body]
    seconds = 3600 * hours / parts
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop("person", decoder="kalman", feedback="linear", seed=1, record=Path(folder, "run"), **stages)
        loop.calibrate(calibration)
        loop.act("restart")
        cpu: list[float] = []
        rss: list[float] = []
        trials: list[int] = []
        reached: list[int] = []
        for _ in range(parts):
            began = time.process_time()
            _part(loop, seconds, min(_FAULT_EVERY_S, seconds / 2))
            cpu.append(time.process_time() - began)
            rss.append(_rss_mb())
            done = loop.report().trials
            trials.append(len(done) - sum(trials))
            reached.append(sum(t["outcome"] == "reached" for t in done) - sum(reached))
        bins = loop.t_ns // loop.setup.bin_ns
        stray = {f"{where}: {what}": n for where, kinds in loop.report().faults.items() for what, n in kinds.items()}
        stray.pop("channel: lost", None)  # those are ours
        loop.close()
        read = sum(1 for _ in PlayedRun(Path(folder, "run")).read())
    return _Soak(cpu, rss, trials, reached, stray, bins - read, hours)


def _grown(s: _Soak) -> Found:
    hours = s.hours * (1 - 1 / len(s.rss_mb))
    return Found((s.rss_mb[-1] - s.rss_mb[0]) / hours, {"at the end, MB": s.rss_mb[-1]})


def _slower(s: _Soak) -> Found:
    return Found(s.cpu_s[-1] / s.cpu_s[0], {"x real time": 3600 * s.hours / sum(s.cpu_s)})


def _lost(s: _Soak) -> Found:
    return Found(s.bins_lost)


def _stray(s: _Soak) -> Found:
    return Found(sum(s.stray.values()), {"which": ", ".join(f"{k} {n}" for k, n in s.stray.items()) or "none"})


def _reached(s: _Soak) -> Found:
    first, last = (100 * s.reached[i] / max(1, s.trials[i]) for i in (0, -1))
    return Found(last, {"first part, %": first, "trials": sum(s.trials)})


_ROWS: tuple[tuple[str, str, Callable[[_Soak], Found], float | None], ...] = (
    ("memory grown an hour, after the first part", "MB", _grown, 20.0),
    ("CPU of the last part over the first", "", _slower, 1.2),
    ("bins of the log that are not there", "", _lost, 0.0),
    ("faults that nobody caused", "", _stray, 0.0),
    ("trials reached in the last part", "%", _reached, None),
)


def measures(quick: bool) -> Iterator[Measure]:
    """All rows; those of a body are read off one soak."""
    for body, (_, whole) in _BODIES.items():
        if quick and body != "cursor":
            continue
        hours, parts = (0.01, 2) if quick else (whole, max(2, round(whole)))
        soak = partial(_run, body, hours, parts, Calibration(10.0, (), 1.0) if quick else Calibration())
        for what, unit, read, most in _ROWS:
            yield Measure(
                f"{body}: {what}",
                unit,
                lambda read=read, soak=soak: read(soak()),  # type: ignore[misc]
                at_most=most,
                parameters={"hours": hours, "parts": parts},
            )
