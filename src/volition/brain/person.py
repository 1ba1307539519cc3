"""Simulated person: steers by a delayed picture and an internal model, with neurons calibrated to recordings.

Simulated, not recorded. Its neurons are drawn from distributions fitted to recordings (`_preset`, `volition calibrate`);
other constants are cited or marked as assumptions in `_policy`, `_walking`, `_stepping`, `_tuning`, `_variability`,
`_instability` and `_percept`. It sees goal and body a visual delay late, pushes (or walks) towards the goal with motor
noise, and slows when it feels a touch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from volition.brain._model import Belief
from volition.brain._percept import Percept, PerceptConfig
from volition.brain._policy import Policy, PolicyConfig
from volition.brain._stepping import Stride
from volition.brain._tuning import Population, PopulationConfig
from volition.brain._walking import AXES as WALKING
from volition.brain._walking import Walking, WalkingConfig
from volition.errors import ConfigError
from volition.signal import NS_PER_MS, NS_PER_S, Float32, Spikes, Stim, View
from volition.stage import Port, Setup, Spec

_REACHING = {"reach.x": 0, "reach.y": 1, "reach.z": 2}


@dataclass(frozen=True)
class PersonConfig(PolicyConfig, WalkingConfig, PopulationConfig, PerceptConfig):
    """All constants of the person: how it steers and walks, how it fires, what it feels."""

    def __post_init__(self) -> None:
        """Check each part.

        Raises:
            ConfigError: as the parts say.
        """
        for part in (PolicyConfig, WalkingConfig, PopulationConfig, PerceptConfig):
            part.__post_init__(self)


class Person:
    """A user in the loop.

    Takes `View` (delayed by `spec.view_delay_ns`) and the delivered `Stim`; gives `Spikes` `[channels]` counts.

    Attributes:
        policy: how it steers (after `prepare`).
        population: how it fires.
        percept: what it feels.
    """

    Config = PersonConfig
    policy: Policy | Walking
    population: Population
    percept: Percept

    def __init__(self, config: PersonConfig | None = None) -> None:
        self.config = config or PersonConfig()
        self._channels = self.config.channels
        self._memory: Belief | None = None

    @property
    def memory(self) -> Belief | None:
        """What it has learnt of its body and decoder, to be taken along to another session; None for a walker."""
        return self.policy.model.belief if isinstance(self.policy, Policy) else None

    def remember(self, memory: Belief | None) -> None:
        """Begin the next session (`prepare`) with what was learnt in an earlier one, not with "the body does what is meant".

        The skill of steering through a decoder is there again on the next day from the first trials (Ganguly & Carmena
        2009, PLoS Biol 7:e1000153). It is believed as firmly as a first guess (assumption).
        """
        self._memory = memory

    @property
    def spec(self) -> Spec:
        """Channels given (0 before `prepare` if the channel decides), and how late the person sees."""
        return Spec(gives=Port(self._channels, "counts"), view_delay_ns=round(self.config.visual_delay_ms * NS_PER_MS))

    @property
    def felt(self) -> float:
        """How strong a touch is felt now, 0..1."""
        return self.percept.felt

    def prepare(self, setup: Setup) -> None:
        """Draw a population for this run and forget everything but what it was told to `remember`.

        Raises:
            ConfigError: the effector takes neither reach nor walk intents, or the channel has another number of channels.
        """
        config = self.config
        if config.channels not in (0, setup.channels):
            raise ConfigError(f"person has {config.channels} channels, the channel {setup.channels}: set person's to 0")
        self._channels = setup.channels
        walks = any(name in WALKING for name in setup.intent)
        known = WALKING if walks else _REACHING
        self._steered = [i for i, name in enumerate(setup.intent) if name in known]
        if not self._steered:
            takes = ", ".join(setup.intent) or "nothing"
            raise ConfigError(f"person steers {', '.join((*_REACHING, *WALKING))}; the effector takes {takes}")
        self._select = setup.intent.index("select") if "select" in setup.intent else -1
        axes = tuple(known[setup.intent[i]] for i in self._steered)
        move, fire, feel = setup.rng("brain").spawn(3)
        if config.day:  # the same person, another day
            move = move.spawn(config.day)[-1]
        self._effort: Callable[[list[float]], list[float]] = list
        if walks:
            noise = (config.motor_noise, config.motor_noise_ms)
            self.policy = walking = Walking(config, noise, config.visual_delay_ms, axes, setup, move)
            self._effort = walking.effort
        else:
            self.policy = Policy(config, axes, setup, move, self._memory)
        self.population = Population(config, axes, self._select >= 0, setup, fire, steps=walks)
        self._stride = Stride(setup.bin_ns / NS_PER_S)
        self.percept = Percept(config, setup.electrodes, setup.bin_ns, feel)
        self._intended = np.zeros(len(setup.intent), np.float32)
        self._bin_ns, self._t_ns = setup.bin_ns, 0
        behind = round((config.velocity_lead_ms - config.position_lead_ms) * NS_PER_MS / setup.bin_ns)
        self._believed: deque[list[float]] = deque(maxlen=behind + 1)  # positions, the one encoded now first

    def step(self, view: View, stim: Stim) -> Spikes:
        """Counts of the next bin.

        Args:
            view: goal and body as they were a visual delay ago.
            stim: what stimulation was delivered, `[electrodes]`.
        """
        velocity, click = self.policy.step(view, self.percept.step(stim))
        if self._select < 0:
            click = 0.0
        intended = np.zeros_like(self._intended)
        intended[self._steered] = velocity
        if self._select >= 0:
            intended[self._select] = click
        self._intended = intended
        t_ns, self._t_ns = self._t_ns, self._t_ns + self._bin_ns
        self._believed.append(list(self.policy.believed))
        stride = self._stride.step(view.body)
        return self.population.step(t_ns, self._effort(velocity), self._believed[0], click, stride)

    def intended(self) -> Float32:
        """The command carried out in the bin just given (motor noise included), `[k]`: m/s, and 0 or 1 for "select"."""
        return self._intended
