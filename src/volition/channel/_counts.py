"""What the channels at the level of counts share: dead electrodes, lost packets as masks, and the gate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from volition.channel._stimulate import Gate, GateLimits
from volition.errors import ConfigError, InputError
from volition.signal import Bool, Broadband, Features, Spikes, Stim
from volition.stage import Port, Setup, Spec


@dataclass(frozen=True)
class StimulatorConfig:
    """The way back into the brain.

    Attributes:
        electrodes: stimulation electrodes.
        profile: limits of the gate: "strict" (4 nC a phase) or "human_trial" (100 µA, 20 nC).
    """

    electrodes: int = 64
    profile: str = "strict"

    def __post_init__(self) -> None:
        """Refuse what the gate would not know.

        Raises:
            ConfigError: a negative number of electrodes, an unknown profile.
        """
        if self.electrodes < 0:
            raise ConfigError(f"channel: electrodes must not be negative, got {self.electrodes}")
        GateLimits.profile(self.profile)


def check_fractions(config: object, *names: str) -> None:
    """Raise `ConfigError` where a named field of a configuration is outside 0..1."""
    for name in names:
        if not 0 <= getattr(config, name) <= 1:
            raise ConfigError(f"channel: {name} must be 0..1, got {getattr(config, name)}")


class CountChannel(ABC):
    """Spike counts in, float32 counts and a mask out. What is missing is NaN under the mask, never zero.

    Attributes:
        electrodes: stimulation electrodes.
        gate: what every command must pass. `prepare` arms it, unless it is latched: only `gate.arm` ends a latch.
        dead_channels: `[channels]`, True for the whole run (after `prepare`).
        lost_packets: packets that never came.
        late_packets: packets that came after a later one or after their bin was closed, and were dropped.
    """

    dead_channels: Bool

    def __init__(self, stimulator: StimulatorConfig, channels: int = 0, area_um2: float = 0.0) -> None:
        self.electrodes = stimulator.electrodes
        self.gate = Gate(stimulator.electrodes, GateLimits.profile(stimulator.profile), area_um2)
        self.lost_packets = self.late_packets = 0
        self._fixed = channels
        self._channels = channels

    @property
    def spec(self) -> Spec:
        """Counts of all channels in, the same number of features out."""
        return Spec(takes=Port(self._fixed, "counts"), gives=Port(self._channels, "counts"))

    def prepare(self, setup: Setup) -> None:
        """Draw which channels are dead; count losses from zero; start the gate's clock.

        Raises:
            ConfigError: the brain gives another number of channels than this implant has.
        """
        if self._fixed not in (0, setup.channels):
            raise ConfigError(f"this channel has {self._fixed} electrodes, the brain gives {setup.channels} channels")
        self._channels = setup.channels
        self._rng = setup.rng("channel")
        self.dead_channels = self._draw_dead(self._rng)
        self.dead_channels.flags.writeable = False
        self._any_dead = bool(self.dead_channels.any())
        self.lost_packets = self.late_packets = 0
        self._now_ns: int | None = None
        self.gate.restart(0)

    def read(self, signal: Spikes | Broadband) -> Features:
        """Counts of one bin as they arrive, with a mask of what did not.

        Raises:
            ConfigError: the brain gives voltage; this channel takes counts.
            InputError: the number of channels changed.
        """
        if isinstance(signal, Broadband):
            raise ConfigError("this channel takes spike counts, the brain gives voltage; use a channel that filters voltage")
        if signal.counts.shape != (self._channels,):
            raise InputError(f"channel: counts of shape {signal.counts.shape}, expected ({self._channels},)")
        self._now_ns = signal.t_ns
        self.gate.poll(signal.t_ns)
        mask, missing = self.dead_channels, self._any_dead
        lost = self._lost(self._rng)
        if lost is not None:
            mask, missing = mask | lost, True
        if signal.missing.size:
            mask, missing = mask | signal.missing, True
        x = signal.counts.astype(np.float32)
        if missing:
            x[mask] = np.nan
        return Features(signal.t_ns, x, mask, signal.segment)

    def write(self, stim: Stim) -> Stim:
        """What of a command is delivered; the gate's clock is that of the bins read."""
        return self.gate.pass_(stim, self._now_ns)

    @abstractmethod
    def _draw_dead(self, rng: np.random.Generator) -> Bool:
        """Which channels never give anything, `[channels]`."""

    @abstractmethod
    def _lost(self, rng: np.random.Generator) -> Bool | None:
        """Which channels are missing in this bin, `[channels]`; None where all came. Counts what it loses."""
