"""Motor cortex in step with the legs: channels that are modulated by the phase of the stride while the legs go.

Nearly every cell of layer V in the cat's motor cortex fires in the rhythm of its steps, most with one burst a stride, and
the depth changes with what walking asks for (Beloozerova et al. 2010, J Neurophysiol 103 2285; Farrell et al. 2015,
J Neurophysiol 114 2682). Hundreds of neurons of walking macaques carry it, too (Fitzsimmons et al. 2009, Front Integr
Neurosci 3:3). That a person whose legs are a machine's has some of it is an assumption. The rhythm is the machine's; a
person knows of it what is seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from volition.errors import ConfigError
from volition.signal import BodyState, Float64

_BODY = 15  # heading, pitch and roll of the trunk, and six joints a leg
_HIPS = 5, 11  # hip pitch of the left and of the right leg among them
_FULL_RAD = 0.3  # amplitude of the hips' difference at which the modulation is whole (assumption: slow walking has it)
_FORGETS_S = 0.5
_DEEPEST = 0.95


@dataclass(frozen=True)
class SteppingConfig:
    """Constants of the modulation.

    Attributes:
        gait_depth: mean over channels of how deep the rate is modulated over a stride, (highest - lowest) / highest, 0..1;
            one channel has 0 to twice as much (0.4: assumption, half of what walking cats have at most); 0: none.
    """

    gait_depth: float = 0.4

    def __post_init__(self) -> None:
        """Refuse what is no depth.

        Raises:
            ConfigError: it lies outside 0..1.
        """
        if not 0 <= self.gait_depth <= 1:
            raise ConfigError(f"person: gait_depth must be 0..1, got {self.gait_depth}")


def stride_tuning(n: int, depth: float, rng: np.random.Generator) -> Float64:
    """What channels add to their log-rate over a stride, `[n, 3]`: per g cos phase, per g sin phase, per g².

        log rate += g k cos(phase - own phase) - g² log I0(k),    k = -log(1 - own depth) / 2

    The last term keeps the mean over a stride what intention makes it (I0: Bessel function; g 0..1: how much the legs go).
    """
    own = np.minimum(depth * rng.uniform(0.0, 2.0, n), _DEEPEST)
    k, phase = -0.5 * np.log1p(-own), rng.uniform(0.0, 2 * math.pi, n)
    return np.column_stack((k * np.cos(phase), k * np.sin(phase), -np.log(np.i0(k))))


class Stride:
    """Phase of the stride and how much the legs go, from a body as it is seen.

    With s the left hip's flexion less the right one's about its mean and w its angular frequency, both followed over half
    a second: `phase = atan2(-s' / w, s)`, `g = min(1, sqrt(2 E s²) / 0.3 rad)`. A body without two legs of six joints has
    none.

    Args:
        dt: width of a bin, s.
    """

    def __init__(self, dt: float) -> None:
        self._fresh = 1.0 - math.exp(-dt / _FORGETS_S)
        self._mean: float | None = None
        self._spread = self._rate = 0.0

    def step(self, body: BodyState) -> tuple[float, float, float]:
        """The next bin: g cos phase, g sin phase, g²."""
        if body.joint_position.size != _BODY or body.joint_velocity.size != _BODY:
            return 0.0, 0.0, 0.0
        left, right = _HIPS
        s = float(body.joint_position[left] - body.joint_position[right])
        v = float(body.joint_velocity[left] - body.joint_velocity[right])
        self._mean = s if self._mean is None else self._mean + self._fresh * (s - self._mean)
        s -= self._mean
        self._spread += self._fresh * (s * s - self._spread)
        self._rate += self._fresh * (v * v - self._rate)
        if self._spread < 1e-6 or self._rate < 1e-6:
            return 0.0, 0.0, 0.0
        v *= math.sqrt(self._spread / self._rate)
        g = min(1.0, math.sqrt(2 * self._spread) / _FULL_RAD)
        share = g / (math.hypot(s, v) or 1.0)
        return share * s, -share * v, g * g
