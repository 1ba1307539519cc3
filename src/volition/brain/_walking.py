"""How the simulated person walks: it turns towards where it wants to be, and goes.

That one array in the hand area of motor cortex carries intent for the whole body is Willett et al. 2020 (Cell 181 396).
What is meant is where to go and how fast; rhythm and balance belong to the legs. How a walker turns towards a goal follows
the bearing (Fajen & Warren 2003, J Exp Psychol 29 343), here without their damping and obstacles.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from volition.errors import ConfigError
from volition.signal import NS_PER_MS, NS_PER_S, View
from volition.stage import Setup

_FASTEST_M_S = 20.0  # a goal that moves faster is another goal
_WATCHES_MS = 300.0  # in which it sees how a goal moves (assumption)
AXES = {"walk.x": 0, "walk.y": 1, "walk.turn": 2}


@dataclass(frozen=True)
class WalkingConfig:
    """Constants of walking.

    Attributes:
        walk_m_s: speed it likes to walk at, m/s (1.3: comfortable walking of adults, Bohannon 1997), where the task asks for
            no pace of its own.
        turn_rad_s: fastest turn it means, rad/s (assumption).
        turn_s: time in which it would turn to the goal, s (assumption).
        stop_s: before a place at which to stand, speed is at most the distance over this time, s (assumption: what it has
            learnt about legs that lag by half a second and brake with about 1 m/s²).
        follow_s: behind a goal that moves, the distance too much or too little is made up in this time, s (assumption;
            people who walk behind others match their speed: Rio et al. 2014, J Vis 14(2):4).
    """

    walk_m_s: float = 1.3
    turn_rad_s: float = 0.9
    turn_s: float = 0.7
    stop_s: float = 2.0
    follow_s: float = 1.5

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ConfigError: a value is not positive.
        """
        for name in ("walk_m_s", "turn_rad_s", "turn_s", "stop_s", "follow_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"person: {name} must be positive, got {getattr(self, name)}")


class Walking:
    """State of one person's walking.

    With the pose seen a visual delay ago, carried on by its own plans since (dead reckoning), e the bearing of the goal and
    d its distance:

        turn    = clip(e / turn_s, turn_rad_s)
        forward = walk max(0, cos e)²
        walk    = walk_m_s or the task's pace; where the goal asks to stand at most d / stop_s, and 0 within half its radius;
                  behind a goal that moves, its speed plus (d - radius) / follow_s, within the same pace

    Both carry signal-dependent noise (AR(1)), as reaching does. Sideways it means nothing.

    Attributes:
        believed: position, m, as long as the axes.
    """

    def __init__(
        self, config: WalkingConfig, noise: tuple[float, float], delay_ms: float, axes: tuple[int, ...], setup: Setup,
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self._config, self._axes, self._rng = config, axes, rng
        self._noise, keep_ms = noise
        bin_ms = setup.bin_ns / NS_PER_MS
        self._dt = setup.bin_ns / NS_PER_S
        self._keep = math.exp(-bin_ms / keep_ms)
        self._wander = np.zeros(2)
        bins = round(delay_ms / bin_ms)
        self._plans: deque[tuple[float, float]] = deque([(0.0, 0.0)] * bins, maxlen=bins)
        self._speed = min(setup.pace_m_s or config.walk_m_s, setup.max_speed)
        self._shown: tuple[int, float, float] | None = None
        self._goes, self._fresh = (0.0, 0.0), min(1.0, bin_ms / _WATCHES_MS)
        self._ahead_s = bins * self._dt
        # Full effort is the fastest that it means to go, whatever the body could do; the encoder counts in the body's speed.
        self._effort = (setup.max_speed / self._speed, 1.0, setup.max_speed / config.turn_rad_s)
        self.believed = [0.0] * len(axes)

    def step(self, view: View, felt: float) -> tuple[list[float], float]:
        """One bin: what is meant on each axis (m/s, m/s, rad/s), and no click."""
        x, y, heading = self._now(view)
        self.believed = [(x, y, 0.0)[axis] for axis in self._axes]
        gx, gy = self._goal(view)
        distance = math.hypot(gx - x, gy - y)
        forward, turn = self._push(distance, math.remainder(math.atan2(gy - y, gx - x) - heading, math.tau), view)
        if self._plans.maxlen:
            self._plans.append((forward, turn))
        fresh = math.sqrt(1 - self._keep**2)
        self._wander = self._keep * self._wander + fresh * self._rng.standard_normal(2)
        size = self._noise * self._wander
        meant = (forward * (1 + size[0]), 0.0, turn + size[1] * abs(turn))
        return [float(meant[axis]) for axis in self._axes], 0.0

    def _now(self, view: View) -> tuple[float, float, float]:
        """Where it believes to be: the pose seen, carried on by the plans of the delay."""
        x, y = view.body.position.tolist()[:2]
        heading = float(view.body.joint_position[0]) if view.body.joint_position.size else 0.0
        for forward, turn in self._plans:
            x, y = x + self._dt * forward * math.cos(heading), y + self._dt * forward * math.sin(heading)
            heading += self._dt * turn
        return x, y, heading

    def _goal(self, view: View) -> tuple[float, float]:
        """Where the goal is now, as it believes: one that moves has gone on since it was seen."""
        gx, gy = view.goal.position.tolist()[:2]
        before, self._shown = self._shown, (view.goal.trial, gx, gy)
        jump = math.inf if before is None else math.hypot(gx - before[1], gy - before[2])
        if before is None or before[0] != view.goal.trial or view.goal.stop or jump > _FASTEST_M_S * self._dt:
            self._goes = 0.0, 0.0
            return gx, gy
        vx, vy = self._goes
        vx += self._fresh * ((gx - before[1]) / self._dt - vx)
        vy += self._fresh * ((gy - before[2]) / self._dt - vy)
        self._goes = vx, vy
        return gx + self._ahead_s * vx, gy + self._ahead_s * vy

    def _push(self, distance: float, bearing: float, view: View) -> tuple[float, float]:
        """Forward speed and heading rate, without noise."""
        c, speed = self._config, self._speed
        if view.goal.stop:
            if distance <= 0.5 * view.goal.radius:
                return 0.0, 0.0
            speed = min(speed, distance / c.stop_s)
        elif any(self._goes):
            speed = min(speed, max(0.0, math.hypot(*self._goes) + (distance - view.goal.radius) / c.follow_s))
        turn = min(c.turn_rad_s, max(-c.turn_rad_s, bearing / c.turn_s))
        return speed * max(0.0, math.cos(bearing)) ** 2, turn

    def effort(self, meant: list[float]) -> list[float]:
        """What the encoder gets: each axis over the fastest that is meant on it, times the body's full speed."""
        return [v * self._effort[axis] for v, axis in zip(meant, self._axes, strict=True)]
