"""Stages that do nothing, of full width: what is left of a step is the loop's own time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from volition.loop.loop import Loop
from volition.signal import BodyState, Features, Goal, Intent, Spikes, Stim, Touch
from volition.stage import Port, Setup, Spec

_CHANNELS, _NAMES = 1024, ("reach.x", "reach.y")


@dataclass(frozen=True)
class BareConfig:
    """Nothing to configure."""


class _Bare:
    Config = BareConfig
    spec = Spec()

    def prepare(self, setup: Setup) -> None:
        """Hold what will be given, made once."""
        self._t_ns, self._bin_ns = 0, setup.bin_ns


class Brain(_Bare):
    """Counts that change from bin to bin (equal ones would count as a frozen channel)."""

    spec = Spec(gives=Port(_CHANNELS))

    def prepare(self, setup: Setup) -> None:
        """Draw two bins."""
        super().prepare(setup)
        self._counts = setup.rng("bare").poisson(0.5, (2, _CHANNELS)).astype(np.uint16)
        self._zero = np.zeros(len(setup.intent), np.float32)

    def step(self, view: Any, stim: Any) -> Spikes:
        """One of two bins."""
        self._t_ns += self._bin_ns
        return Spikes(self._t_ns, self._counts[self._t_ns // self._bin_ns % 2])

    def intended(self) -> Any:
        """Nothing."""
        return self._zero


class Channel(_Bare):
    """Passes on."""

    electrodes = 64
    spec = Spec(gives=Port(_CHANNELS))

    def prepare(self, setup: Setup) -> None:
        """Nothing is missing."""
        self._mask = np.zeros(_CHANNELS, np.bool_)

    def read(self, spikes: Spikes) -> Features:
        """Counts as float32."""
        return Features(spikes.t_ns, spikes.counts.astype(np.float32), self._mask)

    def write(self, stim: Stim) -> Stim:
        """Everything is delivered: nothing is connected."""
        return stim


class Decoder(_Bare):
    """Always wants the same."""

    confidence = 1.0

    def prepare(self, setup: Setup) -> None:
        """The answer."""
        self._answer = np.full(len(setup.intent), 0.01, np.float32)

    def step(self, x: Any, mask: Any) -> Any:
        """The same."""
        return self._answer

    def reset(self) -> None:
        """No history."""


class Effector(_Bare):
    """Does not move."""

    spec = Spec(takes=Port(len(_NAMES), "m/s", _NAMES), gives=Port(32, "N"))
    workspace = np.array([[-0.1, -0.1], [0.1, 0.1]])
    max_speed = 0.5
    _touch = Touch(0, np.zeros(32))
    _body = BodyState(0, np.zeros(2), np.zeros(2), np.zeros(0), np.zeros(0))

    def step(self, intent: Intent, dt: float) -> tuple[Touch, BodyState]:
        """Where it was."""
        return self._touch, self._body

    def state(self) -> BodyState:
        """Where it is."""
        return self._body


class Feedback(_Bare):
    """Never stimulates."""

    _stim = Stim.zero(0, 64)

    def step(self, touch: Touch) -> Stim:
        """Nothing."""
        return self._stim


class Task(_Bare):
    """Always asks the same."""

    _goal = Goal(0, 0, np.zeros(2), 0.01)

    def step(self, t_ns: int, body: BodyState) -> Goal:
        """The same."""
        return self._goal

    def aim(self, body: BodyState) -> Any:
        """Nowhere."""
        return np.zeros(2, np.float32)

    def restart(self, t_ns: int) -> Goal:
        """The same."""
        return self._goal

    def score(self) -> dict[str, float]:
        """No score."""
        return {}

    def trials(self) -> tuple[()]:
        """No trials."""
        return ()


class Rig:
    """The bare stages, in a loop or called by hand one after the other."""

    def __init__(self) -> None:
        self.stages = (Brain(), Channel(), Decoder(), Effector(), Feedback(), Task())

    def loop(self) -> Loop:
        """A loop of them, without a log."""
        return Loop(*self.stages)

    def by_hand(self, bins: int) -> None:
        """The same calls with the same signals as `bins` steps of the loop, without a loop."""
        brain, channel, decoder, effector, feedback, task = self.stages
        body, stim, t_ns = effector.state(), Stim.zero(0, channel.electrodes), 0
        for _ in range(bins):
            spikes = brain.step(None, stim)
            brain.intended()
            features = channel.read(spikes)
            values = decoder.step(features.x, features.mask)
            touch, body = effector.step(Intent(t_ns, values), 0.02)
            task.step(t_ns, body)
            stim = channel.write(feedback.step(touch))
            t_ns += 20_000_000
