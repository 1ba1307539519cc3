"""No feedback: nothing is ever written back."""

from __future__ import annotations

from dataclasses import dataclass

from volition.signal import Stim, Touch
from volition.stage import Port, Setup, Spec


@dataclass(frozen=True)
class SilentConfig:
    """Nothing to configure."""


class Silent:
    """Takes every touch, gives zero on every electrode."""

    Config = SilentConfig

    def __init__(self, config: SilentConfig | None = None) -> None:
        self.config = config or SilentConfig()
        self.spec = Spec()

    def prepare(self, setup: Setup) -> None:
        """Learn how many electrodes there are."""
        self.spec = Spec(takes=Port(setup.taxels, "N"), gives=Port(setup.electrodes, "uA"))

    def step(self, touch: Touch) -> Stim:
        """Zero, `[electrodes]`."""
        return Stim.zero(touch.t_ns, self.spec.gives.size)
