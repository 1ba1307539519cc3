"""A linear Gaussian state-space model of movement and spiking: fitting it, and the recursion of its Kalman filter.

    s_t = A s_{t-1} + w,  w ~ N(0, W)          movement: the target at several bins, a vector autoregression
    x_t = C s_t + q,      q ~ N(0, Q)          activity, standardised

Wu et al. 2003, 2006 (Neural Computation 18:80): all by least squares on data in which s is known. The state holds the
target from `lead` bins ahead of the output back to `order` bins: activity leads movement, so that x_t speaks of y_{t+lead},
and the output y_t is a fixed-lag estimate from all activity up to now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from volition.decoder._sequence import Ints
from volition.signal import Bool, Float64

_RIDGE = 1e-6
_SETTLED = 1e-7


@dataclass(frozen=True, eq=False)
class Movement:
    """How the target moves: `A`, `W`, stationary covariance `S`, all `[n, n]`, for a state of `order` blocks of `k`."""

    A: Float64
    W: Float64
    S: Float64


def states(y: Float64, past: Ints, lead: int, order: int) -> tuple[Float64, Ints]:
    """The state at every bin where it is known: `[rows, order * k]` and the bins, none of which reaches over a border."""
    bins = len(y)
    ahead = np.arange(bins) + lead
    inside = ahead < bins
    known = np.zeros(bins, bool)
    known[inside] = (past[ahead[inside]] >= order) & (past[ahead[inside]] > lead)
    rows = np.flatnonzero(known)
    return np.concatenate([y[rows + lead - i] for i in range(order)], axis=1), rows


def fit_movement(S: Float64, rows: Ints, past: Ints, k: int) -> Movement:
    """Regression of each state on the one before (only the newest block is free, the others are shifted down)."""
    n = S.shape[1]
    follows = np.flatnonzero((np.diff(rows) == 1) & (past[rows[1:]] > 1))
    before, after = S[follows], S[follows + 1][:, :k]
    ridge = _RIDGE * max(len(S), 1)
    B = np.linalg.solve(before.T @ before + ridge * np.eye(n), before.T @ after)
    residual = after - before @ B
    A = np.zeros((n, n))
    A[:k] = B.T
    A[k:, : n - k] = np.eye(n - k)
    W = np.zeros((n, n))
    W[:k, :k] = residual.T @ residual / max(len(residual), 1) + _RIDGE * np.eye(k)
    return Movement(A, W, S.T @ S / max(len(S), 1) + _RIDGE * np.eye(n))


def fit_tuning(Z: Float64, missing: Bool | None, S: Float64, rows: Ints, penalty: float) -> tuple[Float64, Float64]:
    """`C` `[channels, n]` by ridge, and the residuals `[rows, channels]`; missing entries (0 in `Z`) weigh nothing."""
    z = Z if len(rows) == len(Z) else Z[rows]  # long recordings of many channels: no copy that need not be
    C = np.asarray(np.linalg.solve(S.T @ S + penalty * np.eye(S.shape[1]), S.T @ z).T, np.float64)
    if missing is not None:
        gone = missing[rows]
        share = np.maximum(1 - gone.mean(0), 1 / len(rows))
        C = C / share[:, None]
    residual: Float64 = S @ C.T
    np.subtract(z, residual, out=residual)
    if missing is not None:
        residual[gone] = 0.0
        residual /= np.sqrt(share)
    return C, residual


class Noise:
    """Covariance Q of the residuals, shrunk towards its diagonal (Schaefer and Strimmer 2005), safe for silent channels."""

    def __init__(self, residual: Float64) -> None:
        self._residual = residual
        # A floor far below any channel that says something: standardised counts have variance 1.
        self._diagonal = np.maximum(np.einsum("ij,ij->j", residual, residual) / len(residual), 1e-3)
        self._full: Float64 | None = None
        self._factors: dict[float, Any] = {}

    def covariance(self, shrinkage: float) -> Float64:
        """`(1 - shrinkage) Q + shrinkage diag(Q)`."""
        if self._full is None:
            self._full = self._residual.T @ self._residual / len(self._residual)
        out = (1 - shrinkage) * self._full
        np.fill_diagonal(out, self._diagonal)
        return out

    def precision(self, shrinkage: float) -> Float64:
        """Its inverse."""
        if shrinkage == 1:
            return np.diag(1 / self._diagonal)
        return np.asarray(np.linalg.inv(self.covariance(shrinkage)), np.float64)

    def weigh(self, C: Float64, shrinkage: float) -> Float64:
        """`C' Q^-1`, `[n, channels]`; a diagonal Q is never made a matrix of."""
        if shrinkage == 1:
            weighed: Float64 = C.T / self._diagonal
            return weighed
        from scipy.linalg import cho_factor, cho_solve

        if shrinkage not in self._factors:
            self._factors[shrinkage] = cho_factor(self.covariance(shrinkage), lower=True, check_finite=False)
        weighed = cho_solve(self._factors[shrinkage], C, check_finite=False).T
        return weighed


def update(prior: Float64, J: Float64) -> Float64:
    """Posterior covariance `(prior^-1 + J)^-1`, for a prior that may be singular."""
    P = np.linalg.solve(np.eye(len(prior)) + prior @ J, prior)
    return (P + P.T) / 2


def alike(P: Float64, before: Float64, tolerance: float) -> bool:
    """Whether a covariance has stopped changing (one of a state without dimensions never changes)."""
    return bool(np.abs(P - before).max(initial=0.0) <= tolerance * np.abs(P).max(initial=1e-12))


def covariances(m: Movement, J: Float64, most: int = 500) -> list[Float64]:
    """Posterior covariance in the first bin after a border, the second, ... until it settles (or `most` of them)."""
    found = [update(m.S, J)]
    for _ in range(most):
        found.append(update(m.A @ found[-1] @ m.A.T + m.W, J))
        if alike(found[-1], found[-2], _SETTLED):
            break
    return found


def run(A: Float64, gains: Float64, J: Float64, U: Float64, past: Ints) -> Float64:
    """The filter over whole sequences, vectorised: over segments while the gain changes, over time once it is settled.

    With a settled gain, `s_t = M s_{t-1} + b_t` is a linear recurrence with constant M, whose running sums double in reach
    with every pass: `s_t += M^d s_{t-d}` for d = 1, 2, 4, ... (Hillis and Steele 1986, Communications of the ACM 29:1170).

    Args:
        A: `[n, n]`.
        gains: posterior covariances `[settled, n, n]`, by bins since the border.
        J: information of one bin, `[n, n]`.
        U: information vector of each bin `C' Q^-1 x`, `[bins, n]`.
        past: bins since the last border.

    Returns:
        States, `[bins, n]`.
    """
    settled, n = len(gains), len(A)
    M = (np.eye(n) - gains @ J) @ A
    S: Float64 = U @ gains[-1].T
    for age in range(1, settled + 1):
        now = np.flatnonzero(past == age)
        if not len(now):
            break
        S[now] = U[now] @ gains[age - 1].T
        if age > 1:
            S[now] += S[now - 1] @ M[age - 1].T
    power, reach, longest = M[-1], 1, int(past.max(initial=0)) - settled
    while reach <= longest and np.abs(power).max(initial=0.0) > 1e-13:
        now = np.flatnonzero(past - reach >= settled)
        S[now] += S[now - reach] @ power.T
        power, reach = power @ power, 2 * reach
    return S
