"""The simulated person's neurons against recordings that they were not fitted to, and what they cost."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from volition.app._bench import Found, Measure, SkipError, median_of
from volition.app.calibrate import BLOCKS

_DATA = "VOLITION_DATA"
_POPULATIONS = 20
# Session, its file, and the file that is fitted: None for every other block of the session itself.
SETS: tuple[tuple[str, str, str | None], ...] = (
    ("M1 Stevenson 2011", "motor/m1_stevenson_2011.mat", None),
    ("S1", "motor/s1_data.mat", None),
    ("Chewie 2013-10-03 (50 ms)", "motor/chewie_20131003_bin50ms_moving.npz", None),
    (
        "Chewie 2013-12-19, fitted to 2013-10-03 (100 ms)",
        "motor/chewie_20131219_bin100ms_moving.npz",
        "motor/chewie_20131003_bin100ms_whole_trial.npz",
    ),
)
_ROWS = (
    ("rates, KS distance", "KS distance of the rates over its limit", "1", 1.0),
    ("Fano factor, 50 ms", "mean Fano factor (50 ms), off by", "%", 20.0),
    ("Fano factor, 500 ms", "mean Fano factor (500 ms), off by", "%", 20.0),
    ("noise correlation, 50 ms", "mean noise correlation (50 ms), off by", "%", 20.0),
    ("noise correlation, 500 ms", "mean noise correlation (500 ms), off by", "%", 20.0),
    ("R² of velocity, 25 units", "R² from 25 units, off by", "1", 0.05),
    ("R² of velocity, 50 units", "R² from 50 units, off by", "1", 0.05),
    ("R² of velocity, 100 units", "R² from 100 units, off by", "1", 0.05),
    ("R² of velocity, all units", "R² from all units, off by", "1", 0.05),
)


@cache
def compared(file: str, fitted: str | None, blocks: int, populations: int) -> dict[str, dict[str, Any]]:
    """The rows of `volition calibrate`, by what they tell; each pair is compared once."""
    from volition.io.read import read
    from volition.train.person import halves
    from volition.train.person_compare import SIZES, calibrated, compare

    root = os.environ.get(_DATA)
    if not root:
        raise SkipError(f"{_DATA} is not set: real recordings are not here")
    for name in filter(None, (file, fitted)):
        if not (Path(root) / name).exists():
            raise SkipError(f"{name} is not below {_DATA}")
    recording = read(Path(root) / file)
    learn, rest = halves(recording, blocks) if fitted is None else (read(Path(root) / fitted), recording)
    sizes = SIZES if blocks == BLOCKS else ()
    found = compare(rest, calibrated(learn), learn, populations=populations, sizes=sizes, other_day=fitted is not None)
    rows = {row["what"].replace(f" {rest.channels} units", " all units"): row for row in found.rows()}
    for what, row in rows.items():  # of a short recording more are measured than are decoded
        row["populations"] = populations if what.startswith("R²") else len(found.simulated)
    rows["rates, KS distance"]["limit"] = max(found.bound, found.reference_distance if found.other_day else 0.0)
    return rows


def _measured(file: str, fitted: str | None, blocks: int, populations: int, what: str, unit: str) -> Found:
    row = compared(file, fitted, blocks, populations).get(what)
    if row is None:
        raise SkipError(f"{Path(file).name} has no {what}: too few units, or stretches too short")
    extra = {k: row[k] for k in ("recorded", "simulated", "fitted part", "populations")}
    if what.startswith("rates"):
        return Found(row["simulated"] / row["limit"], {**extra, "limit": round(row["limit"], 4)})
    off = abs(row["simulated"] - row["recorded"])
    if unit == "%":  # the recorded parts (or days) differ among themselves
        extra["the two recorded parts differ by, %"] = round(100 * abs(row["fitted part"] / row["recorded"] - 1), 1)
    return Found(100 * off / abs(row["recorded"]) if unit == "%" else off, extra)


def _step_us(channels: int) -> float:
    """CPU time of one bin of the neurons."""
    from volition.brain._tuning import Population, PopulationConfig
    from volition.stage import Setup

    setup = Setup(channels=channels, max_speed=0.3)
    neurons = Population(PopulationConfig(), (0, 1), True, setup, setup.rng("brain"))
    bins = 500
    began = time.process_time()
    for k in range(bins):
        neurons.step(k * setup.bin_ns, (0.1, -0.05), (0.02, 0.03))
    return 1e6 * (time.process_time() - began) / bins


def measures(quick: bool) -> Iterator[Measure]:
    """All rows; `quick` takes the smallest session and few populations."""
    populations = 2 if quick else _POPULATIONS
    for name, file, fitted in SETS[2:3] if quick else SETS:
        for what, words, unit, most in _ROWS:
            how = {"file": Path(file).name, "fitted": Path(fitted).name if fitted else f"every other of {BLOCKS} blocks"}
            run = partial(_measured, file, fitted, BLOCKS, populations, what, unit)
            yield Measure(f"{words}, {name}", unit, run, at_most=most, parameters={**how, "populations": populations})
    if not quick:  # as a check of how still the recording is: the same between its first and its second half
        name, file, fitted = SETS[0]
        for what, words, unit, _ in _ROWS[:5]:
            run = partial(_measured, file, fitted, 2, 5, what, unit)
            yield Measure(f"{words}, {name}, first half to second", unit, run, parameters={"blocks": 2})
    for channels in (96, 1024):
        yield Measure(
            f"CPU time of the neurons of {channels} channels, a bin",
            "us",
            partial(median_of, 5, partial(_step_us, channels)),
        )
