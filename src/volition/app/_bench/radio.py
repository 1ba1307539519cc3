"""The narrow radio of an implant: bits a second, and what decoding loses to loss, jitter and delay."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np

from volition.app._bench import Found, Measure
from volition.brain.person import PersonConfig
from volition.channel._telemetry import Frame, Mode, encode_frame
from volition.channel._telemetry_counts import encode_events
from volition.channel.radio1024 import Radio1024, Radio1024Config
from volition.decoder.kalman import Kalman, KalmanConfig
from volition.loop.config import LoopConfig
from volition.loop.loop import Loop
from volition.signal import Bool, Float32, Spikes
from volition.stage import Setup

_CHANNELS = 1024
_LINK: Mapping[str, float] = {"loss": 0.01, "jitter_ms": 5.0}
# Besides the default: what its parts are worth.
_OTHERS: Mapping[str, Mapping[str, float]] = {
    "each frame sent once": {"copies": 1},
    "lost in bursts of 4": {"burst_packets": 4.0},
    "the receiver waits for a whole bin": {"playout_ms": 20.0},
}
_ONE = KalmanConfig(orders=(3,), leads=(0,), shrinkages=(1.0,), noises=(1.0,))


@cache
def _person(seed: int, seconds: float) -> tuple[Setup, tuple[Spikes, ...], Float32]:
    """A simulated person steers a cursor by thought alone: what the channel takes, and what was meant `[bins, 2]`."""
    spikes: list[Spikes] = []
    meant: list[Float32] = []

    def watch(loop: Loop) -> None:
        spikes.append(loop.last.spikes)
        meant.append(loop.last.intended)

    loop = Loop(("person", PersonConfig(channels=_CHANNELS)), "ideal", "still", config=LoopConfig(oracle=True), seed=seed)
    loop.advance(seconds, watch)
    return loop.setup, tuple(spikes), np.array(meant)


def _through(setup: Setup, spikes: tuple[Spikes, ...], link: Mapping[str, float]) -> tuple[Float32, Bool, Radio1024]:
    """The same spikes through the radio: features and mask, `[bins, channels]`."""
    channel = Radio1024(Radio1024Config(dead_fraction=0.0, **link))  # type: ignore[arg-type]
    channel.prepare(setup)
    features = [channel.read(s) for s in spikes]
    return np.array([f.x for f in features]), np.array([f.mask for f in features]), channel


def _r2(setup: Setup, x: Float32, mask: Bool | None, meant: Float32, config: KalmanConfig | None) -> float:
    """R² of the second half, decoded by a filter fitted on the first: 1 - sum of squares left / sum of squares, all axes."""
    half = len(x) // 2
    decoder = Kalman(config)
    decoder.prepare(setup)
    decoder.fit(x[:half], None if mask is None else mask[:half], meant[:half])
    left = decoder.predict(x[half:], None if mask is None else mask[half:]) - meant[half:]
    return float(1 - (left**2).sum() / ((meant[half:] - meant[half:].mean(0)) ** 2).sum())


@cache
def _wired(seed: int, seconds: float, config: KalmanConfig | None) -> float:
    setup, spikes, meant = _person(seed, seconds)
    return _r2(setup, np.array([s.counts for s in spikes], np.float32), None, meant, config)


def _decoding(seeds: int, seconds: float, config: KalmanConfig | None, link: Mapping[str, float]) -> Found:
    """Mean over people of R² wired less R² by radio; each decoder is fitted on what its own channel gave."""
    wired, radio, missing = [], [], []
    for seed in range(seeds):
        setup, spikes, meant = _person(seed, seconds)
        x, mask, channel = _through(setup, spikes, link)
        wired.append(_wired(seed, seconds, config))
        radio.append(_r2(setup, x, mask if mask.any() else None, meant, config))
        missing.append(100 * channel.receiver.missed / len(spikes))
    cost = [a - b for a, b in zip(wired, radio, strict=True)]
    mean = statistics.fmean
    note = f"R² wired {mean(wired):.3f}, radio {mean(radio):.3f}; bins missing {mean(missing):.2f} %"
    return Found(mean(cost), {"low": min(cost), "high": max(cost), "note": note, "seeds": seeds})


def _bit_rate(seeds: int, seconds: float) -> Found:
    """Mean rate of the busiest person, kbit/s, and the busiest second of all."""
    rates, most = [], 0.0
    for seed in range(seeds):
        setup, spikes, _ = _person(seed, seconds)
        channel = Radio1024(Radio1024Config(**_LINK))  # type: ignore[arg-type]
        channel.prepare(setup)
        sent = [0]
        for s in spikes:
            channel.read(s)
            sent.append(channel.radio.sent_bits)
        rates.append(channel.bit_rate / 1e3)
        second = 1_000_000_000 // setup.bin_ns
        most = max(most, float(np.max(np.subtract(sent[second:], sent[:-second]))) / 1e3)
    return Found(max(rates), {"low": min(rates), "high": max(rates), "note": f"busiest second {most:.1f} kbit/s"})


def _event_rate(seed: int, seconds: float) -> Found:
    """Single spikes with their times (drawn evenly within the bin), each frame sent once, kbit/s."""
    setup, spikes, _ = _person(seed, seconds)
    rng, bits = np.random.default_rng(0), 0
    for k, s in enumerate(spikes):
        channel = np.repeat(np.arange(_CHANNELS), s.counts)
        times = s.t_ns - 1 - rng.integers(0, setup.bin_ns, len(channel))
        payload = encode_events(channel, times, s.t_ns, setup.bin_ns, _CHANNELS, s.segment)
        bits += 8 * len(encode_frame(Frame(Mode.EVENTS, k, s.t_ns, payload)))
    return Found(bits / (len(spikes) * setup.bin_ns) * 1e6)


def _wait(seeds: int, seconds: float) -> Found:
    """From the end of a bin until its counts are there, ms: what a live decoder waits, and lockstep does not show."""
    waits = []
    for seed in range(seeds):
        setup, spikes, _ = _person(seed, seconds)
        channel = Radio1024(Radio1024Config(**_LINK))  # type: ignore[arg-type]
        channel.prepare(setup)
        for s in spikes:
            missed = channel.receiver.missed
            channel.read(s)
            if channel.receiver.missed == missed:
                waits.append(channel.receiver.waited_ns / 1e6)
    note = f"99 %: {np.percentile(waits, 99):.1f} ms; lockstep does not show it as delay"
    return Found(statistics.median(waits), {"low": min(waits), "high": max(waits), "note": note})


def _read_time(seconds: float) -> Found:
    """One bin through coder, radio and receiver, µs, median."""
    setup, spikes, _ = _person(0, seconds)
    channel = Radio1024(Radio1024Config(**_LINK))  # type: ignore[arg-type]
    channel.prepare(setup)
    took = []
    for s in spikes:
        start = time.perf_counter_ns()
        channel.read(s)
        took.append(time.perf_counter_ns() - start)
    return Found(statistics.median(took) / 1e3, {"low": min(took) / 1e3, "high": float(np.percentile(took, 99)) / 1e3})


def measures(quick: bool) -> Iterator[Measure]:
    """All rows."""
    seeds, seconds, config = (1, 12.0, _ONE) if quick else (8, 120.0, None)
    how: dict[str, Any] = {"channels": _CHANNELS, "seconds": seconds, "seeds": seeds, **_LINK}
    yield Measure(
        "bit rate of counts, headers and copies counted, busiest person",
        "kbit/s",
        lambda: _bit_rate(seeds, seconds),
        at_most=50,
        parameters=how,
    )
    yield Measure("bit rate of single spikes with times", "kbit/s", lambda: _event_rate(0, seconds), parameters=how)
    yield Measure("a bin through coder, radio and receiver", "us", lambda: _read_time(seconds), at_most=150, parameters=how)
    yield Measure("wait for a bin's counts, median", "ms", lambda: _wait(seeds, seconds), parameters=how)
    yield Measure(
        "R² of kalman lost to the radio",
        "1",
        lambda: _decoding(seeds, seconds, config, _LINK),
        at_most=0.01,
        parameters=how,
    )
    for label, change in _OTHERS.items():
        yield Measure(
            f"R² of kalman lost to the radio, {label}",
            "1",
            lambda c=change: _decoding(seeds, seconds, config, {**_LINK, **c}),  # type: ignore[misc]
            parameters={**how, **change},
        )
