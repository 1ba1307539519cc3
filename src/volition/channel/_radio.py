"""A radio link in simulated time: serialisation, latency, jitter, loss in bursts, bit errors, packets that overtake.

A packet of L bits, handed over at t, starts when the transmitter is free, and arrives at

    start + L / rate + latency + |N(0, jitter)|

unless it is lost. Loss follows Gilbert's two-state model (Gilbert 1960, Bell Syst Tech J 39:1253): stationary share `loss`,
mean run of `burst_packets`. What would have to wait longer than `queue_ms` is dropped at once: nothing piles up.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np

from volition.errors import ConfigError
from volition.signal import NS_PER_MS, NS_PER_S

_IN_FLIGHT = 4096
"""Packets on the way at most: a link that nobody reads from forgets the oldest."""


@dataclass(frozen=True)
class RadioConfig:
    """How bad the link is.

    Attributes:
        rate_bit_s: bits a second (1e6: Neuralink's compression challenge of 2024).
        latency_ms: least time from the last bit sent to the packet handed out, ms (assumption).
        jitter_ms: root mean square of what is added to it, ms.
        loss: share of packets that never arrive.
        burst_packets: mean length of a run of lost packets; up to 1 / (1 - loss) each packet has its own luck.
        bit_error: chance that a bit of an arriving packet is wrong.
        queue_ms: longest wait for the transmitter, ms; what would wait longer is dropped.
        overtake: whether a packet may arrive before an earlier one.
    """

    rate_bit_s: float = 1e6
    latency_ms: float = 2.0
    jitter_ms: float = 5.0
    loss: float = 0.01
    burst_packets: float = 1.0
    bit_error: float = 0.0
    queue_ms: float = 10.0
    overtake: bool = True

    def __post_init__(self) -> None:
        """Refuse what is no link.

        Raises:
            ConfigError: no rate, a negative time, a share outside 0..1.
        """
        if not 0 < self.rate_bit_s < math.inf:
            raise ConfigError(f"radio: rate_bit_s must be positive, got {self.rate_bit_s}")
        for name in ("latency_ms", "jitter_ms", "queue_ms"):
            if not 0 <= getattr(self, name) <= 10_000:
                raise ConfigError(f"radio: {name} must be 0..10000, got {getattr(self, name)}")
        for name in ("loss", "bit_error"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"radio: {name} must be 0..1, got {getattr(self, name)}")
        if not 1 <= self.burst_packets < math.inf:
            raise ConfigError(f"radio: burst_packets must be 1 or more, got {self.burst_packets}")


class Radio:
    """One direction of a link.

    Attributes:
        sent: packets handed over.
        sent_bits: bits transmitted (not those of dropped packets).
        dropped: packets for which the transmitter was not free in time, or that nobody fetched.
        lost: packets that never arrive.
        damaged: packets that arrive with wrong bits.
    """

    def __init__(self, config: RadioConfig, rng: np.random.Generator) -> None:
        self._config = config
        self._rng = rng
        self._free_ns = self._last_ns = 0
        self._flying: list[tuple[int, int, bytes]] = []
        self._bad = False
        c = config
        stay = max(c.loss, 1 - 1 / c.burst_packets)
        self._to_bad = min(1.0, c.loss * (1 - stay) / (1 - c.loss)) if c.loss < 1 else 1.0
        self._stay_bad = stay
        self.sent = self.sent_bits = self.dropped = self.lost = self.damaged = 0

    @property
    def in_flight(self) -> int:
        """Packets that have not been fetched yet."""
        return len(self._flying)

    def send(self, data: bytes, t_ns: int) -> bool:
        """Hand a packet over at `t_ns`; False where it was dropped."""
        c = self._config
        number, self.sent = self.sent, self.sent + 1
        luck, wobble = self._rng.random(), abs(float(self._rng.standard_normal()))
        start = max(t_ns, self._free_ns)
        if start - t_ns > c.queue_ms * NS_PER_MS:
            self.dropped += 1
            return False
        self.sent_bits += 8 * len(data)
        self._free_ns = start + round(8 * len(data) * NS_PER_S / c.rate_bit_s)
        self._bad = luck < (self._stay_bad if self._bad else self._to_bad)
        if self._bad:
            self.lost += 1
            return True
        arrival = self._free_ns + round((c.latency_ms + c.jitter_ms * wobble) * NS_PER_MS)
        if not c.overtake:
            self._last_ns = arrival = max(arrival, self._last_ns)
        heapq.heappush(self._flying, (arrival, number, self._noisy(data) if c.bit_error else data))
        if len(self._flying) > _IN_FLIGHT:
            heapq.heappop(self._flying)
            self.dropped += 1
        return True

    def receive(self, now_ns: int) -> list[tuple[int, bytes]]:
        """What has arrived by `now_ns` and was not fetched yet: time and bytes, by time of arrival."""
        out = []
        while self._flying and self._flying[0][0] <= now_ns:
            arrival, _, data = heapq.heappop(self._flying)
            out.append((arrival, data))
        return out

    def _noisy(self, data: bytes) -> bytes:
        bits = np.unpackbits(np.frombuffer(data, np.uint8))
        wrong = self._rng.random(len(bits)) < self._config.bit_error
        self.damaged += bool(wrong.any())
        return np.packbits(bits ^ wrong).tobytes()
