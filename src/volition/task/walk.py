"""walking a course: through gates, round bends, and standing still where that is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot, pi
from typing import Any

import numpy as np

from volition.errors import ConfigError
from volition.signal import NS_PER_S, BodyState, Float32, Goal
from volition.stage import Setup, Spec
from volition.task._attempt import Attempt
from volition.task._score import path_efficiency, wilson
from volition.task._steering import STILL_M_S, Steering, Stood, Track, speed_of

_STOPS_S = 2.0  # legs lag by half a second and brake with about 1 m/s²


@dataclass(frozen=True)
class WalkConfig:
    """What is asked.

    Attributes:
        distance_m: from one gate to the next, m; at most a third of the way from the middle of the workspace to its edge.
        bend_deg: a gate lies up to so far to either side of the way walked so far, degrees.
        radius_m: half the width of a gate, m, at `distance_m`; nearer gates are narrower in proportion.
        stop_every: every so-manieth gate asks the body to stand still in it; 0: none does.
        hold_s: how long to stand there, s.
        speed_m_s: how fast an ideal user walks from gate to gate, m/s; the body's own limit holds, too.
        timeout_s: a gate not passed in this time is a failure, s.
        along_x: bends do not add up: the course goes up and down along x, as over a ground whose slopes lie across it.
    """

    distance_m: float = 4.0
    bend_deg: float = 60.0
    radius_m: float = 0.6
    stop_every: int = 3
    hold_s: float = 1.0
    speed_m_s: float = 1.3
    timeout_s: float = 20.0
    along_x: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not 0 < self.radius_m < self.distance_m < float("inf"):
            raise ConfigError(f"walk: radius_m must lie in 0..distance_m, got {self.radius_m} and {self.distance_m}")
        if not 0 <= self.bend_deg <= 180 or self.stop_every < 0 or not self.speed_m_s > 0:
            raise ConfigError("walk: bend_deg must lie in 0..180, stop_every not be negative, speed_m_s be positive")
        if not 0 <= self.hold_s < self.timeout_s < float("inf"):
            raise ConfigError(f"walk: hold_s must lie in 0..timeout_s, got {self.hold_s} and {self.timeout_s}")


class Walk:
    """Gates one after the other; the body is not put back between them.

    A gate is passed ("reached") by coming within its radius, and one that asks for a stop by standing in it, slower than
    0.25 m/s, for `hold_s`. It fails by time-out, or because the body falls (trunk tilted by more than 60 degrees); after a
    fall nothing more can succeed. The next gate lies ahead in the direction of the last leg of the way, turned by a random
    bend, or back towards the middle where that would leave the workspace.

    Bodies that take "walk.x" and "walk.turn" are steered by heading; any other by velocity ("reach.x", "reach.y"), on a
    smaller course.
    """

    Config = WalkConfig

    def __init__(self, config: WalkConfig | None = None) -> None:
        self.config = config or WalkConfig()
        self.spec = Spec()

    def prepare(self, setup: Setup) -> None:
        """Learn how large the workspace is and how the body is steered.

        Raises:
            ConfigError: the effector can neither be walked nor be moved about.
        """
        c = self.config
        self._steering = Steering(setup, "walk")
        self._half = self._steering.half
        self._distance = min(c.distance_m, self._half / 3)
        self._radius = c.radius_m * self._distance / c.distance_m
        self._speed = min(c.speed_m_s, setup.max_speed)
        self._rng = setup.rng("task")
        self._track = Track(self._steering)
        self._ahead = self._axis = 0.0
        self.restart(0)

    def restart(self, t_ns: int) -> Goal:
        """A new block: forgets the trials, starts at trial 0 from wherever the body is."""
        self._trials: list[dict[str, Any]] = []
        self._track.begin(t_ns)
        return self._next(t_ns, 0)

    def _stops(self, trial: int) -> bool:
        return self.config.stop_every > 0 and (trial + 1) % self.config.stop_every == 0

    def _next(self, t_ns: int, trial: int) -> Goal:
        """Lay out the next gate."""
        bend = self.config.bend_deg * pi / 180
        turn = float(self._rng.uniform(-bend, bend))
        self._ahead = turn + (self._axis if self.config.along_x else self._ahead)
        at = self._track.from_here(self._ahead, self._distance)
        if max(abs(at[0]), abs(at[1])) > self._half - self._radius:
            self._axis = pi if self._track.here[0] > 0 else 0.0
            self._ahead = self._axis if self.config.along_x else self._track.inward()
            at = self._track.from_here(self._ahead, self._distance)
        self._attempt = Attempt(t_ns, self._track.here, at, self._radius)
        self._stood = Stood()
        self._goal = Goal(t_ns, trial, np.array(at), self._radius, stop=self._stops(trial))
        return self._goal

    def step(self, t_ns: int, body: BodyState) -> Goal:
        """Judge where the body is now."""
        self._track.observe(t_ns, body)
        inside = self._track.to(self._goal.position.tolist()) <= self._radius
        self._attempt.observe(t_ns, *self._track.here, inside)
        stood_ns = self._stood.observe(t_ns, inside and speed_of(body) < STILL_M_S)
        outcome = self._judge(t_ns, inside, stood_ns)
        return self._goal if outcome == "" else self._finish(t_ns, outcome)

    def _judge(self, t_ns: int, inside: bool, stood_ns: int) -> str:
        """How the trial ends now, or ""."""
        if t_ns - self._attempt.start_ns >= self.config.timeout_s * NS_PER_S:
            return "fell" if self._track.fell else "timeout"
        if self._track.fell or not inside:
            return ""
        if not self._stops(self._goal.trial):
            return "reached"
        return "reached" if stood_ns >= self.config.hold_s * NS_PER_S else ""

    def _finish(self, t_ns: int, outcome: str) -> Goal:
        trial = self._goal.trial
        record = self._attempt.record(t_ns, outcome, False)
        self._trials.append({"trial": trial, "stop": self._stops(trial), **record})
        return self._next(t_ns, trial + 1)

    def aim(self, body: BodyState, goal: Goal | None = None) -> Float32:
        """Turn towards the gate and walk (see `Steering.command`); slow down where a stop is asked.

        Before a stop the speed falls in proportion to the distance (legs: within what they go in 2 s, since they do not stop
        at once; other bodies: from 0.4 of the way); in a gate that asks for it, nothing.
        """
        goal = goal or self._goal
        gx, gy = goal.position.tolist()[:2]
        x, y = body.position.tolist()[:2]
        distance, speed = hypot(gx - x, gy - y), self._speed
        if goal.stop:
            if distance <= 0.5 * goal.radius:
                return self._steering.still()
            near = _STOPS_S * speed if self._steering.walks else 0.4 * self._distance
            speed *= min(1.0, max(0.2, distance / near))
        return self._steering.command(body, (gx, gy), speed)

    def score(self) -> Mapping[str, float]:
        """Success rate with its Wilson interval, mean speed over ground and path efficiency of the gates passed, falls."""
        passed = [t for t in self._trials if t["outcome"] == "reached"]
        n, k = len(self._trials), len(passed)
        low, high = wilson(k, n)
        seconds = sum(t["duration_s"] for t in passed)
        ways = [path_efficiency(max(t["distance_m"] - t["radius_m"], 0.0), t["path_m"]) for t in passed]
        return {
            "success": k / n if n else 0.0,
            "success_low": low,
            "success_high": high,
            "n_trials": float(n),
            "speed_m_s": sum(t["distance_m"] for t in passed) / seconds if seconds > 0 else 0.0,
            "path_efficiency": sum(ways) / k if k else 0.0,
            "fell": float(self._track.fell),
            "block_s": self._track.block_s,
        }

    def trials(self) -> Sequence[Mapping[str, Any]]:
        """The finished trials of the block, raw; times in s, lengths in m; "stop" tells whether a stop was asked."""
        return self._trials
