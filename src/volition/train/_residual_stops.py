"""Stops from a run, on which the network that brakes learns: bodies run under a policy that is given, and then stop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, final

import numpy as np

from volition.effector._legs_pilot import STANDING
from volition.effector._legs_residual import EVERY_TICKS, Act, Policy
from volition.errors import ConfigError
from volition.signal import Float64
from volition.train._gait_herd import TICK_S, World
from volition.train._residual_herd import STEP_S, Course, Drilled, Step, nothing

SECOND, LATE = 0.4, 4.0
"""Price of a second on the way to a stand, and of not standing in time."""
_POOL, _EVERY, _CALM_KICK_M_S = 12, 0.027, 0.1  # moments of runners; between two, a share of the run-up
_STOOD_S, _LATE_S = 0.6, 6.0
_FASTEST, _SLOWEST, _FAST = 1.0, 0.65, 0.75  # commands as shares of the top, and the share of bodies with the fastest
_PARTLY, _PART, _PART_S = 0.2, (0.3, 0.8), (0.8, 2.5)  # who is first only made slower, to which share, for how long


@final
class Stops(Drilled):
    """All bodies run up once; from then on, who stands or falls is one of these runners again.

    Attributes:
        ways: of the stops since it was emptied: way to the stand (m), and whether it stands.
    """

    def __init__(self, n: int, world: World, course: Course, seed: int, runner: Policy, run_up_s: float) -> None:
        """They run up for `run_up_s` before the first is told to stop.

        Raises:
            ConfigError: no body came near its speed.
        """
        residual = runner.residual(n)
        residual.stops, residual.always, residual.brake_m_s2, residual.gap = nothing, True, 0.0, None
        super().__init__(n, world, course, seed, residual, None)
        self._stood_s, self._since_s, self._way = np.zeros(n), np.zeros(n), np.zeros(n)
        self._partly, self._told = np.zeros(n, bool), np.zeros(n, bool)
        self.ways: list[tuple[float, bool]] = []
        if course.near_m_s is not None:
            residual.gap = np.stack([self.rng.uniform(*bounds, n) for bounds in (course.near_m_s, course.far_m_s)])
        fast = self.rng.uniform(size=n) < _FAST
        self.goal[0] = course.top_m_s * np.where(fast, _FASTEST, self.rng.uniform(_SLOWEST, _FASTEST, n))
        self._pool = self._run_up(run_up_s)
        self._again(np.arange(n))
        self.left_s += self.rng.uniform(0, 3, n)  # not all at once

    def _run_up(self, seconds: float) -> list[tuple[list[Float64], Any]]:
        """Runners at some moments: their arrays, and who has the speed that is wanted."""
        pool: list[tuple[list[Float64], Any]] = []
        self.left_s[:] = np.inf
        course, self.course = self.course, replace(self.course, kick_m_s=_CALM_KICK_M_S)
        for moment in range(_POOL):
            while self._tick * TICK_S < seconds * (1 + moment * _EVERY):
                self._go()
            good = self.herd.alive & (self.herd.velocity()[0] > 0.85 * self.pilot.shaper.command[0])
            if good.any():
                pool.append(([a.copy() for a in self._arrays()], np.flatnonzero(good)))
        self.course = course
        if not pool:
            raise ConfigError("stops: no body has run up to its speed")
        return pool

    def decide(self, act: Act) -> Step:
        """`EVERY_TICKS` ticks with what `act` says at the first to who brakes."""
        h, r = self.herd, self.residual
        r.stops = act
        acting = r.brakes.copy()
        reward = np.zeros(self.n)
        for _ in range(EVERY_TICKS):
            before = h.velocity()[0]
            self._go()
            ahead, aside = h.velocity()
            standing = self.pilot.mode == STANDING
            rate = h.qvel[:, 3:6]
            shakes = 0.01 * (rate[:, 0] ** 2 + rate[:, 1] ** 2) + 0.004 * rate[:, 2] ** 2 + 0.3 * np.minimum(aside**2, 1)
            reward -= TICK_S * self._told * h.alive * (self.course.metre * np.abs(ahead) + SECOND * ~standing + shakes)
            if self.course.slows_m_s2:
                lost = np.maximum(before, 0) ** 2 - np.maximum(ahead, 0) ** 2
                reward += self._told * h.alive * self.course.metre / (2 * self.course.slows_m_s2) * lost
            self._way += TICK_S * self._told * ~standing * np.hypot(ahead, aside)
            self._since_s += TICK_S * self._told
            self._stood_s = np.where(standing & self._told, self._stood_s + TICK_S, 0.0)
        rough = 0.3 * ((r.aim - self._before) ** 2).mean(axis=1) + 0.1 * (r.aim**2).mean(axis=1)
        self._before = r.aim.copy()
        fell, stood = ~h.alive, self._stood_s > _STOOD_S
        late = (self._since_s > _LATE_S) & ~fell & ~stood
        reward -= STEP_S * rough * acting + self.course.fall * fell + LATE * late
        ended = fell | stood | late
        if ended.any():
            who = np.flatnonzero(ended)
            self.ways += [(float(self._way[i]), bool(stood[i])) for i in who]
            self._again(who)
        return Step(reward, ended, acting)

    def stopped(self) -> dict[str, float]:
        """How many stops there were since the last time, which share of them stood, and after which way (m)."""
        stood = [way for way, stands in self.ways if stands]
        found = {"stops": len(self.ways), "stood": len(stood) / max(1, len(self.ways))}
        self.ways = []
        return {**found, "way_m": float(np.mean(stood)) if stood else 0.0}

    def _ask(self, who: Any) -> None:
        """Stop; some are made slower first."""
        k, rng = len(who), self.rng
        part = (rng.uniform(size=k) < _PARTLY) & ~self._partly[who]
        self._partly[who], self._told[who] = part, ~part
        self.goal[:, who] = self.goal[:, who] * np.where(part, rng.uniform(*_PART, k), 0.0)
        self.left_s[who] = np.where(part, rng.uniform(*_PART_S, k), np.inf)

    def _again(self, who: Any) -> None:
        """Bodies `who` are runners."""
        arrays, good = self._pool[int(self.rng.integers(len(self._pool)))]
        self._copy(who, arrays, self.rng.choice(good, len(who)))
        self.left_s[who] = self.rng.uniform(0.1, 0.6, len(who))
        self._stood_s[who] = self._since_s[who] = self._way[who] = 0.0
        self._partly[who] = self._told[who] = False
        self._before[who] = 0.0
