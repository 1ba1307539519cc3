"""A histogram of durations in fixed memory: percentiles of an eight-hour run cost the same as of a second.

Logarithmic buckets, 64 to each power of two, as in HdrHistogram (Tene 2012): a value is known to 1 part in 64, the maximum
exactly.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_SUB_BITS = 6
_SUB = 1 << _SUB_BITS
_BUCKETS = 48 * _SUB
_PENDING = 4096


class Latency:
    """Durations in ns. Adding is a list append; the buckets are filled 4,096 durations at a time."""

    __slots__ = ("_counts", "_max_ns", "_n", "_pending", "_sum_ns")

    def __init__(self) -> None:
        self._counts = np.zeros(_BUCKETS, np.int64)
        self._pending: list[int] = []
        self._n = self._max_ns = self._sum_ns = 0

    def add(self, ns: int) -> None:
        """Count one duration."""
        pending = self._pending
        pending.append(ns)
        if len(pending) >= _PENDING:
            self._fold()

    def _fold(self) -> None:
        """Put what is pending into its buckets."""
        if not self._pending:
            return
        ns = np.maximum(np.array(self._pending, np.int64), 0)
        # The leading one is implied by the bucket, the next six bits choose the sub-bucket; frexp gives the bit length.
        shift = np.maximum(np.frexp(ns.astype(float))[1] - _SUB_BITS - 1, 0)
        np.add.at(self._counts, np.minimum((shift << _SUB_BITS) + (ns >> shift), _BUCKETS - 1), 1)
        self._n += len(ns)
        self._sum_ns += int(ns.sum())
        self._max_ns = max(self._max_ns, int(ns.max()))
        self._pending.clear()

    @property
    def n(self) -> int:
        """How many."""
        return self._n + len(self._pending)

    @property
    def sum_ns(self) -> int:
        """Their sum."""
        return self._sum_ns + sum(self._pending)

    @property
    def max_ns(self) -> int:
        """The longest."""
        return max(self._max_ns, max(self._pending, default=0))

    def percentile_ns(self, q: float) -> int:
        """Upper edge of the bucket that holds the q-th percentile, never above the maximum; 0 when empty."""
        self._fold()
        if self._n == 0:
            return 0
        rank = max(1, int(np.ceil(q / 100 * self._n)))
        index = int(np.searchsorted(np.cumsum(self._counts), rank))
        shift = max(0, (index >> _SUB_BITS) - 1)
        low = index - (shift << _SUB_BITS)
        return min(self.max_ns, ((low + 1) << shift) - 1)

    def summary_us(self) -> Mapping[str, float]:
        """p50, p99, p99.9 and max in µs, and how many."""
        row = {f"p{name}_us": self.percentile_ns(q) / 1e3 for name, q in (("50", 50), ("99", 99), ("999", 99.9))}
        return {**row, "max_us": self.max_ns / 1e3, "n": self.n}
