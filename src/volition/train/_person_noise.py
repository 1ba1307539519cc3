"""What movement does not explain in recorded spikes: common factors, noise of each unit alone, slow drift, regularity."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from volition.brain._variability import Renewal, averaged
from volition.signal import NS_PER_MS, Float32, Float64

_MOST_FACTORS = 10
_LAGS = 12
WIDTHS_MS = (100.0, 200.0, 300.0, 500.0, 1000.0)
_OWN_MS = (60.0, 120.0, 250.0, 500.0, 1000.0)
_LEAST_STRETCHES = 100
_TIMES_MS = np.geomspace(30.0, 5000.0, 60)


@dataclass(frozen=True, eq=False)
class Residual:
    """Counts less what tuning expects.

    Attributes:
        e: `[bins, n]`.
        mu: `[bins, n]` expected counts.
        segment: `[bins]`.
        bin_ms: width of a bin.
    """

    e: Float64
    mu: Float64
    segment: NDArray[np.int32]
    bin_ms: float

    @property
    def mean(self) -> Float64:
        """Mean count of each unit."""
        return np.asarray(np.maximum(self.mu.mean(axis=0), 1e-9))

    @property
    def power(self) -> Float64:
        """E mu² / E mu of each unit: noise of a gain of variance s adds s times that to its Fano factor."""
        return np.asarray((self.mu**2).mean(axis=0) / self.mean)

    def apart(self, lag: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Bins `lag` apart in the same segment: earlier ones, later ones."""
        same = np.flatnonzero(self.segment[lag:] == self.segment[: len(self.segment) - lag])
        return same, same + lag

    def sums(self, width_ms: float) -> tuple[Float64, Float64]:
        """Counts less expectation, and expectation, summed over whole stretches of `width_ms`, `[stretches, n]`."""
        k = max(1, round(width_ms / self.bin_ms))
        borders = np.flatnonzero(np.diff(self.segment)) + 1
        starts = [
            np.arange(a, b - k + 1, k) for a, b in zip(np.r_[0, borders], np.r_[borders, len(self.segment)], strict=True)
        ]
        rows = np.concatenate(starts)[:, None] + np.arange(k)
        return self.e[rows].sum(axis=1), self.mu[rows].sum(axis=1)


@dataclass(frozen=True, eq=False)
class Noise:
    """What was found, in log-rates.

    Attributes:
        loading: `[n, factors]` on processes of unit variance.
        factor_ms: `[factors]`.
        own_variance: `[n]`.
        own_ms: time constant.
        drift_sd: of slow wandering.
        regularity: `[n]` shape of the intervals.
        error: `[n]` variance of each loading's error.
    """

    loading: Float64
    factor_ms: Float64
    own_variance: Float64
    own_ms: float
    drift_sd: float
    regularity: Float64
    error: Float64


def find(residual: Residual) -> Noise:
    """Take residuals apart."""
    r = residual
    mean = r.mean
    binned, autocovariance = _factors(r)
    times = np.array([_time(a, r.bin_ms)[0] for a in autocovariance])
    loading = binned / np.sqrt(mean)[:, None] / np.sqrt(averaged(r.bin_ms / times))
    drift = _slow(r)
    own, regularity, own_ms = _alone(r, loading, times, drift)
    fano = (r.e**2).mean(axis=0) / mean
    return Noise(loading, times, own, own_ms, drift, regularity, fano / (mean * len(r.e)))


