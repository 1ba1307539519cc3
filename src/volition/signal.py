"""What flows round the loop: small frozen dataclasses of NumPy arrays, all on one clock.

    brain -Spikes-> channel -Features-> decoder -Intent-> effector -Touch-> feedback -Stim-> channel -> brain

Every signal carries `t_ns`, integer nanoseconds since the start of the run. What does not change while running (rates,
names, units, limits) stands once, in the `Spec` of the stage that gives it. Arrays are never changed in place by a receiver.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.errors import InputError

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]


class EndOfInput(Exception):  # noqa: N818 (like StopIteration, not an error)
    """A recorded or live source has nothing more to give: the run ends here."""


NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000

INTENT_UNITS: Mapping[str, str] = {
    "walk.x": "m/s",  # body velocity, forward
    "walk.y": "m/s",  # body velocity, to the left
    "walk.turn": "rad/s",  # heading rate, counter-clockwise
    "reach.x": "m/s",  # endpoint (cursor, hand) velocity
    "reach.y": "m/s",
    "reach.z": "m/s",
    "grasp": "1",  # 0 open .. 1 closed
    "select": "1",  # probability of a click
}
"""The vocabulary of intents and their units; `finger.<n>` (rad) and `phone.<p>` (probability) are open-ended."""


@dataclass(frozen=True, slots=True, eq=False)
class Goal:
    """What the task asks for now.

    Attributes:
        t_ns: time of issue.
        trial: number of the trial, counted from 0.
        position: where to go, `[d]`, m.
        radius: distance at which the goal counts as reached, m.
        click: whether the goal must be selected by `Intent` "select" (otherwise by staying on it).
        stop: whether the body is to stand still there.
    """

    t_ns: int
    trial: int
    position: Float64
    radius: float
    click: bool = False
    stop: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class BodyState:
    """Pose of the effector.

    Attributes:
        t_ns: time of the state.
        position: the controlled point (cursor, fingertip, pelvis), `[d]`, m.
        velocity: its velocity, `[d]`, m/s.
        joint_position: `[j]`, rad (empty for a cursor).
        joint_velocity: `[j]`, rad/s.
        select: 1.0 while the effector is clicking, else 0.0.
    """

    t_ns: int
    position: Float64
    velocity: Float64
    joint_position: Float64
    joint_velocity: Float64
    select: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What the person sees: goal and body as they were a visual delay ago (the loop applies the delay)."""

    t_ns: int
    goal: Goal
    body: BodyState


@dataclass(frozen=True, slots=True, eq=False)
class Spikes:
    """Action potentials of one bin.

    Attributes:
        t_ns: end of the bin (a run begins with the bin that ends at 0).
        counts: spikes per channel, `[channels]` uint16.
        segment: number of the unbroken stretch this bin belongs to; where it changes, history is void.
        channel: `[events]` int32 and
        event_t_ns: `[events]` int64: the single spikes, where the source knows them (else empty).
        missing: `[channels]`, True where a live source could not know the count; empty where nothing is missing.
    """

    t_ns: int
    counts: NDArray[np.uint16]
    segment: int = 0
    channel: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    event_t_ns: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    missing: Bool = field(default_factory=lambda: np.empty(0, np.bool_))


