"""Ideal implant: any number of channels, all alive, nothing lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from volition.channel._counts import CountChannel, StimulatorConfig
from volition.signal import Bool


@dataclass(frozen=True)
class IdealConfig(StimulatorConfig):
    """Only the stimulator can be configured (64 electrodes, as the real channels have; their area is not known)."""


class Ideal(CountChannel):
    """Every count arrives."""

    Config = IdealConfig

    def __init__(self, config: IdealConfig | None = None) -> None:
        self.config = config or IdealConfig()
        super().__init__(self.config)

    def _draw_dead(self, rng: np.random.Generator) -> Bool:
        return np.zeros(self._channels, np.bool_)

    def _lost(self, rng: np.random.Generator) -> Bool | None:
        return None
