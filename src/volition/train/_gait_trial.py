"""What a gait is tried on in training, and how well it did: four scenarios for every candidate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from volition.effector._gait import Gait
from volition.signal import Bool, Float64
from volition.train._gait_herd import TICK_S, Herd, World, airborne

SCENARIOS = 4
_KICKS_S = (2.0, 3.7, 5.2, 6.5)
_SPEED_TAU_S = 0.6
_RUNS_M_S = 4.0  # from here on a runner that is upright but slow is no runner


@dataclass(slots=True)
class Outcome:
    """How the runs went, `[n]` each.

    Attributes:
        fitness: at most 4, from 4 m/s on 5.5.
        alive: who did not fall.
        speed_error: mean absolute, of the velocity smoothed over a stride or two, m/s.
        turn_error: of the mean turn, rad/s.
        side_error: of the mean velocity sideways, m/s.
    """

    fitness: Float64
    alive: Bool
    speed_error: Float64
    turn_error: Float64
    side_error: Float64


def turn_limit(speed: float) -> float:
    """The turn that a gait is trained on, rad/s."""
    return float(np.interp(speed, [0, 1.5, 3, 5, 7], [0.8, 0.9, 0.6, 0.3, 0.15]))


class Course:
    """Commands of the four scenarios over time, and their kicks.

    0: straight on, with kicks of up to `kick` m/s; 1: a turn; 2: speed and heading in waves; 3: sideways (slow gaits) or
    faster and slower (fast ones). Gaits of 1 m/s and less begin up to 1.2 m/s too fast, so that they learn to brake.
    """

    def __init__(self, herd: Herd, speed: float, seconds: float, kick: float) -> None:
        n, rng = herd.n, herd.rng
        self._n, self._speed, self._seconds = n, speed, seconds
        self.scenario = np.arange(n) % SCENARIOS
        # Drawn once for each scenario: candidates are compared on equal terms.
        self._sign = np.resize(rng.choice([-1.0, 1.0], SCENARIOS), n)
        self._phase = np.resize(rng.uniform(0, 2 * np.pi, SCENARIOS), n)
        kicks = rng.uniform(-kick, kick, (len(_KICKS_S), 2, SCENARIOS)) * np.where(np.arange(SCENARIOS) == 0, 1.0, 0.4)
        self._kicks = np.tile(kicks, (1, 1, -(-n // SCENARIOS)))[:, :, :n]
        self._turn = turn_limit(speed)
        self.start = np.resize(rng.uniform(-0.5, 1.2, SCENARIOS), n) if speed <= 1 else np.zeros(n)
        self.leg = np.resize(rng.choice([0.02, 0.52], SCENARIOS), n)

    def command(self, t: float) -> tuple[Float64, Float64, Float64]:
        """Forward and sideways velocity and turn at time t, `[n]` each."""
        k, v, sign = self.scenario, self._speed, self._sign
        wave = np.sin(2 * np.pi * t / 4 + self._phase)
        vx = v + np.where(k == 2, min(0.4, 0.15 + 0.15 * v) * wave, 0.0)
        ramp = min(1.0, max(0.0, 2 * (t - 1)))
        turn = np.where(k == 1, ramp * sign * self._turn, 0.0)
        turn += np.where(k == 2, 0.5 * ramp * self._turn * np.sin(2 * np.pi * t / 5 + self._phase), 0.0)
        if v <= 1:
            return vx, np.where(k == 3, ramp * sign * 0.3, 0.0), turn
        half = self._seconds / 2
        vx = vx + np.where(k == 3, sign * 0.5 * np.interp(t, [1, 1.5, half, half + 1], [0, 1, 1, -1]), 0.0)
        return vx, np.zeros(self._n), turn

    def kick(self, herd: Herd, tick: int) -> None:
        """Give the kicks that are due."""
        for (dx, dy), at in zip(self._kicks, _KICKS_S, strict=True):
            if tick == round(at / TICK_S):
                herd.kick(dx, dy)


def attempt(
    p: Float64, speed: float, world: World, seed: int, seconds: float, kick: float = 0.5, walk: bool = False
) -> Outcome:
    """Run every row of parameters `[n, k]` once, row i on scenario i mod 4.

    Fitness: 1.5 x share of the time upright (from 4 m/s on: of the way), and for survivors what is left of 1 (of 2.5 from
    4 m/s on) after the error of speed, of 1 after that of turning, and of 0.5 after that of side-stepping; less the cost of
    torque, power and peak load above 2.8 kN. With `walk` the time with both feet in the air costs, too, and the peak load
    from 1.3 body weights on.
    """
    n = len(p)
    herd, gait = Herd(n, world, seed, SCENARIOS), Gait(n)
    course = Course(herd, speed, seconds, kick)
    airborne(herd, gait, p, np.full(n, speed), course.leg, course.start)
    wanted_turn, error, slow = np.zeros(n), np.zeros(n), np.zeros(n)
    for tick in range(round(seconds / TICK_S)):
        course.kick(herd, tick)
        vx, vy, turn = course.command(tick * TICK_S)
        estimate = herd.tick(lambda e, vx=vx, vy=vy, turn=turn: gait.step(e, p, vx, vy, turn, TICK_S))  # type: ignore[misc]
        herd.measure(vx, vy, estimate)
        wanted_turn += herd.alive * turn * TICK_S
        slow += (TICK_S / _SPEED_TAU_S) * (herd.velocity()[0] - vx - slow)
        error += herd.alive * np.abs(slow) * (herd.t_s > 1)
        if not herd.alive.any():
            break
    s, alive = herd.sums, herd.alive
    ticks = np.maximum(s.ticks, 1)
    speed_error = error / np.maximum(ticks - 1 / TICK_S, 1)
    turn_error = np.abs(s.turned - wanted_turn) / (ticks * TICK_S)
    side_error = np.abs(s.side_error / ticks)
    weight, tolerance, turn_tolerance = (1.0, max(speed, 0.6), 0.4) if speed < _RUNS_M_S else (2.5, 0.35 * speed, 0.6)
    good = 1 + weight - weight * np.minimum(1, speed_error / tolerance) - np.minimum(1, turn_error / turn_tolerance)
    good += 0.5 * (1 - np.minimum(1, side_error / 0.3))
    cost = 1e-6 * s.torque / ticks + 2e-5 * s.power / ticks + 1e-4 * np.maximum(0, s.peak_force - 2800)
    if walk:
        cost += 2 * s.air / ticks + 0.5 * np.clip(s.peak_force / herd.weight_n - 1.3, 0, 2)
    lasted = np.minimum(herd.fell_s, seconds) if speed < _RUNS_M_S else np.minimum(s.travelled / speed, seconds)
    fitness = 1.5 * lasted / seconds + alive * good - cost
    return Outcome(fitness, alive.copy(), speed_error, turn_error, side_error)
