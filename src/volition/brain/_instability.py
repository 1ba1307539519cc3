"""How a population changes: rates wander within a session; from day to day rates and tuning move, units come and go."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from volition.brain._preset import Preset, Units
from volition.errors import ConfigError
from volition.signal import NS_PER_S, Float64

_REFRESH_S = 1.0  # a rate that wanders over minutes need not be looked at more often
_SILENT = -40.0  # log-rate of a channel without a unit
_MOST_DAYS = 10_000


@dataclass(frozen=True)
class InstabilityConfig:
    """Constants of the instability; 0 switches each off.

    Attributes:
        day: days after the reference day; the same seed is the same person, later.
        drift_sd: standard deviation of a channel's log-rate within a session, once it has wandered for long (84 % of human
            units change their rate within a session, by 49 % of its mean: Perge et al. 2013, abstract); negative: as fitted
            to the preset's recording, with the recording's time constant.
        drift_min: time constant of that wandering, min (assumption).
        jumps_per_hour: shifts of the whole array against the tissue (40 % of sessions show changes that electrodes share:
            Perge et al. 2013, abstract; read as at least one in an hour).
        jump_sd: standard deviation of the log-rate change in such a shift, common part and each channel's alike (assumption:
            amplitudes change by 5.5 % on average, and what crosses a threshold depends steeply on them).
        day_rate_sd: random walk of each channel's log-rate, a day (assumption).
        day_array_sd: the same for all channels together, a day (assumption).
        day_turn_deg: random walk of the direction of its tuning, degrees a day (assumption: within a session no turn can be
            told from noise, Stevenson et al. 2011; stable in units followed for 100 days, Fraser & Schwartz 2012).
        day_depth_sd: random walk of the logarithm of its tuning's depth, a day (assumption).
        units_lost: share of the units lost a day (2-5 %, recalled; Dickey et al. 2009 lost 43 % of single units in 7 days,
            recalled, and multi-unit channels outlive single units).
        units_won: share of all channels on which a new unit appears in a day, as long as channels without one are there.
    """

    day: int = 0
    drift_sd: float = 0.4
    drift_min: float = 10.0
    jumps_per_hour: float = 0.5
    jump_sd: float = 0.1
    day_rate_sd: float = 0.15
    day_array_sd: float = 0.1
    day_turn_deg: float = 5.0
    day_depth_sd: float = 0.05
    units_lost: float = 0.035
    units_won: float = 0.035

    def __post_init__(self) -> None:
        """Refuse what is not a change.

        Raises:
            ConfigError: a day or spread is negative, a share outside 0..1.
        """
        if not 0 <= self.day <= _MOST_DAYS:
            raise ConfigError(f"person: day must be 0..{_MOST_DAYS}, got {self.day}")
        if not -math.inf < self.drift_sd < math.inf:
            raise ConfigError(f"person: drift_sd must be finite (negative: as fitted), got {self.drift_sd}")
        if not 0 < self.drift_min < math.inf:
            raise ConfigError(f"person: drift_min must be positive, got {self.drift_min}")
        for name in ("jumps_per_hour", "jump_sd", "day_rate_sd", "day_array_sd", "day_turn_deg", "day_depth_sd"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"person: {name} must not be negative, got {getattr(self, name)}")
        for name in ("units_lost", "units_won"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"person: {name} must be 0..1, got {getattr(self, name)}")


def later(units: Units, preset: Preset, config: InstabilityConfig, rng: np.random.Generator) -> Units:
    """The same channels `config.day` days later.

    Day d is day d - 1 and one step more, with its own random numbers: no day depends on how far one looks ahead.
    """
    for step in rng.spawn(config.day):
        units = _next_day(units, preset, config, step)
    return units


def _next_day(units: Units, preset: Preset, config: InstabilityConfig, rng: np.random.Generator) -> Units:
    n, axes = units.velocity.shape
    there = units.log_rate > _SILENT / 2
    rate = units.log_rate + config.day_rate_sd * rng.standard_normal(n) + config.day_array_sd * rng.standard_normal()
    depth = np.exp(config.day_depth_sd * rng.standard_normal(n))[:, None]
    turn = math.tan(min(math.radians(config.day_turn_deg), 1.5))
    velocity = depth * _turned(units.velocity, turn * rng.standard_normal((n, axes)))
    position = depth * _turned(units.position, turn * rng.standard_normal((n, axes)))
    lost = there & (rng.random(n) < config.units_lost)
    empty = ~there | lost
    chance = min(1.0, config.units_won * n / max(1, int(empty.sum())))
    won = empty & (rng.random(n) < chance)
    fresh = preset.draw(n, axes, rng)
    # A channel that is to be filled on the day it lost its unit has exchanged it.
    rate = np.where(won, fresh.log_rate, np.where(empty, _SILENT, rate))
    column = won[:, None]
    return replace(
        units,
        log_rate=rate,
        velocity=np.where(column, fresh.velocity, velocity),
        speed=np.where(won, fresh.speed, depth[:, 0] * units.speed),
        position=np.where(column, fresh.position, position),
        loading=np.where(column, fresh.loading, units.loading),
        regularity=np.where(won, fresh.regularity, units.regularity),
        own_variance=np.where(won, fresh.own_variance, units.own_variance),
    )


def _turned(vectors: Float64, by: Float64) -> Float64:
    """Vectors turned by small random steps across their length, which stays; `by` in radians along each axis."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    along = vectors / np.maximum(length, 1e-12)
    across = by - along * (along * by).sum(axis=1, keepdims=True)
    moved = along + across
    return np.asarray(length * moved / np.linalg.norm(moved, axis=1, keepdims=True))


class Drift:
    """Log-rates that wander within a session, Ornstein-Uhlenbeck from 0 on, and shifts of the array.

    Attributes:
        log_rate: `[channels]` what is to be added to the log-rates now; its exponential has mean 1 but for the shifts.
    """

    def __init__(
        self, config: InstabilityConfig, preset: Preset, channels: int, bin_ns: int, rng: np.random.Generator
    ) -> None:
        fitted = config.drift_sd < 0
        self._sd = preset.drift_sd if fitted else config.drift_sd
        minutes = preset.drift_min if fitted else config.drift_min
        self._every = max(1, round(_REFRESH_S * NS_PER_S / bin_ns))
        dt_s = self._every * bin_ns / NS_PER_S
        self._keep = math.exp(-dt_s / (60.0 * minutes))
        self._jump = -math.expm1(-config.jumps_per_hour * dt_s / 3600.0)
        self._jump_sd = config.jump_sd
        self._rng = rng
        self._wander: Float64 = np.zeros(channels)
        self._shift: Float64 = np.zeros(channels)
        self._variance = 0.0
        self._bins = 0
        self.log_rate: Float64 = np.zeros(channels)
        self._still = self._sd == 0 and (self._jump == 0 or self._jump_sd == 0)

    def step(self) -> bool:
        """One bin; tells whether `log_rate` is new."""
        self._bins += 1
        if self._still or self._bins % self._every:
            return False
        keep, n = self._keep, len(self._wander)
        self._wander = keep * self._wander + self._sd * math.sqrt(1 - keep**2) * self._rng.standard_normal(n)
        self._variance = keep**2 * self._variance + (1 - keep**2) * self._sd**2
        if self._rng.random() < self._jump:
            self._shift = self._shift + self._jump_sd * (self._rng.standard_normal() + self._rng.standard_normal(n))
        self.log_rate = self._wander - self._variance / 2 + self._shift
        return True
