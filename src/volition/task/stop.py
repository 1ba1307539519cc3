"""stopping: a red light at a random moment while running; how far and how long until the body stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from volition.errors import ConfigError
from volition.signal import NS_PER_S, BodyState, Float32, Goal
from volition.stage import Setup, Spec
from volition.task._score import wilson
from volition.task._steering import STILL_M_S, Steering, Stood, Track, speed_of

_AHEAD_M = 60.0  # where the goal of a green light lies
_STANDS_S = 0.5


@dataclass(frozen=True)
class StopConfig:
    """What is asked.

    Attributes:
        pace_m_s: how fast to run while the light is green, m/s; 0: as fast as the body can.
        green_s: shortest and longest time of a green light, s.
        limit_m: a stop within this is a success, m.
        timeout_s: who does not stand so long after the light is red has failed, s.
    """

    pace_m_s: float = 0.0
    green_s: tuple[float, float] = (6.0, 12.0)
    limit_m: float = 10.0
    timeout_s: float = 15.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if len(self.green_s) != 2 or not 0 < self.green_s[0] <= self.green_s[1] < inf:
            raise ConfigError(f"stop: green_s must be two rising times, got {self.green_s}")
        if not (0 < self.limit_m < inf and 0 < self.timeout_s < inf and 0 <= self.pace_m_s < inf):
            raise ConfigError("stop: limit_m and timeout_s must be positive, and pace_m_s not negative")


class Stop:
    """Green: run straight on. Red, at a random moment: stand.

    The goal of a green light lies 60 m ahead of where the body looked when it came on (towards the middle where that would
    leave the field). The goal of a red one is the place where the body was when it came on, so wide that who stops in time
    is still within half its radius and has nothing to go back to. A trial ends "stood" (below 0.25 m/s for 0.5 s; the way
    and time end where that began), "timeout" or "fell"; after a fall nothing more is asked.

    Attributes:
        pace_m_s: what is asked of person and ideal user, infinity where it is as fast as the body can.
    """

    Config = StopConfig

    def __init__(self, config: StopConfig | None = None) -> None:
        self.config = config or StopConfig()
        self.spec = Spec()
        self.pace_m_s = self.config.pace_m_s or inf

    def prepare(self, setup: Setup) -> None:
        """Learn how large the field is and how the body is steered.

        Raises:
            ConfigError: the effector can neither be walked nor be moved about.
        """
        self._steering = Steering(setup, "stop")
        self._scale = min(1.0, self._steering.half / _AHEAD_M)
        self._speed = min(self.pace_m_s, setup.max_speed)
        self._rng = setup.rng("task")
        self._track = Track(self._steering)
        self.restart(0)

    def restart(self, t_ns: int) -> Goal:
        """A new block: forgets the trials, begins with green from wherever the body is."""
        self._trials: list[dict[str, Any]] = []
        self._red = self._over = False
        self._track.begin(t_ns)
        return self._green(t_ns)

    def _green(self, t_ns: int) -> Goal:
        track, ahead = self._track, _AHEAD_M * self._scale
        way = track.ahead(ahead, self._steering.half)
        self._red = False
        self._until_ns = t_ns + round(float(self._rng.uniform(*self.config.green_s)) * NS_PER_S)
        self._goal = Goal(t_ns, len(self._trials), np.array(track.from_here(way, ahead)), 2.0 * self._scale)
        return self._goal

    def _turn_red(self, t_ns: int, speed: float) -> Goal:
        self._red, self._red_ns, self._at, self._speed_then, self._stood = True, t_ns, self._track.here, speed, Stood()
        v = max(speed, 0.0)
        room = (1.5 + 0.6 * v + 0.5 * v * v) * self._scale  # reaction, and braking at 1 m/s²
        self._goal = Goal(t_ns, len(self._trials), np.array(self._track.here), 2 * room, stop=True)
        return self._goal

    def step(self, t_ns: int, body: BodyState) -> Goal:
        """Judge where the body is now."""
        self._track.observe(t_ns, body)
        speed = speed_of(body)
        if self._over:
            return self._goal
        if not self._red:
            if self._track.fell:
                self._turn_red(t_ns, speed)
                return self._finish(t_ns, "fell", 0)
            if self._track.to(self._goal.position.tolist()) <= self._goal.radius:
                self._green(t_ns)  # so far already: go on
            return self._turn_red(t_ns, speed) if t_ns >= self._until_ns else self._goal
        stood = self._stood.observe(t_ns, speed < STILL_M_S * max(self._scale, 0.1))
        if stood == 0:
            self._way = self._track.to(self._at)
        if self._track.fell:
            return self._finish(t_ns, "fell", 0)
        if stood >= _STANDS_S * NS_PER_S:
            return self._finish(t_ns, "stood", stood)
        return self._finish(t_ns, "timeout", 0) if t_ns - self._red_ns >= self.config.timeout_s * NS_PER_S else self._goal

    def _finish(self, t_ns: int, outcome: str, stood_ns: int) -> Goal:
        stood = outcome == "stood"
        self._trials.append(
            {
                "trial": len(self._trials),
                "outcome": outcome,
                "start_s": self._red_ns / NS_PER_S,
                "duration_s": (t_ns - self._red_ns) / NS_PER_S,
                "speed_m_s": self._speed_then,
                "way_m": self._way if stood else None,
                "time_s": (t_ns - stood_ns - self._red_ns) / NS_PER_S if stood else None,
            }
        )
        self._over = outcome == "fell"
        return self._goal if self._over else self._green(t_ns)

    def aim(self, body: BodyState, goal: Goal | None = None) -> Float32:
        """Green: run to the goal. Red: nothing."""
        goal = goal or self._goal
        if goal.stop:
            return self._steering.still()
        gx, gy = goal.position.tolist()[:2]
        return self._steering.command(body, (gx, gy), self._speed)

    def score(self) -> Mapping[str, float]:
        """Share stood within the limit (Wilson interval), way and time to stand (mean, and the way's greatest), falls.

        Ways are 0 and times the time-out where no stop succeeded.
        """
        stood = [t for t in self._trials if t["outcome"] == "stood"]
        n, m = len(self._trials), len(stood)
        k = sum(t["way_m"] <= self.config.limit_m for t in stood)
        low, high = wilson(k, n)
        ways = [t["way_m"] for t in stood]
        return {
            "success": k / n if n else 0.0,
            "success_low": low,
            "success_high": high,
            "n_trials": float(n),
            "speed_m_s": sum(t["speed_m_s"] for t in self._trials) / n if n else 0.0,
            "way_m": sum(ways) / m if m else 0.0,
            "way_max_m": max(ways, default=0.0),
            "time_s": sum(t["time_s"] for t in stood) / m if m else self.config.timeout_s,
            "fell": float(self._track.fell),
            "block_s": self._track.block_s,
        }

    def trials(self) -> Sequence[Mapping[str, Any]]:
        """The stops of the block, raw; times in s, ways in m, "speed_m_s" when the light turned red."""
        return self._trials
