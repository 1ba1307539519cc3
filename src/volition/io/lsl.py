"""LSL streams that go out: the simulated implant, the decoded intent, and what stimulation was delivered (extra `[lsl]`).

Outlets only. A stimulation command has no way in: what is sent here is what the gate let pass, after it did.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.brain._lsl_library import BROADBAND, COUNTS, EVENTS, INTENT, STIMULATION, library
from volition.errors import ConfigError
from volition.signal import INTENT_UNITS, NS_PER_S, Bool, Float64, Spikes

MISSING = -1
"""What stands in a stream of counts where the implant lost one."""
_TYPES = {"counts": COUNTS, "events": EVENTS, "voltage": BROADBAND}
_FORMS = {"counts": "int16", "events": "int32", "voltage": "int16"}
_ANCHOR_S = 0.05  # stamps further than this behind the clock are set anew: receivers see a gap, as they should


class Outlet:
    """One stream.

    Args:
        name: of the stream.
        kind: its LSL type.
        form: "int16", "int32" or "float32".
        rate_hz: nominal; 0 where irregular.
        labels, units: one for each channel.
        about: what else to tell, under `desc/volition`.
        source_id: by which a receiver knows it again after a restart.

    Raises:
        MissingExtraError: pylsl is not installed.
        ConfigError: the name is empty or holds quotes.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        form: str,
        rate_hz: float,
        labels: Sequence[str],
        units: Sequence[str],
        about: dict[str, str],
        source_id: str = "",
    ) -> None:
        if not name or "'" in name or '"' in name:
            raise ConfigError(f"lsl: a stream's name must not be empty or hold quotes, got {name!r}")
        lsl = library()
        info = lsl.StreamInfo(name, kind, len(labels), rate_hz, form, source_id or f"volition-{name}")
        info.set_channel_labels(list(labels))
        info.set_channel_units(list(units))
        info.set_channel_types([kind] * len(labels))
        described = info.desc().append_child("volition")
        for key, value in about.items():
            described.append_child_value(key, value)
        self.name, self.sent = name, 0
        self._form = np.dtype(form)
        self._outlet: Any = lsl.StreamOutlet(info)

    def push(self, samples: NDArray[Any], stamp_s: float | list[float]) -> None:
        """Send samples `[n, channels]`; `stamp_s` is the time of the last one, or of each, on LSL's clock."""
        if len(samples):
            self._outlet.push_chunk(np.ascontiguousarray(samples, self._form), stamp_s)
            self.sent += len(samples)

    def close(self) -> None:
        """Take the stream down."""
        self._outlet = None


class _Stamps:
    """Evenly spaced times of bins on LSL's clock: one of a loop that is a little late is not late itself.

    A loop that runs faster than time itself (lockstep) is stamped with its own time, ahead of the clock.
    """

    def __init__(self, bin_s: float) -> None:
        self._clock, self._bin_s = library().local_clock, bin_s
        self._next_s: float | None = None

    def next(self) -> float:
        now_s: float = self._clock()
        if self._next_s is None or now_s - self._next_s > _ANCHOR_S:
            self._next_s = now_s
        stamp_s, self._next_s = self._next_s, self._next_s + self._bin_s
        return stamp_s


