"""Any lab's LSL stream thinks: counts, spike events or voltage, on a real clock, with losses counted (extra [lsl]).

What cannot be known of a bin (nothing came in time, the sender is gone) is marked as missing; the loop counts such a bin as
lost, holds the intent, lets it decay and stops. Only neural data come in: there is no way from a stream to `Stim`.
"""

from __future__ import annotations

import weakref
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from volition.brain._lsl_bins import Events, Regular, int16_voltage, whole_counts
from volition.brain._lsl_library import library
from volition.brain._lsl_link import Arrived, Link, Source, Wanted, empty, predicate, resolve
from volition.errors import ConfigError
from volition.signal import NS_PER_MS, NS_PER_S, Broadband, Float32, Spikes, Stim, View
from volition.stage import Port, Setup, Spec

_RESTARTED_NS = NS_PER_S  # how long a restart is told


@dataclass(frozen=True)
class LslConfig:
    """Which stream, and how late it may be.

    Attributes:
        name: of the stream; "": any. Also `type` and `source_id`: what is given must match.
        type: its LSL type.
        source_id: its identifier.
        what: "counts", "events" (one channel: the number of the electrode, from 0), "voltage", or "auto": by type and rate.
        channels: events only: electrodes of the implant; 0: as the stream's description says.
        bin_ms: width of a bin; the period of the loop.
        resolve_s: how long the stream is looked for before the run.
        wait_ms: longest that a bin is waited for in the loop, at most half a bin.
        delay_ms: events only: how long after its end a bin is closed, on top of the time that a packet of the sender spans,
            if its description says so (assumption: transport on one machine takes 1-5 ms).
        slack_bins: bins that may queue up before the oldest is dropped.
        max_age_ms: age above which a bin is dropped. 80: the gate's lease of 100 ms less one bin.
        lost_ms: for how long bins may be missing before the stream counts as lost.
        silence_ms: events only: no spike of any electrode for so long counts as missing input, for no living population is
            that silent; 0: never.
        lsb_uv: µV of one LSB where voltage comes in µV and the stream does not say (0.195: Intan RHD2000 data sheet).
        network: look for streams on other machines too. LSL knows no passwords: trust every host on that network.
    """

    name: str = ""
    type: str = ""
    source_id: str = ""
    what: str = "auto"
    channels: int = 0
    bin_ms: float = 20.0
    resolve_s: float = 5.0
    wait_ms: float = 5.0
    delay_ms: float = 10.0
    slack_bins: int = 1
    max_age_ms: float = 80.0
    lost_ms: float = 100.0
    silence_ms: float = 250.0
    lsb_uv: float = 0.195
    network: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ConfigError: an unknown kind, or a time out of range.
        """
        if self.what not in ("auto", "counts", "events", "voltage"):
            raise ConfigError(f"lsl: what must be auto, counts, events or voltage, got {self.what!r}")
        for key in ("bin_ms", "resolve_s", "max_age_ms", "lost_ms", "lsb_uv"):
            if not 0 < getattr(self, key) < 1e6:
                raise ConfigError(f"lsl: {key} must be positive, got {getattr(self, key)}")
        for key in ("channels", "delay_ms", "slack_bins", "silence_ms"):
            if not 0 <= getattr(self, key) < 1e6:
                raise ConfigError(f"lsl: {key} must not be negative, got {getattr(self, key)}")
        if not 0 <= self.wait_ms <= self.bin_ms / 2:
            raise ConfigError(f"lsl: wait_ms must lie in 0..bin_ms/2, got {self.wait_ms}")
        predicate(name=self.name, type=self.type, source_id=self.source_id)


class Lsl:
    """Gives `Spikes` `[channels]` (or `Broadband`) of each bin that has come.

    A new segment begins where history is void: after a restart of the sender, after a loss, and, of voltage, at a gap.

    Attributes:
        state: "waiting" (nothing has come yet), "streaming", "lost", or "restarted" (for a second after it came back).
        note: what happened last, in words.
    """

    Config = LslConfig
    state: str

    def __init__(self, config: LslConfig | None = None) -> None:
        self.config = config or LslConfig()
        self._channels, self._kind = 0, ""
        self._link: Link | None = None
        self._bins: Regular | Events | None = None
        self._before: Counter[str] = Counter()
        self.state, self._note = "waiting", ""

    @property
    def spec(self) -> Spec:
        """Bin; the channels are known after `prepare`."""
        return Spec(
            gives=Port(self._channels, "LSB" if self._kind == "voltage" else "counts"),
            period_ns=round(self.config.bin_ms * NS_PER_MS),
            requires=("package:pylsl", "device:an LSL stream"),
            live=True,
        )

    @property
    def note(self) -> str:
        """What happened last."""
        return self._note or (self._link.note if self._link else "")

    @property
    def losses(self) -> Counter[str]:
        """What was lost, by kind.

        "gap" samples left out, "late" bins (events: spikes) that were too old, "rate" bins of a stream that runs faster than
        it says, "overrun" samples, "missed" bins in all, "invalid" counts, spikes of no "channel", "restart"s.
        """
        total = Counter(self._before)
        total.update(self._bins.counts if self._bins is not None else {})
        total.update(self._link.counts if self._link else {})
        return +total

    def prepare(self, setup: Setup) -> None:
        """Find the stream and begin to listen.

        Raises:
            MissingExtraError: pylsl is not installed.
            ConfigError: no stream fits, or several; its format cannot be used.
        """
        self.close()
        config = self.config
        self._lsl = library(config.network)
        given = {key: getattr(config, key) for key in ("name", "type", "source_id")}
        asked = " and ".join(f"{key}={value!r}" for key, value in given.items() if value) or "of any kind"
        where = predicate(**given)
        info = resolve(self._lsl, where, config.resolve_s, asked)
        source = Source.of(info)
        if config.what in ("auto", "events") or source.channels == 1:
            source = self._full(info)
        self._kind = source.kind if config.what == "auto" else config.what
        self._bin_ns = setup.bin_ns
        self._channels = self._width(source)
        wanted = Wanted(self._kind, source.channels, setup.bin_ns, source.rate_hz)
        why = wanted.refuse(source)
        if why:
            raise ConfigError(f"lsl: {why}")
        self.state, self._note, self._segment, self._epoch = "waiting", "", 0, 0
        self._before, self._bins = Counter(), None
        self._t_ns = self._missed = self._told_ns = self._cuts = 0
        self._heard_s = -np.inf
        self._origins: deque[float] = deque(maxlen=50)
        self._still = np.zeros(len(setup.intent), np.float32)
        self._link = Link(self._lsl, info, where, wanted)
        self._end = weakref.finalize(self, self._link.stop)

    def close(self) -> None:
        """Stop listening."""
        if self._link is not None:
            self._end()
            self._link = None

    def _full(self, info: Any) -> Source:
        """A stream's whole description, which only its sender tells."""
        try:
            return Source.of(self._lsl.StreamInlet(info, recover=False).info(timeout=self.config.resolve_s))
        except RuntimeError as error:
            raise ConfigError(f"lsl: stream {info.name()!r} does not answer ({type(error).__name__})") from None

    def _width(self, source: Source) -> int:
        if self._kind != "events":
            return source.channels
        width = self.config.channels or source.implant_channels
        if not width:
            raise ConfigError(f"lsl: stream {source.name!r} does not say how many electrodes there are; set brain.channels")
        return width

    def step(self, view: View, stim: Stim) -> Spikes | Broadband:
        """What came of the bin that has just ended; never waits longer than `wait_ms`.

        Args:
            view: tells the time of the loop.
            stim: what was delivered; a live brain feels it by itself.
        """
        assert self._link is not None
        now_s = self._lsl.local_clock()
        self._origins.append(now_s - view.t_ns / NS_PER_S)
        origin_s = min(self._origins)  # LSL's clock when the loop's was 0; steps are late at times, never early
        came = self._link.take()
        if len(self._origins) > 1:  # what came before the loop began is nobody's
            self._absorb(came)
        else:
            self._link.counts.clear()
        signal = self._events(view.t_ns, origin_s) if self._kind == "events" else self._regular(view.t_ns, origin_s)
        return self._missing(view.t_ns) if signal is None else signal

    def intended(self) -> Float32:
        """Nobody knows: zeros."""
        return self._still

    def _absorb(self, chunks: list[Arrived]) -> None:
        for chunk in chunks:
            if chunk.epoch != self._epoch:
                self._begin(chunk)
            assert self._bins is not None
            if isinstance(self._bins, Events):
                self._bins.add(chunk.times_s + chunk.offset_s, chunk.samples[:, 0])
                self._heard_s = max(self._heard_s, float(chunk.times_s[-1] + chunk.offset_s))
            else:
                self._bins.add(chunk.times_s, chunk.samples, chunk.offset_s)

    def _begin(self, chunk: Arrived) -> None:
        """A new connection: nothing of the old one is continued."""
        config, rate, bin_s = self.config, chunk.source.rate_hz, self._bin_ns / NS_PER_S
        self._before = +(self._before + (self._bins.counts if self._bins is not None else Counter()))
        if self._kind == "events":
            self._bins = Events(self._channels, bin_s)
            self._delay_s = (config.delay_ms + chunk.source.packet_ms) / 1e3
        else:
            self._bins = Regular(rate, bin_s, config.slack_bins, config.max_age_ms / 1e3)
        if self._epoch:
            self._before["restart"] += 1
            self.state, self._told_ns = "restarted", 0
            self._segment += 1
        self._epoch, self._cuts = chunk.epoch, 0

    def _regular(self, now_ns: int, origin_s: float) -> Spikes | Broadband | None:
        """The next bin of a stream of fixed rate."""
        link, bins = self._link, self._bins
        assert link is not None
        if link.connected and self.state in ("streaming", "restarted"):
            until_s = self._lsl.local_clock() + self.config.wait_ms / 1e3
            while isinstance(bins, Regular) and bins.waiting < bins.needed:
                left_s = until_s - self._lsl.local_clock()
                if left_s <= 0:
                    break
                self._absorb(link.take(left_s))
                bins = self._bins
        if not isinstance(bins, Regular):
            return None
        taken = bins.take(self._lsl.local_clock())
        hz = bins.measured_hz
        self._note = f"samples come at {hz:.4g} Hz, the stream says otherwise" if hz else ""
        if taken is None:
            return None
        if self._kind == "voltage" and bins.cuts != self._cuts:
            self._cuts = bins.cuts
            self._segment += 1
        end_s, samples = taken
        t_ns = self._came(now_ns, end_s - origin_s)
        if self._kind == "voltage":
            assert link.source is not None
            return Broadband(t_ns, int16_voltage(samples, link.source.lsb_uv or self.config.lsb_uv), self._segment)
        counts, missing = whole_counts(samples)
        if missing.any():
            self._before["invalid"] += int(missing.sum())
            return Spikes(t_ns, counts, self._segment, missing=missing)
        return Spikes(t_ns, counts, self._segment)

    def _events(self, now_ns: int, origin_s: float) -> Spikes | None:
        """Events of the bin that ended so long ago that all of them should be here."""
        bins = self._bins
        assert self._link is not None
        if not isinstance(bins, Events):
            return None
        close_s = origin_s + now_ns / NS_PER_S - self._delay_s
        times_s, which = bins.take(close_s)
        silent = 0 < self.config.silence_ms / 1e3 < close_s - self._heard_s
        if silent or not self._link.connected:
            return None
        t_ns = self._came(now_ns, close_s - origin_s)
        counts = np.bincount(which, minlength=self._channels).astype(np.uint16)
        event_t_ns = np.rint((times_s - origin_s) * NS_PER_S).astype(np.int64)
        return Spikes(t_ns, counts, self._segment, which.astype(np.int32), event_t_ns)

    def _came(self, now_ns: int, end_s: float) -> int:
        """Note that a bin came, which ended at `end_s` of the loop's time; returns its time, later than the last."""
        if self.state == "lost":
            self._segment += 1
        if self.state == "restarted":
            self._told_ns = self._told_ns or now_ns + _RESTARTED_NS
        if self.state != "restarted" or now_ns > self._told_ns:
            self.state = "streaming"
        self._missed = 0
        self._t_ns = max(self._t_ns + 1, min(round(end_s * NS_PER_S), now_ns + self._bin_ns))
        return self._t_ns

    def _missing(self, now_ns: int) -> Spikes | Broadband:
        """A bin of which nothing is known."""
        assert self._link is not None
        self._missed += 1
        self._before["missed"] += 1
        gone = not self._link.connected or self._missed * self._bin_ns >= self.config.lost_ms * NS_PER_MS
        if gone and self.state != "waiting":
            self.state = "lost"
        self._t_ns = max(self._t_ns + 1, now_ns)
        if self._kind == "voltage":
            return Broadband(self._t_ns, empty(self._channels), self._segment)
        zeros, all_of_them = np.zeros(self._channels, np.uint16), np.ones(self._channels, np.bool_)
        return Spikes(self._t_ns, zeros, self._segment, missing=all_of_them)
