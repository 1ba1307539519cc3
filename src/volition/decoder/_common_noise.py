"""Noise that channels share: slow processes in their log-rates, found in what the tuning leaves unexplained.

Residual counts of windows of some bins, over their standard deviation, have the covariance A A' + Psi: factor analysis by
repeated principal axes, of which those are kept that stand out of what chance would give (Marchenko and Pastur 1967),
shrunk to what they would be without it (Johnstone 2001, Annals of Statistics 29:295). Their time constants follow from how
the scores go on from window to window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from volition.signal import Float64

_PASSES = 5
_MARGIN = 1.05
_TRUST = (0.05, 1.4)  # bounds of 1 / Fano factor
_KEEP = (0.3, 0.9995)


@dataclass(frozen=True, eq=False)
class Common:
    """Loadings `[channels, factors]` on the log-rate, what stays of each factor from bin to bin, and trust `[channels]`.

    `trust` is what a spike is worth against one of a Poisson neuron: 1 over the Fano factor of what is nobody else's noise.
    """

    loadings: Float64
    keep: Float64
    trust: Float64


def _pooled(values: Float64, window: int) -> Float64:
    n = len(values) // window * window
    return np.asarray(np.add.reduceat(values[:n], np.arange(0, n, window), axis=0))


def find(counts: Float64, expected: Float64, most: int, window: int, wide: int) -> Common:
    """From bins with known intention, missing ones as expected.

    Args:
        counts: `[bins, channels]`.
        expected: the same, by the tuning.
        most: factors at most.
        window: bins of a window in which factors are looked for.
        wide: bins of a window over which a channel's own noise is judged: what is slow costs more than it seems.
    """
    residual, n = _pooled(counts - expected, window), _pooled(expected, window)
    mean = np.maximum(n.mean(0), 1e-3)
    windows, channels = residual.shape
    fano = np.maximum((residual**2).mean(0) / mean, 0.1)
    A, z = np.zeros((channels, 0)), residual
    for _ in range(_PASSES if most else 0):
        z = residual / np.sqrt(mean * fano)
        A, left = _factors(z, min(most, windows, channels))
        fano = fano * np.clip(left, 0.2, 2.0)
    scale = np.sqrt(mean * fano)
    loadings = A * (scale / mean)[:, None]
    scores = (residual / scale) @ A / (1 + (A**2).sum(0))
    keep = _persistence(scores) ** (1 / window)
    log = np.repeat(scores, window, axis=0) @ loadings.T
    own = counts[: len(log)] - expected[: len(log)] * np.exp(np.clip(log, -2, 2))
    fano = (_pooled(own, wide) ** 2).sum(0) / np.maximum(expected[: len(own)].sum(0), 1e-2)
    return Common(loadings, np.clip(keep, *_KEEP), 1 / np.clip(fano, 1 / _TRUST[1], 1 / _TRUST[0]))


def _factors(z: Float64, most: int) -> tuple[Float64, Float64]:
    """`A` `[channels, factors]`, and of each channel's variance what they leave."""
    windows, channels = z.shape
    few = windows < channels
    values, vectors = np.linalg.eigh(z @ z.T / windows if few else z.T @ z / windows)
    size, vectors = values[::-1][:most], vectors[:, ::-1][:, :most]
    ratio = channels / windows
    out = size > _MARGIN * (1 + np.sqrt(ratio)) ** 2
    size, vectors = size[out], vectors[:, out]
    if few:
        vectors = z.T @ vectors / np.sqrt(np.maximum(size * windows, 1e-12))
    spread = size - 1 - ratio
    A = vectors * np.sqrt((spread + np.sqrt(np.maximum(spread**2 - 4 * ratio, 0.0))) / 2)
    return A, (z**2).mean(0) - (A**2).sum(1)


def _persistence(scores: Float64) -> Float64:
    """Share of each factor that stays from window to window: from lags 1 and 4, so that noise of a window does not count."""
    if len(scores) < 10:
        return np.full(scores.shape[1], 0.5)
    near, far = ((scores[d:] * scores[:-d]).mean(0) for d in (1, 4))
    return np.asarray(np.clip((np.maximum(far, 1e-9) / np.maximum(near, 1e-9)) ** (1 / 3), 0.05, 0.99))