class Implant:
    """Publishes what an implant gives of each bin.

    Args:
        what: "counts", "events" (one channel: the number of the electrode of each spike) or "voltage" (int16, LSB).
        name: of the stream.
        channels: electrodes.
        bin_ns: width of a bin.
        rate_hz: sampling rate of voltage.
        about: what else to tell of the source.

    Raises:
        MissingExtraError, ConfigError: as `Outlet`.
    """

    def __init__(
        self, what: str, name: str, channels: int, bin_ns: int, rate_hz: float = 0.0, about: dict[str, str] | None = None
    ) -> None:
        labels = [f"e{c}" for c in range(channels)]
        rate = {"counts": NS_PER_S / bin_ns, "events": 0.0, "voltage": rate_hz}[what]
        unit = {"counts": "spikes", "events": "electrode", "voltage": "LSB"}[what]
        if what == "events":
            labels = ["electrode"]
        self.what, self._channels, self._bin_s = what, channels, bin_ns / NS_PER_S
        told = {
            "what": what,
            "channels": str(channels),
            "bin_ms": f"{bin_ns / 1e6:g}",
            "packet_ms": f"{bin_ns / 1e6:g}",
            **(about or {}),
        }
        self.outlet = Outlet(name, _TYPES[what], _FORMS[what], rate, labels, [unit] * len(labels), told)
        self._stamps = _Stamps(self._bin_s)

    def counts(self, counts: NDArray[Any], mask: Bool) -> None:
        """One bin of counts `[channels]`; `mask`: those that the implant lost."""
        values = np.where(mask, MISSING, np.where(mask, 0, counts))
        self.outlet.push(values[None], self._stamps.next())

    def events(self, spikes: Spikes, mask: Bool, rng: np.random.Generator) -> None:
        """The spikes of one bin: at their own times, or, where the source knows only how many, strewn evenly over it."""
        end_s = self._stamps.next()
        if spikes.channel.size:
            which = spikes.channel.astype(np.int64)
            times_s: Float64 = end_s - (spikes.t_ns - spikes.event_t_ns) / NS_PER_S
        else:
            which = np.repeat(np.arange(self._channels), spikes.counts)
            times_s = end_s - self._bin_s * rng.random(which.size)
        kept = ~mask[which]
        order = np.argsort(times_s[kept], kind="stable")
        self.outlet.push(which[kept][order, None], times_s[kept][order].tolist())

    def voltage(self, samples: NDArray[np.int16]) -> None:
        """Voltage `[samples, channels]` of one bin."""
        self.outlet.push(samples, self._stamps.next())

    def close(self) -> None:
        """Take the stream down."""
        self.outlet.close()


class LoopOut:
    """Publishes the decoded intent, and what stimulation was delivered: call it once a bin with the loop (a `watch`).

    `<name>-intent`: one channel for each intent. `<name>-stim`: amplitude, frequency and pulse width of each electrode, for
    monitoring and recording; there only where the channel can stimulate.

    Args:
        setup: of the loop.
        name: what the streams' names begin with.

    Raises:
        MissingExtraError, ConfigError: as `Outlet`.
    """

    def __init__(self, setup: Any, name: str = "volition") -> None:
        rate, n = NS_PER_S / setup.bin_ns, setup.electrodes
        units = [INTENT_UNITS.get(label, "") for label in setup.intent]
        self.intent = Outlet(f"{name}-intent", INTENT, "float32", rate, setup.intent, units, {"what": "decoded intent"})
        self.stim: Outlet | None = None
        if n:
            parts = (("amplitude", "microamperes"), ("frequency", "hertz"), ("pulse_width", "microseconds"))
            labels = [f"{part}.{k}" for part, _ in parts for k in range(n)]
            units = [unit for _, unit in parts for _ in range(n)]
            told = {"what": "stimulation that was delivered"}
            self.stim = Outlet(f"{name}-stim", STIMULATION, "float32", rate, labels, units, told)
        self._stamps = _Stamps(setup.bin_ns / NS_PER_S)

    def __call__(self, loop: Any) -> None:
        """Send the newest of both."""
        stamp_s = self._stamps.next()
        self.intent.push(loop.last.intent.values[None], stamp_s)
        if self.stim is not None:
            stim = loop.last.delivered
            self.stim.push(np.concatenate([stim.amplitude_ua, stim.frequency_hz, stim.pulse_width_us])[None], stamp_s)

    def close(self) -> None:
        """Take the streams down."""
        for outlet in (self.intent, self.stim):
            if outlet is not None:
                outlet.close()
