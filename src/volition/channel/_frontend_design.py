"""Filters of the front end as kernels want them, and the clock of its bins.

A Butterworth band-pass of order N (`scipy.signal.butter(N, band, "bandpass")`, 2N poles) has N zeros at z = 1 and at z = -1,

    H(z) = k · Π (1 - z⁻¹)² / A_i(z) · Π (1 + z⁻¹)² / A_j(z),      A(z) = 1 + a₁z⁻¹ + a₂z⁻²,

where the poles near z = 1 (low edge of the band) take the zeros at 1. There a direct form loses digits in float32: 1 + a₁
+ a₂ is the square of a small angle, and the input rides on a large slow potential. With the sum of outputs s as state,

    y[n] = a₂·y[n-1] - κ·s[n-1] + (x[n] - x[n-1]),     s[n] = s[n-1] + y[n],     κ = 1 + a₁ + a₂,

it is the same filter (multiply out: the input appears as its first difference, so half of the double zero is exact integer
arithmetic) with rounding errors that the zeros suppress. The front end therefore works on first differences throughout:
`x[n] - x[n-1]` of int16 is exact, a constant offset never enters, nor does a step when the set of
referenced channels changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from volition.errors import ConfigError
from volition.signal import Float32, Float64


@dataclass(frozen=True, eq=False)
class BandPass:
    """A Butterworth band-pass in both notations.

    Attributes:
        gain: k of H(z) above.
        high: `[N/2, 2]` float32 (a₂, κ) of the sections at the low edge.
        low: `[N/2, 2]` float32 (a₁, a₂) of the sections at the high edge.
        sos: the same filter as second-order sections, for scipy.
    """

    gain: float
    high: Float32
    low: Float32
    sos: Float64


def band_pass(order: int, band_hz: tuple[float, float], fs: float) -> BandPass:
    """Design the filter.

    Args:
        order: of the low-pass prototype, even (the band-pass has twice as many poles).
        band_hz: edges (-3 dB), Hz.
        fs: sampling rate, Hz.

    Raises:
        ConfigError: the band is empty or reaches above half the sampling rate.
    """
    low, high = band_hz
    if not 0 < low < high < fs / 2:
        raise ConfigError(f"band {low:g}-{high:g} Hz must be increasing and below half the sampling rate ({fs / 2:g} Hz)")
    from scipy.signal import butter

    _, poles, gain = butter(order, band_hz, "bandpass", fs=fs, output="zpk")
    if np.any(np.abs(poles.imag) < 1e-12):
        raise ConfigError(f"band {low:g}-{high:g} Hz is too wide for {fs:g} Hz: the filter has real poles")
    upper = sorted((p for p in poles if p.imag > 0), key=lambda p: abs(p - 1))
    a = np.array([(-2 * p.real, abs(p) ** 2) for p in upper])
    slow, fast = a[: order // 2], a[order // 2 :]
    exact = np.array([abs(p - 1) ** 2 for p in upper[: order // 2]])  # 1 + a1 + a2 without its cancellation
    sections = [(1.0, -2.0, 1.0, 1.0, a1, a2) for a1, a2 in slow] + [(1.0, 2.0, 1.0, 1.0, a1, a2) for a1, a2 in fast]
    sos = np.array(sections)
    sos[0, :3] *= gain
    return BandPass(float(gain), np.column_stack([slow[:, 1], exact]).astype(np.float32), fast.astype(np.float32), sos)


class BinClock:
    """Which sample ends which bin: bin k ends before sample floor((k + 1)·bin·fs), in whole numbers, so it never drifts."""

    def __init__(self, fs: float, bin_ns: int) -> None:
        self._per_bin = Fraction(fs).limit_denominator(10**6) * bin_ns / 10**9
        if self._per_bin < 1:
            raise ConfigError(f"a bin of {bin_ns} ns is shorter than a sample at {fs:g} Hz")

    def edge(self, k: int) -> int:
        """First sample of bin `k`."""
        return k * self._per_bin.numerator // self._per_bin.denominator


def array_edges(channels: int, size: int) -> NDArray[np.int64]:
    """Edges of the arrays that share a reference: `size` neighbouring channels each, the last may be smaller; 0 = all.

    Raises:
        ConfigError: a size that is no multiple of 16 although there are several arrays (kernels work on 16 channels).
    """
    size = size or channels
    if size < channels and size % 16:
        raise ConfigError(f"array_size must be a multiple of 16 (or 0 for all channels together), got {size}")
    return np.array([*range(0, channels, size), channels], np.int64)


def regression_weights(du: Float64, edges: NDArray[np.int64], ridge: float = 1e-3) -> Float32:
    """Weights of the linear-regression reference (Young et al. 2018): each channel minus its estimate from its own array.

    With P = (Σ + λI)⁻¹ of an array's covariance Σ, the least-squares estimate of channel c from the others is Σ_k w_kc x_k,
    w_kc = -P_kc / P_cc for k ≠ c.

    Args:
        du: `[samples, channels]` first differences of the voltage.
        edges: of the arrays, as from `array_edges`.
        ridge: λ as a fraction of the array's mean variance.

    Returns:
        `[largest array, channels]` float32: row k of column c is the weight of the k-th channel of c's array.
    """
    out = np.zeros((int(np.diff(edges).max()), du.shape[1]), np.float32)
    for a, b in pairwise(edges):
        part = du[:, a:b] - du[:, a:b].mean(axis=0)
        cov = part.T @ part / max(1, len(part) - 1)
        cov += np.eye(b - a) * max(ridge * float(np.trace(cov)) / (b - a), 1e-12)
        precision = np.linalg.inv(cov)
        w = -precision / np.diag(precision)[None, :]
        np.fill_diagonal(w, 0.0)
        out[: b - a, a:b] = w
    return out


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything an engine of the front end needs to know.

    Attributes:
        channels: number of channels.
        edges: of the arrays that share a reference.
        reference: "none", "common_average" or "regression".
        spike: band-pass of the spikes (order 4).
        power: band-pass of the spiking-band power (order 2).
        alpha: weight of one sample in the running mean square, 1 / (time constant · fs).
        times_rms: threshold, in running RMS.
        floor: least threshold, LSB.
        dead_samples: dead time after a crossing, and the block in which the running mean square is updated, samples.
        rail_low: and
        rail_high: codes at or beyond which the ADC is at its rail.
        longest_bin: samples.
    """

    channels: int
    edges: NDArray[np.int64]
    reference: str
    spike: BandPass
    power: BandPass
    alpha: float
    times_rms: float
    floor: float
    dead_samples: int
    rail_low: int
    rail_high: int
    longest_bin: int
