"""walking over rough ground: a course of gates across slopes, steps and slippery places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from volition.errors import ConfigError
from volition.signal import BodyState, Float32, Goal
from volition.stage import GROUNDS, Setup, Spec
from volition.task.walk import Walk, WalkConfig

_ROUGH_M = 32.0  # the ground is rough so far from the middle


@dataclass(frozen=True)
class TerrainConfig:
    """What is asked.

    Attributes:
        kind: of ground: "slopes" (10 %), "steps" (3 cm), "slippery" (friction 0.5 to 1), "mixed" (all of them) or "flat".
        distance_m: from one gate to the next, m.
        bend_deg: a gate lies up to so far to either side of the line across the slabs, degrees.
        stop_every: every so-manieth gate asks the body to stand still, wherever it lies; 0: none does.
        speed_m_s: how fast an ideal user walks, m/s.
        timeout_s: a gate not passed in this time is a failure, s.
    """

    kind: str = "mixed"
    distance_m: float = 5.0
    bend_deg: float = 20.0
    stop_every: int = 4
    speed_m_s: float = 1.3
    timeout_s: float = 20.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.kind not in GROUNDS:
            raise ConfigError(f"terrain: kind must be one of {', '.join(GROUNDS)}, got {self.kind!r}")
        if not self.distance_m > 0:
            raise ConfigError(f"terrain: distance_m must be positive, got {self.distance_m}")
        self.course()

    def course(self) -> WalkConfig:
        """The gates."""
        radius = 0.15 * self.distance_m
        return WalkConfig(
            self.distance_m, self.bend_deg, radius, self.stop_every, 1.0, self.speed_m_s, self.timeout_s, along_x=True
        )


class Terrain:
    """The gates of `walk` on rough ground; the effector lays it (it is asked to by `Setup.ground`), nobody is told where.

    The course keeps to the part that is rough. An effector that knows no such ground walks on its own.

    Attributes:
        ground: what is asked of the effector.
    """

    Config = TerrainConfig

    def __init__(self, config: TerrainConfig | None = None) -> None:
        self.config = config or TerrainConfig()
        self.spec = Spec()
        self.ground = self.config.kind
        self._walk = Walk(self.config.course())

    def prepare(self, setup: Setup) -> None:
        """Lay out the course.

        Raises:
            ConfigError: the effector can neither be walked nor be moved about.
        """
        self._walk.prepare(replace(setup, workspace=np.clip(setup.workspace, -_ROUGH_M, _ROUGH_M)))

    def restart(self, t_ns: int) -> Goal:
        """A new block: forgets the trials, starts at trial 0 from wherever the body is."""
        return self._walk.restart(t_ns)

    def step(self, t_ns: int, body: BodyState) -> Goal:
        """Judge where the body is now."""
        return self._walk.step(t_ns, body)

    def aim(self, body: BodyState, goal: Goal | None = None) -> Float32:
        """As `Walk.aim`."""
        return self._walk.aim(body, goal)

    def score(self) -> Mapping[str, float]:
        """As `Walk.score`."""
        return self._walk.score()

    def trials(self) -> Sequence[Mapping[str, Any]]:
        """As `Walk.trials`."""
        return self._walk.trials()
