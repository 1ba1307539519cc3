"""The front end in numpy and scipy, float64: the reference of the compiled kernels, and what runs without them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.channel._frontend_design import Plan


class Twin:
    """Engine of `FrontEnd` in plain float64.

    Args:
        plan: sizes, filters and constants.
    """

    def __init__(self, plan: Plan) -> None:
        n = plan.channels
        self._plan = plan
        self._u = np.zeros(n)
        self._zi_spike = np.zeros((len(plan.spike.sos), 2, n))
        self._zi_power = np.zeros((len(plan.power.sos), 2, n))
        self._below = np.zeros(n, bool)
        self._last = np.full(n, -(10**9), np.int64)
        self._mean_square, self._square = np.zeros(n), np.zeros(n)
        self._limit = np.full(n, np.inf)
        self._seen = self._seen_block = 0.0
        self._previous: NDArray[np.int64] | None = None
        self._event_channel: list[int] = []
        self._event_sample: list[int] = []
        self._power = np.zeros(n)
        self._still, self._railed = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self._weights: NDArray[np.float64] | None = None
        self.use(np.ones(n, bool))

    def use(self, good: NDArray[np.bool_]) -> None:
        """Only these channels enter the reference from now on."""
        self._good = good

    def weights(self, weights: NDArray[Any] | None) -> None:
        """Regression weights, or None for the common average."""
        self._weights = None if weights is None else np.asarray(weights, np.float64)

    def _referenced(self, dx: NDArray[np.float64]) -> NDArray[np.float64]:
        """Differences minus its reference, array by array."""
        if self._plan.reference == "none":
            return dx
        out = np.empty_like(dx)
        for a, b in pairwise(self._plan.edges):
            part = dx[:, a:b]
            usable = part * self._good[a:b]
            if self._weights is not None:
                out[:, a:b] = part - usable @ self._weights[: b - a, a:b]
            else:
                out[:, a:b] = part - usable.sum(axis=1, keepdims=True) / max(1, int(self._good[a:b].sum()))
        return out

    def advance(self, x: NDArray[np.int16], opened: NDArray[Any], live: NDArray[Any], start: int) -> None:
        """Take `x` `[samples, channels]`, all within one bin, the first being sample `start` of the run."""
        from scipy.signal import sosfilt

        wide = x.astype(np.int64)
        if self._previous is None:
            self._previous = wide[0]
        dx = np.diff(wide, axis=0, prepend=self._previous[None])
        self._previous = wide[-1]
        seen = opened[:, None] > 0
        self._still += ((dx == 0) & seen).sum(axis=0)
        self._railed += (((wide <= self._plan.rail_low) | (wide >= self._plan.rail_high)) & seen).sum(axis=0)
        u = np.cumsum(np.vstack([self._u, self._referenced(dx.astype(float)) * seen]), axis=0)[1:]
        self._u = u[-1]
        y, self._zi_spike = sosfilt(self._plan.spike.sos, u, axis=0, zi=self._zi_spike)
        s, self._zi_power = sosfilt(self._plan.power.sos, u, axis=0, zi=self._zi_power)
        self._power += (np.abs(s) * seen).sum(axis=0)
        a, block = 0, self._plan.dead_samples
        while a < len(x):
            b = min(len(x), a + block - (start + a) % block)
            self._detect(y[a:b], live[a:b] != 0, start + a)
            self._square += (y[a:b] ** 2 * seen[a:b]).sum(axis=0)
            self._seen_block += float(seen[a:b].sum())
            if (start + b) % block == 0:
                self._update_threshold()
            a = b

    def _detect(self, y: NDArray[np.float64], live: NDArray[np.bool_], start: int) -> None:
        """Falling crossings of the threshold outside the dead time."""
        below = (y < 0) & (y * y > self._limit)
        before = np.vstack([self._below, below[:-1]])
        self._below = below[-1]
        for t, c in zip(*np.nonzero(below & ~before & live[:, None]), strict=True):
            if start + t - self._last[c] >= self._plan.dead_samples:
                self._last[c] = start + t
                self._event_channel.append(int(c))
                self._event_sample.append(int(start + t))

    def _update_threshold(self) -> None:
        """End of a block: running mean square, then the squared threshold of the coming block."""
        if self._seen_block > 0:
            self._seen += self._seen_block
            a = max(self._seen_block / self._seen, self._plan.alpha * self._seen_block)
            self._mean_square += a * (self._square / self._seen_block - self._mean_square)
            self._limit = np.maximum(self._plan.times_rms**2 * self._mean_square, self._plan.floor**2)
        self._square[:] = 0
        self._seen_block = 0.0

    def finish_bin(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """As `Kernel.finish_bin`."""
        events = np.array(self._event_channel, np.int32), np.array(self._event_sample, np.int64)
        out = (*events, self._power.copy(), self._still.copy(), self._railed.copy())
        self._event_channel, self._event_sample = [], []
        self._power[:], self._still[:], self._railed[:] = 0, 0, 0
        return out

    def mean_square(self) -> NDArray[np.float64]:
        """Running mean square of the spike band, LSB²."""
        return self._mean_square.copy()
