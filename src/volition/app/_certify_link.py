"""Between the source of voltage and the loop of `volition certify`: what is sent, the clock, and the channel that listens.

    source process                                    loop process
    voltage of bin k, chunk by chunk, each   -ring->  front end, chunk by chunk, as they come
    given away when its last sample is due            after the last chunk: decoder, body, feedback, gate
    spikes and artefacts of bin k + 1        <-ring-  the simulated person's spikes for the coming bin

Samples are counted from the implant's start, the same number on both sides; the number of a chunk's first sample travels
with it, so that what was lost is known to the sample.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.channel._frontend import Bin
from volition.channel._frontend_design import BinClock
from volition.channel.n1 import N1, N1Config
from volition.io.shm import RingReader, RingWriter
from volition.loop.latency import Latency
from volition.signal import Broadband, EndOfInput, Features, Spikes
from volition.stage import Setup

SPIN_NS = 200_000  # before an awaited moment: sleep overshoots by about this much
_PULSES = 8  # per electrode and bin: 300 Hz, the fastest the gate lets through, is six in 20 ms


def mail_rows(channels: int, electrodes: int) -> int:
    """Rows of a message: the counts, then the artefacts."""
    return 1 + -(-(1 + 3 * electrodes * _PULSES) // channels)


def pack(counts: NDArray[Any], pulses: list[tuple[int, int, int]], rows: int) -> NDArray[np.int32]:
    """Counts of a bin and its pulses (sample from the bin's start, recording channel, nA) as one message."""
    message = np.zeros((rows, counts.size), np.int32)
    message[0] = counts
    rest = message[1:].reshape(-1)
    pulses = pulses[: (rest.size - 1) // 3]
    rest[0] = len(pulses)
    rest[1 : 1 + 3 * len(pulses)] = np.array(pulses, np.int32).reshape(-1)
    return message


def unpack(message: NDArray[np.int32]) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    """Counts, and pulses `[n, 3]`."""
    rest = message[1:].reshape(-1)
    return message[0].astype(np.uint16), rest[1 : 1 + 3 * int(rest[0])].reshape(-1, 3)


@contextmanager
def undisturbed(realtime: bool) -> Iterator[str]:
    """No garbage collection, and where asked for and allowed real-time priority; says which it is."""
    said = "Usual priority"
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        if realtime:
            try:
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
                said = "Real-time priority (SCHED_FIFO 1)"
            except (AttributeError, OSError):
                said = "Usual priority (real-time priority was asked for, the system refused)"
        yield said
    finally:
        if said.startswith("Real"):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        gc.enable()
        gc.unfreeze()


class Wire:
    """When which sample is due on the host's clock.

    Args:
        fs: sampling rate, Hz.
        bin_ns: width of a bin.
        first: number of the first bin that is sent.
    """

    def __init__(self, fs: float, bin_ns: int, first: int) -> None:
        self.fs, self.bin_ns, self.first = fs, bin_ns, first
        self.clock = BinClock(fs, bin_ns)
        self.origin_ns = 0  # when the bin `first` begins

    def bin_ends_ns(self, k: int) -> int:
        """When the last sample of bin `k` exists."""
        return self.origin_ns + (k + 1 - self.first) * self.bin_ns

    def due_ns(self, k: int, sample: int) -> int:
        """When the samples of bin `k` up to, not including, `sample` exist."""
        a, b = self.clock.edge(k), self.clock.edge(k + 1)
        return self.bin_ends_ns(k - 1) + (sample - a) * self.bin_ns // (b - a)


class PacedClock:
    """The real clock of `volition certify`: while the loop waits for a bin to end, its chunks are filtered as they come.

    Late by more than `max_lag_ms`, whole bins are given up and counted (`dropped_ns`), so that ticks and bins stay aligned.
    """

    def __init__(self, channel: LiveN1, max_lag_ms: float) -> None:
        self.dropped_ns = 0
        self._channel, self._wire = channel, channel.wire
        self._origin_ns = channel.wire.bin_ends_ns(channel.wire.first)  # the first tick decodes the first bin
        self._max_lag_ns = int(max_lag_ms * 1e6)

    def wait(self, t_ns: int) -> None:
        """Return when the run's clock has reached `t_ns`."""
        behind = self.lag_ns(t_ns)
        if behind > self._max_lag_ns:
            skipped = -(-behind // self._wire.bin_ns) * self._wire.bin_ns
            self._origin_ns += skipped
            self.dropped_ns += skipped
        target = self._origin_ns + t_ns
        self._channel.target = self._wire.first + (target - self._wire.origin_ns) // self._wire.bin_ns - 1
        while (ahead := target - time.monotonic_ns()) > SPIN_NS:
            if not self._channel.pump():
                until = min(ahead - SPIN_NS, max(50_000, self._channel.next_ns() - time.monotonic_ns()))
                time.sleep(until / 1e9)
        while time.monotonic_ns() < target:
            pass

    def lag_ns(self, t_ns: int) -> int:
        """Time since the run's clock passed `t_ns`: since the last sample of its bin, where one ends there."""
        return time.monotonic_ns() - self._origin_ns - t_ns


class LiveN1(N1):
    """The implant `n1` whose electrodes live in another process, in real time.

    Attributes:
        wire: when which sample is due.
        target: the bin that the present tick is about.
        filtering: durations of the front end's calls, a chunk each.
        lateness: how long after its last sample was due a chunk was there to be read.
        gaps: samples that never came.
    """

    def __init__(self, config: N1Config, chunks: int) -> None:
        super().__init__(config)
        self._chunks = chunks
        self.target = self.gaps = 0
        self.filtering, self.lateness = Latency(), Latency()

    def prepare(self, setup: Setup) -> None:
        """As the source prepares its own: electrodes and warm front end in equal states; the source has the electrodes."""
        super().prepare(setup)
        self.wire = Wire(self.config.sampling_hz, setup.bin_ns, self._front.bin)
        self._electrodes = self  # type: ignore[assignment]
        self._pulse_list: list[tuple[int, int, int]] = []
        self._newest: Bin | None = None
        self._last = np.zeros((1, setup.channels), np.int16)

    def connect(self, voltage: RingReader, mail: RingWriter, origin_ns: int) -> None:
        """Begin: bin `wire.first` begins at `origin_ns`."""
        self._ring, self._mail = voltage, mail
        self.wire.origin_ns = origin_ns

    def stimulate(self, sample: int, channel: NDArray[np.int64], amplitude_ua: NDArray[np.float64]) -> None:
        """What the electrodes are told of pulses, kept for the source."""
        first = self._clock.edge(self._front.bin)
        self._pulse_list += [(sample - first, int(c), round(1e3 * a)) for c, a in zip(channel, amplitude_ua, strict=True)]

    def next_ns(self) -> int:
        """When the next chunk is due."""
        k, a = self._front.bin, self._front.sample
        first, stop = self._clock.edge(k), self._clock.edge(k + 1)
        j = -(-(a - first) * self._chunks // (stop - first)) + 1
        return self.wire.due_ns(k, first + (stop - first) * j // self._chunks)

    def pump(self) -> bool:
        """Filter the next chunk if one is there."""
        chunk = self._ring.read()
        if chunk is None:
            return False
        if chunk.t_ns > self._front.sample:
            self._bridge(chunk.t_ns)
        k = self._front.bin
        start = time.perf_counter_ns()
        done = self._front.process(chunk.samples)
        self.filtering.add(time.perf_counter_ns() - start)
        self.lateness.add(chunk.sent_ns - self.wire.due_ns(k, chunk.t_ns + len(chunk.samples)))
        self._last = chunk.samples[-1:]
        if done:
            self._newest = done[-1]
        return True

    def _bridge(self, stop: int) -> None:
        """Over samples that never came the input is held, as around a stimulation pulse: the filters see a constant."""
        self.gaps += stop - self._front.sample
        while self._front.sample < stop:
            rows = min(stop - self._front.sample, 600)
            start = self._front.sample
            self._front.hold(np.arange(start, start + rows, 10))
            self._front.process(np.repeat(self._last, rows, 0))

    def read(self, signal: Spikes | Broadband) -> Features:
        """Features of the bin that has just ended; what the brain gives is sent to the source for the coming one.

        Raises:
            EndOfInput: the source is gone.
        """
        flowing = self.gate.poll(signal.t_ns)
        self._now_ns = signal.t_ns
        self._await()
        if self._front.sample == self._clock.edge(self._front.bin):  # else the source is late: it has nothing to be told
            self._pulse_list.clear()
            self._pulses(flowing, self._samples())
            message = pack(signal.counts, self._pulse_list, self._mail.layout.rows)  # type: ignore[union-attr]
            self._mail.write(message, self._front.sample)
        found = self._newest
        if found is None or found.index != self.target:
            missing = np.ones(self.spec.gives.size, np.bool_)
            return Features(signal.t_ns, np.full(missing.size, np.nan, np.float32), missing, signal.segment)
        return self._features(found, signal)

    def _await(self) -> None:
        """Filter everything up to the end of the target bin; wait for it no longer than a bin."""
        end = self.wire.bin_ends_ns(self.target)
        while self._front.bin <= self.target:
            if self.pump():
                continue
            now = time.monotonic_ns()
            if self._ring.state in ("ended", "dead"):
                raise EndOfInput
            if now > end + self.wire.bin_ns:
                return
            if now > end + SPIN_NS:
                time.sleep(50e-6)