@dataclass(frozen=True, slots=True, eq=False)
class Broadband:
    """Voltage as a wired rig records it: `samples` `[samples, channels]` int16, in LSB of the source's `Spec`."""

    t_ns: int
    samples: NDArray[np.int16]
    segment: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What the decoder sees of one bin.

    Attributes:
        t_ns: end of the bin (of its last sample, not of its arrival).
        x: `[features]` float32; undefined where `mask` is set.
        mask: `[features]`, True where the value is missing (the convention of `numpy.ma`): dead channel, lost packet.
        segment: as in `Spikes`.
    """

    t_ns: int
    x: Float32
    mask: Bool
    segment: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Intent:
    """What the person wants, as far as the decoder knows.

    Attributes:
        t_ns: time of issue.
        values: `[k]` float32, in the order of the effector's intent names, units of `INTENT_UNITS`.
        confidence: 0 (guess) .. 1.
        age_ns: age of the newest neural data in it.
    """

    t_ns: int
    values: Float32
    confidence: float = 1.0
    age_ns: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Touch:
    """What the effector feels: `pressure` `[taxels]`, N; `ground` `[feet, 3]`, N (empty without feet)."""

    t_ns: int
    pressure: Float64
    ground: Float64 = field(default_factory=lambda: np.empty((0, 3)))


@dataclass(frozen=True, slots=True, eq=False)
class Stim:
    """A stimulation command, or what of it was delivered; biphasic pulse trains, one per electrode.

    Attributes:
        t_ns: time of issue.
        amplitude_ua: cathodic amplitude, `[electrodes]`, µA.
        frequency_hz: pulse rate, `[electrodes]`, Hz.
        pulse_width_us: width of the cathodic phase, `[electrodes]`, µs.
    """

    t_ns: int
    amplitude_ua: Float64
    frequency_hz: Float64
    pulse_width_us: Float64

    @classmethod
    def zero(cls, t_ns: int, electrodes: int) -> Stim:
        """No current anywhere."""
        z = np.zeros(electrodes)
        return cls(t_ns, z, z, z)


@dataclass(frozen=True, eq=False)
class Recording:
    """A recorded session, binned, as `io` reads it.

    Nothing may be lagged or filtered across a change of `segment`.

    Attributes:
        counts: `[bins, channels]` spike counts (unsigned integers).
        bin_ns: width of a bin.
        kinematics: name -> `[bins, d]` float64 ("position", "velocity", "force", ...).
        units: name -> unit of each kinematic quantity as recorded ("m/s", "cm/s").
        segment: `[bins]` int32, number of the unbroken stretch a bin belongs to, never decreasing.
        trial: `[bins]` int32, number of the trial, -1 outside trials; None where the recording has no trials.
        target: `[trials]` condition of each trial (direction, target number), or None.
        t_ns: `[bins]` int64, end of each bin on the recording's clock.
        spike_t_ns: per channel sorted spike times on the same clock, or None where only counts are known.
        name: what to call it (the file's stem).
        sha256: hash of the source file, "" where there is none.
        info: whatever else the source says (subject, area, licence).
    """

    counts: NDArray[Any]
    bin_ns: int
    kinematics: Mapping[str, Float64]
    units: Mapping[str, str]
    segment: NDArray[np.int32]
    trial: NDArray[np.int32] | None = None
    target: NDArray[Any] | None = None
    t_ns: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    spike_t_ns: tuple[NDArray[np.int64], ...] | None = None
    name: str = "recording"
    sha256: str = ""
    info: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no decoder could use.

        Raises:
            InputError: zero units or bins, negative or non-finite counts, lengths that differ, NaN kinematics.
        """
        counts = np.asarray(self.counts)
        if counts.ndim != 2:
            raise InputError(f"{self.name}: counts must be [bins, channels], got shape {counts.shape}")
        bins, channels = counts.shape
        if channels == 0:
            raise InputError(f"{self.name}: the recording has zero units; nothing can be decoded from it")
        if bins == 0:
            raise InputError(f"{self.name}: the recording has zero bins")
        if self.bin_ns <= 0:
            raise InputError(f"{self.name}: bin width must be positive, got {self.bin_ns} ns")
        if counts.dtype.kind == "f":
            if not np.isfinite(counts).all():
                raise InputError(f"{self.name}: counts hold NaN or infinity")
            if (counts != np.rint(counts)).any():
                raise InputError(f"{self.name}: counts must be whole numbers; are these rates? multiply by the bin width")
        if counts.size and counts.min() < 0:
            raise InputError(f"{self.name}: counts hold negative values")
        if counts.max() > np.iinfo(np.uint16).max:
            raise InputError(f"{self.name}: counts above 65535 in a bin; is this voltage?")
        object.__setattr__(self, "counts", counts.astype(np.uint16))
        for name, value in self.kinematics.items():
            if value.ndim != 2 or len(value) != bins:
                raise InputError(f"{self.name}: {name} has shape {value.shape}, but counts have {bins} bins")
            if not np.isfinite(value).all():
                raise InputError(f"{self.name}: {name} holds NaN or infinity")
        for label, index in (("segment", self.segment), ("trial", self.trial)):
            if index is not None and index.shape != (bins,):
                raise InputError(f"{self.name}: {label} has shape {index.shape}, expected ({bins},)")
        if (np.diff(self.segment) < 0).any():
            raise InputError(f"{self.name}: segment numbers must not decrease")
        if self.t_ns.size == 0:
            object.__setattr__(self, "t_ns", (np.arange(bins, dtype=np.int64) + 1) * self.bin_ns)
        elif self.t_ns.shape != (bins,):
            raise InputError(f"{self.name}: t_ns has shape {self.t_ns.shape}, expected ({bins},)")

    @property
    def bins(self) -> int:
        """Number of bins."""
        return int(self.counts.shape[0])

    @property
    def channels(self) -> int:
        """Number of channels (units)."""
        return int(self.counts.shape[1])
