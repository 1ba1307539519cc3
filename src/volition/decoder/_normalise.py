"""Running normalisation: mean and scale of each feature, followed while they drift.

    alpha_t = max(1 - 2^(-dt/half-life), 1/(n_0 + t)),   m += alpha (x - m),   v += alpha ((x - m)^2 - v)

The second term lets a new session, whose rates differ from the last one's, be met within the first minute: t counts its bins
and n_0 is what the old mean is worth. A missing feature changes nothing. Rates that drift are most of what a fixed decoder
suffers from within and across days (Perge et al. 2013; the same is done per block in Willett et al. 2023, Nature 620:1031).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.decoder._sequence import Scale
from volition.signal import Bool, Float64

ARRAYS = ("running_mean", "running_variance", "least_sd")
_WORTH_S = 15.0  # s of data that the mean of the session before counts for
_LEAST = 0.3  # the scale never falls below this share of the reference's: a channel that fell silent is not blown up


class Normaliser:
    """Centres and scales; `update` follows.

    Attributes:
        mean: m, `[features]`.
        variance: v.
    """

    def __init__(self, mean: Float64, variance: Float64, least: Float64, bin_s: float, half_life_s: float) -> None:
        self.mean, self.variance, self._least = mean.copy(), variance.copy(), least
        self._slow = 1 - 2 ** (-bin_s / half_life_s)
        self._worth = _WORTH_S / bin_s
        self._bins = np.inf
        self._scale()

    @classmethod
    def of(cls, x: Float64, mask: Bool | None, bin_s: float, half_life_s: float) -> Normaliser:
        """From a reference; a feature that never varied there gets the scale 1."""
        scale = Scale.of(x, mask)
        return cls(scale.mean, scale.sd**2, scale.sd, bin_s, half_life_s)

    def _scale(self) -> None:
        self._sd = np.maximum(np.sqrt(self.variance), _LEAST * self._least)

    def begin(self) -> None:
        """A new session: be quick at first."""
        self._bins = 0.0

    def update(self, x: NDArray[Any], mask: Bool) -> None:
        """Follow one bin."""
        self._bins += 1
        alpha = max(self._slow, 1 / (self._worth + self._bins))
        off = x - self.mean
        if mask.any():
            off = np.where(mask, 0.0, off)
            self.variance += alpha * np.where(mask, 0.0, off * off - self.variance)
        else:
            self.variance += alpha * (off * off - self.variance)
        self.mean += alpha * off
        self._scale()

    def shift(self, off: Float64, bins: Float64, z: Float64) -> Float64:
        """Move the mean by a part of what some labelled bins say it is off, in scales; returns them as seen from there.

        Args:
            off: `[features]` mean of what the labels leave unexplained: what was wanted is not taken for a change of rate.
            bins: `[features]` how many bins say so.
            z: `[bins, features]` these bins, as they were normalised.
        """
        step = self.share(bins) * off
        self._bins += float(bins.max(initial=0.0))
        self.mean = self.mean + self._sd * step
        return z - step

    def share(self, bins: Float64) -> Float64:
        """Weight of so many new bins against what was known."""
        return np.asarray(np.maximum(1 - (1 - self._slow) ** bins, bins / (self._worth + self._bins + bins)))

    def apply(self, x: NDArray[Any]) -> Float64:
        """Normalised `[..., features]`; what is undefined stays so."""
        return np.asarray((x - self.mean) / self._sd, np.float64)

    def counts(self, z: Float64) -> Float64:
        """Back to counts."""
        return np.asarray(self.mean + self._sd * z)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For keeping."""
        return dict(zip(ARRAYS, (self.mean, self.variance, self._least), strict=True))

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]], bin_s: float, half_life_s: float) -> Normaliser:
        """From what was kept."""
        mean, variance, least = (np.array(arrays[name], np.float64) for name in ARRAYS)
        return cls(mean, variance, least, bin_s, half_life_s)
