"""Which bins a network is shown together while it is trained: windows as rows of bin numbers, and how they are bent.

A window never crosses a border, so its first bin may be the first after one: memory is empty there in use, too. A window
from the middle of a segment has no history either, though in use there would be some: its first bins are shown, not scored.

What a network learns from cued movement is also when things happen, and that fails in closed loop (Deo et al. 2024,
Scientific Reports 14:1598): so a share of the windows is stretched or compressed in time, or put together from snippets in
random order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from volition.decoder._sequence import Ints

NOTHING = -1  # no bin: the row has ended


@dataclass(frozen=True)
class Span:
    """Bins `start` to `stop` of one segment; those from `scored` on count."""

    start: int
    stop: int
    scored: int


def spans(past: Ints, length: int, lead: int, rng: np.random.Generator | None = None) -> list[Span]:
    """Every bin scored once, in windows of at most `length` bins after at most `lead` that only lead in.

    Args:
        past: bins since the last border, `[bins]`, 1 in the first.
        length: bins scored in a window.
        lead: bins before them, where the segment has some.
        rng: moves the cuts at random; without it they lie evenly.
    """
    edges = [*np.flatnonzero(past == 1).tolist(), len(past)]
    found = []
    for a, b in pairwise(edges):
        at = a
        step = length if rng is None or b - a <= length else int(rng.integers(length // 2, length + 1))
        while at < b:
            found.append(Span(max(a, at - lead), min(b, at + step), at))
            at += step
            step = length
    return found


def rows(group: list[Span]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Windows as rows of bin numbers `[windows, longest]`, and which of them count."""
    longest = max(s.stop - s.start for s in group)
    index = np.full((len(group), longest), NOTHING, np.int64)
    counts = np.zeros(index.shape, bool)
    for row, span in enumerate(group):
        n = span.stop - span.start
        index[row, :n] = np.arange(span.start, span.stop)
        counts[row, span.scored - span.start : n] = True
    return index, counts


def batches(found: list[Span], bins: int, rng: np.random.Generator | None = None) -> Iterator[list[Span]]:
    """Windows of about equal length together, about `bins` bins a batch; in random order where there is an `rng`."""
    order = np.arange(len(found)) if rng is None else rng.permutation(len(found))
    lengths = np.array([found[i].stop - found[i].start for i in order])
    coarse = np.log2(np.maximum(lengths, 1)).round()  # finer, and each step would see one length only
    order = order[np.argsort(coarse, kind="stable")]
    groups: list[list[Span]] = []
    longest = 0
    for i in order:
        longest = max(longest, found[i].stop - found[i].start)
        if not groups or (len(groups[-1]) + 1) * longest > bins:
            groups.append([])
            longest = found[i].stop - found[i].start
        groups[-1].append(found[i])
    for k in range(len(groups)) if rng is None else rng.permutation(len(groups)):
        yield groups[k]


def bend(
    index: NDArray[np.int64], counts: NDArray[np.bool_], past: Ints, share: float, warp: float, rng: np.random.Generator
) -> None:
    """Change a share of the rows in place: half of them in tempo, by up to a factor of `warp`, half in order.

    A row changed in tempo runs over its own bins slower, or faster and on into what follows in its segment; one changed in
    order is made of snippets of 5 to 30 bins from anywhere in the data.
    """
    total = len(past)
    for row in np.flatnonzero(rng.random(len(index)) < share):
        n = int((index[row] != NOTHING).sum())
        if rng.random() < 0.5:
            speed = warp ** rng.uniform(-1, 1)
            bent = index[row, 0] + (np.arange(n) * speed).astype(np.int64)
            last = min(int(bent[-1]), total - 1)
            while past[last] - past[index[row, 0]] != last - index[row, 0]:  # beyond its segment
                last -= int(past[last])
            index[row, :n] = np.minimum(bent, last)
        else:
            at = 0
            while at < n:
                size = min(int(rng.integers(5, 31)), n - at, total)
                start = int(rng.integers(0, total - size + 1))
                index[row, at : at + size] = np.arange(start, start + size)
                at += size
            counts[row, :n] = True
            counts[row, : min(5, n - 1)] = False
