"""What a delivered stimulation feels like: one number, from a detection threshold per electrode."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from volition.errors import ConfigError
from volition.signal import NS_PER_MS, Float64, Stim


@dataclass(frozen=True)
class PerceptConfig:
    """Constants of the percept.

    Attributes:
        threshold_ua: median detection threshold, µA (about 35, range 15-88: Flesher et al. 2016, recalled).
        threshold_sigma: its log-normal spread (0.45 puts 15-88 µA at two standard deviations).
        silent_fraction: electrodes that evoke nothing (62 +/- 15 % evoke: Greenspon et al. 2025).
        just_noticeable_ua: the current above threshold that fills the percept to 1 - 1/e, µA (assumption; the just
            noticeable difference is about 15 µA: Flesher et al. 2016, recalled).
        percept_ms: time constant with which a percept comes and goes, ms (assumption).
    """

    threshold_ua: float = 35.0
    threshold_sigma: float = 0.45
    silent_fraction: float = 0.38
    just_noticeable_ua: float = 15.0
    percept_ms: float = 150.0

    def __post_init__(self) -> None:
        """Refuse what is not a percept.

        Raises:
            ConfigError: a current or time is not positive, the spread negative, the fraction outside 0..1.
        """
        for name in ("threshold_ua", "just_noticeable_ua", "percept_ms"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"person: {name} must be positive, got {getattr(self, name)}")
        if not 0 <= self.threshold_sigma < math.inf:
            raise ConfigError(f"person: threshold_sigma must not be negative, got {self.threshold_sigma}")
        if not 0 <= self.silent_fraction <= 1:
            raise ConfigError(f"person: silent_fraction must be 0..1, got {self.silent_fraction}")


class Percept:
    """Leaky sum over electrodes of what exceeds their thresholds.

        target = 1 - exp(-sum_e max(0, I_e - theta_e) / just_noticeable),     only electrodes that pulse
        felt  += (1 - exp(-dt / percept)) (target - felt)

    Attributes:
        threshold_ua: theta, `[electrodes]`, µA; infinite where an electrode evokes nothing.
        felt: strength of the percept, 0..1.
    """

    def __init__(self, config: PerceptConfig, electrodes: int, bin_ns: int, rng: np.random.Generator) -> None:
        theta = config.threshold_ua * np.exp(config.threshold_sigma * rng.standard_normal(electrodes))
        theta[rng.random(electrodes) < config.silent_fraction] = np.inf
        self.threshold_ua: Float64 = theta
        self.felt = 0.0
        self._unit = config.just_noticeable_ua
        self._gain = 1.0 - math.exp(-bin_ns / NS_PER_MS / config.percept_ms)

    def step(self, stim: Stim) -> float:
        """One bin of delivered stimulation; returns `felt`."""
        target = 0.0
        if stim.amplitude_ua.any():
            over = np.maximum(stim.amplitude_ua - self.threshold_ua, 0.0)[
                (stim.frequency_hz > 0) & (stim.pulse_width_us > 0)
            ]
            target = 1.0 - math.exp(-float(over.sum()) / self._unit)
        self.felt += self._gain * (target - self.felt)
        return self.felt
