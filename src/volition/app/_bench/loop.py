"""The closed loop: how fast, how large, and how well a simulated person does with it."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from volition.app._bench import Found, Measure, SkipError, median_of, success_rate
from volition.app._bench._bare import Rig
from volition.loop.calibrate import Calibration
from volition.loop.config import LoopConfig
from volition.loop.loop import Loop

_SHORT = Calibration(observe_s=10.0, assist=(), block_s=1.0)  # timing needs a fitted decoder, not a good one
_DEMO = ["demo"]
_PEAK = """
import os, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
sys.stderr.buffer.write(done.stderr)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""


def _speed(seconds: float, runs: int) -> Found:
    """Simulated seconds per second of CPU time of all threads: what one core does."""
    loop = Loop("person", "thread1024", "kalman", "cursor", "silent", "reach", seed=1).calibrate(_SHORT)

    def once() -> float:
        start = time.process_time()
        loop.run(seconds)
        return seconds / (time.process_time() - start)

    return median_of(runs, once)


def _overhead(bins: int, runs: int) -> Found:
    """CPU time of a step of the loop less that of the same stages called by hand, in µs."""
    rig = Rig()
    loop = rig.loop()

    def once() -> float:
        start = time.process_time()
        for _ in range(bins):
            loop.step()
        middle = time.process_time()
        rig.by_hand(bins)
        return 1e6 * (2 * middle - start - time.process_time()) / bins

    once()  # warm
    if faults := loop.report().faults:
        raise SkipError(f"the loop met faults, so this is not its usual way: {faults}")
    return median_of(runs, once)


def _demo_memory(seconds: float | None) -> Found:
    """Peak resident memory of `volition demo`, in MB; a small process between keeps ours out of it."""
    args = [] if seconds is None else ["--seconds", str(seconds)]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", _PEAK, sys.executable, "-m", "volition", *_DEMO, *args],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "TERM": "dumb"},
        )
    if done.returncode:
        raise SkipError(f"the demo failed: {' '.join(done.stderr.split())[-200:]}")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    return Found(int(done.stdout) * unit / 1e6)


def _success(decoder: str, oracle: bool, seeds: int, seconds: float) -> Found:
    """Share of reaches that succeed, over several simulated people, with a Wilson interval."""
    reached = trials = 0
    for seed in range(seeds):
        loop = Loop(decoder=decoder, config=LoopConfig(oracle=oracle), seed=seed)
        if not oracle:
            loop.calibrate()
        report = loop.run(seconds)
        reached += sum(t["outcome"] == "reached" for t in report.trials)
        trials += len(report.trials)
    return success_rate(reached, trials)


def _bit_rate(decoder: str, oracle: bool, seeds: int, seconds: float) -> Found:
    """Achieved bit rate on Webgrid, median over simulated people, with the spread."""
    from volition.task.reach import ReachConfig

    rates = []
    for seed in range(seeds):
        loop = Loop(
            channel="utah96",
            decoder=decoder,
            task=("reach", ReachConfig(layout="webgrid")),
            config=LoopConfig(oracle=oracle),
            seed=seed,
        )
        if not oracle:
            loop.calibrate()
        rates.append(loop.run(seconds).score["bit_rate_bit_s"])
    spread = statistics.stdev(rates) if len(rates) > 1 else 0.0
    return Found(statistics.median(rates), {"low": min(rates), "high": max(rates), "sd": spread, "seeds": seeds})


def _closed_loop(quick: bool) -> Iterator[Measure]:
    """Success and bit rate of the oracle, of a learnt decoder and of chance."""
    seeds, seconds = (1, 10.0) if quick else (10, 60.0)
    how: dict[str, Any] = {"seeds": seeds, "seconds": seconds}
    rows = (
        ("oracle", "still", True, 99.0, None),
        ("random", "random", False, None, 10.0),
        ("kalman", "kalman", False, None, None),
    )
    for label, decoder, oracle, low, high in rows:
        yield Measure(
            f"success of reaches, {label}",
            "%",
            lambda d=decoder, o=oracle: _success(d, o, seeds, seconds),  # type: ignore[misc]
            at_least=low,
            at_most=high,
            parameters=how,
        )
    for label, decoder, oracle, *_ in rows:
        yield Measure(
            f"bit rate on Webgrid 6x6, {label}",
            "bit/s",
            lambda d=decoder, o=oracle: _bit_rate(d, o, seeds, seconds),  # type: ignore[misc]
            parameters=how,
        )


def measures(quick: bool) -> Iterator[Measure]:
    """All rows."""
    runs, seconds, bins = (2, 2.0, 500) if quick else (5, 60.0, 20_000)
    yield Measure(
        "speed of a 1,024-channel loop, person to cursor by kalman",
        "x real time on one core",
        lambda: _speed(seconds, runs),
        at_least=100,
        parameters={"seconds": seconds, "runs": runs},
    )
    yield Measure(
        "loop's own time per step, stages apart, no log",
        "us CPU",
        lambda: _overhead(bins, runs),
        at_most=20,
        parameters={"bins": bins, "runs": runs},
    )
    demo_s = 2.0 if quick else None
    yield Measure("peak memory of demo", "MB", lambda: _demo_memory(demo_s), at_most=600, parameters={"seconds": demo_s})
    yield from _closed_loop(quick)
