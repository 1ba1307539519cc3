"""77 days later, other units: what a decoder keeps with twenty labelled trials, or with none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from volition.app._bench import Found, Measure, SkipError
from volition.app._bench.decode import DATA
from volition.signal import Float64
from volition.train import metrics
from volition.train.across import LABELLED, TESTED, Across, across, moving
from volition.train.bootstrap import Gain, gain

FIRST = "motor/chewie_20131003_bin100ms_whole_trial.npz"
SECOND = "motor/chewie_20131219_bin100ms_moving.npz"
_SETTINGS = {
    "few": f"{LABELLED} labelled trials",
    "few_and_rest": f"{LABELLED} labelled trials, the others' counts",
    "unlabelled": "no labels, counts only",
}


@cache
def _found(count: int) -> tuple[Across, str, str]:
    """What was decoded; the name of the best decoder within the day, and of the best from the same labels alone."""
    if find_spec("torch") is None:
        raise SkipError("PyTorch is not installed (extra 'train')")
    root = os.environ.get(DATA)
    if not root:
        raise SkipError(f"{DATA} is not set: real recordings are not here")
    for file in (FIRST, SECOND):
        if not (Path(root) / file).exists():
            raise SkipError(f"{file} is not below {DATA}")
    from volition.io.read import read

    first, second = (read(Path(root) / file) for file in (FIRST, SECOND))
    found = across(moving(first), moving(second), first.bin_ns, rivals=("wiener", "gru"), count=count)
    within = max(found.within, key=lambda name: _mean(found, found.within[name]))
    return found, within, max(found.scratch, key=lambda name: _mean(found, found.scratch[name]))


def _mean(found: Across, runs: Float64) -> float:
    """R², mean of the runs."""
    return float(np.mean([metrics.r2(found.y, guess) for guess in runs]))


def _within(count: int) -> Found:
    found, best, _ = _found(count)
    each = {f"r2_{name}": round(_mean(found, runs), 4) for name, runs in found.within.items()}
    return Found(_mean(found, found.within[best]), {"best": best, **each, "test_trials": TESTED})


def _scratch(count: int) -> Found:
    found, _, best = _found(count)
    each = {f"r2_{name}": round(_mean(found, runs), 4) for name, runs in found.scratch.items()}
    return Found(_mean(found, found.scratch[best]), {"best": best, **each, "draws": count})


def _r2(setting: str, count: int) -> Found:
    found, _, _ = _found(count)
    each = [metrics.r2(found.y, guess) for guess in getattr(found, setting)]
    spread = {"low": min(each), "high": max(each)} if len(each) > 1 else {}
    if setting in found.carried:  # before it was averaged with what the labels alone give
        spread["r2_carried"] = round(_mean(found, found.carried[setting]), 4)
    return Found(float(np.mean(each)), {**spread, "runs": len(each)})


def _share(setting: str, count: int) -> Found:
    """How much of the best figure within the day, %; the interval is that of redrawn test trials and draws."""
    found, best, _ = _found(count)
    whole, compared = _mean(found, found.within[best]), _compared(found, setting, found.within[best])
    ends = {"low": 100 * (1 + compared.low / whole), "high": 100 * (1 + compared.high / whole)}
    return Found(100 * compared.ours / whole, {**ends, "of": best})


def _least_gain(setting: str, count: int, rival: str) -> Found:
    found, _, best = _found(count)
    name = best if rival == "best" else rival
    compared = _compared(found, setting, found.scratch[name])
    return Found(compared.low, {"low": compared.low, "high": compared.high, "gain": compared.gain, "over": name})


def _compared(found: Across, setting: str, theirs: Float64) -> Gain:
    return gain(found.y, getattr(found, setting), theirs, found.trial, over="mean", redraw_runs=True)


def measures(quick: bool) -> Iterator[Measure]:
    """All rows; `quick` takes two draws of the labelled trials."""
    n = 2 if quick else 10
    how = {"from": Path(FIRST).name, "to": Path(SECOND).name, "draws": n}
    yield Measure("R² within the day, all 144 earlier trials labelled", "1", lambda: _within(n), parameters=how)
    yield Measure(f"R² from {LABELLED} labelled trials alone", "1", lambda: _scratch(n), parameters=how)
    for setting, words in _SETTINGS.items():
        yield Measure(f"R² carried over 77 days, {words}", "1", lambda s=setting: _r2(s, n), parameters=how)  # type: ignore[misc]
        yield Measure(
            f"share of the R² within the day, {words}",
            "%",
            lambda s=setting: _share(s, n),  # type: ignore[misc]
            at_least=85.0,
            parameters=how,
        )
        for rival, over in (("same", "the same decoder"), ("best", "the best decoder")):
            yield Measure(
                f"R² gained over {over} from {LABELLED} labelled trials alone, lower end of 95 %, {words}",
                "1",
                lambda s=setting, r=rival: _least_gain(s, n, r),  # type: ignore[misc]
                at_least=0.0,
                parameters=how,
            )
