"""Control: never moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.decoder._sequence import inputs
from volition.signal import Bool, Float32
from volition.stage import Port, Setup, Spec


@dataclass(frozen=True)
class StillConfig:
    """Nothing to choose."""


class Still:
    """All intents zero, whatever comes in: what a task gives for doing nothing."""

    Config = StillConfig

    def __init__(self, config: StillConfig | None = None) -> None:
        self.config = config or StillConfig()
        self.spec = Spec()
        self.confidence = 0.0

    def prepare(self, setup: Setup) -> None:
        """Sizes."""
        self.spec = Spec(Port(setup.features, "1/bin"), Port(len(setup.intent), "", setup.intent), setup.bin_ns)

    def step(self, x: Float32, mask: Bool) -> Float32:
        """Zeros."""
        return np.zeros(self.spec.gives.size, np.float32)

    def predict(self, X: NDArray[Any], mask: Bool | None = None, segments: NDArray[Any] | None = None) -> Float32:
        """Zeros, `[bins, k]`."""
        x, _ = inputs(X, mask, self.spec.takes.size)
        return np.zeros((len(x), self.spec.gives.size), np.float32)

    def reset(self) -> None:
        """There is nothing to forget."""
