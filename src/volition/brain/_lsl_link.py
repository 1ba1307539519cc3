"""The receiving end of one LSL stream: a thread that listens, corrects the clock, and finds a lost sender again.

All that can wait (finding, connecting, asking for the clock) waits here; the loop only takes what has come.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.brain._lsl_library import BROADBAND, COUNTS, EVENTS, INTENT, STIMULATION
from volition.errors import ConfigError
from volition.signal import NS_PER_MS, NS_PER_S, Float64

_FORMATS = {1: "float32", 2: "float64", 3: "text", 4: "int32", 5: "int16", 6: "int8", 7: "int64"}
_PULL_S, _CORRECT_S, _QUIET_S, _FIRST_CORRECTION_S = 0.05, 1.0, 0.5, 2.0
# Of several outlets on one machine only one hears a multicast query; the others are asked one by one half a second later.
_FIND_S = 0.8


@dataclass(frozen=True)
class Source:
    """What a stream says of itself. The last three are 0 where it does not say.

    `packet_ms`: how much time a packet of events spans, so how old an event can be when it is sent.
    """

    name: str
    type: str
    source_id: str
    host: str
    channels: int
    rate_hz: float
    format: str
    implant_channels: int = 0
    lsb_uv: float = 0.0
    packet_ms: float = 0.0

    @classmethod
    def of(cls, info: Any) -> Source:
        """From pylsl's StreamInfo."""
        about = info.desc().child("volition")
        values = {key: about.child_value(key) for key in ("channels", "lsb_uv", "packet_ms")}
        return cls(
            info.name(),
            info.type(),
            info.source_id(),
            info.hostname(),
            info.channel_count(),
            info.nominal_srate(),
            _FORMATS.get(info.channel_format(), "?"),
            int(values["channels"] or 0),
            float(values["lsb_uv"] or 0),
            float(values["packet_ms"] or 0),
        )

    @property
    def kind(self) -> str:
        """One of "counts", "events" or "voltage": by its type if that is ours, else by its rate."""
        ours = {COUNTS: "counts", EVENTS: "events", BROADBAND: "voltage"}
        if self.type in ours:
            return ours[self.type]
        if self.rate_hz == 0:
            return "events"
        return "voltage" if self.rate_hz >= 5000 else "counts"


@dataclass(frozen=True)
class Wanted:
    """What a run was made for; a sender that comes back as something else cannot be taken.

    Attributes:
        kind: "counts", "events" or "voltage".
        channels: of the stream.
        bin_ns: width of a bin.
        rate_hz: voltage only: the rate that filters are made for; 0: not known yet.
    """

    kind: str
    channels: int
    bin_ns: int
    rate_hz: float = 0.0

    def refuse(self, source: Source) -> str:
        """Why a stream cannot be taken, "" if it can."""
        called = f"stream {source.name!r}"
        if source.format in ("text", "?"):
            return f"{called} holds {source.format}, not numbers"
        if self.kind == "events":
            return "" if source.channels == 1 else f"{called} has {source.channels} channels; events have one"
        if source.channels != self.channels:
            return f"{called} has {source.channels} channels now; there were {self.channels}"
        per_bin = source.rate_hz * self.bin_ns / NS_PER_S
        if per_bin < 0.99:
            return f"{called} has {source.rate_hz:g} Hz, less than one sample a bin of {self.bin_ns / NS_PER_MS:g} ms"
        if self.kind == "counts" and abs(per_bin - round(per_bin)) > 0.01 * per_bin:
            return f"{called} has {source.rate_hz:g} Hz: {per_bin:g} samples do not fill a bin evenly; set brain.bin_ms"
        if self.kind == "voltage" and self.rate_hz not in (0.0, source.rate_hz):
            return f"{called} has {source.rate_hz:g} Hz now; filters were made for {self.rate_hz:g} Hz"
        return ""


def predicate(**wanted: str) -> str:
    """The XPath by which LSL finds a stream: what is given must match, and what this program sends out never does.

    Raises:
        ConfigError: a value holds quotes, which XPath cannot hold.
    """
    parts = [f"type!='{INTENT}'", f"type!='{STIMULATION}'"]
    for key, value in wanted.items():
        if "'" in value or '"' in value:
            raise ConfigError(f"lsl: {key} must not hold quotes, got {value!r}")
        if value:
            parts.append(f"{key}='{value}'")
    return " and ".join(parts)


@dataclass(frozen=True, eq=False)
class Arrived:
    """Samples `[n, channels]`, their times `[n]` on the sender's clock, s, and what to add for this machine's LSL clock.

    `epoch` counts connections.
    """

    epoch: int
    source: Source
    times_s: Float64
    offset_s: float
    samples: NDArray[Any]


