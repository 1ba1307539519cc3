"""The benches of `volition bench`, one file each; they ship in the wheel, so that anybody can repeat a figure.

A bench is a module with `measures(quick) -> Iterator[Measure]`. What a measure finds is stored as soon as it is found.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


class SkipError(Exception):
    """A measure cannot be made here; the message says why."""


@dataclass(frozen=True)
class Found:
    """What a measure found.

    Attributes:
        value: the figure.
        extra: whatever else the row should tell: spread, interval, number of runs.
    """

    value: float
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measure:
    """One row of a bench.

    Attributes:
        what: what is measured.
        unit: of the value.
        run: measures; raises `SkipError` where that cannot be done.
        at_least: goal from below, or None.
        at_most: goal from above, or None.
        parameters: what the figure depends on; together with the version the key under which it is stored.
    """

    what: str
    unit: str
    run: Callable[[], Found]
    at_least: float | None = None
    at_most: float | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def goal(self) -> str:
        """The goal as a table shows it."""
        low = "" if self.at_least is None else f">= {self.at_least:g}"
        high = "" if self.at_most is None else f"<= {self.at_most:g}"
        return ", ".join(filter(None, (low, high)))

    def holds(self, value: float) -> bool | None:
        """Whether a value reaches the goal; None where there is none."""
        if not self.goal:
            return None
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


def median_of(runs: int, once: Callable[[], float]) -> Found:
    """The median of several runs, with all of them beside it."""
    values = [once() for _ in range(runs)]
    return Found(statistics.median(values), {"runs": runs, "low": min(values), "high": max(values)})


def success_rate(successes: int, trials: int) -> Found:
    """A rate in % with its 95 % Wilson interval, measured once."""
    from volition.task._score import wilson

    low, high = wilson(successes, trials)
    rate = successes / trials if trials else float("nan")
    return Found(100 * rate, {"trials": trials, "low": 100 * low, "high": 100 * high})
