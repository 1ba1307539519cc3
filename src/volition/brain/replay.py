"""A recording thinks: gives its counts bin by bin, with its segments, and its recorded movement as the intention.

Recorded, not simulated: what is seen and what is stimulated changes nothing, so the loop is open.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from volition.errors import ConfigError
from volition.signal import EndOfInput, Float32, Recording, Spikes, Stim, View
from volition.stage import Port, Setup, Spec

_AXES = {"reach.x": 0, "reach.y": 1, "reach.z": 2}
_TO_SI: Mapping[str, float] = {"m/s": 1.0, "cm/s": 1e-2, "mm/s": 1e-3, "m": 1.0, "cm": 1e-2, "mm": 1e-3}


@dataclass(frozen=True)
class ReplayConfig:
    """Which recording, and what of it is the intention.

    Attributes:
        file: the recording's file; opened by who builds the loop, who hands over the `Recording`.
        target: the kinematic quantity that counts as the intention.
        scale: SI units per recorded unit; None: from the recording's own units.
        at_end: "stop" ends the run at the last bin, "repeat" begins again (as new segments).
    """

    file: str = ""
    target: str = "velocity"
    scale: float | None = None
    at_end: str = "stop"

    def __post_init__(self) -> None:
        """Refuse what is not a replay.

        Raises:
            ConfigError: unknown `at_end`, a scale that is not finite.
        """
        if self.at_end not in ("stop", "repeat"):
            raise ConfigError(f"replay: at_end must be 'stop' or 'repeat', got {self.at_end!r}")
        if self.scale is not None and not math.isfinite(self.scale):
            raise ConfigError(f"replay: scale must be finite, got {self.scale}")


class Replay:
    """Gives `Spikes` `[channels]` of a `Recording`; its bin is the loop's bin.

    Attributes:
        recording: what is played, None until one is handed over.
    """

    Config = ReplayConfig

    def __init__(self, config: ReplayConfig | None = None, recording: Recording | None = None) -> None:
        self.config = config or ReplayConfig()
        self.recording = recording

    @property
    def spec(self) -> Spec:
        """Channels and bin of the recording; without one, that it needs one."""
        if self.recording is None:
            return Spec(gives=Port(unit="counts"), requires=(f"file:{self.config.file or 'a recording'}",))
        return Spec(gives=Port(self.recording.channels, "counts"), period_ns=self.recording.bin_ns)

    def prepare(self, setup: Setup) -> None:
        """Go to the first bin.

        Raises:
            ConfigError: there is no recording, its bin or channels are not the loop's, or its target cannot be converted.
        """
        if self.recording is None:
            raise ConfigError(
                f"replay has no recording ({self.config.file or 'no file named'}): open a file with volition.io and pass "
                "Replay(recording=...), or name it in config `file` and let volition run open it"
            )
        recording = self.recording
        if setup.bin_ns != recording.bin_ns:
            raise ConfigError(
                f"{recording.name} has bins of {recording.bin_ns / 1e6:g} ms, the loop {setup.bin_ns / 1e6:g} ms"
            )
        if setup.channels != recording.channels:
            raise ConfigError(f"{recording.name} has {recording.channels} channels, the loop expects {setup.channels}")
        self._movement = self._intention(recording, setup.intent)
        self._still = np.zeros(len(setup.intent), np.float32)
        self._span = int(recording.segment[-1]) - int(recording.segment[0]) + 1
        self._next = self._rounds = self._t_ns = 0
        self._intended = self._still

    def step(self, view: View, stim: Stim) -> Spikes:
        """Counts of the next bin; view and stimulation have no effect.

        Raises:
            EndOfInput: the recording is over.
        """
        assert self.recording is not None
        recording = self.recording
        if self._next == recording.bins:
            if self.config.at_end == "stop":
                raise EndOfInput(f"{recording.name} is over after {recording.bins} bins")
            self._next, self._rounds = 0, self._rounds + 1
        k, self._next = self._next, self._next + 1
        t_ns, self._t_ns = self._t_ns, self._t_ns + recording.bin_ns
        self._intended = self._movement[k]
        return Spikes(t_ns, recording.counts[k], int(recording.segment[k]) + self._rounds * self._span)

    def intended(self) -> Float32:
        """The recorded movement of the bin just given, `[k]`, SI units; 0 where the recording knows nothing."""
        return self._intended

    def _intention(self, recording: Recording, names: tuple[str, ...]) -> Float32:
        """`[bins, k]` in the effector's order and units."""
        movement = np.zeros((recording.bins, len(names)), np.float32)
        if not recording.kinematics:
            return movement
        target = self.config.target
        if target not in recording.kinematics:
            raise ConfigError(f"{recording.name} has no {target!r}; it has {', '.join(sorted(recording.kinematics))}")
        values, unit, scale = recording.kinematics[target], recording.units.get(target, ""), self.config.scale
        if scale is None:
            if unit not in _TO_SI:
                raise ConfigError(
                    f"{recording.name}: {target} is in {unit or 'unknown units'}; set replay's scale (SI per unit)"
                )
            scale = _TO_SI[unit]
        for column, name in enumerate(names):
            axis = _AXES.get(name)
            if axis is not None and axis < values.shape[1]:
                movement[:, column] = values[:, axis] * scale
        return movement
