"""How good a decoder is, by the field's formulas.

    R² of an axis       = 1 - sum (y - y')² / sum (y - mean y)²
    R² variance-weighted = sum over axes of var(y) R² / sum of var(y) = 1 - sum of all squared errors / sum of all squares

as scikit-learn's `r2_score` with `multioutput="raw_values"` and `"variance_weighted"` (Pedregosa et al. 2011, JMLR 12:2825),
which FALCON and the Neural Latents Benchmark report.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.errors import InputError
from volition.signal import Float64


def _pair(y: NDArray[Any], guess: NDArray[Any]) -> tuple[Float64, Float64]:
    a, b = np.asarray(y, np.float64), np.asarray(guess, np.float64)
    if a.ndim != 2 or a.shape != b.shape or not len(a):
        raise InputError(f"a score needs two equal arrays [bins, axes], got shapes {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("a score cannot be computed from NaN or infinity")
    return a, b


def r2_axes(y: NDArray[Any], guess: NDArray[Any]) -> Float64:
    """R² of each axis, `[axes]`; of an axis that never changes 1 if it is hit exactly, else 0 (as scikit-learn).

    Args:
        y: recorded, `[bins, axes]`.
        guess: decoded, the same shape.

    Raises:
        InputError: shapes that differ, nothing to score, NaN.
    """
    y, guess = _pair(y, guess)
    error, total = ((y - guess) ** 2).sum(0), ((y - y.mean(0)) ** 2).sum(0)
    still = total == 0
    r2 = np.where(still, error == 0, 1 - error / np.where(still, 1.0, total))
    return np.asarray(r2, np.float64)


def r2(y: NDArray[Any], guess: NDArray[Any]) -> float:
    """Variance-weighted R²; arguments and errors as in `r2_axes`."""
    y, guess = _pair(y, guess)
    weight = y.var(0)
    each = r2_axes(y, guess)
    return float(weight @ each / weight.sum()) if weight.any() else float(each.mean())


def pearson(y: NDArray[Any], guess: NDArray[Any]) -> Float64:
    """Pearson's correlation of each axis, `[axes]`; NaN where one of the two never changes."""
    y, guess = _pair(y, guess)
    a, b = y - y.mean(0), guess - guess.mean(0)
    scale = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    r = np.where(scale > 0, (a * b).sum(0) / np.where(scale > 0, scale, 1.0), np.nan)
    return np.asarray(r, np.float64)


def latency_us(times_ns: NDArray[Any]) -> dict[str, float]:
    """Median, 99th percentile and maximum of durations in ns, in µs."""
    us = np.asarray(times_ns, np.float64) / 1e3
    if not us.size:
        raise InputError("no durations to summarise")
    p50, p99 = np.percentile(us, (50, 99))
    return {"p50_us": float(p50), "p99_us": float(p99), "max_us": float(us.max())}
