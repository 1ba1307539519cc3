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


@dataclass(frozen=True)
class Person:
    """How a person goes, for a gait to be like.

    Attributes:
        strides_per_s: of one leg.
        duty: share of a stride in which a foot stands.
        peak: greatest force on one foot, in body weights.
    """

    strides_per_s: float
    duty: float
    peak: float

    def price(self, strides_per_s: Float64, duty: Float64, over: Float64) -> Float64:
        """What it costs to go otherwise: from three fifths of a tolerance (15 %, .08) on, half for each tolerance.

        `over` is the mean over time of the load on a foot above the person's peak, in body weights.
        """
        strides = np.abs(strides_per_s / self.strides_per_s - 1) / 0.15
        stands = np.abs(duty - self.duty) / 0.08
        wrong: Float64 = np.minimum(8, np.maximum(0, np.stack((strides, stands)) - 0.6)).sum(axis=0)
        return 0.5 * wrong + np.minimum(3, 3 * over)


# Walking at 1.3, running at 3.5 and sprinting at 7 m/s. The recordings in `data/gait` have, by `_gait_steps`, 0.80
# strides/s, 0.64 and 1.10 at about 1 m/s, and 1.43, 0.37 and 2.40 at 3.9 m/s. At 7 m/s: mean force of a stance
# 1.27 + 0.105 v body weights (Weyand & Davis 2005), so a duty factor of 1 / (2 x 2.0) and, as half a sine, a peak of
# pi / 2 x 2.0; a swing of 0.39 s.
WALKER, RUNNER, SPRINTER = Person(0.93, 0.63, 1.15), Person(1.40, 0.37, 2.4), Person(1.9, 0.25, 3.1)


@dataclass(slots=True)
class Outcome:
    """How the runs went, `[n]` each.

    Attributes:
        fitness: at most 4, from 4 m/s on 5.5.
        alive: who did not fall.
        speed_error: mean absolute, of the velocity smoothed over a stride or two, m/s.
        turn_error: of the mean turn, rad/s.
        side_error: of the mean velocity sideways, m/s.
        strides_per_s: of one leg, by the clock.
        duty: share of the time in which a foot stands.
        peak: greatest load on a foot, body weights.
    """

    fitness: Float64
    alive: Bool
    speed_error: Float64
    turn_error: Float64
    side_error: Float64
    strides_per_s: Float64
    duty: Float64
    peak: Float64


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
    p: Float64, speed: float, world: World, seed: int, seconds: float, kick: float = 0.5, like: Person | None = None
) -> Outcome:
    """Run every row of parameters `[n, k]` once, row i on scenario i mod 4.

    Fitness: 1.5 x share of the time upright (from 4 m/s on: of the way), and for survivors what is left of 1 (of 2.5 from
    4 m/s on) after the error of speed, of 1 after that of turning, and of 0.5 after that of side-stepping; less the cost of
    torque, power and peak load above 2.8 kN. `like` a person: also what `Person.price` says, of mean, strides and duty.
    """
    n = len(p)
    herd, gait = Herd(n, world, seed, SCENARIOS), Gait(n)
    herd.heavy_n = np.inf if like is None else like.peak * herd.weight_n
    course = Course(herd, speed, seconds, kick)
    airborne(herd, gait, p, np.full(n, speed), course.leg, course.start)
    wanted_turn, error, slow, strides = np.zeros((4, n))
    before = gait.phase.copy()
    for tick in range(round(seconds / TICK_S)):
        course.kick(herd, tick)
        vx, vy, turn = course.command(tick * TICK_S)
        estimate = herd.tick(lambda e, vx=vx, vy=vy, turn=turn: gait.step(e, p, vx, vy, turn, TICK_S))  # type: ignore[misc]
        herd.measure(vx, vy, estimate)
        wanted_turn += herd.alive * turn * TICK_S
        strides += herd.alive * np.remainder(gait.phase - before, 1.0)
        before = gait.phase.copy()
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
    pace, duty = strides / (ticks * TICK_S), s.down / ticks
    if like is not None:
        cost += like.price(pace, duty, s.over / ticks)
    lasted = np.minimum(herd.fell_s, seconds) if speed < _RUNS_M_S else np.minimum(s.travelled / speed, seconds)
    fitness = 1.5 * lasted / seconds + alive * good - cost
    return Outcome(fitness, alive.copy(), speed_error, turn_error, side_error, pace, duty, s.peak_foot / herd.weight_n)
