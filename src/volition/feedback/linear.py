"""Pressure to amplitude, linearly, at a fixed pulse rate, on the electrodes that stand for the taxel.

The mapping of the human trials (Flesher et al. 2016, Sci Transl Med 8 361ra141; 2021, Science 372 831: the torque of each
finger's motor drives its electrodes, 100 Hz, amplitude linear in the torque), with currents that the gate's profile `strict`
lets through by default: at 200 µs its 4 nC are 20 µA, and its 1 mC/cm² are 16.8 µA on a site of 336 µm². Most electrodes
evoke nothing at so little (median threshold about 35 µA). For the currents of the human trials set `min_ua`, `max_ua` and
`total_ua`, and the channel's `profile` to "human_trial": never silently.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from volition.errors import ConfigError
from volition.signal import Float64, Stim, Touch
from volition.stage import Port, Setup, Spec


@dataclass(frozen=True)
class LinearConfig:
    """The mapping.

    Attributes:
        threshold_n: pressure at which stimulation begins, N (assumption).
        full_n: pressure at which it is strongest, N (assumption).
        min_ua: amplitude at the threshold, µA (assumption).
        max_ua: amplitude at full pressure, µA (16: inside the profile `strict` on every electrode of the shipped channels).
        total_ua: sum over electrodes above which all are scaled down, µA (200: the profile `strict`).
        frequency_hz: pulse rate, Hz (100: Flesher 2016).
        pulse_width_us: width of the cathodic phase, µs (200: Flesher 2016).
        electrodes_per_taxel: electrodes for one taxel, if there are enough (3, assumption: percepts of several overlapping
            electrodes are easier to localise, Greenspon et al. 2024).
    """

    threshold_n: float = 0.05
    full_n: float = 2.0
    min_ua: float = 4.0
    max_ua: float = 16.0
    total_ua: float = 200.0
    frequency_hz: float = 100.0
    pulse_width_us: float = 200.0
    electrodes_per_taxel: int = 3

    def __post_init__(self) -> None:
        """Refuse what is not a mapping.

        Raises:
            ConfigError: limits in the wrong order, a value negative or not finite.
        """
        if not 0 <= self.threshold_n < self.full_n < math.inf:
            raise ConfigError(f"linear: need 0 <= threshold_n < full_n, got {self.threshold_n} and {self.full_n}")
        if not 0 <= self.min_ua <= self.max_ua < math.inf:
            raise ConfigError(f"linear: need 0 <= min_ua <= max_ua, got {self.min_ua} and {self.max_ua}")
        for name in ("total_ua", "frequency_hz", "pulse_width_us"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"linear: {name} must not be negative, got {getattr(self, name)}")
        if self.electrodes_per_taxel < 1:
            raise ConfigError(f"linear: electrodes_per_taxel must be at least 1, got {self.electrodes_per_taxel}")


class Linear:
    """Each taxel drives its electrodes.

    With P the taxel's pressure, the current is

        I = 0                                                              P <= threshold, or P is NaN (a broken sensor)
          = min + (max - min) min(1, (P - threshold) / (full - threshold))   above it

    then all are scaled so that their sum is at most `total_ua`.

    Taxels and electrodes are both taken to be in somatotopic order: neighbours stand for neighbours. With more electrodes
    than taxels each taxel has the middle ones of its own stretch; with more taxels than electrodes, an electrode follows the
    strongest pressed of its taxels.
    """

    Config = LinearConfig

    def __init__(self, config: LinearConfig | None = None) -> None:
        self.config = config or LinearConfig()
        self.spec = Spec()

    def prepare(self, setup: Setup) -> None:
        """Lay the taxels out over the electrodes."""
        taxels, electrodes = setup.taxels, setup.electrodes
        self.spec = Spec(takes=Port(taxels, "N"), gives=Port(electrodes, "uA"))
        self._shared = taxels > electrodes > 0
        if self._shared:
            self._electrode = np.arange(electrodes)
            self._taxel = self._electrode * taxels // electrodes  # the first of each electrode's stretch
        else:
            pairs = [(e, t) for t in range(taxels) for e in self._middle(t, taxels, electrodes)]
            self._electrode, self._taxel = np.array(pairs, np.intp).reshape(-1, 2).T
        self._frequency, self._width = np.zeros(electrodes), np.zeros(electrodes)
        self._frequency[self._electrode] = self.config.frequency_hz
        self._width[self._electrode] = self.config.pulse_width_us

    def step(self, touch: Touch) -> Stim:
        """The command for the coming bin, `[electrodes]`, from `pressure` `[taxels]`."""
        config, electrodes = self.config, self.spec.gives.size
        pressure: Float64 = touch.pressure
        if not self._electrode.size or not pressure.any():
            return Stim.zero(touch.t_ns, electrodes)
        on = np.fmax.reduceat(pressure, self._taxel) if self._shared else pressure[self._taxel]
        share = np.minimum((on - config.threshold_n) / (config.full_n - config.threshold_n), 1.0)
        current = np.where(share > 0, config.min_ua + (config.max_ua - config.min_ua) * share, 0.0)
        total = float(current.sum())
        if total == 0:
            return Stim.zero(touch.t_ns, electrodes)
        amplitude = np.zeros(electrodes)
        amplitude[self._electrode] = current * min(1.0, config.total_ua / total)
        return Stim(touch.t_ns, amplitude, self._frequency, self._width)

    def _middle(self, taxel: int, taxels: int, electrodes: int) -> range:
        """The middle electrodes of a taxel's stretch."""
        first, end = taxel * electrodes // taxels, (taxel + 1) * electrodes // taxels
        size = min(end - first, self.config.electrodes_per_taxel)
        start = first + (end - first - size) // 2
        return range(start, start + size)
