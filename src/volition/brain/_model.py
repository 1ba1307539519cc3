"""What the person believes that its intentions do: an internal forward model of body and decoder, learnt from what is seen.

People who steer with a brain-computer interface keep such a model, correct by it for the delay of their feedback, and err
mostly where it is wrong: its mismatch explains about 65 % of the errors of two monkeys (Golub et al. 2015, eLife 4:e10015).
Learning changes which intention stands for which movement, not the repertoire of intentions (Golub et al. 2018).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import mul

import numpy as np

from volition.signal import Float64

_LAGS_MS = (0.0, 40.0, 80.0, 160.0)  # smoothing that it can imagine, ms (assumption)
_TRUST = 5.0  # windows of full-speed movement that the first belief weighs, forgotten like all else (assumption)
# Windows that it weighs for ever, for linear part, curve and drift: what is never tried does not go astray (assumption).
_ANCHOR = (0.05, 0.5, 2.0)
_USUAL = 0.8  # share of full effort about which the curve turns: most motion is made there, the linear part stays itself
# Time over which belief is averaged for another session, s: of what is learnt quickly, the slow part is what stays (two
# states: Smith et al. 2006, PLoS Biol 4:e179; the value is an assumption).
_KEEPS_S = 300.0
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of full effort, at which the inverse stands ready
_LEAST = 0.15  # least singular value with which it is inverted: no direction is pushed harder than 7 times (assumption)
_TURNS = (np.array(_SHARES) - _USUAL)[:, None, None]


def _times(matrix: list[list[float]], vector: list[float]) -> list[float]:
    return [sum(map(mul, row, vector)) for row in matrix]


@dataclass(frozen=True)
class Belief:
    """What is remembered of a body until the next session.

    Attributes:
        scaled: `[lags, 2 axes + 1, axes]` the map for each lag it can imagine: linear part, curve, drift (a share of full
            speed).
        missed: `[lags]` m², squared errors of what each lag foresaw, the older the less.
    """

    scaled: Float64
    missed: Float64


class Forward:
    """Motion as a function of the plan, `[axes]` each, and its inverse.

        f_t = a f_{t-1} + (1 - a) [u_t, u_t (|u_t| / top - 0.8)]    smoothing, a = exp(-dt / lag)
        v_t = B f_t + b                                          B `[axes, 2 axes]`: a linear part and a curve; b: a drift

    B starts as "the body does what is meant" and is learnt by recursive least squares with forgetting, from the displacement
    seen over windows as long as the visual delay. Four lags are imagined side by side and the one that has foreseen best is
    believed (multiple paired models: Wolpert & Kawato 1998). Without a delay nothing is believed but what is seen.

    Args:
        axes: steered axes.
        dt: width of a bin, s.
        bins: visual delay in bins.
        top: full speed, m/s.
        learn_s: time constant of forgetting, s; 0: nothing is learnt.
        before: what it believes to begin with, from an earlier session with as many axes; None: the body does what is meant.
    """

    def __init__(self, axes: int, dt: float, bins: int, top: float, learn_s: float, before: Belief | None = None) -> None:
        self._axes, self._dt, self._delay, self._top = axes, dt, bins, top
        lags, m = len(_LAGS_MS), 2 * axes
        keep = np.array([math.exp(-1e3 * dt / lag) if lag else 0.0 for lag in _LAGS_MS])
        self._keep, self._fresh = keep[:, None], 1.0 - keep[:, None]
        self._coast = (dt * keep / (1.0 - keep)).tolist()
        self._f = np.zeros((lags, m))
        self._ring = np.zeros((max(1, bins), lags, m))
        self._pending = np.zeros((lags, m))
        self._block = np.zeros((lags, m))
        self._shown = np.zeros((lags, m))
        self._new = np.empty((lags, m))
        self._at = 0
        self._before: list[float] | None = None
        self._blocks = 0
        self._forget = math.exp(-dt * bins / learn_s) if learn_s > 0 and bins > 0 else 1.0
        self._learns = learn_s > 0 and bins > 0
        self._phi = np.full((lags, m + 1), dt * bins * top)  # the last column is the drift's
        self._first = np.vstack([np.eye(axes), np.zeros((axes + 1, axes))])
        window = (dt * bins * top) ** 2
        weight = window * np.repeat(_ANCHOR, (axes, axes, 1))
        self._anchor, self._anchored = np.diag(weight), weight[:, None] * self._first
        self._S = np.repeat(np.diag(np.full(m + 1, _TRUST * window))[None], lags, axis=0)
        first, self._missed = np.repeat(self._first[None], lags, axis=0), np.zeros(lags)
        if before is not None and before.scaled.shape == first.shape and self._learns:
            first, self._missed = before.scaled, before.missed
        self._R = self._S @ first
        self._slow = first.copy()
        self._slowly = -math.expm1(-dt * bins / _KEEPS_S)
        self._believe(first, int(self._missed.argmin()))

    def _believe(self, scaled: Float64, best: int) -> None:
        """Take these parameters (the drift as a share of full speed), and make their inverse ready."""
        self._scaled, self._best = scaled, best
        k, own = self._axes, scaled[best]
        self._B: Float64 = np.ascontiguousarray(own[: 2 * k].T)
        self.drift: list[float] = (self._top * own[2 * k]).tolist()
        linear, curve = own[:k].T, own[k : 2 * k].T
        self._inverse = _inverse(linear + _TURNS * curve).tolist()

    @property
    def belief(self) -> Belief:
        """What it would remember now: what was believed in the last minutes, not just now, and no drift.

        A drift comes of the rates of a day. Who expects yesterday's pushes his cursor to the edge, and there learns nothing.
        """
        kept = self._slow.copy()
        kept[:, -1] = 0.0
        return Belief(kept, self._missed.copy())

    @property
    def gain(self) -> float:
        """How strongly the body is believed to answer about 0.8 of full effort: 1 does what is meant."""
        return float(np.abs(np.linalg.det(self.matrix)) ** (1 / self._axes))

    @property
    def matrix(self) -> Float64:
        """Motion per plan at 0.8 of full effort, `[axes, axes]`."""
        return self._B[:, : self._axes]

    @property
    def lag_ms(self) -> float:
        """The smoothing that is believed in, ms."""
        return _LAGS_MS[self._best]

    def now(self, seen: list[float]) -> tuple[list[float], list[float]]:
        """Where the body is now, and by how much more it will coast if nothing is pushed, m.

        Args:
            seen: where it was a visual delay ago, m.
        """
        if not self._delay:
            return seen, [0.0] * self._axes
        moved = self._B.dot(self._pending[self._best]).tolist()
        steps = self._delay
        at = [p + self._dt * (m + steps * b) for p, m, b in zip(seen, moved, self.drift, strict=True)]
        coast = self._coast[self._best]
        if not coast:
            return at, [0.0] * self._axes
        return at, [coast * v for v in self._B.dot(self._f[self._best]).tolist()]

    def plan(self, wanted: list[float]) -> list[float]:
        """The plan that moves the body with this velocity, m/s; at most full effort, in the direction that does so."""
        wanted = [w - b for w, b in zip(wanted, self.drift, strict=True)]
        before = _times(self._inverse[-1], wanted)
        size = math.hypot(*before)
        if size >= self._top:
            return [p * self._top / size for p in before]
        gap = size / self._top - 1.0
        for share, inverse in zip(_SHARES[-2::-1], self._inverse[-2::-1], strict=True):
            plan = _times(inverse, wanted)
            gap_before, gap = gap, math.hypot(*plan) / self._top - share
            if gap >= 0:  # between this share and the one before the effort is what was assumed
                part = gap / (gap - gap_before) if gap > gap_before else 0.0
                return [p + part * (b - p) for b, p in zip(before, plan, strict=True)]
            before = plan
        return before

    def add(self, plan: list[float]) -> None:
        """This was planned for the bin that now begins."""
        if not self._delay:
            return
        effort = math.hypot(*plan) / self._top
        drive = np.array(plan + [(effort - _USUAL) * u for u in plan])
        f, new, oldest = self._f, self._new, self._ring[self._at]
        np.multiply(self._keep, f, out=f)
        np.add(f, np.multiply(self._fresh, drive, out=new), out=f)
        np.add(self._pending, np.subtract(f, oldest, out=new), out=self._pending)
        oldest[...] = f
        np.add(self._block, f, out=self._block)
        self._at = (self._at + 1) % self._delay
        if self._at == 0:
            self._pending = self._ring.sum(0)

    def learn(self, seen: list[float], inside: bool) -> None:
        """Once a bin, before `add`: learn when a window of motion has been seen whole.

        Args:
            seen: where the body was a visual delay ago, m.
            inside: whether nothing but the plans moved it (it touched no edge).
        """
        if self._at or not self._learns:
            return
        before, self._before = self._before, seen
        shown, self._shown, self._block = self._shown, self._block, np.zeros_like(self._block)
        self._blocks += 1
        if before is None or not inside or self._blocks < 3:  # plans that nobody made cannot be learnt from
            return
        self._update(self._dt * shown, np.array(seen) - np.array(before))

    def _update(self, planned: Float64, moved: Float64) -> None:
        phi = self._phi
        phi[:, :-1] = planned
        wrong = moved - np.matmul(phi[:, None, :], self._scaled)[:, 0]
        self._missed = self._forget * self._missed + (wrong * wrong).sum(1)
        column = phi[:, :, None]
        self._S *= self._forget
        self._S += column * phi[:, None, :]
        self._R *= self._forget
        self._R += column * moved
        found: Float64 = np.asarray(np.linalg.solve(self._S + self._anchor, self._R + self._anchored), np.float64)
        self._slow += self._slowly * (found - self._slow)
        self._believe(found, int(self._missed.argmin()))


def _inverse(matrices: Float64) -> Float64:
    """Inverses, `[shares, axes, axes]`, of matrices none of whose singular values counts as less than `_LEAST`."""
    try:
        found: Float64 = np.asarray(np.linalg.inv(matrices), np.float64)
        if (found * found).sum((1, 2)).max() * _LEAST**2 <= 1:  # then no singular value can be less
            return found
    except np.linalg.LinAlgError:
        pass
    left, size, right = np.linalg.svd(matrices)
    floored: Float64 = (right.swapaxes(-1, -2) / np.maximum(size, _LEAST)[:, None]) @ left.swapaxes(-1, -2)
    return floored
