"""Running moments of intention and activity, from which an observation model is learnt again while it is used.

With s the intention (and a 1 for the mean), z the activity, weights w that forget with a half-life:

    n = sum w,   R = sum w s s',   S = sum w s z',   T = sum w z z'
    B = R^-1 S,   Q = (T - B'S - S'B + B'R B) / n          so that  z = B's + q,  q ~ N(0, Q)

Recursive maximum likelihood (Dangi et al. 2014, Neural Computation 26:1811) forgets a little with every bin: n is then its
effective sample size. SmoothBatch (Orsborn et al. 2012, IEEE TNSRE 20:468) learns from each batch alone and moves the
parameters part of the way: p <- rho p + (1 - rho) p_batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.signal import Bool, Float64

FULL = 256  # channels: up to it the noise covariance is learnt whole, above it the variances, with the correlations kept
_FLOOR = 1e-3


@dataclass(frozen=True, eq=False)
class Tuning:
    """An observation model: `B` `[m, channels]` and `Q`, the noise: `[channels, channels]`, or its diagonal `[channels]`."""

    B: Float64
    Q: Float64

    @property
    def variance(self) -> Float64:
        """The diagonal of Q."""
        return self.Q if self.Q.ndim == 1 else np.diag(self.Q)

    def toward(self, other: Tuning, share: float) -> Tuning:
        """Part of the way to another."""
        return Tuning(self.B + share * (other.B - self.B), self.Q + share * (other.Q - self.Q))

    def at_rates(self, ratio: Float64) -> Tuning:
        """With the firing rates multiplied: what follows the intention grows with the rate, and variance with it."""
        root = np.sqrt(ratio)
        Q = self.Q * ratio if self.Q.ndim == 1 else self.Q * root * root[:, None]
        B = self.B * ratio
        B[-1] = self.B[-1]
        return Tuning(B, Q)


class Moments:
    """The sums; `T` is a matrix up to `FULL` channels, above that its diagonal."""

    def __init__(self, n: float, R: Float64, S: Float64, T: Float64) -> None:
        self.n, self.R, self.S, self.T = float(n), R, S, T

    @classmethod
    def none(cls, states: int, channels: int) -> Moments:
        """Nothing seen."""
        shape = (channels, channels) if channels <= FULL else (channels,)
        return cls(0.0, np.zeros((states, states)), np.zeros((states, channels)), np.zeros(shape))

    @classmethod
    def of(cls, tuning: Tuning, R: Float64, n: float) -> Moments:
        """The sums that would have led to this model, intentions having had the moments R about their mean 0."""
        R = R.copy()
        R[-1, -1] = n
        S = R @ tuning.B
        signal = np.einsum("ij,ij->j", tuning.B, S) if tuning.Q.ndim == 1 else tuning.B.T @ S
        return cls(n, R, S, signal + n * tuning.Q)

    def about_mean(self) -> Float64:
        """R about the mean intention; its last row and column are 0."""
        r = self.R[:, -1]
        return np.asarray(self.R - np.outer(r, r) / max(self.n, 1e-9))

    def forget(self, factor: float) -> None:
        """Let everything seen so far weigh less."""
        self.n *= factor
        self.R *= factor
        self.S *= factor
        self.T *= factor

    def add(self, s: Float64, z: Float64, w: Float64, missing: Bool | None = None, now: Tuning | None = None) -> None:
        """Add bins.

        Args:
            s: `[bins, m]`.
            z: `[bins, channels]`.
            w: weight of each bin.
            missing: what of z is unknown; it enters as the present model `now` expects it, with its variance (an EM step),
                so that a channel that is away keeps its tuning and its noise.
            now: the present model.
        """
        if missing is not None and now is not None:
            z = np.where(missing, s @ now.B, z)
        sw, zw = s * w[:, None], z * w[:, None]
        self.n += float(w.sum())
        self.R += sw.T @ s
        self.S += sw.T @ z
        unknown = 0.0 if missing is None or now is None else (w @ missing) * now.variance
        if self.T.ndim == 1:
            self.T += np.einsum("ij,ij->j", zw, z) + unknown
        else:
            self.T += zw.T @ z
            self.T[np.diag_indices_from(self.T)] += unknown

    def solve(self, penalty: float) -> Tuning:
        """The model that these sums make most likely, with a ridge (in bins) on all but the mean."""
        ridge = penalty * np.eye(len(self.R))
        ridge[-1, -1] = 1e-9
        B: Float64 = np.asarray(np.linalg.solve(self.R + ridge, self.S), np.float64)
        n = max(self.n, 1.0)
        if self.T.ndim == 1:
            Q = (self.T - 2 * np.einsum("ij,ij->j", B, self.S) + np.einsum("ij,ij->j", B, self.R @ B)) / n
            return Tuning(B, np.maximum(Q, _FLOOR))
        cross = B.T @ self.S
        whole: Float64 = (self.T - cross - cross.T + B.T @ self.R @ B) / n
        whole[np.diag_indices_from(whole)] = np.maximum(np.diag(whole), _FLOOR)
        return Tuning(B, whole)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For keeping."""
        return {"n": np.array(self.n), "R": self.R, "S": self.S, "T": self.T}

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]]) -> Moments:
        """From what was kept."""
        R, S, T = (np.array(arrays[name], np.float64) for name in ("R", "S", "T"))
        return cls(float(arrays["n"]), R, S, T)


def precision(tuning: Tuning, shrinkage: float, correlation: Float64 | None) -> Float64:
    """`Q^-1`, shrunk towards its diagonal; where only variances are known, with the inverse correlations of before."""
    if tuning.Q.ndim == 2:
        Q = (1 - shrinkage) * tuning.Q
        Q[np.diag_indices_from(Q)] = tuning.variance
        return np.asarray(np.linalg.inv(Q), np.float64)
    sd = np.sqrt(tuning.Q)
    if correlation is None:
        return np.diag(1 / tuning.Q)
    return np.asarray(correlation / sd[:, None] / sd, np.float64)
