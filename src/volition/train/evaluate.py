"""Fit decoders on the first part of a recording and score them on the rest, bin by bin, beside a control.

The control answers "does the procedure itself make scores?": the kinematics are shifted circularly against the spikes, which
keeps every statistic of both and breaks their relation, and the same procedure runs again, the choice of lags and penalties
included. A leak from the test part shows as a score above 0. It is no test of significance: two signals that drift slowly
can agree under such shifts (Harris 2020, bioRxiv 2020.11.29.402719).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from volition.errors import ConfigError, InputError, UnknownNameError
from volition.signal import Float64, Recording
from volition.stage import Setup, Trainable, find
from volition.train import metrics
from volition.train.split import Split, chronological

SHIFTS = 20
_SHIFT_SEED = 20  # of the offsets: fixed, so that every control is the same control
_TIMED = 2000  # bins
_TO_SI = {"m/s": 1.0, "cm/s": 1e-2, "mm/s": 1e-3}
_AXES = "xyz"


@dataclass(frozen=True, eq=False)
class Target:
    """What is to be decoded: `y` `[bins, k]`, its unit, and the names of its axes (intents, where it is a velocity)."""

    name: str
    y: Float64
    unit: str
    axes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Result:
    """One decoder on one recording.

    Attributes:
        decoder: its name.
        target: what was decoded.
        r2: variance-weighted, over every bin of the test part.
        r2_axes, r_axes: R² and Pearson's r of each axis.
        fit_s: wall time of the fit, choices included, s.
        latency: of a single step, µs: "p50_us", "p99_us", "max_us".
        predicted, recorded: `[test bins, k]`.
        chosen: what the inner validation took.
        model: the fitted decoder.
        control: R² against shifted kinematics, one for each offset (empty: not asked for).
    """

    decoder: str
    target: Target
    r2: float
    r2_axes: Float64
    r_axes: Float64
    fit_s: float
    latency: Mapping[str, float]
    predicted: Float64
    recorded: Float64
    chosen: Mapping[str, Any]
    model: Any
    control: Float64 = field(default_factory=lambda: np.empty(0))


def target_of(recording: Recording, name: str) -> Target:
    """A kinematic quantity of a recording; velocity is given in m/s where its unit is known.

    Raises:
        UnknownNameError: the recording does not have it.
    """
    if name not in recording.kinematics:
        raise UnknownNameError(f"kinematic quantity of {recording.name}", name, recording.kinematics)
    y = np.asarray(recording.kinematics[name], np.float64)
    unit = recording.units.get(name, "")
    if name == "velocity" and unit in _TO_SI:
        y, unit = y * _TO_SI[unit], "m/s"
    k = y.shape[1]
    letters = [_AXES[i] if k <= len(_AXES) else str(i) for i in range(k)]
    kind = "reach" if name == "velocity" and k <= len(_AXES) else name
    return Target(name, y, unit, tuple(f"{kind}.{letter}" for letter in letters))


def setup_of(recording: Recording, target: Target, split: Split, seed: int = 0) -> Setup:
    """What a decoder is told of the recording; the largest speed is that of the training part."""
    fastest = float(np.linalg.norm(target.y[split.train], axis=1).max())
    channels = recording.channels
    return Setup(seed, recording.bin_ns, channels, channels, target.axes, max_speed=fastest or 1.0)


def evaluate(
    recording: Recording,
    decoders: Sequence[Any] = ("wiener", "kalman"),
    target: str = "velocity",
    *,
    shifts: int = 0,
    share: float = 0.8,
    seed: int = 0,
) -> list[Result]:
    """Fit and score decoders.

    Args:
        recording: counts and kinematics.
        decoders: names as `find` takes them, or classes.
        target: name of the quantity to decode.
        shifts: offsets of the control; 0 leaves it out.
        share: of the recording (of its trials, where it has any) to learn from.
        seed: for decoders that draw random numbers.

    Raises:
        InputError: the recording cannot be split or fitted on.
        UnknownNameError: no such decoder or quantity.
        ConfigError: a negative number of shifts.
    """
    if shifts < 0:
        raise ConfigError(f"the number of shifts must not be negative, got {shifts}")
    classes = [(d, find("decoder", d)) if isinstance(d, str) else (d.__name__.lower(), d) for d in decoders]
    wanted, split = target_of(recording, target), chronological(recording, share)
    setup = setup_of(recording, wanted, split, seed)
    results = []
    for name, cls in classes:
        control = _control(cls, recording, wanted, split, setup, shifts) if shifts else np.empty(0)
        results.append(_one(name, cls, recording, wanted, split, setup, control))
    return results


def _one(name: str, cls: Any, recording: Recording, target: Target, split: Split, setup: Setup, control: Float64) -> Result:
    X, segments = recording.counts, recording.segment
    decoder = cls()
    decoder.prepare(setup)
    began = time.perf_counter()
    if isinstance(decoder, Trainable):
        decoder.fit(X[split.train], None, target.y[split.train], segments[split.train])
    fit_s = time.perf_counter() - began
    guess = np.asarray(decoder.predict(X[split.test], None, segments[split.test]), np.float64)
    y = target.y[split.test]
    if guess.shape != y.shape:
        raise InputError(f"decoder {name} gave {guess.shape} for a target of {y.shape}")
    return Result(
        name,
        target,
        metrics.r2(y, guess),
        metrics.r2_axes(y, guess),
        metrics.pearson(y, guess),
        fit_s,
        metrics.latency_us(step_times(decoder, recording, split.test)),
        guess,
        y,
        dict(getattr(decoder, "chosen", {})),
        decoder,
        control,
    )


def step_times(decoder: Any, recording: Recording, part: slice) -> Float64:
    """Wall time of single steps, as a loop makes them, ns."""
    counts = recording.counts[part][:_TIMED].astype(np.float32)
    segments = recording.segment[part][:_TIMED]
    nothing = np.zeros(recording.channels, bool)
    times = np.empty(len(counts))
    for k, x in enumerate(counts):
        if k == 0 or segments[k] != segments[k - 1]:
            decoder.reset()
        began = time.perf_counter_ns()
        decoder.step(x, nothing)
        times[k] = time.perf_counter_ns() - began
    decoder.reset()
    return times


def offsets(bins: int, count: int = SHIFTS) -> list[int]:
    """Offsets of the control: distinct, from a fixed seed, none nearer to zero than a twentieth of the recording.

    Raises:
        InputError: the recording is too short for so many.
    """
    least = max(1, bins // 20)
    if bins - 2 * least < count:
        raise InputError(f"{bins} bins are too few for {count} circular shifts")
    chosen = np.random.default_rng(_SHIFT_SEED).choice(np.arange(least, bins - least), count, replace=False)
    return [int(v) for v in chosen]


def _control(cls: Any, recording: Recording, target: Target, split: Split, setup: Setup, count: int) -> Float64:
    """Variance-weighted R² of the same procedure against shifted kinematics, `[count]`."""
    shifted = [np.roll(target.y, offset, axis=0) for offset in offsets(recording.bins, count)]
    X, segments = recording.counts, recording.segment
    train, test = split.train, split.test
    first = cls()
    first.prepare(setup)
    fitted: list[Any]
    if not isinstance(first, Trainable):
        fitted = [first] * count
    elif hasattr(first, "fit_each"):
        fitted = first.fit_each(X[train], None, [y[train] for y in shifted], segments[train])
    else:
        fitted = []
        for y in shifted:
            decoder = cls()
            decoder.prepare(setup)
            fitted.append(decoder.fit(X[train], None, y[train], segments[train]))
    guesses = (decoder.predict(X[test], None, segments[test]) for decoder in fitted)
    return np.array([metrics.r2(y[test], guess) for y, guess in zip(shifted, guesses, strict=True)])
