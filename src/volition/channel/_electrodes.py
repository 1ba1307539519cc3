"""Electrodes of a simulated implant: spikes in, 10-bit voltage out, calibrated to recordings, reproducible from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.channel._adc import lookup, widths
from volition.channel._electrodes_design import (
    PHASES,
    Happenings,
    Sources,
    artefact,
    filtered_templates,
    rates,
    seeds,
    spike_band_noise,
    templates,
)
from volition.channel._electrodes_preset import Preset
from volition.channel._frontend_design import array_edges
from volition.errors import ConfigError, InputError
from volition.signal import NS_PER_S, Bool, Float32, Float64, Spikes

_LANES = 16
_RAILED_LSB = 900.0


@dataclass(frozen=True)
class ElectrodesConfig:
    """Settings of the electrodes.

    Attributes:
        preset: table of measured electrodes: "n1", or a file ending in .json.
        adc: code widths of the converter: "n1" or "ideal".
        array_size: neighbouring channels that share a part of the potential: a multiple of 16, or 0 for all.
        thread_size: neighbouring channels on one thread: spikes are seen by neighbours on it only.
        spread: part of a spike that the first and the second neighbour see (assumed: no recordings of neighbours here).
        shared_potential: part of the potential's variance that an array shares.
        line_hz: 50 or 60.
        line_lsb: RMS of line noise, LSB (recorded: median 0.2, 95th percentile 1.3).
        dead: part of the channels that give one constant code.
        railed: part that sit at a rail most of the time; negative: as in the preset.
        snr: peak-to-peak of every unit over twice its channel's noise, in 250-5,000 Hz; 0: as in the preset, mostly faint.
        height_jitter: standard deviation of a unit's spike height from spike to spike.
        refractory_ms: least distance of two spikes of a unit where only counts are given, ms.
        artefact_far_lsb: height of a stimulation artefact on every channel, LSB per µA.
        artefact_near_lsb: on the stimulated thread, LSB per µA.
        engine: "numba" (extra `[fast]`), "numpy", or "auto": numba where it is installed. Both give the same bytes.
    """

    preset: str = "n1"
    adc: str = "n1"
    array_size: int = 64
    thread_size: int = 16
    spread: tuple[float, float] = (0.2, 0.05)
    shared_potential: float = 0.5
    line_hz: float = 60.0
    line_lsb: float = 0.3
    dead: float = 0.0
    railed: float = -1.0
    snr: float = 0.0
    height_jitter: float = 0.15
    refractory_ms: float = 1.5
    artefact_far_lsb: float = 2.0
    artefact_near_lsb: float = 40.0
    engine: str = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.engine not in ("auto", "numba", "numpy"):
            raise ConfigError(f"engine must be auto, numba or numpy, got {self.engine!r}")
        if self.adc not in ("n1", "ideal"):
            raise ConfigError(f"adc must be n1 or ideal, got {self.adc!r}")
        for name in ("shared_potential", "dead"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be 0..1, got {getattr(self, name)}")
        if not self.railed <= 1:
            raise ConfigError(f"railed must be 0..1, or negative for the preset's, got {self.railed}")
        for name in (
            "line_hz",
            "line_lsb",
            "snr",
            "height_jitter",
            "refractory_ms",
            "artefact_far_lsb",
            "artefact_near_lsb",
        ):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.thread_size < 1:
            raise ConfigError(f"thread_size must be at least 1, got {self.thread_size}")


def _engine(name: str, sources: Sources) -> Any:
    from importlib.util import find_spec

    if name == "numba" or (name == "auto" and find_spec("numba") is not None):
        try:
            from volition.channel._electrodes_numba import Kernel
        except ModuleNotFoundError as error:
            raise ConfigError(f"engine numba needs the extra [fast] ({error.name} is not installed)") from error
        return Kernel(sources)
    from volition.channel._electrodes_numpy import Twin

    return Twin(sources)


class Electrodes:
    """Spikes to voltage, streaming; how the samples are cut into calls changes nothing.

    Args:
        config: settings, or None for the defaults.
        channels: number of electrodes, one unit each.
        fs: sampling rate, Hz.
        rng: source of everything random.

    Attributes:
        dead: `[channels]`, and
        railed: `[channels]`, True where the electrode is broken.
        rate_hz: `[channels]` firing rate of each unit at rest, as recorded.
    """

    Config = ElectrodesConfig
    dead: Bool
    railed: Bool
    rate_hz: Float64

    def __init__(self, config: ElectrodesConfig | None, channels: int, fs: float, rng: np.random.Generator) -> None:
        self.config = cfg = config or ElectrodesConfig()
        if channels < 1:
            raise ConfigError(f"electrodes: at least one channel is needed, got {channels}")
        if not fs >= 12_000:
            raise ConfigError(f"electrodes: a sampling rate of at least 12 kHz is needed for spikes, got {fs:g} Hz")
        self.channels, self.fs = channels, fs
        self._rng = rng
        self._sources = self._make(Preset.load(cfg.preset))
        self._kernel = _engine(cfg.engine, self._sources)
        self._at = self._known = 0
        self._last = np.full(channels, -(10.0**9))
        self._spikes: list[tuple[NDArray[Any], ...]] = []
        self._pulses: dict[int, Float32] = {}

    def _make(self, preset: Preset) -> Sources:
        """Draw the channels."""
        cfg, n, rng = self.config, self.channels, self._rng
        padded = -(-n // _LANES) * _LANES
        edges = array_edges(n, cfg.array_size)
        constants = rates(self.fs)
        row = preset.draw(n, rng)
        amplitude = np.sqrt(preset.power[row]).T * constants.unit[:, None]
        broken = rng.permutation(n)
        railed = round((preset.railed if cfg.railed < 0 else cfg.railed) * n)
        self.railed, self.dead = np.zeros(n, bool), np.zeros(n, bool)
        self.railed[broken[:railed]] = True
        self.dead[broken[railed : railed + round(cfg.dead * n)]] = True
        slow = np.sqrt(preset.power[row, :4].sum(axis=1))
        amplitude[:4, self.railed] *= (_RAILED_LSB / np.maximum(slow, 1e-9))[self.railed]
        trough = preset.trough[row]
        if cfg.snr > 0:
            span = np.ptp(filtered_templates(self.fs), axis=1)[preset.width[row]]
            trough = cfg.snr * 2 * spike_band_noise(preset.power[row, 4:], self.fs) / span
        self.rate_hz = preset.rate_hz[row].copy()
        alive = ~self.dead
        phase = rng.uniform(0, 2 * np.pi, n)
        line = cfg.line_lsb * np.sqrt(2) * np.array([np.cos(phase), np.sin(phase)]) * alive

        def wide(values: NDArray[Any]) -> Float32:
            return np.ascontiguousarray(np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, padded - n)]), np.float32)

        arrays = -(-(len(edges) - 1) // _LANES) * _LANES
        first, gain = self._neighbours(wide(trough * alive), padded)
        array_of = np.searchsorted(edges, np.arange(0, padded, _LANES), side="right") - 1
        return Sources(
            channels=padded,
            array_of=np.minimum(array_of, len(edges) - 2),
            rates=constants,
            seed=seeds(rng, padded),
            seed_own=seeds(rng, padded),
            seed_shared=seeds(rng, arrays),
            own=wide(amplitude[:4] * np.sqrt(1 - cfg.shared_potential) * alive),
            shared=wide(amplitude[:4] * np.sqrt(cfg.shared_potential) * alive),
            line=wide(line),
            pink=wide(amplitude[4] * alive),
            hash=wide(amplitude[5] * alive),
            offset=wide(preset.offset[row]),
            template=templates(self.fs),
            width=np.pad(preset.width[row], (0, padded - n)),
            first=first,
            gain=gain,
            artefact=artefact(self.fs),
            table=lookup(widths(cfg.adc)),
        )

    def _neighbours(self, trough: Float32, padded: int) -> tuple[NDArray[np.int64], Float32]:
        """Which channels see each unit, and how deep its trough is there, LSB."""
        weight = np.array([*self.config.spread[::-1], 1.0, *self.config.spread])
        reach = len(weight) // 2
        size = self.config.thread_size
        first = np.clip(np.arange(padded) - reach, 0, max(0, padded - len(weight)))
        gain = np.zeros((padded, len(weight)), np.float32)
        for j in range(len(weight)):
            seen = first + j
            distance = seen - np.arange(padded)
            near = (np.abs(distance) <= reach) & (seen // size == np.arange(padded) // size) & (seen < self.channels)
            gain[near, j] = (weight[np.clip(distance + reach, 0, 2 * reach)] * trough)[near]
            broken = np.pad(self.dead, (0, padded - self.channels))
            gain[broken[seen], j] = 0
        return first, gain

    def spontaneous(self, samples: int) -> NDArray[np.uint16]:
        """Spike counts of the next `samples` at the recorded resting rates (Poisson), for use without a brain."""
        return self._rng.poisson(self.rate_hz * samples / self.fs).astype(np.uint16)

    def add(self, spikes: Spikes | NDArray[np.uint16], samples: int) -> None:
        """Announce the spikes of the next `samples` not yet announced.

        Args:
            spikes: single events where the signal knows them (counted back from its `t_ns`), else counts, which are strewn
                over the stretch at random, no two of a unit closer than the refractory time.
            samples: length of the stretch.

        Raises:
            InputError: counts or channel numbers that do not fit the electrodes.
        """
        counts = spikes.counts if isinstance(spikes, Spikes) else np.asarray(spikes)
        if isinstance(spikes, Spikes) and spikes.channel.size:
            channel = spikes.channel.astype(np.int64)
            if channel.min() < 0 or channel.max() >= self.channels:
                raise InputError(f"spikes on channel {channel.max()}, but there are {self.channels} electrodes")
            at = self._known + samples + (spikes.event_t_ns - spikes.t_ns) * (self.fs / NS_PER_S)
            at = np.clip(at, self._known, self._known + samples - 1e-3)
        else:
            if counts.shape != (self.channels,):
                raise InputError(f"spike counts of shape {list(counts.shape)}, but there are {self.channels} electrodes")
            channel, at = self._strew(counts.astype(np.int64), samples)
        order = np.lexsort((channel, at))
        channel, at = channel[order], at[order]
        whole = np.floor(at).astype(np.int64)
        phase = ((at - whole) * PHASES).astype(np.int64)
        height = np.maximum(0.1, 1 + self.config.height_jitter * self._rng.standard_normal(at.size)).astype(np.float32)
        self._spikes.append((whole, channel, phase, height))
        self._known += samples

    def _strew(self, counts: NDArray[np.int64], samples: int) -> tuple[NDArray[np.int64], Float64]:
        """Times of counted spikes: sorted uniform points on what the refractory times leave.

        n points at least r apart in a stretch of length T are n sorted points in T - (n - 1)r, the k-th moved by k·r.
        """
        dead = self.config.refractory_ms * 1e-3 * self.fs
        start = np.maximum(self._known, self._last + dead)
        length = np.maximum(0.0, self._known + samples - 1e-3 - start)
        counts = np.minimum(counts, np.floor(length / max(dead, 1.0)).astype(np.int64))
        channel = np.repeat(np.arange(self.channels), counts)
        place = self._rng.random(channel.size)
        place = place[np.lexsort((place, channel))]
        rank = np.arange(channel.size) - np.repeat(np.cumsum(counts) - counts, counts)
        free = length - np.maximum(0, counts - 1) * dead
        at = start[channel] + place * free[channel] + rank * dead
        fired = counts > 0
        self._last[fired] = at[np.cumsum(counts)[fired] - 1]
        return channel, at

    def stimulate(self, sample: int, channel: NDArray[np.int64], amplitude_ua: Float64) -> None:
        """Put the artefact of simultaneous pulses into the voltage.

        Args:
            sample: at which the pulses start, from the start of the run; must not have been made yet.
            channel: `[n]` recording channel nearest to each stimulating electrode.
            amplitude_ua: `[n]` amplitudes, µA.
        """
        if sample < self._at:
            raise InputError(f"stimulation at sample {sample}, but the voltage is already at {self._at}")
        cfg = self.config
        height = np.zeros(self._sources.channels, np.float32)
        height[: self.channels] = cfg.artefact_far_lsb * float(np.sum(amplitude_ua))
        thread = np.arange(self.channels) // cfg.thread_size
        for c, ua in zip(np.asarray(channel), np.asarray(amplitude_ua), strict=True):
            height[: self.channels][thread == c // cfg.thread_size] += cfg.artefact_near_lsb * float(ua)
        height[: self.channels][self.dead] = 0
        self._pulses[sample] = self._pulses[sample] + height if sample in self._pulses else height

    def _happenings(self, samples: int) -> Happenings:
        stop = self._at + samples
        parts = [np.concatenate(p) for p in zip(*self._spikes, strict=True)] if self._spikes else [np.empty(0, np.int64)] * 4
        now = parts[0] < stop
        self._spikes = [tuple(p[~now] for p in parts)] if (~now).any() else []
        pulses = sorted(p for p in self._pulses if p < stop)
        tick = self._sources.rates.tick
        times = np.arange(-(-self._at // tick), -(-stop // tick)) * tick + tick
        angle = 2 * np.pi * self.config.line_hz * times / self.fs
        heights = [self._pulses.pop(p) for p in pulses]
        return Happenings(
            sample=parts[0][now],
            channel=parts[1][now],
            phase=parts[2][now],
            height=parts[3][now].astype(np.float32),
            pulse=np.array(pulses, np.int64),
            pulse_height=np.array(heights, np.float32).reshape(len(pulses), self._sources.channels),
            line=np.column_stack([np.sin(angle), np.cos(angle)]).astype(np.float32),
        )

    def voltage(self, spikes: Spikes | NDArray[np.uint16] | None, samples: int) -> NDArray[np.int16]:
        """Make the next samples.

        Args:
            spikes: what fires in them, or None if it was announced by `add` (then none fires beyond).
            samples: how many.

        Returns:
            `[samples, channels]` int16 codes, -512..511 LSB, C-contiguous.
        """
        if spikes is not None:
            self.add(spikes, samples)
        out: NDArray[np.int16] = self._kernel.generate(samples, self._at, self._happenings(samples))
        self._at += samples
        self._known = max(self._known, self._at)
        return out if self._sources.channels == self.channels else np.ascontiguousarray(out[:, : self.channels])

    def warm_up(self) -> None:
        """Compile (or load) the kernel on a copy of the state: call before a real clock runs."""
        nothing = Happenings(*(np.empty(0, np.int64),) * 3, np.empty(0, np.float32), np.empty(0, np.int64),
                             np.empty((0, self._sources.channels), np.float32), np.ones((1, 2), np.float32))  # fmt: skip
        _engine(self.config.engine, self._sources).generate(1, 0, nothing)
