"""Control: smooth random movement that knows nothing of the brain.

Each intent is an Ornstein-Uhlenbeck process (Uhlenbeck and Ornstein 1930), v_t = a v_{t-1} + sqrt(1 - a^2) sigma e_t with
a = exp(-bin / time constant), e_t standard normal: about as fast and smooth as a person's reaching, and independent of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.decoder._sequence import by_steps, history, inputs
from volition.errors import ConfigError
from volition.signal import Bool, Float32, Float64
from volition.stage import Port, Setup, Spec


@dataclass(frozen=True)
class RandomConfig:
    """How it moves.

    Attributes:
        share: standard deviation of each velocity as a share of the effector's `max_speed`.
        time_constant_ms: how long a movement keeps its direction, ms; reaches last some hundred ms.
    """

    share: float = 0.3
    time_constant_ms: float = 200.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not 0 < self.share <= 1:
            raise ConfigError(f"share must lie above 0 and up to 1, got {self.share}")
        if not self.time_constant_ms > 0:
            raise ConfigError(f"time_constant_ms must be positive, got {self.time_constant_ms}")


class Random:
    """The same numbers after every `reset`, so that `predict` is repeated `step`."""

    Config = RandomConfig

    def __init__(self, config: RandomConfig | None = None) -> None:
        self.config = config or RandomConfig()
        self.spec = Spec()
        self.confidence = 0.0
        self._v: Float64 = np.zeros(0)
        self._started = False

    def prepare(self, setup: Setup) -> None:
        """Take the seed and the scale of the run."""
        self._setup = setup
        self._keep = math.exp(-setup.bin_ns / (self.config.time_constant_ms * 1e6))
        # Velocities in the unit of max_speed; what is a probability or a share (unit 1) stays between 0 and 1.
        bounded = np.array([name in ("select", "grasp") or name.startswith("phone.") for name in setup.intent], bool)
        self._sigma = np.where(bounded, self.config.share, self.config.share * setup.max_speed)
        self._low = np.where(bounded, 0.0, -np.inf)
        self._high = np.where(bounded, 1.0, np.inf)
        self.spec = Spec(Port(setup.features, "1/bin"), Port(len(setup.intent), "", setup.intent), setup.bin_ns)
        self.reset()

    def step(self, x: Float32, mask: Bool) -> Float32:
        """The next velocity of the process; the input is not looked at."""
        keep = self._keep if self._started else 0.0  # the first is drawn from the stationary distribution
        self._started = True
        self._v = keep * self._v + math.sqrt(1 - keep**2) * self._sigma * self._rng.standard_normal(len(self._v))
        out: Float32 = np.clip(self._v, self._low, self._high).astype(np.float32)
        return out

    def predict(self, X: NDArray[Any], mask: Bool | None = None, segments: NDArray[Any] | None = None) -> Float32:
        """`[bins, features]` -> `[bins, k]`, as repeated `step`; begins anew at every border."""
        x, _ = inputs(X, mask, self.spec.takes.size)
        self.reset()
        out = by_steps(self, x, None, history(segments, len(x)), len(self._v))
        self.reset()
        return out

    def reset(self) -> None:
        """Begin anew with the first number."""
        self._rng = self._setup.rng("decoder")
        self._v = np.zeros(len(self._setup.intent))
        self._started = False
