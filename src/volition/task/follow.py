"""following a leader whose speed and heading wander: keep the distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import atan2, cos, exp, hypot, inf, pi, radians, sin, sqrt
from typing import Any

import numpy as np

from volition.errors import ConfigError
from volition.signal import NS_PER_S, BodyState, Float32, Goal
from volition.stage import Setup, Spec
from volition.task._layout import Point
from volition.task._score import wilson
from volition.task._steering import Steering, Track

_CATCH_UP = 1.5  # the pace asked for, over the leader's mean speed
_FOLLOW_S = 1.5  # an ideal user makes up the distance in this time


@dataclass(frozen=True)
class FollowConfig:
    """What is asked.

    Attributes:
        speed_m_s: mean speed of the leader, m/s; what the body can, over 1.5, if that is less.
        speed_sd: of its speed, as a share of the mean.
        turn_deg_s: sd of its heading rate, degrees/s.
        wander_s: time constant of both, s.
        gap_m: the distance to keep, m.
        lost_m: a distance at which the leader is lost, m.
        trial_s: length of a trial, s.
    """

    speed_m_s: float = 1.0
    speed_sd: float = 0.25
    turn_deg_s: float = 8.0
    wander_s: float = 4.0
    gap_m: float = 2.0
    lost_m: float = 6.0
    trial_s: float = 20.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not (self.speed_m_s > 0 and 0 <= self.speed_sd <= 0.5 and 0 <= self.turn_deg_s < inf and self.wander_s > 0):
            raise ConfigError("follow: speed_m_s and wander_s must be positive, speed_sd 0..0.5, turn_deg_s not negative")
        if not (0 < self.gap_m < self.lost_m < inf and 0 < self.trial_s < inf):
            raise ConfigError("follow: gap_m must lie in 0..lost_m, and trial_s be positive")


class Follow:
    """A leader goes ahead; the goal is the leader, and its radius the distance to keep.

    Speed and heading rate of the leader are AR(1) processes; it turns back towards the middle before it leaves the field.
    A trial ends after `trial_s` ("kept"), with a distance above `lost_m` ("lost"; the leader then begins anew, twice the gap
    ahead) or with a fall ("fell"; after it nothing more is asked).

    Attributes:
        pace_m_s: 1.5 times the leader's mean speed: who falls behind has to catch up.
    """

    Config = FollowConfig

    def __init__(self, config: FollowConfig | None = None) -> None:
        self.config = config or FollowConfig()
        self.spec = Spec()
        self.pace_m_s = _CATCH_UP * self.config.speed_m_s

    def prepare(self, setup: Setup) -> None:
        """Learn how large the field is and how the body is steered.

        Raises:
            ConfigError: the effector can neither be walked nor be moved about.
        """
        c = self.config
        self._steering = Steering(setup, "follow")
        self._scale = min(1.0, self._steering.half / (4 * c.lost_m))
        self._gap, self._lost = c.gap_m * self._scale, c.lost_m * self._scale
        self._pace = min(self.pace_m_s, setup.max_speed)
        self._mean = min(self._pace / _CATCH_UP, 0.5 * self._steering.half)
        self._rng = setup.rng("task")
        self._track = Track(self._steering)
        self.restart(0)

    def restart(self, t_ns: int) -> Goal:
        """A new block: forgets the trials; the leader stands twice the gap ahead of the body and goes."""
        self._trials: list[dict[str, Any]] = []
        self._over = False
        self._track.begin(t_ns)
        self._meet()
        return self._begin(t_ns)

    def _meet(self) -> None:
        """The leader stands ahead of the body, or towards the middle where that would leave the field."""
        track, ahead = self._track, 2 * self._gap
        self._way = track.ahead(4 * ahead, self._steering.half)
        self._leader: Point = track.from_here(self._way, ahead)
        self._speed_noise = self._turn_noise = 0.0
        self._speed = 0.0

    def _begin(self, t_ns: int) -> Goal:
        self._since_ns = t_ns
        self._n, self._square, self._speed_square, self._far = 0, 0.0, 0.0, 0.0
        return self._show(t_ns)

    def _show(self, t_ns: int) -> Goal:
        self._goal = Goal(t_ns, len(self._trials), np.array(self._leader), self._gap)
        return self._goal

    def _lead(self, dt: float) -> None:
        """The leader goes on for `dt` s."""
        c = self.config
        keep = exp(-dt / c.wander_s)
        fresh = sqrt(1 - keep * keep)
        a, b = self._rng.standard_normal(2).tolist()
        self._speed_noise = keep * self._speed_noise + fresh * a
        self._turn_noise = keep * self._turn_noise + fresh * b
        wanted = max(0.0, self._mean * (1 + c.speed_sd * self._speed_noise))
        most = self._mean * dt / 2.0  # from standing to its speed in 2 s
        self._speed += min(most, max(-most, wanted - self._speed))
        (x, y), turn = self._leader, radians(c.turn_deg_s) * self._turn_noise
        if max(abs(x), abs(y)) > 0.8 * self._steering.half:
            turn = min(0.4, max(-0.4, (atan2(-y, -x) - self._way + pi) % (2 * pi) - pi))
        self._way += dt * turn
        self._leader = x + dt * self._speed * cos(self._way), y + dt * self._speed * sin(self._way)

    def step(self, t_ns: int, body: BodyState) -> Goal:
        """The leader goes on; judge the distance."""
        dt = self._track.observe(t_ns, body) / NS_PER_S
        if self._over:
            return self._goal
        if dt > 0:
            self._lead(dt)
        distance = self._track.to(self._leader)
        vx, vy = body.velocity.tolist()[:2]
        self._n += 1
        self._square += (distance - self._gap) ** 2
        ahead = vx * cos(self._way) + vy * sin(self._way)
        self._speed_square += (ahead - self._speed) ** 2
        self._far = max(self._far, distance)
        if self._track.fell:
            return self._finish(t_ns, "fell")
        if distance > self._lost:
            return self._finish(t_ns, "lost")
        return self._finish(t_ns, "kept") if t_ns - self._since_ns >= self.config.trial_s * NS_PER_S else self._show(t_ns)

    def _finish(self, t_ns: int, outcome: str) -> Goal:
        self._trials.append(
            {
                "trial": len(self._trials),
                "outcome": outcome,
                "start_s": self._since_ns / NS_PER_S,
                "duration_s": (t_ns - self._since_ns) / NS_PER_S,
                "gap_error_m": sqrt(self._square / self._n),
                "speed_error_m_s": sqrt(self._speed_square / self._n),
                "farthest_m": self._far,
            }
        )
        self._over = outcome == "fell"
        if self._over:
            return self._show(t_ns)
        if outcome == "lost":
            self._meet()
        return self._begin(t_ns)

    def aim(self, body: BodyState, goal: Goal | None = None) -> Float32:
        """Towards the leader with its speed, and a correction that makes up for the distance in 1.5 s."""
        goal = goal or self._goal
        gx, gy = goal.position.tolist()[:2]
        x, y = body.position.tolist()[:2]
        speed = self._speed + (hypot(gx - x, gy - y) - goal.radius) / _FOLLOW_S
        return self._steering.command(body, (gx, gy), min(self._pace, max(0.0, speed)))

    def score(self) -> Mapping[str, float]:
        """Share of trials kept (Wilson interval), errors of distance and speed (root mean square over trials), falls."""
        n = len(self._trials)
        kept = sum(t["outcome"] == "kept" for t in self._trials)
        low, high = wilson(kept, n)
        rms = {
            name: sqrt(sum(t[name] ** 2 for t in self._trials) / n) if n else 0.0
            for name in ("gap_error_m", "speed_error_m_s")
        }
        return {
            "success": kept / n if n else 0.0,
            "success_low": low,
            "success_high": high,
            "n_trials": float(n),
            **rms,
            "farthest_m": max((t["farthest_m"] for t in self._trials), default=0.0),
            "fell": float(self._track.fell),
            "block_s": self._track.block_s,
        }

    def trials(self) -> Sequence[Mapping[str, Any]]:
        """The trials of the block, raw; errors are root mean squares over the trial."""
        return self._trials
