"""Implant of 1,024 channels behind a narrow radio: counts become frames that are delayed, lost, doubled and reordered.

Each bin's counts go out as one small frame (`_telemetry_counts.py`), several times a few milliseconds apart. The receiver
waits `playout_ms` after the end of a bin, then hands out its counts, or masks all of it.

Why copies within the wait, and not the last bin's counts in the next frame: those come a bin too late. The simulated person
turns within a bin, so that one bin of delay costs the decoder far more accuracy than 1 % of lost bins (see
`volition bench radio`), and what has been decoded is not decoded again. A late bin is therefore dropped and counted.

The wait is part of the bin's own processing time, as are the computing times of all stages in lockstep: what is
left of it after whole bins is not seen as delay. A live receiver adds all of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from volition.channel._counts import CountChannel, StimulatorConfig, check_fractions
from volition.channel._radio import Radio, RadioConfig
from volition.channel._telemetry import Frame, Mode, encode_frame
from volition.channel._telemetry_counts import decode_counts, encode_counts
from volition.channel._telemetry_receiver import Receiver
from volition.errors import ConfigError, InputError
from volition.signal import NS_PER_MS, NS_PER_S, Bool, Broadband, Features, Spikes
from volition.stage import Setup

_CHANNELS = 1024
_SITE_UM2 = 336.0  # 14 x 24 µm, recalled from the literature


@dataclass(frozen=True)
class Radio1024Config(StimulatorConfig):
    """The implant's frames and their way.

    Attributes:
        dead_fraction: electrodes that are dead (0.016: share of N1 recordings that stick or saturate).
        copies: how often each frame is sent.
        spacing_ms: time from one copy to the next, ms.
        playout_ms: how long after the end of a bin the receiver waits for it, ms.
        rate_bit_s: the link's bits a second (1e6: Neuralink's compression challenge of 2024).
        latency_ms: its least latency, ms (assumption).
        jitter_ms: root mean square of what is added to it, ms.
        loss: share of packets that never arrive.
        burst_packets: mean length of a run of lost packets (1: each has its own luck).
        bit_error: chance that a bit of an arriving packet is wrong.
        queue_ms: longest wait for the transmitter, ms; what would wait longer is dropped.
        overtake: whether a packet may arrive before an earlier one.
    """

    dead_fraction: float = 0.016
    copies: int = 2
    spacing_ms: float = 4.0
    playout_ms: float = 15.0
    rate_bit_s: float = RadioConfig.rate_bit_s
    latency_ms: float = RadioConfig.latency_ms
    jitter_ms: float = RadioConfig.jitter_ms
    loss: float = RadioConfig.loss
    burst_packets: float = RadioConfig.burst_packets
    bit_error: float = RadioConfig.bit_error
    queue_ms: float = RadioConfig.queue_ms
    overtake: bool = RadioConfig.overtake

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ConfigError: a value out of range, or as the stimulator and the radio say.
        """
        super().__post_init__()
        check_fractions(self, "dead_fraction")
        if not 1 <= self.copies <= 8:
            raise ConfigError(f"radio1024: copies must be 1..8, got {self.copies}")
        for name in ("spacing_ms", "playout_ms"):
            if not 0 <= getattr(self, name) <= 500:
                raise ConfigError(f"radio1024: {name} must be 0..500, got {getattr(self, name)}")
        self.radio()

    def radio(self) -> RadioConfig:
        """The link's part."""
        return RadioConfig(**{name: getattr(self, name) for name in RadioConfig.__dataclass_fields__})


class Radio1024(CountChannel):
    """Counts -> frames -> radio -> receiver -> features.

    Attributes:
        radio: the link and its counters (after `prepare`).
        receiver: the receiving end and its counters (after `prepare`).
    """

    Config = Radio1024Config
    radio: Radio
    receiver: Receiver

    def __init__(self, config: Radio1024Config | None = None) -> None:
        self.config = config or Radio1024Config()
        super().__init__(self.config, _CHANNELS, _SITE_UM2)

    @property
    def bit_rate(self) -> float:
        """Bits a second sent since `prepare`, headers and copies counted."""
        return self.radio.sent_bits / self._bins * NS_PER_S / self._bin_ns if self._bins else 0.0

    def prepare(self, setup: Setup) -> None:
        """A new link, nothing on the way.

        Raises:
            ConfigError: the brain gives another number of channels, or the copies of a frame last longer than a bin.
        """
        super().prepare(setup)
        config, self._bin_ns = self.config, setup.bin_ns
        if (config.copies - 1) * config.spacing_ms * NS_PER_MS >= setup.bin_ns:
            raise ConfigError(
                f"radio1024: {config.copies} copies {config.spacing_ms:g} ms apart take longer than a bin; lower spacing_ms"
            )
        self.radio = Radio(config.radio(), setup.rng("radio"))
        self.receiver = Receiver(setup.bin_ns)
        self._delay_ns = int(config.playout_ms * NS_PER_MS) // setup.bin_ns * setup.bin_ns
        self._bins = 0
        self._segment: int | None = None
        self._nothing = np.full(_CHANNELS, np.nan, np.float32)
        self._all_missing = np.ones(_CHANNELS, np.bool_)
        for array in (self._nothing, self._all_missing):
            array.flags.writeable = False

    def read(self, signal: Spikes | Broadband) -> Features:
        """Counts of the bin whose wait ends now, all masked where it did not come in time.

        Raises:
            ConfigError: the brain gives voltage; this channel takes counts.
            InputError: the number of channels changed.
        """
        if isinstance(signal, Broadband):
            raise ConfigError("radio1024 takes spike counts, the brain gives voltage; use channel n1")
        if signal.counts.shape != (_CHANNELS,):
            raise InputError(f"radio1024: counts of shape {signal.counts.shape}, expected ({_CHANNELS},)")
        config, now = self.config, signal.t_ns
        self._now_ns = now
        self.gate.poll(now)
        data = encode_frame(Frame(Mode.COUNTS, self._bins, now, encode_counts(signal.counts, signal.segment)))
        self._bins += 1
        for copy in range(config.copies):
            self.radio.send(data, now + round(copy * config.spacing_ms * NS_PER_MS))
        due = now - self._delay_ns
        for arrival, packet in self.radio.receive(due + round(config.playout_ms * NS_PER_MS)):
            self.receiver.push(packet, arrival)
        return self._take(due, signal.segment)

    def _take(self, t_ns: int, segment: int) -> Features:
        receiver = self.receiver
        frame = receiver.take(t_ns)
        self.lost_packets, self.late_packets = receiver.lost, receiver.late
        if self._segment is None:
            self._segment = segment
        if frame is None:
            return Features(t_ns, self._nothing, self._all_missing, self._segment)
        counts, self._segment = decode_counts(frame.payload, _CHANNELS)
        x = counts.astype(np.float32)
        if self._any_dead:
            x[self.dead_channels] = np.nan
        return Features(t_ns, x, self.dead_channels, self._segment)

    def _draw_dead(self, rng: np.random.Generator) -> Bool:
        dead = np.zeros(_CHANNELS, np.bool_)
        dead[rng.permutation(_CHANNELS)[: round(self.config.dead_fraction * _CHANNELS)]] = True
        return dead

    def _lost(self, rng: np.random.Generator) -> Bool | None:
        return None
