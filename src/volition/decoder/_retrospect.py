"""Labels from what was selected afterwards, and the labelled bins that a decoder remembers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from volition.decoder._log_linear import Batch
from volition.signal import Float64

_MIDDLE_S = 0.01  # so near at full speed an ideal user rests


class Retrospect:
    """Bins since the last selection, waiting for the next.

    Args:
        reach: intents that move.
        axes: of the body, one for each of them.
        top: full speed, m/s.
        slow_s: an ideal user slows in proportion nearer than this at full speed, s.
        react: so many bins after a selection teach nothing.
        recall: so many before the next may teach.
    """

    def __init__(
        self, reach: Sequence[int], axes: Sequence[int], top: float, slow_s: float, react: int, recall: int
    ) -> None:
        self._reach, self._axes = list(reach), list(axes)
        self._top, self._slow_s, self._react, self._recall = top, slow_s, react, recall
        self.forget()

    def forget(self) -> None:
        """What waits is not learnt from."""
        self._rows: list[tuple[Float64, Float64, Float64]] = []
        self._wait = self._react

    def add(self, counts: Float64, at: Float64, other: Float64) -> None:
        """One bin: counts, nan where missing, where the body was, m, and what was decoded, `[k]`."""
        if self._wait:
            self._wait -= 1
            return
        self._rows.append((counts, at, other))
        del self._rows[: -self._recall]

    def selected(self, position: Float64 | None) -> tuple[Float64, Float64, Float64] | None:
        """Counts, positions and what was meant in the bins before; None without any.

        Movement is what an ideal user would have commanded; of other intents (a click) nobody knows better than what was
        decoded.
        """
        rows = self._rows
        self.forget()
        if position is None or not rows or not self._reach:
            return None
        counts, at, aim = (np.array(column) for column in zip(*rows, strict=True))
        way = np.asarray(position, np.float64)[self._axes] - at[:, self._axes]
        distance = np.linalg.norm(way, axis=1, keepdims=True)
        push = self._top * way / np.maximum(distance, self._slow_s * self._top)
        aim[:, self._reach] = np.where(distance > _MIDDLE_S * self._top, push, 0.0)
        return counts, at, aim


class Remembered:
    """The last labelled bins.

    Args:
        most: so many that were learnt from are kept.

    Attributes:
        fresh: how many have not been learnt from.
        bins: how many of those that have are kept.
        since: how many have since somebody set it to 0.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._old: list[tuple[Float64, Float64]] = []
        self._new: list[tuple[Float64, Float64]] = []
        self.fresh = self.bins = self.since = 0

    def add(self, phi: Float64, counts: Float64) -> None:
        """Some more; missing counts are nan."""
        self._new.append((phi, counts))
        self.fresh += len(phi)

    def batch(self) -> Batch:
        """The fresh ones, which from now on are not."""
        phi, counts = (np.concatenate(column) for column in zip(*self._new, strict=True))
        self._old.append((phi, counts))
        self._new, self.fresh, self.bins, self.since = [], 0, self.bins + len(phi), self.since + len(phi)
        while self.bins - len(self._old[0][0]) >= self._most:
            self.bins -= len(self._old.pop(0)[0])
        return _batch(phi, counts)

    def all(self) -> Batch:
        """All that were learnt from and are kept."""
        return _batch(*(np.concatenate(column) for column in zip(*self._old, strict=True)))


def _batch(phi: Float64, counts: Float64) -> Batch:
    missing = np.isnan(counts)
    return Batch(phi, np.where(missing, 0.0, counts), missing if missing.any() else None, np.ones(len(phi)))
