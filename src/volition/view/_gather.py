"""What a view keeps of a run while it goes by: short history of the spikes, long history of the few numbers that are drawn.

A `watch` callback with fixed memory: the newest `raster_s` seconds of features, the newest `trace_s` seconds of everything
else. One call costs 10 to 20 µs with 1,024 channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.signal import NS_PER_S, Features, Float32, Float64

_LEARN = 16  # bins at a time


def steering(names: Sequence[str]) -> tuple[int, ...]:
    """The dimensions of an intent that steer: forward and turn of a body that walks, else the first two.

    >>> steering(("walk.x", "walk.y", "walk.turn")), steering(("reach.x", "reach.y", "select"))
    ((0, 2), (0, 1))
    """
    if "walk.x" in names and "walk.turn" in names:
        return names.index("walk.x"), names.index("walk.turn")
    return tuple(range(min(2, len(names))))


@dataclass(frozen=True)
class GatherConfig:
    """How much is kept.

    Attributes:
        raster_s: seconds of features (1,024 channels at 20 ms: 0.26 MB a second).
        trace_s: seconds of positions, velocities, touch and stimulation (5 kB a second).
    """

    raster_s: float = 10.0
    trace_s: float = 1200.0


@dataclass
class Phase:
    """One stretch of a run under one name ("observe", "assist 0.50", "run"); times in s of the run."""

    name: str
    begin_s: float
    end_s: float
    trials: int = 1


class Trace:
    """The kept numbers, oldest first: one row a bin.

    Attributes:
        t_s: end of the bin, s.
        phase: index into `Gather.phases`.
        trial: number of the trial.
        position, goal: `[bins, d]`, m.
        radius: of the goal, m.
        decoded, intended: `[bins, k]`, in the effector's units.
        touch: summed pressure, N.
        stim: summed delivered amplitude, µA.
    """

    def __init__(self, rows: Float64, dims: int, size: int) -> None:
        self.t_s, self.radius, self.touch, self.stim = rows[:, 0], rows[:, 3], rows[:, 4], rows[:, 5]
        self.phase, self.trial = rows[:, 1].astype(int), rows[:, 2].astype(int)
        cut = [6, 6 + dims, 6 + 2 * dims, 6 + 2 * dims + size, 6 + 2 * dims + 2 * size]
        self.position, self.goal, self.decoded, self.intended = (rows[:, a:b] for a, b in pairwise(cut))

    def __len__(self) -> int:
        return len(self.t_s)


class Gather:
    """A `watch` callback that remembers.

    Attributes:
        phases: the story so far.
        bins: how many bins were seen.
    """

    def __init__(self, config: GatherConfig | None = None) -> None:
        self.config = config or GatherConfig()
        self.phases: list[Phase] = []
        self.bins = 0
        self._rows: Float64 = np.zeros((0, 6))
        self._x: Float32 = np.zeros((0, 0), np.float32)
        self._missing: NDArray[np.bool_] = np.zeros((0, 0), np.bool_)
        self._dims = self._size = 0
        self._steers: list[int] = []
        self._trial = -1
        self._sums: Float64 = np.zeros((2, 3, 0))
        self._scatter: Float64 = np.zeros((3, 3))

    def __call__(self, loop: Any) -> None:
        """Keep what the bin just done left in `loop.last`."""
        last = loop.last
        if not self._rows.shape[0]:
            self._allocate(loop)
        t_s = loop.t_ns / NS_PER_S
        self._follow(loop.phase, t_s, loop.setup.bin_ns / NS_PER_S, last.goal.trial)
        d, k = self._dims, self._size
        row = self._rows[self.bins % len(self._rows)]
        row[0], row[1], row[2], row[3] = t_s, len(self.phases) - 1, last.goal.trial, last.goal.radius
        row[4], row[5] = last.touch.pressure.sum(), last.delivered.amplitude_ua.sum()
        row[6 : 6 + d] = last.body.position
        goal = last.goal.position[:d]  # a body in space may have a goal on the ground
        row[6 + d : 6 + d + len(goal)] = goal
        row[6 + 2 * d : 6 + 2 * d + k] = last.decoded
        row[6 + 2 * d + k :] = last.intended
        at = self.bins % len(self._x)
        self._keep(at, last.features)
        self.bins += 1
        if self._size >= 2 and self.bins % _LEARN == 0:
            self._learn()

    def _keep(self, at: int, features: Features | None) -> None:
        if features is None:
            self._missing[at] = True
        else:
            self._x[at], self._missing[at] = features.x, features.mask

    def _allocate(self, loop: Any) -> None:
        setup = loop.setup
        per_s = NS_PER_S / setup.bin_ns
        self._dims, self._size = loop.last.body.position.size, len(setup.intent)
        self._steers = list(steering(setup.intent))
        width = 6 + 2 * self._dims + 2 * self._size
        self._rows = np.zeros((max(2, round(self.config.trace_s * per_s)), width))
        bins = max(2, round(self.config.raster_s * per_s))
        self._x = np.zeros((bins, setup.features), np.float32)
        self._missing = np.zeros((bins, setup.features), np.bool_)
        self._sums = np.zeros((2, 3, setup.features))  # of x and of what was seen: times velocity, and alone

    def _follow(self, name: str, t_s: float, bin_s: float, trial: int) -> None:
        if not self.phases or self.phases[-1].name != name:
            self.phases.append(Phase(name, t_s - bin_s, t_s))
        elif trial != self._trial:
            self.phases[-1].trials += 1
        self.phases[-1].end_s, self._trial = t_s, trial

    @staticmethod
    def _newest(ring: NDArray[Any], seen: int, n: int) -> NDArray[Any]:
        """The `n` newest rows of a ring that `seen` rows went into, oldest first."""
        n = min(n, seen, len(ring))
        at = seen % len(ring) if len(ring) else 0
        if n <= at:
            return ring[at - n : at]
        return np.concatenate([ring[len(ring) - (n - at) :], ring[:at]])

    def trace(self, bins: int | None = None) -> Trace:
        """The newest `bins` rows (all that are kept by default)."""
        return Trace(self._newest(self._rows, self.bins, self.bins if bins is None else bins), self._dims, self._size)

    def raster(self, bins: int | None = None) -> tuple[Float32, NDArray[np.bool_]]:
        """Features `[bins, features]` and what of them is missing, newest last; 0 where missing."""
        n = self.bins if bins is None else bins
        x, missing = self._newest(self._x, self.bins, n), self._newest(self._missing, self.bins, n)
        return np.where(missing, np.float32(0), x), missing

    def preferred(self) -> Float64:
        """Preferred direction of each feature, rad, `[features]`; NaN where it was silent.

        Least squares of features on the two steering dimensions of the intended velocity (Georgopoulos et al. 1982), over
        all that was seen: good enough to sort a picture by.
        """
        if self._size < 2 or not self._sums[1, 2].any():
            return np.full(self._x.shape[1], np.nan)
        (xv, x), (v, seen) = ((part[:2], part[2]) for part in self._sums)
        product = xv - x * v / np.maximum(1, seen)
        n = self._scatter[2, 2]
        scatter = self._scatter[:2, :2] - np.outer(self._scatter[:2, 2], self._scatter[:2, 2]) / n
        weight = np.linalg.solve(scatter + 1e-12 * np.eye(2), product)
        return np.where(x != 0, np.arctan2(weight[1], weight[0]), np.nan)

    def _learn(self) -> None:
        """Add the newest few bins to the sums that `preferred` needs; few, so that no large array is ever made."""
        x, missing = self.raster(_LEARN)
        design = np.ones((3, len(x)), np.float32)  # velocity, and 1
        design[:2] = self.trace(len(x)).intended[:, self._steers].T
        self._sums[0] += design @ x
        self._sums[1] += design @ (~missing).astype(np.float32)
        self._scatter += design @ design.T