class Link:
    """Listens until `stop`.

    Attributes:
        connected: whether a sender is there.
        source: what it says of itself (of the newest connection).
        epoch: number of the connection, from 1.
        note: what happened last, in words.
        counts: "overrun" samples that were dropped because nobody took them.
        offset_s: what is added to the sender's time stamps; None before it is known.

    Args:
        lsl: the library.
        info: the stream to begin with.
        where: predicate by which a sender is found again.
        wanted: what a sender must be to be taken.
        keep_s: longest time that samples are kept for.
    """

    def __init__(self, lsl: Any, info: Any, where: str, wanted: Wanted, keep_s: float = 1.0) -> None:
        self.counts: Counter[str] = Counter()
        self.connected, self.epoch, self.note = False, 0, ""
        self.source: Source | None = None
        self.offset_s: float | None = None
        self._search: Any = None
        self._lsl, self._where, self._wanted, self._keep_s = lsl, where, wanted, keep_s
        self._chunks: deque[Arrived] = deque()
        self._news = threading.Condition()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(info,), name="lsl", daemon=True)
        self._thread.start()

    def take(self, wait_s: float = 0.0) -> list[Arrived]:
        """Everything that has come; where nothing has, wait so long for something."""
        with self._news:
            if not self._chunks and wait_s > 0:
                self._news.wait(wait_s)
            found = list(self._chunks)
            self._chunks.clear()
        return found

    def stop(self) -> None:
        """End the thread."""
        self._ending.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=3.0)

    def _run(self, info: Any) -> None:
        while not self._ending.is_set():
            if info is not None:
                try:
                    self._listen(info)
                except RuntimeError as error:  # pylsl's errors are of this family
                    self.note = f"the sender is gone ({type(error).__name__})"
                self.connected = False
                with self._news:
                    self._news.notify_all()
            info = self._find()

    def _find(self) -> Any:
        """The newest stream that fits, or None."""
        try:
            found = self._lsl.resolve_bypred(self._where, 1, _FIND_S)
        except RuntimeError:
            found = []
        return max(found, key=lambda info: info.created_at(), default=None)

    def _successor(self, info: Any) -> bool:
        """Whether a younger stream answers to the same description; asks in the background, waits for nothing."""
        if self._search is None:
            self._search = self._lsl.ContinuousResolver(pred=self._where, forget_after=2.0)
        return any(i.uid() != info.uid() and i.created_at() > info.created_at() for i in self._search.results())

    def _correct(self, inlet: Any, timeout_s: float) -> None:
        with suppress(self._lsl.util.TimeoutError):  # the last one still holds, and the next try is near
            self.offset_s = inlet.time_correction(timeout_s)

    def _open(self, info: Any) -> tuple[Any, Source] | None:
        """Connect; None (and why in `note`) where the sender is not what the loop was made for."""
        keep = max(1, round(self._keep_s)) if info.nominal_srate() else 100  # irregular: hundreds of samples
        inlet = self._lsl.StreamInlet(info, max_buflen=keep, recover=False, as_numpy=True)
        source = Source.of(inlet.info(timeout=2.0))
        why = self._wanted.refuse(source)
        if why:
            self.note = why
            self._ending.wait(_QUIET_S)
            return None
        if self.offset_s is None or self.source is None or self.source.host != source.host:
            self._correct(inlet, _FIRST_CORRECTION_S)
        inlet.open_stream(timeout=2.0)
        return inlet, source

    def _listen(self, info: Any) -> None:
        opened = self._open(info)
        if opened is None:
            return
        inlet, self.source = opened
        most = max(256, int(0.1 * self.source.rate_hz))
        least = max(1, int(0.002 * self.source.rate_hz))
        self.epoch += 1
        self._search = None
        self.connected, self.note = True, f"connected to {self.source.name} on {self.source.host}"
        heard = corrected = monotonic()
        while not self._ending.is_set():
            samples, times = inlet.pull_chunk(_PULL_S, max_samples=most, min_samples=least)
            now = monotonic()
            if len(times):
                heard = now
                self._push(Arrived(self.epoch, self.source, times, self.offset_s or 0.0, samples))
            elif now - heard > _QUIET_S:
                heard = now
                if self._successor(info):  # a sender on another machine may vanish without a word, and come back
                    self.note = "another sender has taken over"
                    return
            if now - corrected > _CORRECT_S:
                corrected = now
                self._correct(inlet, 0.0)

    def _push(self, chunk: Arrived) -> None:
        with self._news:
            self._chunks.append(chunk)
            while chunk.times_s[-1] - self._chunks[0].times_s[-1] > self._keep_s:
                self.counts["overrun"] += len(self._chunks.popleft().times_s)
            self._news.notify_all()


def resolve(lsl: Any, where: str, timeout_s: float, asked: str) -> Any:
    """The one stream that fits.

    Raises:
        ConfigError: none came in time, or several fit.
    """
    found = lsl.resolve_bypred(where, 1, timeout_s)
    if not found:
        others = sorted({repr(info.name()) for info in lsl.resolve_streams(_FIND_S)})
        raise ConfigError(
            f"lsl: no stream {asked} within {timeout_s:g} s; streams here: {', '.join(others) or 'none'}"
            " (other machines: set brain.network=true)"
        )
    found = lsl.resolve_bypred(where, 2, _FIND_S) or found
    if len({info.uid() for info in found}) > 1:
        names = ", ".join(sorted(f"{info.name()!r} (source_id {info.source_id()!r})" for info in found))
        raise ConfigError(f"lsl: several streams fit {asked}: {names}; say brain.name or brain.source_id")
    return found[0]


def empty(channels: int) -> NDArray[np.int16]:
    """Voltage of a bin that never came."""
    return np.empty((0, channels), np.int16)
