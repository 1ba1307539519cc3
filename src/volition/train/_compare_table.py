"""One table of a comparison: decoders with each person and task, and where open loop and closed loop disagree.

- Closed loop: mean over seeds of the chosen figure, with its 95 % percentile bootstrap over seeds (Efron & Tibshirani 1993,
  ch. 13); success of all trials together with its Wilson interval, which takes trials as independent.
- Open loop: mean over seeds of R², with its bootstrap.
- Decoders that met the same persons are compared in pairs, seed by seed. A pair *disagrees* where R² is higher for the one
  and the figure for the other; the disagreement is *certain* where both paired intervals exclude 0.
- Spearman's rank correlation between the two means says how far one could have chosen by R².

All resampling is seeded and follows the order of the units, so equal results give an equal table to the digit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.errors import ConfigError
from volition.signal import Float64
from volition.task._score import wilson

MEASURE = "bit_rate_bit_s"
_RESAMPLES, _SEED = 10_000, 95
_LIKELY, _CERTAIN = "~", "!"


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval (None where there are fewer than two values)."""

    mean: float
    low: float | None = None
    high: float | None = None

    @property
    def sign(self) -> int:
        """+1 or -1 where the interval lies above or below 0, else 0."""
        if self.low is None or self.high is None:
            return 0
        return int(self.low > 0) - int(self.high < 0)


def bootstrap(values: Sequence[float]) -> Estimate:
    """Mean with its percentile bootstrap interval.

    >>> bootstrap([2.0]), bootstrap([1.0, 1.0, 1.0])
    (Estimate(mean=2.0, low=None, high=None), Estimate(mean=1.0, low=1.0, high=1.0))
    """
    x = np.asarray(values, np.float64)
    if len(x) < 2:
        return Estimate(float(x.mean()))
    index = np.random.default_rng(_SEED).integers(0, len(x), (_RESAMPLES, len(x)))
    low, high = np.percentile(x[index].mean(axis=1), (2.5, 97.5))
    return Estimate(float(x.mean()), float(low), float(high))


def ranks(values: Sequence[float]) -> Float64:
    """Rank of each value, 1 the highest; equal ones share the mean of theirs.

    >>> ranks([0.3, 0.9, 0.3]).tolist()
    [2.5, 1.0, 2.5]
    """
    x = np.asarray(values, np.float64)
    higher = (x[None, :] > x[:, None]).sum(axis=1)
    equal = (x[None, :] == x[:, None]).sum(axis=1)
    return np.asarray(higher + (equal + 1) / 2, np.float64)


def spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Spearman's rank correlation; None with fewer than three pairs, or where one side is all equal.

    >>> spearman([1, 2, 3], [5, 7, 6])
    0.5
    """
    if len(a) < 3:
        return None
    x, y = ranks(a) - (len(a) + 1) / 2, ranks(b) - (len(b) + 1) / 2
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 0 else None


@dataclass
class _Cell:
    """One decoder with one person and task: seed -> figure, seed -> R²."""

    figure: dict[int, float]
    r2: dict[int, float]
    hits: int = 0
    trials: int = 0
    failed: int = 0
    error: str = ""

    def add(self, row: Mapping[str, Any], measure: str) -> None:
        if "error" in row:
            self.failed, self.error = self.failed + 1, row["error"]
            return
        score, seed = row["score"], row["seed"]
        if measure not in score:
            raise ConfigError(f"the task scores no {measure!r}; it scores {', '.join(score)}")
        self.figure[seed] = score[measure]
        if row["r2"] is not None:
            self.r2[seed] = row["r2"]
        trials = round(score.get("n_trials", 0))
        self.trials += trials
        self.hits += round(score.get("success", 0.0) * trials)


def _cells(rows: Sequence[Mapping[str, Any]], measure: str) -> dict[tuple[str, str], dict[str, _Cell]]:
    """(task, person) -> decoder -> what was found, in the order of the rows."""
    groups: dict[tuple[str, str], dict[str, _Cell]] = {}
    for row in rows:
        group = groups.setdefault((row["task"], row["person"]), {})
        group.setdefault(row["decoder"], _Cell({}, {})).add(row, measure)
    return groups


def _paired(a: Mapping[int, float], b: Mapping[int, float]) -> Estimate | None:
    common = [seed for seed in a if seed in b]
    return bootstrap([a[s] - b[s] for s in common]) if common else None


def disagreements(group: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Pairs of decoders of which R² prefers the one and closed loop the other."""
    found = []
    for (name_a, a), (name_b, b) in combinations(group.items(), 2):
        opened, closed = _paired(a.r2, b.r2), _paired(a.figure, b.figure)
        if opened is None or closed is None or opened.mean * closed.mean >= 0:
            continue
        certain = opened.sign * closed.sign < 0
        by_r2, by_control = (name_a, name_b) if opened.mean > 0 else (name_b, name_a)
        turn = 1 if opened.mean > 0 else -1
        found.append(
            {
                "by_r2": by_r2,
                "by_control": by_control,
                "r2_gain": turn * opened.mean,
                "control_loss": -turn * closed.mean,
                "certain": certain,
            }
        )
    return found