def _factors(r: Residual) -> tuple[Float64, Float64]:
    """Loadings `[n, k]` times the root of the mean count on factors of unit variance, their autocovariances `[k, lags]`.

    cov(e_i, e_j) = l_i.l_j E mu_i mu_j is divided by E mu_i mu_j and multiplied with the roots of the mean counts.

    Principal factors of the cross-covariances (the diagonal, which holds noise of each unit alone, is iterated); as many as
    stand out of what circular shifts of each unit against the others leave.
    """
    z = r.e / np.sqrt(r.power)
    n = z.shape[1]
    together = r.mu.T @ r.mu / len(z)
    spread = np.sqrt(np.diag(together))
    overlap = together / np.outer(spread, spread)  # 1 where two units' rates rise and fall together
    C = np.asarray(z.T @ z / len(z)) / overlap
    rng = np.random.default_rng(0)
    shuffled = np.column_stack([np.roll(column, int(rng.integers(len(z)))) for column in z.T])
    S = shuffled.T @ shuffled / len(z) / overlap
    chance = np.linalg.eigvalsh(S - np.diag(np.diag(S)))[-1]
    first = np.linalg.eigvalsh(C - np.diag(np.diag(C)))[::-1]
    k = int(np.clip((first > 1.1 * chance).sum(), 1, min(_MOST_FACTORS, max(1, n // 4))))
    own = np.zeros(n)
    for _ in range(30):
        np.fill_diagonal(C, own)
        values, vectors = np.linalg.eigh(C)
        loading = vectors[:, -k:] * np.sqrt(np.maximum(values[-k:], 0.0))
        own = 0.5 * own + 0.5 * (loading**2).sum(axis=1)
    loading = loading[:, ::-1] * np.where(loading[:, ::-1].sum(axis=0) < 0, -1.0, 1.0)
    along = loading / (loading**2).sum(axis=0)
    autocovariance = np.empty((k, _LAGS))
    for lag in range(1, _LAGS + 1):
        a, b = r.apart(lag)
        if len(a) < 50:
            autocovariance[:, lag - 1] = np.nan
            continue
        cross = z[a] @ along, z[b] @ along
        alone = (z[a] * z[b]).mean(axis=0) @ along**2
        autocovariance[:, lag - 1] = ((cross[0] * cross[1]).mean(axis=0) - alone) / (1 - (along**2 * loading**2).sum(axis=0))
    return loading, autocovariance


def _time(autocovariance: Float64, bin_ms: float, first: int = 1) -> tuple[float, float]:
    """Time constant and height at lag 0 of the exponential that comes nearest; lags not known are left out."""
    lags = first + np.arange(len(autocovariance))
    known = np.isfinite(autocovariance)
    if not known.any():
        return 2 * bin_ms, 0.0
    a = autocovariance[known]
    shape = np.exp(-np.outer(lags[known] * bin_ms, 1 / _TIMES_MS))
    height = np.maximum((shape * a[:, None]).sum(axis=0) / (shape**2).sum(axis=0), 0.0)
    best = int(((a[:, None] - height * shape) ** 2).sum(axis=0).argmin())
    return float(_TIMES_MS[best]), float(height[best])


def _slow(r: Residual) -> float:
    """Standard deviation of a unit's log-rate over stretches of a second, from pairs 10 to 60 of them apart."""
    k = max(1, round(1000.0 / r.bin_ms))
    rows = len(r.e) // k
    if rows < 120:
        return 0.0
    e = r.e[: rows * k].reshape(rows, k, -1).sum(axis=1)
    mu = r.mu[: rows * k].reshape(rows, k, -1).sum(axis=1)
    above = below = 0.0
    for lag in range(10, 61, 5):
        above += float((e[lag:] * e[:-lag]).sum(axis=0) @ (1 / r.mean))
        below += float((mu[lag:] * mu[:-lag]).sum(axis=0) @ (1 / r.mean))
    return float(np.sqrt(max(above / below, 0.0)))


def _shrunk(value: Float64, error: Float64, weight: Float64) -> Float64:
    """Each towards the weighted mean as far as its error (variance) wants."""
    middle = float((value * weight).sum() / weight.sum())
    spread = float((((value - middle) ** 2 - error) * weight).sum() / weight.sum())
    spread = max(spread, 1e-6 + 0.01 * middle**2)
    return middle + (value - middle) * spread / (spread + error)


@dataclass(frozen=True, eq=False)
class _Width:
    """Fano factors of bins of one width, and what is known to add to them.

    F = renewal(kappa, m) + (s f(w / own) + shared) M, with m = E mu, M = E mu² / E mu.
    """

    fano: Float64
    mean: Float64
    power: Float64
    shared: Float64
    bins: int
    ms: float

    @classmethod
    def of(cls, r: Residual, width: float, loading: Float64, times: Float64, drift: float) -> _Width:
        e, mu = r.sums(width)
        mean = np.maximum(mu.mean(axis=0), 1e-9)
        shared = (loading**2 * averaged(width / times)).sum(axis=1) + drift**2
        return cls(e.var(axis=0) / mean, mean, (mu**2).mean(axis=0) / mean, shared, len(e), width)


def _alone(r: Residual, loading: Float64, times: Float64, drift: float) -> tuple[Float64, Float64, float]:
    """Own variance and regularity of each unit from its Fano factors in narrow and wide bins; time constant of the first.

    Narrow bins say how regular it fires, wide ones how its gain varies; the two are solved for in turn. Of several time
    constants that one is taken whose Fano factors come nearest in all widths.
    """
    widths = [w for w in WIDTHS_MS if w >= 1.9 * r.bin_ms and len(r.sums(w)[0]) >= _LEAST_STRETCHES]
    seen = [_Width.of(r, w, loading, times, drift) for w in (r.bin_ms, *widths)]
    wide = next((w for w in reversed(seen) if w.ms <= 500.0), seen[0])
    best: tuple[float, Float64, Float64, float] | None = None
    for own_ms in _OWN_MS:
        own = np.zeros(len(loading))
        for _ in range(6):
            n = seen[0]
            regularity = _regularity(n.fano - (own * float(averaged(n.ms / own_ms)) + n.shared) * n.power, n.mean, n.bins)
            part = float(averaged(wide.ms / own_ms))
            found = ((wide.fano - renewal(regularity, wide.mean)) / wide.power - wide.shared) / part
            error = 2 * wide.fano**2 / wide.bins / (wide.power * part) ** 2
            own = 0.5 * own + 0.5 * np.maximum(_shrunk(found, error, wide.mean), 0.0)
        off = 0.0
        for n in seen:
            gain = (own * float(averaged(n.ms / own_ms)) + n.shared) * n.power
            off += float(
                np.average(np.log((renewal(regularity, n.mean) + gain) / np.maximum(n.fano, 0.05)) ** 2, weights=n.mean)
            )
        if best is None or off < best[0]:
            best = off, own, regularity, own_ms
    assert best is not None
    return best[1:]


SHAPES = np.geomspace(0.4, 30.0, 13)
_COUNTS = np.geomspace(0.02, 8.0, 12)


@cache
def renewal_table(samples: int = 4000, bins: int = 12) -> Float64:
    """Fano factor of a renewal process with gamma intervals, `[shapes, counts]` at `SHAPES` and `_COUNTS`, by simulation."""
    rng = np.random.default_rng(1)
    out = np.empty((len(SHAPES), len(_COUNTS)))
    for j, mean in enumerate(_COUNTS):
        shape = np.repeat(SHAPES, samples)
        process = Renewal(shape, 50 * NS_PER_MS, 0.0, rng)
        expected: Float32 = np.full(len(shape), mean, np.float32)
        counts = np.array([process.step(expected) for _ in range(bins)], np.float64)
        spread = ((counts - mean) ** 2).mean(axis=0).reshape(len(SHAPES), samples)
        out[:, j] = spread.mean(axis=1) / mean
    return out


def _columns(mean: Float64) -> Float64:
    """Fano factors `[shapes, n]` at these mean counts; above the table the limit 1/k + (1 - 1/k²) / 6m (Cox 1962)."""
    table = renewal_table()
    at = np.interp(np.log(mean), np.log(_COUNTS), np.arange(len(_COUNTS)))
    low = np.minimum(at.astype(int), len(_COUNTS) - 2)
    inside = table[:, low] * (1 - (at - low)) + table[:, low + 1] * (at - low)
    k = SHAPES[:, None]
    return np.where(mean > _COUNTS[-1], 1 / k + (1 - 1 / k**2) / (6 * mean), inside)


def renewal(shape: Float64, mean: Float64) -> Float64:
    """Fano factor of a renewal process with gamma intervals at these mean counts, `[n]`."""
    logs = np.log(SHAPES)
    return np.array([np.interp(x, logs, c) for x, c in zip(np.log(shape), _columns(mean).T, strict=True)])


def _regularity(fano: Float64, mean: Float64, bins: int) -> Float64:
    """Shape whose Fano factor at this mean count is nearest; what can hardly be told is drawn to the mean of the rest."""
    columns, logs = _columns(mean), np.log(SHAPES)
    best, slope = np.empty(len(mean)), np.empty(len(mean))
    for i, f in enumerate(fano):
        falling = np.minimum.accumulate(columns[:, i])
        best[i] = np.interp(-f, -falling, logs)
        slope[i] = max((falling[0] - falling[-1]) / (logs[-1] - logs[0]), 1e-3)
    error = (2.0 / bins) / slope**2 + 0.01
    return np.asarray(np.exp(_shrunk(best, error, 1 / error)))
