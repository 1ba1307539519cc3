"""Which target the person had in mind, told afterwards from how the cursor was pushed: labels without knowing the goals.

Probabilistic retrospective inference of targets (PRI-T, Wilson et al. 2023, bioRxiv 2023.02.03.527022): a hidden Markov
model whose states are the cells of a grid over the workspace. The target stays or jumps
anywhere. There only the direction of the decoded velocity speaks, von Mises about the direction to the target with a kappa
that falls close to it. Here the whole velocity v does, about what an ideal user would do from p towards h, so that a cursor
that is let rest tells that its target is near:

    u(p, h) = top (h - p) / max(|h - p|, slow),   v | h ~ N(g u, s^2 I),   s = g top / sqrt(kappa)

g is the decoder's gain (regression shrinks). At full speed this is von Mises with concentration kappa. Forward and backward
passes give the probability of every target at every time; the label is the mean of u over them, and its weight
(1 - (E|u|^2 - |Eu|^2) / top^2)^2: 1 where all likely targets ask for the same.

Where targets are not inferred, they lie anywhere: the mean of u over all cells depends on nothing that was decoded, so that
no error of the decoder can confirm itself (`anywhere`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from volition.signal import Float64

STAY_S = 1.5  # how long a target stays, on average
POOL_S = 0.1  # decoded velocities are pooled over so long: neighbouring bins say nearly the same
_CELLS = {1: 20, 2: 20, 3: 8}  # along each axis


class Field:
    """Where the controlled point may be: positions in m, and -1..1 over the workspace.

    Args:
        workspace: `[2, D]`, m.
        axes: those that are steered.
    """

    def __init__(self, workspace: Float64, axes: Sequence[int]) -> None:
        self.space = np.asarray(workspace, np.float64)[:, list(axes)]
        self._axes = list(axes)

    def place(self, position: Float64) -> Float64:
        """-1..1 on the steered axes, from a position of the body."""
        low, high = self.space
        return np.asarray((2 * position[self._axes] - low - high) / (high - low))

    def at(self, place: Float64) -> Float64:
        """Back to m."""
        low, high = self.space
        return np.asarray((low + high + place * (high - low)) / 2)


class Targets:
    """The grid, and what an ideal user would do.

    Args:
        workspace: `[2, d]`, m.
        top_speed: of an ideal user, m/s.
        slow_m: distance below which it slows, m.
        kappa: concentration of decoded directions at full speed.
        gain: of the decoder.
    """

    def __init__(self, workspace: Float64, top_speed: float, slow_m: float, kappa: float, gain: float) -> None:
        low, high = np.asarray(workspace, np.float64)
        n = _CELLS[len(low)]
        axes = [np.linspace(a, b, 2 * n + 1)[1::2] for a, b in zip(low, high, strict=True)]
        self.cells = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
        self._top, self._slow, self._kappa, self._gain = top_speed, slow_m, kappa, gain

    def _ideal(self, position: Float64) -> Float64:
        """What an ideal user would do at each position for each cell, `[positions, cells, d]`, m/s."""
        offset = self.cells - position[:, None]
        distance = np.linalg.norm(offset, axis=2, keepdims=True)
        return np.asarray(self._top * offset / np.maximum(distance, self._slow))

    def anywhere(self, position: Float64) -> Float64:
        """The mean over all targets of what an ideal user would do at each position, `[positions, d]`, m/s."""
        chunks = np.array_split(position, 1 + len(position) // 500)
        return np.concatenate([self._ideal(chunk).mean(1) for chunk in chunks])

    def log_likelihood(self, position: Float64, velocity: Float64) -> Float64:
        """Of every cell at every time, `[times, cells]`, up to what is the same for all cells."""
        off = velocity[:, None] / self._gain - self._ideal(position)
        return np.asarray(-0.5 * self._kappa / self._top**2 * np.einsum("thd,thd->th", off, off))

    def posterior(self, position: Float64, velocity: Float64, step_s: float) -> Float64:
        """Probability of every cell at every time given all of the times, `[times, cells]`."""
        like = self.log_likelihood(position, velocity)
        like = np.exp(like - like.max(1, keepdims=True))
        stay = math.exp(-step_s / STAY_S)
        jump = (1 - stay) / len(self.cells)
        forward: Float64 = np.empty_like(like)
        p = np.full(len(self.cells), 1 / len(self.cells))
        for t, row in enumerate(like):
            p = (stay * p + jump) * row
            p /= p.sum()
            forward[t] = p
        b = np.ones(len(self.cells))
        for t in range(len(like) - 2, -1, -1):
            b = b * like[t + 1]
            b = stay * b + jump * b.sum()
            b /= b.max()
            forward[t] *= b
        forward /= forward.sum(1, keepdims=True)
        return forward

    def labels(self, position: Float64, velocity: Float64, bin_s: float) -> tuple[Float64, Float64]:
        """What was most likely wanted in every bin, `[bins, d]` m/s, and how much that is worth, `[bins]` 0..1.

        Args:
            position: of the cursor, `[bins, d]`, m.
            velocity: decoded, `[bins, d]`, m/s.
            bin_s: width of a bin, s.
        """
        pool = max(1, round(POOL_S / bin_s))
        whole = math.ceil(len(position) / pool)
        starts = np.arange(whole) * pool
        size = np.diff(np.append(starts, len(position)))[:, None]
        at = np.add.reduceat(position, starts, axis=0) / size
        p = self.posterior(at, np.add.reduceat(velocity, starts, axis=0) / size, pool * bin_s)
        wanted = self._ideal(at)
        label = np.einsum("th,thd->td", p, wanted)
        spread = np.einsum("th,thd->t", p, wanted**2) - (label**2).sum(1)
        weight = np.maximum(0.0, 1 - spread / self._top**2) ** 2
        back = np.repeat(np.arange(whole), pool)[: len(position)]
        return label[back], weight[back]

    def label(
        self, y: Float64, reach: Sequence[int], position: Float64, bin_s: float
    ) -> Callable[[Float64], tuple[Float64, Float64]]:
        """`labels` as a function of everything that is decoded, `[bins, k]`; what is no movement is taken from `y`."""

        def given(out: Float64) -> tuple[Float64, Float64]:
            wanted = y.copy()
            wanted[:, list(reach)], weight = self.labels(position, out[:, list(reach)], bin_s)
            return wanted, weight

        return given
