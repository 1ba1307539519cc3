"""How intention becomes spikes: a population of log-linear Poisson channels, with firing rates as arrays record them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from volition.errors import ConfigError
from volition.signal import NS_PER_S, Float32, Float64
from volition.stage import Setup


@dataclass(frozen=True)
class Preset:
    """What kind of electrode listens.

    Attributes:
        quantile: probabilities at which `rate_hz` stands; between them log(rate) is interpolated linearly.
        rate_hz: firing rates at rest at those probabilities, Hz.
    """

    quantile: tuple[float, ...]
    rate_hz: tuple[float, ...]


PRESETS: Mapping[str, Preset] = {
    # Multi-unit threshold crossings of a Utah array, about 5-20 Hz: recalled from the literature, not measured by us. Read
    # here as the 5th and 95th percentile of a log-normal with median 10 Hz.
    "utah_m1": Preset((0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0), (3.0, 5.0, 7.5, 10.0, 13.3, 20.0, 33.0)),
    # Crossings at -4.5 RMS, measured on 743 recordings of 5 s from monkey M1 made with the N1's electrodes: median 0.5, 32 %
    # at 2 or more, p90 8.5, p95 9.9, p99 31 per second. The two ends are assumptions (they set the mean to 2.9; measured
    # 2.4-3.2).
    "n1": Preset((0.0, 0.5, 0.68, 0.9, 0.95, 0.99, 1.0), (0.02, 0.5, 2.0, 8.5, 9.9, 31.0, 60.0)),
}
_AUTO_UP_TO = 256  # channels: above it no Utah-type system is meant


@dataclass(frozen=True)
class TuningConfig:
    """Constants of the encoding.

    Attributes:
        channels: recorded channels; 0: as many as the channel stage has.
        preset: "utah_m1", "n1", or "auto" (utah_m1 up to 256 channels).
        tuned_fraction: fraction of channels that follow the intended velocity (measured, see below).
        depth: median length of the tuning vector, log-rate per full speed (measured).
        depth_sigma: its log-normal spread (measured).
        speed_depth: mean of the speed term, log-rate per full speed (measured).
        speed_sigma: its standard deviation (measured).
        click_tuned_fraction: fraction of channels that follow an intended click (assumption).
        click_depth: standard deviation of their log-rate during a click (assumption).
        max_rate_hz: ceiling of any rate, Hz (assumption: half of what a detector with 1 ms dead time can count).

    Measured: this very model fitted by maximum likelihood to the M1 recording of Stevenson et al. 2011 (132 multi-units of
    at least 1 Hz, 50 ms bins, hand velocity 100 ms later, full speed = its 99th percentile; tuned: vector longer than the
    95th percentile on shifted movement). A test repeats it. Taken over for the n1 preset, too (assumption).
    """

    channels: int = 0
    preset: str = "auto"
    tuned_fraction: float = 0.8
    depth: float = 0.5
    depth_sigma: float = 0.55
    speed_depth: float = 0.13
    speed_sigma: float = 0.56
    click_tuned_fraction: float = 0.3
    click_depth: float = 1.0
    max_rate_hz: float = 500.0

    def __post_init__(self) -> None:
        """Refuse what is not a population.

        Raises:
            ConfigError: unknown preset, negative size or spread, a fraction outside 0..1.
        """
        if not 0 <= self.channels <= 1_000_000:
            raise ConfigError(f"person: channels must be 0 (as the channel has) .. 1000000, got {self.channels}")
        if self.preset != "auto" and self.preset not in PRESETS:
            raise ConfigError(f"person: unknown preset {self.preset!r}; known: auto, {', '.join(PRESETS)}")
        for name in ("tuned_fraction", "click_tuned_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"person: {name} must be 0..1, got {getattr(self, name)}")
        for name in ("depth", "depth_sigma", "speed_sigma", "click_depth"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"person: {name} must not be negative, got {getattr(self, name)}")
        if not math.isfinite(self.speed_depth):
            raise ConfigError(f"person: speed_depth must be finite, got {self.speed_depth}")
        if not 0 < self.max_rate_hz <= 1000:
            raise ConfigError(f"person: max_rate_hz must be in (0, 1000], got {self.max_rate_hz}")


class Population:
    """Channels that fire with the intention.

    With v the intended velocity, c the intended click (0 or 1), all per bin of length dt:

        rate_i  = exp(b_i + w_i . v / vmax + s_i |v| / vmax + k_i c)     (log-linear form: Wang et al. 2007, J Neurophysiol)
        count_i ~ Poisson(rate_i dt)

    Preferred directions w_i / |w_i| are uniform on the circle (sphere).

    Attributes:
        rate_hz: exp(b), `[channels]`, Hz: the rate at rest.
        weights: w, `[channels, axes]`, log-rate per full speed; zero rows are untuned.
        speed: s, `[channels]`.
        click: k, `[channels]`.
    """

    def __init__(self, config: TuningConfig, axes: int, clicks: bool, setup: Setup, rng: np.random.Generator) -> None:
        channels = setup.channels
        rng, self._rng = rng.spawn(2)  # who they are, and when they fire
        name = config.preset if config.preset != "auto" else ("utah_m1" if channels <= _AUTO_UP_TO else "n1")
        self.preset = name
        self.rate_hz = _rates(PRESETS[name], channels, rng)
        tuned = rng.random(channels) < config.tuned_fraction
        direction = rng.standard_normal((channels, axes))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        depth = config.depth * np.exp(config.depth_sigma * rng.standard_normal(channels))
        self.weights: Float64 = direction * (depth * tuned)[:, None]
        self.speed: Float64 = (config.speed_depth + config.speed_sigma * rng.standard_normal(channels)) * tuned
        on_click = rng.random(channels) < (config.click_tuned_fraction if clicks else 0.0)
        self.click: Float64 = config.click_depth * rng.standard_normal(channels) * on_click
        dt = setup.bin_ns / NS_PER_S
        self._scale = 1.0 / float(setup.max_speed)
        self._matrix: Float32 = np.column_stack([self.weights, self.speed, self.click, np.log(self.rate_hz * dt)]).astype(
            np.float32
        )
        self._drive: Float32 = np.ones(axes + 3, np.float32)
        self._log: Float32 = np.empty(channels, np.float32)
        self._ceiling = np.float32(math.log(config.max_rate_hz * dt))

    def step(self, velocity: list[float], click: float) -> NDArray[np.uint16]:
        """Counts of one bin, `[channels]`.

        Args:
            velocity: intended velocity on the steered axes, m/s.
            click: intended click, 0 or 1.
        """
        drive, out, scale = self._drive, self._log, self._scale
        drive[:-1] = [*(v * scale for v in velocity), math.hypot(*velocity) * scale, click]
        np.dot(self._matrix, drive, out=out)
        np.minimum(out, self._ceiling, out=out)
        np.exp(out, out=out)
        return self._rng.poisson(out).astype(np.uint16)


def _rates(preset: Preset, channels: int, rng: np.random.Generator) -> Float64:
    """Rates drawn from the preset, one from each of `channels` equal slices: small populations have its quantiles, too."""
    at = (rng.permutation(channels) + rng.random(channels)) / channels
    return np.exp(np.interp(at, preset.quantile, np.log(preset.rate_hz)))
