"""A 10-bit converter whose codes are not equally wide.

The transition into code k lies at T[k] = T[0] + Σ_{i<k} w[i]: with all widths w = 1 LSB that is an ideal converter. The
widths of the N1 were learnt from recordings (`train/voltage_preset.py`): a histogram of codes is the density of the voltage
times the width of each code, and the density is smooth. They are alike in every channel (mismatch of one design's
capacitors); some codes hardly exist.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from volition.signal import Float32, Float64

CODES = 1024
FINE = 16
"""Steps per LSB of the look-up table: transitions are kept to 1/16 LSB."""


def widths(name: str) -> Float64:
    """`[1024]` code widths, LSB, mean 1: "ideal", or "n1" as learnt from recordings."""
    if name == "ideal":
        return np.ones(CODES)
    table = json.loads((Path(__file__).parent / f"_adc_{name}.json").read_text(encoding="utf-8"))
    return np.asarray(table["width_1_64_lsb"], float) / 64.0


def lookup(width: Float64) -> NDArray[np.int16]:
    """Code (-512..511) of every fine step of voltage.

    Args:
        width: `[1024]` code widths, LSB.

    Returns:
        `[16384]` int16: entry floor((v + 512)·16) is the code of a voltage v in LSB.
    """
    upper = np.cumsum(width)
    upper *= CODES / upper[-1]
    centre = (np.arange(CODES * FINE) + 0.5) / FINE
    return (np.minimum(np.searchsorted(upper, centre, side="right"), CODES - 1) - CODES // 2).astype(np.int16)


def convert(volts: Float32, table: NDArray[np.int16]) -> NDArray[np.int16]:
    """Voltage in LSB -> codes."""
    step = np.clip((volts + np.float32(512)) * np.float32(FINE), np.float32(0), np.float32(CODES * FINE - 1))
    codes: NDArray[np.int16] = table[step.astype(np.int32)]
    return codes


def linearise(width: Float64) -> Float32:
    """`[1024]` voltage at the centre of each code (-512..511), LSB: what undoes the uneven widths."""
    upper = np.cumsum(width)
    upper *= CODES / upper[-1]
    return (upper - width / 2 - CODES // 2).astype(np.float32)


def learn_widths(histogram: NDArray[np.int64], smooth: float = 24.0, prior: float = 400.0) -> Float64:
    """Code widths from a histogram of codes.

    The width of code k is h[k] / d[k], where the density d is h smoothed by a Gaussian narrow against the bulk. Codes that
    were hardly visited shrink to 1: w = (h + p) / (d + p).

    Args:
        histogram: `[1024]` how often each code was seen.
        smooth: standard deviation of the smoothing, codes.
        prior: p above, in counts.
    """
    h = histogram.astype(float).copy()
    h[[0, -1]] = h[[1, -2]]  # the rails are not codes of the density
    reach = int(4 * smooth)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / smooth) ** 2)
    density = np.convolve(h, kernel, "same") / np.convolve(np.ones(CODES), kernel, "same")
    width = (h + prior) / (density + prior)
    for _ in range(8):  # smoothing is blind to the peak's curvature: what is left of it is taken out
        left = np.convolve(width, kernel, "same") / np.convolve(np.ones(CODES), kernel, "same")
        width /= left
    out: Float64 = np.clip(width, 0.0, 3.0)
    return out
