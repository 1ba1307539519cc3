"""How intention becomes spikes: channels drawn from a fitted preset, log-linear in what is meant, noisy as recorded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from volition.brain._instability import Drift, InstabilityConfig, later
from volition.brain._preset import LEAST_SPEED, Preset, Units, shipped, unknown
from volition.brain._stepping import SteppingConfig, stride_tuning
from volition.brain._variability import CommonNoise, OwnNoise, Renewal, VariabilityConfig
from volition.errors import ConfigError
from volition.signal import NS_PER_S, Float32, Float64, Spikes
from volition.stage import Setup

_AUTO_UP_TO = 256  # channels: above it no Utah-type system is meant


@dataclass(frozen=True)
class TuningConfig:
    """Constants of the encoding; what differs from array to array is the preset's.

    Attributes:
        channels: recorded channels; 0: as many as the channel stage has.
        preset: "utah_m1", "n1", "auto" (utah_m1 up to 256 channels, n1 above), or a file that `volition calibrate` saved
            (its name ends in .json).
        tuning: depth of the tuning, as a multiple of the fitted one.
        velocity_lead_ms: how long before a movement its velocity is encoded, ms (122: Wang et al. 2007, abstract).
        position_lead_ms: and its position, ms (81: the same). In the loop a plan is carried out at once, so only
            the difference shows: encoded with a velocity is the position that was believed so much earlier.
        click_tuned_fraction: fraction of channels that follow an intended click (assumption).
        click_depth: standard deviation of their log-rate during a click (assumption).
        max_rate_hz: ceiling of any rate, Hz (assumption: half of what a detector with 1 ms dead time can count).
    """

    channels: int = 0
    preset: str = "auto"
    tuning: float = 1.0
    velocity_lead_ms: float = 122.0
    position_lead_ms: float = 81.0
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
        if self.preset != "auto" and not self.preset.endswith(".json") and self.preset not in shipped():
            raise ConfigError(f"person: {unknown(self.preset)}, or a file ending in .json")
        if not 0 <= self.click_tuned_fraction <= 1:
            raise ConfigError(f"person: click_tuned_fraction must be 0..1, got {self.click_tuned_fraction}")
        for name in ("tuning", "click_depth"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"person: {name} must not be negative, got {getattr(self, name)}")
        if not 0 <= self.velocity_lead_ms - self.position_lead_ms <= 1000:
            raise ConfigError(
                "person: velocity_lead_ms must be 0..1000 above position_lead_ms, "
                f"got {self.velocity_lead_ms} and {self.position_lead_ms}"
            )
        if not 0 < self.max_rate_hz <= 1000:
            raise ConfigError(f"person: max_rate_hz must be in (0, 1000], got {self.max_rate_hz}")


@dataclass(frozen=True)
class PopulationConfig(TuningConfig, VariabilityConfig, InstabilityConfig, SteppingConfig):
    """All constants of the neurons."""

    def __post_init__(self) -> None:
        """Check each part.

        Raises:
            ConfigError: as the parts say.
        """
        for part in (TuningConfig, VariabilityConfig, InstabilityConfig, SteppingConfig):
            part.__post_init__(self)


class Population:
    """Channels that fire with the intention.

    With v the intended velocity over the full speed, p the position over the full reach (1 at the nearest border of the
    workspace), c the intended click (0 or 1), z common noise, g own noise, d drift, all per bin of length dt:

        log rate = b + w.v + s |v| + q.p + k c + l.z - |l|²/2 + d (+ stride, where `steps`: see `_stepping`)
        counts   : renewal process with gamma intervals of shape kappa, run at the speed rate g

    Log-linear tuning to velocity, speed and position as in Wang et al. 2007 and Truccolo et al. 2005; gamma-Poisson with
    common latent noise as in Goris et al. 2014. b makes the mean rate during movement like the recorded the one drawn.

    Attributes:
        preset: what the channels were drawn from.
        name: what that is called.
        units: the channels, on this day.
        rest_hz: exp(b), `[channels]`, Hz.
        click: k, `[channels]`.
    """

    def __init__(
        self,
        config: PopulationConfig,
        axes: Sequence[int],
        clicks: bool,
        setup: Setup,
        rng: np.random.Generator,
        preset: Preset | None = None,
        steps: bool = False,
    ) -> None:
        n, k = setup.channels, len(axes)
        who, days, when = rng.spawn(3)  # who they are, how they change, when they fire
        self.name = config.preset if config.preset != "auto" else ("utah_m1" if n <= _AUTO_UP_TO else "n1")
        self.preset = preset or Preset.load(self.name)
        on_click = who.random(n) < config.click_tuned_fraction
        self.click: Float64 = config.click_depth * who.standard_normal(n) * on_click * clicks
        self.units: Units = later(self.preset.draw(n, k, who), self.preset, config, days).scaled(config.tuning)
        common, own, fire, wander = when.spawn(config.day + 1)[-1].spawn(4)  # another day, other noise
        self._common = CommonNoise(self.preset.factor_ms, setup.bin_ns, common)
        loading = config.shared_noise * self.units.loading * self._common.scale
        variance = config.own_noise**2 * self.units.own_variance
        self._own = OwnNoise(variance, self.preset.own_ms, setup.bin_ns, own) if variance.any() else None
        shape = self.units.regularity if config.regular else np.ones(n)
        self._spikes = Renewal(shape, setup.bin_ns, config.refractory_ms, fire)
        self._drift = Drift(config, self.preset, n, setup.bin_ns, wander)
        self._times = config.spike_times
        rest = self.units.log_rate - self.preset.excess(self.units)
        self.rest_hz: Float64 = np.exp(rest)
        dt = setup.bin_ns / NS_PER_S
        self._bias: Float64 = rest - 0.5 * (loading**2).sum(axis=1) + math.log(dt)
        u = self.units
        columns = [u.velocity, u.speed, u.position, self.click, self._bias, loading]
        self._steps = steps and config.gait_depth > 0
        if self._steps:
            columns.append(stride_tuning(n, config.gait_depth, rng.spawn(1)[0]))
        self._matrix: Float32 = np.ascontiguousarray(np.column_stack(columns).T, np.float32)
        self._drive: Float32 = np.ones(len(self._matrix), np.float32)
        self._at_bias, self._per_speed = 2 * k + 2, 1.0 / float(setup.max_speed)
        self._bend = self.preset.exponent - 1.0
        low, high = (np.pad(side, (0, 3))[list(axes)] for side in setup.workspace)
        self._centre = ((low + high) / 2).tolist()
        self._per_reach = 2.0 / float((high - low).max() or 1.0)
        self._log: Float32 = np.empty(n, np.float32)
        self._ceiling = np.float32(math.log(config.max_rate_hz * dt))

    def step(
        self,
        t_ns: int,
        velocity: Sequence[float],
        position: Sequence[float],
        click: float = 0.0,
        stride: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> Spikes:
        """Spikes of one bin, `[channels]`.

        Args:
            t_ns: end of the bin.
            velocity: intended, on the steered axes, m/s.
            position: encoded with it, on the steered axes, m.
            click: intended click, 0 or 1.
            stride: of the legs (`Stride.step`), for a population that steps.
        """
        drive, out, scale, i = self._drive, self._log, self._per_speed, self._at_bias
        if self._drift.step():
            self._matrix[i] = self._bias + self._drift.log_rate
        if self._bend:
            scale *= max(math.hypot(*velocity) * scale, LEAST_SPEED) ** self._bend
        place = ((p - c) * self._per_reach for p, c in zip(position, self._centre, strict=True))
        drive[:i] = [*(v * scale for v in velocity), math.hypot(*velocity) * scale, *place, click]
        end = len(drive) - 3 * self._steps
        drive[i + 1 : end] = self._common.step()
        if self._steps:
            drive[end:] = stride
        np.dot(drive, self._matrix, out=out)
        np.minimum(out, self._ceiling, out=out)
        np.exp(out, out=out)
        if self._own is not None:
            out *= self._own.step()
        if self._times:
            return Spikes(t_ns, *_timed(self._spikes.events(out, t_ns)))
        return Spikes(t_ns, self._spikes.step(out))


def _timed(found: tuple[Any, Any, Any]) -> tuple[Any, int, Any, Any]:
    """Arguments of `Spikes` after its time."""
    counts, channel, times_ns = found
    return counts, 0, channel, times_ns
