"""Implant of 64 threads with 16 electrodes (N1 class), radio link, at the level of counts: dead threads, lost packets.

Counts leave the implant in packets of neighbouring channels (binned counts of all channels are one of the published modes:
US patent 12,369,863 B2). A packet may be lost, or come late or out of order and be dropped: its channels are missing in that
bin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from volition.channel._counts import CountChannel, StimulatorConfig, check_fractions
from volition.errors import ConfigError
from volition.signal import Bool

_THREADS, _PER_THREAD = 64, 16
_CHANNELS = _THREADS * _PER_THREAD
_SITE_UM2 = 336.0  # 14 x 24 µm, recalled from the literature


@dataclass(frozen=True)
class Thread1024Config(StimulatorConfig):
    """Losses of a wireless implant.

    Stimulation: 64 electrodes, one site of each thread (assumption: no published device of this kind stimulates yet).

    Attributes:
        dead_thread_fraction: threads that have left the tissue, drawn for each run (assumption: 2 of 64; the first human
            implant lost far more).
        dead_fraction: further electrodes that are dead (0.016: share of N1 recordings that stick or saturate).
        packet_channels: channels in one packet (256: one chip of Musk & Neuralink 2019, J Med Internet Res 21 e16194).
        lost_probability: chance that a packet never comes (assumption).
        late_probability: chance that it comes late or out of order and is dropped (assumption).
    """

    dead_thread_fraction: float = 2 / 64
    dead_fraction: float = 0.016
    packet_channels: int = 256
    lost_probability: float = 0.005
    late_probability: float = 0.002

    def __post_init__(self) -> None:
        """Refuse impossible losses.

        Raises:
            ConfigError: a fraction outside 0..1, packets that do not divide 1024 channels, or as the stimulator says.
        """
        super().__post_init__()
        check_fractions(self, "dead_thread_fraction", "dead_fraction", "lost_probability", "late_probability")
        if self.lost_probability + self.late_probability > 1:
            raise ConfigError("thread1024: lost_probability + late_probability must not exceed 1")
        if self.packet_channels < 1 or _CHANNELS % self.packet_channels:
            raise ConfigError(f"thread1024: packet_channels must divide {_CHANNELS}, got {self.packet_channels}")


class Thread1024(CountChannel):
    """Several packets a bin, each with its own luck."""

    Config = Thread1024Config

    def __init__(self, config: Thread1024Config | None = None) -> None:
        self.config = config or Thread1024Config()
        super().__init__(self.config, _CHANNELS, _SITE_UM2)
        self._packets = _CHANNELS // self.config.packet_channels

    def _draw_dead(self, rng: np.random.Generator) -> Bool:
        threads = rng.permutation(_THREADS) < round(self.config.dead_thread_fraction * _THREADS)
        single = rng.permutation(_CHANNELS) < round(self.config.dead_fraction * _CHANNELS)
        return np.repeat(threads, _PER_THREAD) | single

    def _lost(self, rng: np.random.Generator) -> Bool | None:
        luck = rng.random(self._packets)
        missing = luck < self.config.lost_probability + self.config.late_probability
        if not missing.any():
            return None
        lost = int((luck < self.config.lost_probability).sum())
        self.lost_packets += lost
        self.late_packets += int(missing.sum()) - lost
        return np.repeat(missing, self.config.packet_channels)
