"""A herd: many legs in one batch, each with its own mass, floor and sensors, as gaits are trained and tried on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import Batch

from volition.effector._gait import Gait, controls
from volition.effector._legs_ground import FRICTION
from volition.effector._legs_model import HIP_TO_SOLE_M, LOWER, SPHERE_M, UPPER, G, build
from volition.effector._legs_sense import Estimate, Estimator, SensorNoise, Sensors
from volition.signal import Bool, Float64
from volition.train._gait_steps import STANDS_N

TICK_S = 0.005
BIN_TICKS = 4
"""An intent comes every 20 ms."""
FALLEN_HEIGHT_M, FALLEN_UP = 0.55, 0.6

Law = Callable[[Estimate], Float64]
"""From what is known of the bodies to joint targets `[n, 2, 6]`."""


@dataclass(frozen=True)
class World:
    """How the bodies and their world differ from the nominal, and how finely they are simulated.

    Attributes:
        fit, limits: as in `build`.
        timestep_s: of the physics; it must divide 5 ms.
        iterations: of the solver.
        friction: range, drawn for each body.
        mass: half range of the trunk's mass, as a share.
        noise: scale of the sensors' noise.
        threads: of the batch.
        ground: as in `build`; drawn from the herd's seed, one for all of its bodies.
    """

    fit: str = "robot"
    limits: str = "stated"
    timestep_s: float = 0.0025
    iterations: int = 3
    friction: tuple[float, float] = (0.7, 1.0)
    mass: float = 0.1
    noise: float = 1.0
    threads: int = 1
    ground: str = "flat"


@dataclass(slots=True)
class Sums:
    """Sums over the ticks in which a body stood up, `[n]`.

    Attributes:
        ticks: their number.
        power: positive mechanical power of the motors, W.
        torque: sum of the squared torques, N²m².
        peak_force: greatest load on the soles after the first half second, N (not a sum).
        speed_error: forward velocity less the commanded one, m/s.
        side_error: the same to the left.
        turned: change of heading, rad.
        travelled: forward, m.
        air: ticks in which no foot touched.
        down: ticks in which a foot stood, mean of the two feet.
        peak_foot: greatest load on one foot after the first half second, N (not a sum).
        over: load of the feet above `Herd.heavy_n`, body weights.
        estimate_error: of forward and lateral velocity (m/s) and pitch (rad), absolute `[n, 3]`.
    """

    ticks: Float64
    power: Float64
    torque: Float64
    peak_force: Float64
    speed_error: Float64
    side_error: Float64
    turned: Float64
    travelled: Float64
    air: Float64
    down: Float64
    peak_foot: Float64
    over: Float64
    estimate_error: Float64

    @classmethod
    def nil(cls, n: int) -> Sums:
        """Nothing measured yet."""
        return cls(**{f.name: np.zeros((n, 3) if f.name == "estimate_error" else n) for f in fields(cls)})


class Herd:
    """`n` bodies, stepped together; the fallen are left lying.

    Attributes:
        alive: `[n]`, who has not fallen.
        fell_s: `[n]`, when; infinity for who has not.
        sums: what was measured.
        heavy_n: load of a foot that counts as heavy, N.
    """

    def __init__(self, n: int, world: World, seed: int, alike: int = 0) -> None:
        """With `alike`, body i has the floor and mass of body i mod `alike`: candidates are compared on equal terms."""
        self.n, self.world, self.rng = n, world, np.random.default_rng(seed)
        laid = np.random.default_rng((seed, 1))  # a flat one draws nothing: herds that were are as they were
        self.model = build(world.fit, world.limits, world.timestep_s, world.iterations, ground=world.ground, rng=laid)
        self.weight_n = float(self.model.body_mass.sum()) * G
        self.heavy_n = np.inf
        self.batch = b = Batch(self.model, n, nthread=world.threads, persistent=True)
        friction = b.expand("geom_friction")
        drawn = np.resize(self.rng.uniform(*world.friction, alike or n), n)[:, None]
        if world.ground in ("slippery", "mixed"):  # of two surfaces the rougher counts: the ground's own
            friction[:, self.model.geom_bodyid > 0, 0] = FRICTION[0]
        else:
            friction[:, :, 0] = drawn
        scale = 1 + np.resize(self.rng.uniform(-world.mass, world.mass, alike or n), n)
        mass, inertia = b.expand("body_mass"), b.expand("body_inertia")
        mass[:, 1] *= scale
        inertia[:, 1] *= scale[:, None]
        b.set_const()
        self.qpos, self.qvel, self.ctrl = b.bind("qpos"), b.bind("qvel"), b.bind("ctrl")
        self.sole, self.force, self._geoms = b.bind("sensordata"), b.bind("actuator_force"), b.bind("geom_xpos")
        sphere = int(mujoco.mjtGeom.mjGEOM_SPHERE)
        self._spheres = [i for i in range(self.model.ngeom) if self.model.geom_type[i] == sphere]
        self._steps = round(TICK_S / world.timestep_s)
        self._late = (self._steps + 1) // 2

    def place(self, target: Float64, vx: Float64, pitch: Float64, roll: Float64, drop_m: float = 0.01) -> None:
        """Everybody in its starting pose, `drop_m` above the floor; sensors and estimate begin anew."""
        n, half = self.n, 0.5
        self.batch.reset()
        self.qpos[:] = 0
        self.qpos[:, 3] = np.cos(half * pitch) * np.cos(half * roll)
        self.qpos[:, 4] = np.cos(half * pitch) * np.sin(half * roll)
        self.qpos[:, 5] = np.sin(half * pitch) * np.cos(half * roll)
        self.qpos[:, 6] = -np.sin(half * pitch) * np.sin(half * roll)
        self.qpos[:, 2] = HIP_TO_SOLE_M
        self.qpos[:, 7:19] = np.clip(target, LOWER, UPPER).reshape(n, 12)
        self.qvel[:] = 0
        self.qvel[:, 0] = vx
        self._target: Float64 = target
        self._before: Float64 | None = None
        self.ctrl[:] = controls(target, None, TICK_S)
        self.batch.forward()
        self.qpos[:, 2] += drop_m - (self._geoms[:, self._spheres, 2].min(axis=1) - SPHERE_M)
        self.batch.forward()
        self.sensors = Sensors(n, self.rng, SensorNoise(scale=self.world.noise))
        self.estimator = Estimator(n, self.weight_n)
        self.estimator.start(pitch, roll, np.stack((vx, np.zeros(n), np.zeros(n)), axis=1))
        self.alive: Bool = np.ones(n, bool)
        self.fell_s = np.full(n, np.inf)
        self.t_s, self.tick_count = 0.0, 0
        self.sums = Sums.nil(n)

    def kick(self, dx: Any, dy: Any) -> None:
        """A sudden change of the trunk's velocity, m/s, in the world's x and y."""
        self.qvel[:, 0] += dx
        self.qvel[:, 1] += dy

    def tick(self, law: Law) -> Estimate:
        """5 ms: sense, decide, and some 3 ms later the motors are told."""
        reading = self.sensors.read(self.qpos, self.qvel, self.sole, TICK_S)
        estimate = self.estimator.update(reading, TICK_S)
        self._before, self._target = self._target, law(estimate)
        told = controls(self._target, self._before if self.tick_count else None, TICK_S)
        ids = np.flatnonzero(self.alive)
        self.batch.step(ids, self._late)
        self.ctrl[:] = told
        if self._steps > self._late:
            self.batch.step(ids, self._steps - self._late)
        self.t_s += TICK_S
        self.tick_count += 1
        up = 1 - 2 * (self.qpos[:, 4] ** 2 + self.qpos[:, 5] ** 2)
        lowest = 0.0 if self.world.ground == "flat" else self._geoms[:, self._spheres, 2].min(axis=1) - SPHERE_M
        well = (self.qpos[:, 2] - lowest > FALLEN_HEIGHT_M) & (up > FALLEN_UP) & np.isfinite(self.qpos).all(axis=1)
        self.fell_s[self.alive & ~well] = self.t_s
        self.alive &= well
        return estimate

    def heading(self) -> Float64:
        """True yaw, rad, `[n]`."""
        q = self.qpos[:, 3:7].T
        yaw: Float64 = np.arctan2(2 * (q[0] * q[3] + q[1] * q[2]), 1 - 2 * (q[2] ** 2 + q[3] ** 2))
        return yaw

    def velocity(self) -> tuple[Float64, Float64]:
        """True velocity forward and to the left, m/s."""
        yaw = self.heading()
        c, s = np.cos(yaw), np.sin(yaw)
        return c * self.qvel[:, 0] + s * self.qvel[:, 1], c * self.qvel[:, 1] - s * self.qvel[:, 0]

    def feet(self) -> Float64:
        """Load on each foot `[n, 2]`, N."""
        load: Float64 = self.sole.reshape(-1, 2, 4).sum(axis=2)
        return load

    def measure(self, vx: Float64, vy: Float64, estimate: Estimate) -> None:
        """Add this tick to the sums of who still stands; call after `tick` with what was commanded."""
        on, s = self.alive.astype(float), self.sums
        speed = self.qvel[:, 6:18]
        ahead, aside = self.velocity()
        s.ticks += on
        s.power += on * np.maximum(self.force * speed, 0).sum(axis=1)
        s.torque += on * (self.force**2).sum(axis=1)
        feet = self.feet()
        load = feet.sum(axis=1)
        if self.t_s > 0.5:
            s.peak_force = np.maximum(s.peak_force, on * load)
            s.peak_foot = np.maximum(s.peak_foot, on * feet.max(axis=1))
            s.over += on * np.maximum(feet - self.heavy_n, 0).sum(axis=1) / self.weight_n
        s.speed_error += on * (ahead - vx)
        s.side_error += on * (aside - vy)
        s.turned += on * self.qvel[:, 5] * TICK_S
        s.travelled += on * ahead * TICK_S
        s.air += on * (load < 1)
        s.down += on * (feet > STANDS_N).mean(axis=1)
        s.estimate_error += on[:, None] * np.abs(
            np.stack((estimate.vx - ahead, estimate.vy - aside, estimate.pitch - self.pitch()), axis=1)
        )

    def pitch(self) -> Float64:
        """True pitch of the trunk, rad."""
        q = self.qpos[:, 3:7].T
        angle: Float64 = np.arcsin(np.clip(2 * (q[0] * q[2] - q[3] * q[1]), -1, 1))
        return angle


def airborne(herd: Herd, gait: Gait, p: Float64, vx: Float64, phase: Float64, off: Any = 0.0) -> None:
    """Place a herd in mid-air, in the gait's own posture, `off` m/s from its speed and a little off otherwise."""
    n, rng = herd.n, herd.rng
    zero = np.zeros(n)
    speed = 0.9 * vx + off + 0.1 * rng.normal(size=n)
    pitch, roll = p[:, 7] + 0.03 * rng.normal(size=n), 0.02 * rng.normal(size=n)
    gait.start(phase, speed)
    joints, legs = np.zeros((n, 2, 6)), np.zeros((n, 2))
    known = Estimate(pitch, roll, zero, zero, zero, zero, speed, zero, zero, joints, joints, legs, np.zeros((n, 2, 3)))
    herd.place(gait.step(known, p, vx, zero, zero, 0.0), speed, pitch, roll)
