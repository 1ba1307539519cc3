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


class Latency:
    """Durations in ns.

    Attributes:
        n: how many.
        max_ns: the longest.
        last_ns: the newest.
        sum_ns: their sum.
    """

    __slots__ = ("_counts", "last_ns", "max_ns", "n", "sum_ns")

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.n = self.max_ns = self.last_ns = self.sum_ns = 0

    def add(self, ns: int) -> None:
        """Count one duration."""
        shift = ns.bit_length() - _SUB_BITS - 1
        if shift > 0:
            # The leading one is implied by the bucket, the next six bits choose the sub-bucket.
            index = (shift << _SUB_BITS) + (ns >> shift)
            self._counts[index if index < _BUCKETS else _BUCKETS - 1] += 1
        else:
            self._counts[ns if ns > 0 else 0] += 1
        self.n += 1
        self.sum_ns += ns
        self.last_ns = ns
        if ns > self.max_ns:
            self.max_ns = ns

    def percentile_ns(self, q: float) -> int:
        """Upper edge of the bucket that holds the q-th percentile, never above the maximum; 0 when empty."""
        if self.n == 0:
            return 0
        rank = max(1, int(np.ceil(q / 100 * self.n)))
        index = int(np.searchsorted(np.cumsum(self._counts), rank))
        shift = max(0, (index >> _SUB_BITS) - 1)
        low = index - (shift << _SUB_BITS)
        return min(self.max_ns, ((low + 1) << shift) - 1)

    def summary_us(self) -> Mapping[str, float]:
        """p50, p99, p99.9 and max in µs, and how many."""
        row = {f"p{name}_us": self.percentile_ns(q) / 1e3 for name, q in (("50", 50), ("99", 99), ("999", 99.9))}
        return {**row, "max_us": self.max_ns / 1e3, "n": self.n}
