"""Which unit of one day is which of another, without labels: by what units do, and by their order.

Sorted units are listed electrode by electrode, and an array does not move about in the head: units that are found again
stand in the same order, with others lost and won between them. So the two lists are aligned as sequences are (Needleman &
Wunsch 1970): a pair costs the squared distance of what the two units do, a unit left alone costs `GAP`.

What a unit does is measured without knowing the movement: logarithm of rate and Fano factor, correlation with the rest of
the population, with itself a bin earlier, and its mean course over the first four bins of a stretch. The scales below are
about what an estimate from a hundred trials is uncertain by. Tuning is not used, so it can be compared afterwards.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from volition.signal import Float64
from volition.train._read_in import Session

GAP = 4.0
_SCALES = np.array([0.7, 0.4, 0.25, 0.25, 0.12, 0.12, 0.12, 0.12])
_COURSE = 4  # bins
_QUIET = 0.01  # counts a bin: keeps logarithms finite


def habits(session: Session) -> Float64:
    """What every unit does, in units of `_SCALES`, `[units, 8]`."""
    counts, root = session.counts, np.sqrt(session.counts)
    start = np.flatnonzero(np.diff(session.segment, prepend=session.segment[0] - 1))
    age = np.arange(len(counts)) - np.repeat(start, np.diff(start, append=len(counts)))
    later = np.flatnonzero(age > 0)
    rest = np.sqrt(counts.sum(1, keepdims=True) - counts)
    columns = [
        np.log(counts.mean(0) + _QUIET),
        np.log((counts.var(0) + _QUIET) / (counts.mean(0) + _QUIET)),
        _correlation(root, rest),
        _correlation(root[later], root[later - 1]),
        *((root[age == k].mean(0) if (age == k).any() else root.mean(0)) - root.mean(0) for k in range(_COURSE)),
    ]
    table: Float64 = np.stack(columns, axis=1) / _SCALES
    return table


def _correlation(a: Float64, b: Float64) -> Float64:
    """Column by column; 0 where one never varies."""
    a, b = a - a.mean(0), b - b.mean(0)
    scale = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    return np.asarray(np.where(scale > 1e-12, (a * b).sum(0) / np.where(scale > 1e-12, scale, 1.0), 0.0))


def align(a: Float64, b: Float64, gap: float = GAP) -> tuple[NDArray[np.intp], float]:
    """Pairs `[pairs, 2]` of rows of `a` and `b`, in order in both, at the least cost, and that cost."""
    each = ((a[:, None] - b[None]) ** 2).sum(-1)
    n, m = each.shape
    cost = np.zeros((n + 1, m + 1))
    cost[:, 0], cost[0] = gap * np.arange(n + 1), gap * np.arange(m + 1)
    for i in range(n):
        for j in range(m):
            cost[i + 1, j + 1] = min(cost[i, j] + each[i, j], cost[i, j + 1] + gap, cost[i + 1, j] + gap)
    pairs, i, j = [], n, m
    while i and j:
        if cost[i, j] == cost[i - 1, j - 1] + each[i - 1, j - 1]:
            pairs.append((i - 1, j - 1))
            i, j = i - 1, j - 1
        elif cost[i, j] == cost[i - 1, j] + gap:
            i -= 1
        else:
            j -= 1
    return np.array(pairs[::-1], np.intp).reshape(-1, 2), float(cost[n, m])
