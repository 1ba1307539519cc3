"""A herd on which a residual policy learns: commands that change, noise, kicks; who falls goes on from another's past."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from volition.effector._legs_pilot import STEPPING, Library, Pilot
from volition.effector._legs_residual import ACTIONS, EVERY_TICKS, Act, Residual
from volition.effector._legs_sense import wrapped
from volition.effector._legs_shape import Shape
from volition.effector._legs_stand import POSE, Build
from volition.signal import Bool, Float64
from volition.train._gait_herd import BIN_TICKS, TICK_S, Herd, World

EXTRA = 6
"""What the critic sees besides: true velocity forward, to the left and up, height, friction, whether commands are noisy."""
STEP_S = EVERY_TICKS * TICK_S
"""From one decision of the policy to the next."""
_YAWS = 128
_MEANT_S, _BACK = 0.3, 0.6  # the command is smoothed as a stride is long; rad/s for each rad off course
_KEEP_EVERY_S, _KEPT = 0.6, 10
_OWN = frozenset(
    {"noisy", "age_s", "fell_s", "alive", "_friction", "brake", "gap"}
)  # of a place in the herd, not of a body's past


@dataclass(frozen=True)
class Course:
    """What is asked of the bodies, and what disturbs them.

    Attributes:
        top_m_s: fastest command.
        shares: of new commands: fast (the upper quarter), any speed below, stop.
        brake_m_s2: range of what a command may fall by, drawn for each body.
        turn: share of commands with a turn.
        turn_rad_s, aside_m_s2: most turn, and most acceleration to the side in one.
        seconds: range of how long a command holds.
        kick_m_s, every_s: greatest kick, and mean time between two.
        noisy: share of bodies with noise on their commands (0.3 m/s, 20 degrees/s).
        fall: price of a fall.
        lack: price of the speed that lacks, a second of it.
        turns: price of not turning as is meant, against the others.
        strays: price of a heading half a radian and more off the wanted one, a second of it.
        metre: price of a metre on the way to a stand, where stops are learnt.
        near_m_s, far_m_s: ranges of how far below its speed the command of who brakes lies at least and at most, drawn for
            each body; none: it falls by itself.
        slows_m_s2: of stops: a metre counts less what it would be at this braking from then on; 0: it counts whole.
        from_m_s: speed from which the policy takes part; 0: always.
        slow: whether it is the network for jogging that learns, which takes part from commands of 1.25 m/s on.
    """

    top_m_s: float = 7.5
    shares: tuple[float, float, float] = (0.45, 0.2, 0.35)
    brake_m_s2: tuple[float, float] = (1.7, 2.7)
    turn: float = 0.4
    turn_rad_s: float = 1.07
    aside_m_s2: float = 1.6
    seconds: tuple[float, float] = (1.0, 6.0)
    kick_m_s: float = 0.4
    every_s: float = 4.0
    noisy: float = 0.7
    fall: float = 20.0
    lack: float = 3.0
    turns: float = 1.5
    strays: float = 1.5
    metre: float = 0.6
    near_m_s: tuple[float, float] | None = None
    far_m_s: tuple[float, float] = (1.6, 3.0)
    slows_m_s2: float = 0.0
    from_m_s: float = 4.0
    slow: bool = False


@dataclass(slots=True)
class Step:
    """What came of one decision, `[n]` each.

    Attributes:
        reward: of the time until the next one.
        ended: who fell.
        acting: whose decision counted (who stands or is slow has none).
    """

    reward: Float64
    ended: Bool
    acting: Bool


def nothing(seen: Float64) -> Float64:
    """A policy that adds nothing."""
    return np.zeros((len(seen), ACTIONS))


class Drilled(ABC):
    """A herd under its pilots that is asked for this and that, and disturbed, while a policy learns.

    Attributes:
        herd, pilot, residual: the bodies, what leads them, and what is added.
        goal: commands that are meant, before their noise `[3, n]`.
        left_s: until the next ones, `[n]`, s.
        yaw: as it is estimated, `[n]`, rad: nobody can keep the true one, from which it drifts as long as a herd goes on.
    """

    def __init__(self, n: int, world: World, course: Course, seed: int, residual: Residual, library: Library | None) -> None:
        self.n, self.course, self.residual = n, course, residual
        self.herd = h = Herd(n, world, seed)
        self.rng = np.random.default_rng(np.random.SeedSequence((seed, 1)))
        brake = self.rng.uniform(*course.brake_m_s2, n)
        shape = Shape(max_m_s=course.top_m_s, frozen_s=0.0, turn_rad_s=course.turn_rad_s)
        library = library or Library.shipped(world.fit, world.limits)
        self.pilot = Pilot(n, library, shape, Build.of(h.model), residual)
        self.pilot.shaper.brake = brake
        zero = np.zeros(n)
        h.place(np.tile(POSE, (n, 2, 1)), zero, zero, zero, 0.0)
        self.goal, self.wanted, self.left_s = np.zeros((3, n)), np.zeros((3, n)), self.rng.uniform(0.2, 2.0, n)
        self.noisy = self.rng.uniform(size=n) < course.noisy
        self._before = np.zeros((n, ACTIONS))
        self.yaw = zero.copy()
        self._friction = np.array(h.batch.expanded("geom_friction")[:, 0, 0])
        self._tick = 0

    @abstractmethod
    def decide(self, act: Act) -> Step:
        """`EVERY_TICKS` ticks with what `act` says at the first."""

    @abstractmethod
    def _ask(self, who: Any) -> None:
        """New commands for bodies `who`."""

    def privileged(self) -> Float64:
        """What only the critic sees `[n, EXTRA]`."""
        h = self.herd
        ahead, aside = h.velocity()
        height = 5 * (h.qpos[:, 2] - 0.8)
        return np.stack((0.3 * ahead, aside, height, self._friction - 0.85, h.qvel[:, 2], self.noisy * 1.0), axis=1)

    def _go(self) -> None:
        """One tick."""
        self._command()
        self.yaw = self.herd.tick(lambda e: self.pilot.step(e, self.wanted, np.zeros(self.n), TICK_S)).yaw
        self._tick += 1

    def _command(self) -> None:
        """What is wanted now; a kick for some."""
        c, rng, n = self.course, self.rng, self.n
        self.left_s -= TICK_S
        due = np.flatnonzero(self.left_s <= 0)
        if len(due):
            self._ask(due)
        if self._tick % BIN_TICKS == 0:
            noise = rng.standard_normal((2, n)) * self.noisy
            self.wanted = self.goal.copy()
            self.wanted[0] += 0.3 * noise[0]
            self.wanted[2] += 0.35 * noise[1]
        hit = rng.uniform(size=n) < TICK_S / c.every_s
        if hit.any():
            size, angle = rng.uniform(0, c.kick_m_s, n) * hit, rng.uniform(0, 2 * np.pi, n)
            self.herd.kick(size * np.cos(angle), size * np.sin(angle))

    def _arrays(self) -> Iterator[Float64]:
        """Every array that has a value for each body, bodies first."""
        p, h = self.pilot, self.herd
        for owner in (self, h, h.sensors, h.estimator, p, p.shaper, p.gait, p.stand, self.residual):
            for name, value in vars(owner).items():
                for array in value if isinstance(value, tuple) else (value,):
                    if name in _OWN or not isinstance(array, np.ndarray) or not array.flags.writeable:
                        continue
                    if array.ndim and array.shape[0] == self.n:
                        yield array
                    elif array.ndim == 2 and array.shape[1] == self.n:
                        yield array.T

    def _copy(self, who: Any, saved: list[Float64], source: Any) -> None:
        """Bodies `who` go on as bodies `source` of what was saved."""
        h = self.herd
        for target, array in zip(self._arrays(), saved, strict=True):
            target[who] = array[source]
        h.alive[who], h.fell_s[who] = True, np.inf
        h.batch.forward(who)


@final
class Drill(Drilled):
    """Commands of every speed; whoever falls goes on where some body was a while ago: so there are starts at every speed.

    Attributes:
        speed: true forward velocity, smoothed, `[n]`, m/s.
        turning: true heading rate, mean over the last stride, `[n]`, rad/s.
        meant: heading rate of the command, smoothed like that, `[n]`, rad/s.
    """

    def __init__(
        self,
        n: int,
        world: World,
        course: Course,
        seed: int,
        library: Library | None = None,
        told: Sequence[tuple[float, float]] = (),
    ) -> None:
        if course.slow:
            residual = Residual(n, nothing, np.inf, always=True, slow=nothing)
        else:
            residual = Residual(n, nothing, course.from_m_s, always=True, told=told)
        super().__init__(n, world, course, seed, residual, library)
        self.speed, self.turning, self.strides_s = np.zeros(n), np.zeros(n), np.full(n, 3.0)
        self.meant = np.zeros(n)
        self._yaws, self._phase = np.zeros((n, _YAWS)), np.zeros(n)
        self._kept: list[tuple[list[Float64], Bool]] = []

    def decide(self, act: Act) -> Step:
        """`EVERY_TICKS` ticks with what `act` says at the first."""
        h, n = self.herd, self.n
        if self.course.slow:
            self.residual.slow = act
        else:
            self.residual.act = act
        acting = self.residual.corrected
        reward = np.zeros(n)
        for _ in range(EVERY_TICKS):
            self._go()
            reward += TICK_S * self._reward() * h.alive
        acting &= self.residual.corrected | ~h.alive
        aim = self.residual.aim
        reward -= STEP_S * (0.5 * ((aim - self._before) ** 2).mean(axis=1) + 0.3 * (aim**2).mean(axis=1))
        self._before = aim.copy()
        if not self._kept or self._tick % round(_KEEP_EVERY_S / TICK_S) < EVERY_TICKS:
            self._keep()
        ended = ~h.alive
        reward -= self.course.fall * ended
        if ended.any():
            self._again(np.flatnonzero(ended))
        return Step(reward, ended, acting)

    def _ask(self, who: Any) -> None:
        """New commands."""
        c, rng, k = self.course, self.rng, len(who)
        kind = rng.choice(3, size=k, p=c.shares)
        fast, below = rng.uniform(0.75, 1.0, k) * c.top_m_s, rng.uniform(0.0, 0.9, k) * c.top_m_s
        vx = np.choose(kind, (fast, below, np.zeros(k)))
        most = np.minimum(c.turn_rad_s, c.aside_m_s2 / np.maximum(vx, 0.1))
        turn = np.where(rng.uniform(size=k) < c.turn, rng.uniform(-1, 1, k) * most, 0.0) * (kind < 2)
        self.goal[:, who] = np.stack((vx, np.zeros(k), turn))
        # The way to a new speed takes its time.
        gap = np.abs(vx - self.pilot.shaper.command[0][who])
        self.left_s[who] = rng.uniform(*c.seconds, k) + gap / np.where(kind == 2, 2.0, 1.2)

    def _reward(self) -> Float64:
        """A second of such ticks: speed, turn and course as commanded, trunk quiet, little torque."""
        h, pilot = self.herd, self.pilot
        ahead, aside = h.velocity()
        self.speed += TICK_S / 0.15 * (ahead - self.speed)
        self._turn()
        asked, _, turn = pilot.shaper.command
        error, size = np.abs(self.speed - asked), np.abs(asked)
        c, lacks = self.course, np.minimum(1, error / (0.5 + 0.4 * size))
        tracks = 1.5 * np.exp(-((error / (0.15 + 0.06 * size)) ** 2)) + c.lack * (1 - lacks)
        off = wrapped(pilot.gait.heading - self.yaw)
        # Who is off course has to turn at more than is meant: else he is paid for going on beside it.
        self.meant += TICK_S / _MEANT_S * (turn - self.meant)
        wrong = np.abs(self.turning - self.meant - _BACK * np.clip(off, -0.5, 0.5))
        turns = c.turns * (0.6 * np.exp(-((wrong / 0.15) ** 2)) + 0.8 * (1 - np.minimum(1, wrong / 0.8)))
        turns += c.strays * (1 - np.minimum(1, np.abs(off) / 0.5))
        rests = 0.5 * ((pilot.mode != STEPPING) & (asked == 0))
        rate = h.qvel[:, 3:6]
        shakes = 0.01 * (rate[:, 0] ** 2 + rate[:, 1] ** 2) + 0.006 * (rate[:, 2] - turn) ** 2
        costs = shakes + 3e-7 * (h.force**2).sum(axis=1) + 0.5 * np.minimum(aside**2, 1)
        result: Float64 = 0.5 + tracks + turns + rests - costs
        return result

    def _turn(self) -> None:
        """Heading rate, mean over the last stride: within a stride the trunk turns to and fro."""
        phase = self.pilot.gait.phase
        gone = np.remainder(phase - self._phase, 1.0) / TICK_S
        self._phase = phase.copy()
        self.strides_s = np.clip(self.strides_s + TICK_S / 0.2 * (gone - self.strides_s), 1.6, 4.5)
        lag = np.rint(1 / (self.strides_s * TICK_S)).astype(int)
        before, now = self._yaws[np.arange(self.n), (self._tick - lag) % _YAWS], self.herd.heading()
        self.turning = wrapped(now - before) / (lag * TICK_S)
        self._yaws[:, self._tick % _YAWS] = now

    def _keep(self) -> None:
        """The present, for later."""
        self._kept.append(([a.copy() for a in self._arrays()], np.ones(self.n, bool)))
        if len(self._kept) > _KEPT:
            self._kept.pop(0)

    def _again(self, who: Any) -> None:
        """Bodies `who` go on from some body's past, which it outlived by half a second."""
        for _, sound in self._kept[-2:]:
            sound[who] = False
        arrays, sound = self._kept[int(self.rng.integers(max(1, len(self._kept) - 1)))]
        fit = np.flatnonzero(sound)
        source = self.rng.choice(fit if len(fit) else np.arange(self.n), len(who))
        self._copy(who, arrays, source)
