"""Ridge regression on causal lags, with one solution for each length of history.

A bin `h` bins after a border has lags 0 .. h-1 only. Filling the missing lags with their mean (0) is a poor answer where
segments are short: the weights that are best for 15 lags are not the best for 3. A separate regression for each `h` is one
too, because each has few bins. Here they share strength, as in multi-task learning (Evgeniou and Pontil 2004):

    y_t = e_t . W_h + noise,    W_h = W + D_h,    W ~ N(0, 1/penalty),    D_h ~ N(0, ratio/penalty),    D_L = 0

with `e_t` the standardised lags (0 where missing), so that ratio 0 is the mean filled in and ratio -> infinity is separate
regressions. Penalty, ratio and number of lags L are chosen on held-out blocks.

Two ways to the same solution: with the normal equations of W, in which the bins of a short history enter whitened
(generalised least squares, N_h = 1 + ratio/penalty E_h E_h'), or with the kernel matrix of the bins; whichever is smaller.
None of the expensive parts depends on y: any number of targets is solved at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from volition.decoder._sequence import Ints, blocks
from volition.signal import Float64

_CHUNK = 2048


@dataclass(frozen=True, order=True)
class Choice:
    """What is chosen by validation: number of lags, penalty, ratio of the two prior variances."""

    lags: int
    penalty: float
    ratio: float


def embed(z: Float64, past: Ints, bins: Ints, lags: int) -> Float64:
    """Lags 0 .. lags-1 of the given bins, `[len(bins), lags * channels]`, lag-major; 0 where they lie before a border."""
    channels = z.shape[1]
    out = np.zeros((len(bins), lags, channels))
    for lag in range(lags):
        has = past[bins] > lag
        out[has, lag] = z[bins[has] - lag]
    return out.reshape(len(bins), lags * channels)


def gram(z: Float64, past: Ints, bins: Ints, lags: int) -> Float64:
    """`E' E` over the given bins, without ever holding E as a whole."""
    total = np.zeros((lags * z.shape[1],) * 2)
    for i in range(0, len(bins), _CHUNK):
        e = embed(z, past, bins[i : i + _CHUNK], lags)
        total += e.T @ e
    return total


def cross(z: Float64, past: Ints, bins: Ints, lags: int, y: Float64) -> Float64:
    """`E' y` over the given bins."""
    return sum(
        (embed(z, past, part, lags).T @ y[part] for part in (bins[i : i + _CHUNK] for i in range(0, len(bins), _CHUNK))),
        np.zeros((lags * z.shape[1], y.shape[1])),
    )


class Weights:
    """The solutions for histories 1 .. lags: `of[h - 1]` is `[h * channels, targets]`; `mean` is that of y."""

    def __init__(self, of: list[Float64], mean: Float64) -> None:
        self.of, self.mean = of, mean

    def predict(self, z: Float64, past: Ints, bins: Ints) -> Float64:
        """The targets of the given bins."""
        out = np.empty((len(bins), len(self.mean)))
        age = np.minimum(past[bins], len(self.of))
        for h in np.unique(age):
            for i in np.array_split(np.flatnonzero(age == h), 1 + int((age == h).sum()) // _CHUNK):
                out[i] = embed(z, past, bins[i], int(h)) @ self.of[h - 1] + self.mean
        return out


def add_lag(K: Float64, base: Float64, past: Ints, lag: int) -> None:
    """Add to the kernel matrix `E E'` of all bins what one more lag contributes: the kernel of the bins `lag` earlier."""
    has = (past > lag)[lag:].astype(float)
    if len(has):
        K[lag:, lag:] += base[: len(has), : len(has)] * has[:, None] * has


def solve_kernel(z: Float64, past: Ints, bins: Ints, y: Float64, choices: Sequence[Choice], K: Float64) -> list[Weights]:
    """Solve by the kernel matrix `E E'` of the given bins, for choices of one number of lags."""
    from scipy.linalg import cho_factor, cho_solve

    mean, age, found = y[bins].mean(0), past[bins], []
    full = np.zeros((len(past), y.shape[1]))
    for choice in choices:
        A = K.copy()
        if choice.ratio:
            A *= 1 + choice.ratio * ((age[:, None] == age) & (age < choice.lags))
        np.fill_diagonal(A, np.diag(A) + choice.penalty)
        factor = cho_factor(A, lower=True, overwrite_a=True, check_finite=False)
        full[bins] = cho_solve(factor, y[bins] - mean, check_finite=False)
        W, of = cross(z, past, bins, choice.lags, full), []
        for h in range(1, choice.lags + 1):
            w = W[: h * z.shape[1]]
            if h < choice.lags and choice.ratio and (age == h).any():
                w = w + choice.ratio * cross(z, past, bins[age == h], h, full)
            of.append(w)
        found.append(Weights(of, mean))
    return found


def solve_normal(
    z: Float64, past: Ints, bins: Ints, y: Float64, choices: Sequence[Choice], G: Float64, b: Float64
) -> list[Weights]:
    """Solve by the normal equations; `G` `E' E` and `b` `E' (y - mean)` over all the given bins, for the most lags."""
    from scipy.linalg import cho_factor, cho_solve

    mean, channels, found = y[bins].mean(0), z.shape[1], []
    for choice in choices:
        n = choice.lags * channels
        A, rhs = G[:n, :n].copy(), b[:n].copy()
        groups = []
        for h in range(1, choice.lags):
            rows = bins[past[bins] == h]
            if not choice.ratio or not len(rows):
                continue
            e, target, m = embed(z, past, rows, h), y[rows] - mean, h * channels
            weight = choice.ratio / choice.penalty
            N = cho_factor(np.eye(len(rows)) + weight * (e @ e.T), lower=True, check_finite=False)
            whole = cho_solve(N, np.hstack((e, target)), check_finite=False)
            A[:m, :m] += e.T @ (whole[:, :m] - e)
            rhs[:m] += e.T @ (whole[:, m:] - target)
            groups.append((h, weight * e.T, whole))
        np.fill_diagonal(A, np.diag(A) + choice.penalty)
        W = cho_solve(cho_factor(A, lower=True, overwrite_a=True, check_finite=False), rhs, check_finite=False)
        of = [W[: h * channels] for h in range(1, choice.lags + 1)]
        for h, back, whole in groups:
            m = h * channels
            of[h - 1] = of[h - 1] + back @ (whole[:, m:] - whole[:, :m] @ of[h - 1])
        found.append(Weights(of, mean))
    return found


class Problem:
    """Standardised features `z` (0 where missing), bins since the last border, targets; solved for any of the choices."""

    def __init__(self, z: Float64, past: Ints, y: Float64, most_lags: int) -> None:
        self.z, self.past, self.y, self.lags = z, past, y, most_lags
        self._all = np.arange(len(z))
        self._kernel = len(z) <= most_lags * z.shape[1]
        self._G = z @ z.T if self._kernel else gram(z, past, self._all, most_lags)

    def solve(self, choices: Sequence[Choice]) -> list[Weights]:
        """The solutions on all bins."""
        found = {choice: weights for _, choice, weights in self._solutions(choices, [slice(0, 0)])}
        return [found[c] for c in choices]

    def _solutions(self, choices: Sequence[Choice], parts: Sequence[slice]) -> Iterator[tuple[slice, Choice, Weights]]:
        """Solutions without each of the blocks; history may reach back into the block (features, not targets)."""
        if not self._kernel:
            lags = max(c.lags for c in choices)
            n = lags * self.z.shape[1]
            for part in parts:
                bins = np.delete(self._all, part)
                G = self._G[:n, :n]
                if len(bins) < len(self._all):
                    G = G - gram(self.z, self.past, self._all[part], lags)
                b = cross(self.z, self.past, bins, lags, self.y - self.y[bins].mean(0))
                for choice, weights in zip(
                    choices, solve_normal(self.z, self.past, bins, self.y, choices, G, b), strict=True
                ):
                    yield part, choice, weights
            return
        K, done = np.zeros_like(self._G), 0
        for lags in sorted({c.lags for c in choices}):
            for lag in range(done, lags):
                add_lag(K, self._G, self.past, lag)
            done = lags
            mine = [c for c in choices if c.lags == lags]
            for part in parts:
                bins = np.delete(self._all, part)
                sub = K[np.ix_(bins, bins)]
                for choice, weights in zip(mine, solve_kernel(self.z, self.past, bins, self.y, mine, sub), strict=True):
                    yield part, choice, weights

    def validate(self, choices: Sequence[Choice], folds: int) -> dict[Choice, Errors]:
        """Squared errors on held-out blocks."""
        age = np.minimum(self.past, self.lags) - 1
        total = _by_age((self.y - self.y.mean(0)) ** 2, age, self.lags)
        counts = np.bincount(age, minlength=self.lags)
        found = {c: Errors(np.zeros_like(total), total, counts) for c in choices}
        for part, choice, weights in self._solutions(list(found), blocks(len(self.z), folds)):
            error = self.y[part] - weights.predict(self.z, self.past, self._all[part])
            found[choice].squares[...] += _by_age(error**2, age[part], self.lags)
        return found


def _by_age(values: Float64, age: Ints, ages: int) -> Float64:
    """Sums over the bins of each age, `[ages, columns]`."""
    return np.stack([np.bincount(age, column, ages) for column in values.T], axis=1)


@dataclass(frozen=True, eq=False)
class Errors:
    """Held-out squared errors `[ages, targets]`, the targets' own squares about their mean, and the bins of each age."""

    squares: Float64
    total: Float64
    bins: Ints

    def r2(self, columns: slice) -> float:
        """R², mean over the columns."""
        return float((1 - self.squares[:, columns].sum(0) / self.total[:, columns].sum(0)).mean())

    def by_age(self, columns: slice, fewest: int = 20) -> Float64:
        """R² by bins since the border, pooled over the columns, 0..1; that of all bins for ages seen too rarely."""
        squares, total = self.squares[:, columns].sum(-1), self.total[:, columns].sum(-1)
        r2: Float64 = np.where(self.bins >= fewest, 1 - squares / np.maximum(total, 1e-12), 1 - squares.sum() / total.sum())
        return r2.clip(0.0, 1.0)
