"""What the forces under two feet tell of a way to go: strides, duty factor, peak; of bodies and of recorded people alike."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from volition.errors import InputError
from volition.signal import Bool, Float64

STANDS_N = 20.0  # on one foot: it stands, as force plates are read
_GAP_S = 0.04  # a foot that leaves the ground for less has not left it
_SMOOTH_S = 0.02  # peaks are of the mean over so long: some recordings are sampled no faster


@dataclass(frozen=True, slots=True)
class Steps:
    """How somebody goes.

    Attributes:
        strides_per_s: of one leg, from touch-down to touch-down.
        duty: share of a stride in which a foot stands.
        air: share of the time with no foot on the ground.
        peak: greatest vertical force on one foot, median of the strides, body weights.
    """

    strides_per_s: float
    duty: float
    air: float
    peak: float


def steps(load: Float64, dt: float, weight_n: float) -> Steps:
    """Strides in the vertical force under each foot.

    Args:
        load: `[t, 2]`, N.
        dt: between two samples, s.
        weight_n: of the body, N.

    Raises:
        InputError: there are not two touch-downs of a foot.
    """
    width = max(1, round(_SMOOTH_S / dt))
    periods, duties, peaks = [], [], []
    for force in load.T:
        on = _closed(force > STANDS_N, round(_GAP_S / dt))
        down = np.flatnonzero(on[1:] & ~on[:-1]) + 1
        smooth = np.convolve(force, np.full(width, 1 / width), "same")
        for a, b in pairwise(down):
            periods.append((b - a) * dt)
            duties.append(on[a:b].mean())
            peaks.append(smooth[a:b].max())
    if not periods:
        raise InputError("forces under the feet: no foot touches down twice")
    air = float((load.max(axis=1) <= STANDS_N).mean())
    return Steps(float(1 / np.median(periods)), float(np.mean(duties)), air, float(np.median(peaks) / weight_n))


def _closed(on: Bool, gap: int) -> Bool:
    """With gaps of at most `gap` samples filled."""
    edges = np.flatnonzero(np.diff(on.astype(np.int8)))
    out = on.copy()
    for a, b in pairwise(edges):
        if on[a] and b - a <= gap:
            out[a + 1 : b + 1] = True
    return out


def recorded(path: Path) -> tuple[Float64, float]:
    """Vertical forces under both feet `[t, 2]`, N, and s between samples, of an OpenSim table (`.mot`).

    Raises:
        InputError: it is none, or has no two vertical forces.
    """
    try:
        head, _, body = path.read_text("utf-8").partition("endheader")
        lines = body.strip().splitlines()
        names = lines[0].split()
        table = np.array([line.split() for line in lines[1:]], np.float64)
    except (OSError, ValueError, IndexError) as error:
        raise InputError(f"{path}: not a table of forces ({error})") from None
    columns = [i for i, name in enumerate(names) if name.endswith("ground_force_vy")]
    if not head or len(columns) != 2 or len(table) < 2:
        raise InputError(f"{path}: no table with the vertical forces of two feet")
    return table[:, columns], float(np.median(np.diff(table[:, names.index("time")])))
