"""Utah array of 96 electrodes on a wire, at the level of counts: some dead, a bin rarely lost.

One 10 x 10 array without its corners, 4 x 4 mm at 400 µm pitch, as BrainGate implants it (Hochberg et al. 2006, Nature 442
164).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from volition.channel._counts import CountChannel, StimulatorConfig, check_fractions
from volition.signal import Bool

_CHANNELS = 96
_SITE_UM2 = 2000.0  # geometric area of a sputtered iridium oxide tip, recalled from the literature


@dataclass(frozen=True)
class Utah96Config(StimulatorConfig):
    """Losses of a wired array.

    Stimulation: 64 electrodes, two arrays of 32 in area 1 (Flesher et al. 2016, Sci Transl Med 8 361ra141).

    Attributes:
        dead_fraction: electrodes without any signal, drawn for each run (assumption; after 1000 days BrainGate saw
            spikes on 41 of 96: Simeral et al. 2011, J Neural Eng 8 025027, but a quiet electrode is not a dead one).
        lost_bin_probability: chance that a whole bin does not arrive (assumption: a wire loses next to nothing).
    """

    dead_fraction: float = 0.05
    lost_bin_probability: float = 1e-4

    def __post_init__(self) -> None:
        """Refuse impossible losses.

        Raises:
            ConfigError: a value outside 0..1, or as the stimulator says.
        """
        super().__post_init__()
        check_fractions(self, "dead_fraction", "lost_bin_probability")


class Utah96(CountChannel):
    """A bin is one packet: it arrives whole or not at all."""

    Config = Utah96Config

    def __init__(self, config: Utah96Config | None = None) -> None:
        self.config = config or Utah96Config()
        super().__init__(self.config, _CHANNELS, _SITE_UM2)

    def _draw_dead(self, rng: np.random.Generator) -> Bool:
        dead = np.zeros(_CHANNELS, np.bool_)
        dead[rng.permutation(_CHANNELS)[: round(self.config.dead_fraction * _CHANNELS)]] = True
        return dead

    def _lost(self, rng: np.random.Generator) -> Bool | None:
        if rng.random() >= self.config.lost_bin_probability:
            return None
        self.lost_packets += 1
        return np.ones(_CHANNELS, np.bool_)