def _row(task: str, person: str, decoder: str, cell: _Cell, measure: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "task": task,
        "person": person,
        "decoder": decoder,
        "seeds": len(cell.figure),
        "failed": cell.failed,
    }
    for name, values in ((measure, cell.figure), ("r2", cell.r2)):
        e = bootstrap(list(values.values())) if values else None
        row |= {name: e and e.mean, f"{name}_low": e and e.low, f"{name}_high": e and e.high}
    if cell.trials:
        low, high = wilson(cell.hits, cell.trials)
        row |= {"success": cell.hits / cell.trials, "success_low": low, "success_high": high, "trials": cell.trials}
    return row | ({"error": cell.error} if cell.error else {})


def table(rows: Sequence[Mapping[str, Any]], measure: str = MEASURE) -> list[dict[str, Any]]:
    """One row for each decoder with each person and task.

    Args:
        rows: as `compare` returns them.
        measure: which of the task's figures tells how well it was controlled.

    Returns:
        Rows with "task", "person", "decoder", "seeds", "failed"; the measure, "success" and "r2", each with "_low" and
        "_high"; "rank_r2", "rank" (1 is best, within person and task, of decoders with both) and "mark": "!" where the
        decoder is part of a certain disagreement, "~" of one in the means only, "" of none.

    Raises:
        ConfigError: the task does not score that measure.
    """
    found = []
    for (task, person), group in _cells(rows, measure).items():
        marks: dict[str, str] = {}
        for pair in disagreements(group):
            for name in (pair["by_r2"], pair["by_control"]):
                marks[name] = _CERTAIN if pair["certain"] else marks.get(name, _LIKELY)
        made = [_row(task, person, name, cell, measure) for name, cell in group.items()]
        both = [row for row in made if row["r2"] is not None and row[measure] is not None]
        order: list[NDArray[Any]] = [ranks([row[name] for row in both]) for name in ("r2", measure)]
        for row, by_r2, by_control in zip(both, *order, strict=True):
            row |= {"rank_r2": float(by_r2), "rank": float(by_control)}
        found += [{**row, "mark": marks.get(row["decoder"], "")} for row in made]
    return found


def agreement(rows: Sequence[Mapping[str, Any]], measure: str = MEASURE) -> list[dict[str, Any]]:
    """For each person and task: Spearman's correlation between R² and the measure over decoders, and where they disagree.

    Arguments and errors as in `table`.
    """
    found = []
    for (task, person), group in _cells(rows, measure).items():
        both = [(np.mean(list(c.r2.values())), np.mean(list(c.figure.values()))) for c in group.values() if c.r2]
        rho = spearman(*zip(*both, strict=True)) if both else None
        found.append({"task": task, "person": person, "spearman": rho, "disagree": disagreements(group)})
    return found
