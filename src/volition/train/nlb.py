"""Scores of the Neural Latents Benchmark (Pei et al. 2021, NeurIPS Datasets and Benchmarks).

    bits per spike = (LL(rates) - LL(mean rate of each neuron)) / (n_spikes ln 2),    LL = sum n ln r - r - ln n!
    velocity R²    = R² of ridge regression from the rates to the velocity, penalty chosen inside the training trials
    PSTH R²        = R² between trial-averaged spikes and trial-averaged rates, mean over neurons

Co-smoothing (co-bps) is bits per spike on neurons that were hidden from the model, forward prediction (fp-bps) on bins after
its end. NaN in spikes or velocity marks bins that do not count (trials of unequal length).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.errors import InputError
from volition.signal import Float64
from volition.train import metrics

PENALTIES = tuple(np.logspace(-4, 0, 9).tolist())
_FLOOR = 1e-9  # expected spikes in a bin in the place of 0, whose logarithm no spike survives
_FOLDS = 5


def bits_per_spike(rates: NDArray[Any], spikes: NDArray[Any]) -> float:
    """How much better rates predict spikes than each neuron's mean rate, bit a spike; 0 is no better, below 0 is worse.

    Args:
        rates: expected spikes a bin, `[..., neurons]` (trials x bins x neurons, or bins x neurons).
        spikes: counts, the same shape; NaN where a bin does not count.

    Raises:
        InputError: shapes that differ, rates that are negative or NaN where a bin counts, or no spike at all.
    """
    r, n = np.asarray(rates, np.float64), np.asarray(spikes, np.float64)
    if r.shape != n.shape or n.ndim < 2:
        raise InputError(f"bits per spike: rates {r.shape} and spikes {n.shape} must have one shape [..., neurons]")
    r, n = r.reshape(-1, r.shape[-1]), n.reshape(-1, n.shape[-1])
    here = ~np.isnan(n)
    if not np.isfinite(r[here]).all() or (r[here] < 0).any():
        raise InputError("bits per spike: rates must be finite and not negative wherever there are spikes to predict")
    count = float(n[here].sum())
    if count == 0:
        raise InputError("bits per spike: there are no spikes")
    mean = np.where(here, n, 0.0).sum(0) / np.maximum(here.sum(0), 1)
    null = np.broadcast_to(mean, n.shape)
    # ln n! is the same in both and falls out of the difference
    gain = _log_likelihood(r[here], n[here]) - _log_likelihood(null[here], n[here])
    return gain / count / float(np.log(2))


def _log_likelihood(rates: Float64, spikes: Float64) -> float:
    """Of Poisson counts, without ln n!."""
    return float((spikes * np.log(np.maximum(rates, _FLOOR)) - rates).sum())


def _flat(rates: NDArray[Any], behaviour: NDArray[Any], part: str) -> tuple[Float64, Float64]:
    r, y = np.asarray(rates, np.float64), np.asarray(behaviour, np.float64)
    if r.shape[:-1] != y.shape[:-1] or r.ndim < 2:
        raise InputError(f"velocity R²: {part} rates {r.shape} and velocity {y.shape} must agree but for their last axis")
    r, y = r.reshape(-1, r.shape[-1]), y.reshape(-1, y.shape[-1])
    here = ~np.isnan(y).any(axis=1)
    if not np.isfinite(r[here]).all():
        raise InputError(f"velocity R²: {part} rates hold NaN or infinity where there is a velocity")
    if not here.any():
        raise InputError(f"velocity R²: the {part} part has no velocity")
    return r[here], y[here]


def _ridge(x: Float64, y: Float64, penalty: float) -> tuple[Float64, Float64]:
    """Weights `[neurons, k]` and offset `[k]` that minimise |y - x W - b|² + penalty |W|²; the offset is free."""
    mx, my = x.mean(0), y.mean(0)
    a = x - mx
    weights = np.linalg.solve(a.T @ a + penalty * np.eye(x.shape[1]), a.T @ (y - my))
    return weights, my - mx @ weights


def velocity_r2(
    train_rates: NDArray[Any],
    train_velocity: NDArray[Any],
    test_rates: NDArray[Any],
    test_velocity: NDArray[Any],
    penalties: tuple[float, ...] = PENALTIES,
) -> float:
    """How well velocity can be read from inferred rates: R², mean over axes.

    Args:
        train_rates: `[..., neurons]`.
        train_velocity: `[..., k]`, NaN where a bin does not count.
        test_rates: as the training ones.
        test_velocity: as the training ones.
        penalties: to choose from, by mean R² over five contiguous blocks of the training bins.

    Raises:
        InputError: shapes that do not fit, NaN in rates where there is a velocity, or too few bins.
    """
    x, y = _flat(train_rates, train_velocity, "training")
    test_x, test_y = _flat(test_rates, test_velocity, "test")
    if len(x) < 2 * _FOLDS or not penalties:
        raise InputError(f"velocity R²: {len(x)} training bins are too few, or there is no penalty to choose from")
    edges = np.linspace(0, len(x), _FOLDS + 1).astype(int)
    marks = []
    for penalty in penalties:
        fold_r2 = []
        for begin, end in pairwise(edges.tolist()):
            inside = np.r_[0:begin, end : len(x)]
            weights, offset = _ridge(x[inside], y[inside], penalty)
            fold_r2.append(metrics.r2_axes(y[begin:end], x[begin:end] @ weights + offset).mean())
        marks.append(np.mean(fold_r2))
    weights, offset = _ridge(x, y, penalties[int(np.argmax(marks))])
    return float(metrics.r2_axes(test_y, test_x @ weights + offset).mean())


def psth_r2(rates: NDArray[Any], spikes: NDArray[Any], condition: NDArray[Any], smooth_bins: float = 0.0) -> float:
    """How well rates keep the average response to each condition: R² over conditions and bins, mean over neurons.

    Args:
        rates: expected spikes a bin, `[trials, bins, neurons]`.
        spikes: counts, the same shape; NaN where a bin does not count.
        condition: of each trial, `[trials]`.
        smooth_bins: standard deviation of the Gaussian by which the averaged spikes are smoothed, bins; 0: not.

    Raises:
        InputError: shapes that do not fit.
    """
    r, n, c = np.asarray(rates, np.float64), np.asarray(spikes, np.float64), np.asarray(condition)
    if r.ndim != 3 or r.shape != n.shape or c.shape != (len(r),):
        raise InputError(f"PSTH R²: rates {r.shape}, spikes {n.shape}, conditions {c.shape} do not fit together")
    means: list[Float64] = []
    seen: list[Float64] = []
    for value in np.unique(c):
        one, counts = r[c == value], n[c == value]
        here = ~np.isnan(counts)
        k = here.sum(0)
        psth = np.where(here, counts, 0.0).sum(0) / np.maximum(k, 1)
        if smooth_bins > 0:
            psth = _smoothed(psth, smooth_bins)
        full = k.all(axis=1)
        seen.append(psth[full])
        means.append((np.where(here, one, 0.0).sum(0) / np.maximum(k, 1))[full])
    return float(metrics.r2_axes(np.concatenate(seen), np.concatenate(means)).mean())


def _smoothed(x: Float64, sd: float) -> Float64:
    """Gaussian over the first axis; at the ends over what is there."""
    reach = int(np.ceil(4 * sd))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sd) ** 2)
    weight = np.convolve(np.ones(len(x)), kernel, mode="full")[reach : reach + len(x)]
    columns = [np.convolve(column, kernel, mode="full")[reach : reach + len(x)] / weight for column in x.T]
    return np.stack(columns, axis=1)
