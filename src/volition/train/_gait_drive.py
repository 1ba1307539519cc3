"""A herd under its pilots: what the legs do with intents, with the noise and the knocks of daily life."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from volition.effector._legs_pilot import STANDING, Library, Pilot
from volition.effector._legs_residual import Policy
from volition.effector._legs_shape import Shape
from volition.effector._legs_stand import POSE, Build
from volition.signal import Bool, Float32, Float64
from volition.train._gait_herd import BIN_TICKS, TICK_S, Herd, World
from volition.train._gait_steps import Steps, steps

Intents = Callable[[float], tuple[float, float, float]]
"""Time (s) -> forward and sideways velocity (m/s) and turn (rad/s) that are intended."""


@dataclass(frozen=True)
class Knocks:
    """What disturbs.

    Attributes:
        speed_m_s, turn_rad_s: sd of white noise on each intent (every 20 ms).
        kick_m_s: sudden change of velocity in a random direction, and
        every_s: how often.
        age: time (s) -> age of the neural data, s.
    """

    speed_m_s: float = 0.0
    turn_rad_s: float = 0.0
    kick_m_s: float = 0.0
    every_s: float = 5.0
    age: Callable[[float], float] | None = None


@dataclass(slots=True)
class Track:
    """What happened, every 20 ms: `[bins, n]`; true values.

    Attributes:
        t_s: time `[bins]`.
        ahead, aside: velocity in the heading frame, m/s.
        turning: heading rate, rad/s.
        x, y: of the pelvis, m.
        heading: rad.
        load: on each foot `[bins, n, 2]`, N.
        power: positive mechanical power of the motors, W.
        standing: whether both feet are planted by intention.
        feet: load on each foot at every tick of 5 ms `[ticks, n, 2]`, N.
        alive: `[n]`, who never fell.
        fell_s: `[n]`, when; infinity for who did not.
        weight_n: nominal weight, N.
    """

    t_s: Float64
    ahead: Float64
    aside: Float64
    turning: Float64
    x: Float64
    y: Float64
    heading: Float64
    load: Float64
    power: Float64
    standing: Bool
    feet: Float32
    alive: Bool
    fell_s: Float64
    weight_n: float

    def steps(self, who: int, start_s: float, end_s: float) -> Steps:
        """Strides of one body in a stretch of time.

        Raises:
            InputError: it took none.
        """
        ticks = slice(round(start_s / TICK_S), round(end_s / TICK_S))
        return steps(self.feet[ticks, who].astype(np.float64), TICK_S, self.weight_n)

    def between(self, start_s: float, end_s: float) -> slice:
        """The bins of a stretch of time."""
        return slice(int(np.searchsorted(self.t_s, start_s)), int(np.searchsorted(self.t_s, end_s)))


def drive(
    n: int,
    seconds: float,
    intents: Intents,
    world: World,
    seed: int = 0,
    knocks: Knocks | None = None,
    library: Library | None = None,
    shape: Shape | None = None,
    pushes: Sequence[tuple[float, Float64, Float64]] = (),
    residual: bool | Policy = True,
) -> Track:
    """`n` bodies from standing, each with its own chance, for so many seconds.

    Args:
        n: bodies.
        seconds: simulated time.
        intents: what is intended, the same for all.
        world: bodies and floor.
        seed: of all chance.
        knocks: noise and kicks.
        library: gaits; by default the shipped ones.
        shape: how intents are shaped; by default up to the library's speed, and frozen intents taken as they are.
        pushes: (time s, change of velocity in x `[n]`, in y `[n]`, m/s).
        residual: whether the shipped correction of the shipped gaits is added, or one of your own.
    """
    knocks = knocks or Knocks()
    policy = residual if isinstance(residual, Policy) else None
    if residual is True and library is None:
        policy = Policy.shipped(world.fit)
    library = library or Library.shipped(world.fit, world.limits)
    shape = shape or Shape(max_m_s=float(library.speeds[-1]), frozen_s=0.0)
    herd = Herd(n, world, seed)
    rng, zero = herd.rng, np.zeros(n)
    pilot = Pilot(n, library, shape, Build.of(herd.model), None if policy is None else policy.residual(n))
    herd.place(np.tile(POSE, (n, 2, 1)), zero, zero, zero, 0.0)
    due = {round(t / TICK_S): (dx, dy) for t, dx, dy in pushes}
    every = round(knocks.every_s / TICK_S)
    rows: list[tuple[Float64, ...]] = []
    feet: list[Float32] = []
    wanted, age = np.zeros((3, n)), zero
    for tick in range(round(seconds / TICK_S)):
        t = tick * TICK_S
        if tick in due:
            herd.kick(*due[tick])
        if knocks.kick_m_s and tick and tick % every == 0:
            angle = rng.uniform(0, 2 * np.pi, n)
            herd.kick(knocks.kick_m_s * np.cos(angle), knocks.kick_m_s * np.sin(angle))
        if tick % BIN_TICKS == 0:
            wanted = np.repeat(np.array(intents(t), float)[:, None], n, axis=1)
            wanted[0] += knocks.speed_m_s * rng.normal(size=n)
            wanted[2] += knocks.turn_rad_s * rng.normal(size=n)
            age = zero + (knocks.age(t) if knocks.age else 0.0)
            rows.append(_row(herd, pilot))
        herd.tick(lambda e: pilot.step(e, wanted, age, TICK_S))  # noqa: B023 (called at once)
        feet.append(herd.feet().astype(np.float32))
        if not herd.alive.any():
            break
    return _track(rows, np.array(feet), herd)


def _track(rows: list[tuple[Float64, ...]], feet: Float32, herd: Herd) -> Track:
    ahead, aside, turning, x, y, heading, load, power, standing = (np.array(c) for c in zip(*rows, strict=True))
    t_s = np.arange(len(rows)).astype(np.float64) * (BIN_TICKS * TICK_S)
    alive, fell = herd.alive.copy(), herd.fell_s.copy()
    return Track(t_s, ahead, aside, turning, x, y, heading, load, power, standing > 0, feet, alive, fell, herd.weight_n)


def _row(herd: Herd, pilot: Pilot) -> tuple[Float64, ...]:
    ahead, aside = herd.velocity()
    speed = herd.qvel[:, 6:18]
    return (
        ahead,
        aside,
        herd.qvel[:, 5].copy(),
        herd.qpos[:, 0].copy(),
        herd.qpos[:, 1].copy(),
        herd.heading(),
        herd.feet(),
        np.maximum(herd.force * speed, 0).sum(axis=1),
        (pilot.mode == STANDING).astype(float),
    )
