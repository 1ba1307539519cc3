"""A point-process filter: movement, a click and shared noise out of the counts of log-linear channels.

State s = [v, z]: movement over full speed, and slow noise that channels share; each part goes on as s_t = a s_{t-1} + w.

    log lambda = b + w.v + s|v| + q.place + l.z - l'P l / 2
    P_t = (P'^-1 + G' diag(trust lambda) G)^-1,   s_t = s' + P_t G' trust (n - lambda)        G = d log lambda / d s

with s', P' as foreseen (Laplace-Gauss filter: Eden et al. 2004, Neural Computation 16:971; Koyama et al. 2010, JASA
105:170), two Newton steps a bin. A click is a state of its own, on or off, with p(on | counts) by Bayes in every bin (a
hidden Markov model).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.decoder._log_linear import CEILING, ROUND
from volition.signal import Bool, Float32, Float64

ARRAYS = ("tuning", "loadings", "trust", "keep", "spread", "fresh", "click")
_NEWTON = 2
_FASTEST = 1.5
_SURE = 20.0


@dataclass(frozen=True, eq=False)
class Model:
    """What the filter knows.

    Attributes:
        tuning: `[d, channels]` mean of the belief: 1, v, |v|, clicks (none or one), place.
        loadings: `[channels, factors]` of the shared noise.
        trust: `[channels]` what a spike is worth against one of a Poisson neuron.
        keep: `[m + factors]` a, per bin.
        spread: `[m + factors]` stationary variance of s.
        fresh: `[m + factors]` variance of w.
        click: (chance that a click begins in a bin, that it ends).
    """

    tuning: Float64
    loadings: Float64
    trust: Float64
    keep: Float64
    spread: Float64
    fresh: Float64
    click: Float64

    @property
    def moves(self) -> int:
        """Parts of v."""
        return int(len(self.keep) - self.loadings.shape[1])

    def tuned(self, tuning: Float64) -> Model:
        """With another tuning."""
        return replace(self, tuning=tuning)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For keeping."""
        return {name: getattr(self, name) for name in ARRAYS}

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]]) -> Model:
        """From what was kept."""
        return cls(*(np.array(arrays[name], np.float64) for name in ARRAYS))


class Filter:
    """The recursion; `model` may be exchanged while it runs.

    Args:
        model: what it knows first.
        clicks: whether there is a click to be found.
        worth: share of `model.trust` that is believed.

    Attributes:
        v: movement over full speed, `[m]`.
        click: p(on).
    """

    model: Model
    _x: Float64
    _P: Float64

    def __init__(self, model: Model, clicks: bool, worth: float = 1.0) -> None:
        self._clicks, self._worth = clicks, worth
        self.use(model)
        self.reset()

    def use(self, model: Model) -> None:
        """From now on this model; the state stays, but for shared noise that is another's."""
        same = hasattr(self, "model") and self.model.loadings is model.loadings
        self.model, self._m = model, model.moves
        m, tuning = self._m, model.tuning.astype(np.float32)
        self._b, self._w, self._s = tuning[0], tuning[1 : 1 + m], tuning[1 + m]
        self._G = np.ascontiguousarray(np.vstack((self._w, model.loadings.T)), np.float32)
        self._slope = self._G.copy()
        self._k = np.clip(tuning[2 + m], -3, 3) if self._clicks else np.zeros(1, np.float32)
        self._more = np.exp(self._k) - 1
        self._q = tuning[2 + m + self._clicks :]
        self._half2 = np.ascontiguousarray(0.5 * model.loadings.T**2, np.float32)
        self._trust = (self._worth * model.trust).astype(np.float32)
        if not same:
            before = getattr(self, "_x", np.zeros(m))[:m]
            P = np.diag(model.spread)
            if hasattr(self, "_P"):
                P[:m, :m] = self._P[:m, :m]
            self._x, self._P = np.concatenate((before, np.zeros(len(model.keep) - m))), P

    def reset(self) -> None:
        """Nothing has been seen."""
        self._x, self._P = np.zeros(len(self.model.keep)), np.diag(self.model.spread)
        self.click = float(self.model.click[0])

    @property
    def v(self) -> Float64:
        """Movement over full speed."""
        return self._x[: self._m]

    @property
    def belief(self) -> float:
        """1 - posterior / prior variance of the movement."""
        m = self._m
        if not m:
            return 0.0
        return float(np.clip(1 - (np.diag(self._P)[:m] / self.model.spread[:m]).mean(), 0.0, 1.0))

    def step(self, counts: Float64, seen: Bool, place: Float64) -> None:
        """One bin.

        Args:
            counts: `[channels]`, anything where not seen.
            seen: `[channels]`.
            place: `[d]`, -1..1.
        """
        model, m, G = self.model, self._m, self._slope
        n, trust = np.where(seen, counts, 0).astype(np.float32), np.where(seen, self._trust, np.float32(0))
        before = model.keep * self._x
        prior = np.linalg.inv(model.keep[:, None] * self._P * model.keep + np.diag(model.fresh))
        begins, ends = model.click.tolist()
        on = self.click * (1 - ends) + (1 - self.click) * begins
        base = self._b + place.astype(np.float32) @ self._q if len(place) else self._b
        if len(before) > m:
            base = base - np.diag(self._P)[m:].astype(np.float32) @ self._half2
        gain = 1 + np.float32(on) * self._more
        x: Float64 = before
        for again in range(_NEWTON):
            rate, size = self._rate(base, x)
            rate *= gain
            if not again:
                self._slope[:m] = self._w + np.outer((x[:m] / size).astype(np.float32), self._s)
                self._P = np.asarray(np.linalg.inv(prior + (G * (trust * rate)) @ G.T), np.float64)
            x = x + self._P @ (G @ (trust * (n - rate)) - prior @ (x - before))
            size = float(np.linalg.norm(x[:m]))
            if size > _FASTEST:
                x[:m] *= _FASTEST / size
        self._x = x
        if self._clicks:
            odds = math.log(on / (1 - on)) + float(trust @ (n * self._k - self._rate(base, x)[0] * self._more))
            self.click = 1 / (1 + math.exp(-min(max(odds, -_SURE), _SURE)))

    def _rate(self, base: Float32, x: Float64) -> tuple[Float32, float]:
        """Of every channel without a click, and the speed, at a state."""
        m = self._m
        size = math.sqrt(float(x[:m] @ x[:m]) + ROUND**2)
        out = x.astype(np.float32) @ self._G
        out += self._s * np.float32(size - ROUND)
        out += base
        np.minimum(out, np.float32(CEILING), out=out)
        return np.exp(out, out=out), size
