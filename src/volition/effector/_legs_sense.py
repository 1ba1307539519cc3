"""What the legs know of themselves: sensors with their faults, and the estimate made of them. All for a population at once.

Arrays have a leading axis of bodies `[n]`; legs are `[n, 2]`, left first. The controller sees an `Estimate`, never the
simulator's state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from volition.effector._legs_model import CONTACTS, HALF_HIP_M, LINK_M, SOLE_M, SPHERE_M, G
from volition.signal import Bool, Float64

SIDE: Float64 = np.array([1.0, -1.0])
_CONTACTS: Float64 = np.array(CONTACTS)
_CENTRE_M = SOLE_M - SPHERE_M


def wrapped(angle: Float64) -> Float64:
    """The same angle within -pi..pi, rad."""
    within: Float64 = np.remainder(angle + np.pi, 2 * np.pi) - np.pi
    return within


@dataclass(frozen=True)
class SensorNoise:
    """What the sensors get wrong; sd of a reading every 5 ms.

    Attributes:
        gyro_rad_s, gyro_bias_rad_s: an industrial MEMS gyroscope: .008 degree/s/sqrt(Hz), bias .17 degree/s.
        acceleration_m_s2, acceleration_bias_m_s2: its accelerometer: bias 3 mg.
        angle_rad, angle_bias_rad: joint encoder of 16 bit behind the gear, zeroed to .06 degree.
        speed_rad_s: joint velocity as the drive differentiates it.
        force_n, force_gain: sole taxel.
        scale: of them all; 0 makes perfect sensors.
    """

    gyro_rad_s: float = 0.002
    gyro_bias_rad_s: float = 0.003
    acceleration_m_s2: float = 0.05
    acceleration_bias_m_s2: float = 0.03
    angle_rad: float = 0.0002
    angle_bias_rad: float = 0.001
    speed_rad_s: float = 0.05
    force_n: float = 2.0
    force_gain: float = 0.05
    scale: float = 1.0


@dataclass(slots=True)
class Readings:
    """One sample of every sensor.

    Attributes:
        gyro: mean angular velocity since the last sample, body frame `[n, 3]`, rad/s.
        push: velocity gained since the last sample by all forces but gravity, body frame `[n, 3]`, m/s: what an inertial
            unit that integrates its accelerometers delivers.
        angle, speed: of the joints `[n, 2, 6]`.
        sole: force on the taxels `[n, 2, 4]`, N.
    """

    gyro: Float64
    push: Float64
    angle: Float64
    speed: Float64
    sole: Float64


@dataclass(slots=True)
class Estimate:
    """The body as the controller knows it: `[n]` each, in the heading frame (x forward, y left).

    Attributes:
        pitch, roll, yaw: of the trunk, rad (pitch: forward +; roll: to the right +; yaw: counted through, to the left +).
        pitch_rate, roll_rate, yaw_rate: rad/s.
        vx, vy, vz: velocity of the pelvis, m/s.
        angle, speed: of the joints `[n, 2, 6]`.
        load: force under each foot `[n, 2]`, N.
        foot: centre of each ankle, from the pelvis in the heading frame `[n, 2, 3]`, m.
    """

    pitch: Float64
    roll: Float64
    yaw: Float64
    pitch_rate: Float64
    roll_rate: Float64
    yaw_rate: Float64
    vx: Float64
    vy: Float64
    vz: Float64
    angle: Float64
    speed: Float64
    load: Float64
    foot: Float64


def rotation(q: Float64) -> Float64:
    """Rotation matrices `[n, 3, 3]` of quaternions (w, x, y, z) `[n, 4]`."""
    w, x, y, z = q.T
    out = np.empty((len(q), 3, 3))
    out[:, 0, 0], out[:, 1, 1], out[:, 2, 2] = 1 - 2 * (y * y + z * z), 1 - 2 * (x * x + z * z), 1 - 2 * (x * x + y * y)
    xy, wz, xz, wy, yz, wx = x * y, w * z, x * z, w * y, y * z, w * x
    out[:, 0, 1], out[:, 1, 0] = 2 * (xy - wz), 2 * (xy + wz)
    out[:, 0, 2], out[:, 2, 0] = 2 * (xz + wy), 2 * (xz - wy)
    out[:, 1, 2], out[:, 2, 1] = 2 * (yz - wx), 2 * (yz + wx)
    return out


def multiply(p: Float64, q: Float64) -> Float64:
    """Products of quaternions `[n, 4]`."""
    a, b, c, d = p.T
    w, x, y, z = q.T
    return np.stack(
        (
            a * w - b * x - c * y - d * z,
            a * x + b * w + c * z - d * y,
            a * y - b * z + c * w + d * x,
            a * z + b * y - c * x + d * w,
        ),
        axis=1,
    )


def turned(q: Float64, by: Float64) -> Float64:
    """Quaternions turned by small rotation vectors `[n, 3]` in the body frame (exact to third order), of unit length."""
    half = 0.5 * by
    w = 1 - 0.5 * np.einsum("ij,ij->i", half, half)
    out = multiply(q, np.concatenate((w[:, None], half), axis=1))
    out /= np.sqrt(np.einsum("ij,ij->i", out, out))[:, None]
    return out


class Sensors:
    """Reads true states as an inertial unit at the pelvis, encoders and soles would."""

    def __init__(self, n: int, rng: np.random.Generator, noise: SensorNoise | None = None) -> None:
        c = self._noise = noise or SensorNoise()
        self._rng = rng
        self._gyro_bias = rng.normal(0, c.scale * c.gyro_bias_rad_s, (n, 3))
        self._push_bias = rng.normal(0, c.scale * c.acceleration_bias_m_s2, (n, 3))
        self._angle_bias = rng.normal(0, c.scale * c.angle_bias_rad, (n, 2, 6))
        self._gain = 1 + rng.normal(0, c.scale * c.force_gain, (n, 2, 4))
        self._before: tuple[Float64, Float64] | None = None

    def read(self, qpos: Float64, qvel: Float64, sole: Float64, dt: float) -> Readings:
        """Sample the sensors `dt` s after the last time: `[n, nq]`, `[n, nv]` and taxel forces `[n, 8]`."""
        n = len(qpos)
        q, v = qpos[:, 3:7].copy(), qvel[:, 0:3].copy()
        old_q, old_v = self._before if self._before is not None else (q, v)
        self._before = (q, v)
        gained = v - old_v
        gained[:, 2] += G * dt
        push = np.einsum("nij,ni->nj", rotation(q), gained)
        inverse = old_q * np.array([1.0, -1.0, -1.0, -1.0])
        change = multiply(inverse, q)
        gyro = 2 * np.sign(change[:, :1]) * change[:, 1:] / dt
        angle, speed = qpos[:, 7:19].reshape(n, 2, 6), qvel[:, 6:18].reshape(n, 2, 6)
        c = self._noise
        if c.scale:
            noise = self._rng.standard_normal((n, 38)) * c.scale
            gyro += self._gyro_bias + c.gyro_rad_s * noise[:, 0:3]
            push += dt * (self._push_bias + c.acceleration_m_s2 * noise[:, 3:6])
            angle = angle + self._angle_bias + c.angle_rad * noise[:, 6:18].reshape(n, 2, 6)
            speed = speed + c.speed_rad_s * noise[:, 18:30].reshape(n, 2, 6)
            sole = np.maximum(sole.reshape(n, 2, 4) * self._gain + c.force_n * noise[:, 30:38].reshape(n, 2, 4), 0)
        return Readings(gyro, push, angle, speed, sole.reshape(n, 2, 4))


def foot_motion(angle: Float64, speed: Float64, x: Float64, y: Float64) -> tuple[Float64, Float64, Float64, Float64]:
    """Where a point of each foot is, and how it moves, seen from the pelvis and in its frame.

    Args:
        angle: of the joints `[n, 2, 6]`.
        speed: of the joints `[n, 2, 6]`.
        x: of the point, from the ankle in the foot's frame `[n, 2]`; it lies at the height of the spheres' centres.
        y: of the point.

    Returns:
        ankle and point: `[3, n, 2]`, m; velocity of the point `[3, n, 2]`, m/s; spin: the foot's angular velocity
            `[3, n, 2]`, rad/s.
    """
    yaw, roll, pitch, knee, ankle, tilt = np.moveaxis(angle, 2, 0)
    yaw, roll, tilt = SIDE * yaw, SIDE * roll, SIDE * tilt
    dyaw, droll, dpitch, dknee, dankle, dtilt = np.moveaxis(speed, 2, 0)
    dyaw, droll, dtilt = SIDE * dyaw, SIDE * droll, SIDE * dtilt
    a, b = -pitch, knee - pitch
    c = b - ankle
    da, db = -dpitch, dknee - dpitch
    dc = db - dankle
    sa, ca, sb, cb, sc, cc = np.sin(a), np.cos(a), np.sin(b), np.cos(b), np.sin(c), np.cos(c)
    st, ct = np.sin(tilt), np.cos(tilt)
    # The point, tilted about x and then about y by c.
    uy, uz = ct * y + st * _CENTRE_M, st * y - ct * _CENTRE_M
    duy, duz = -dtilt * uz, dtilt * uy
    wx, wz = cc * x + sc * uz, cc * uz - sc * x
    dwx, dwz = sc * duz + dc * wz, cc * duz - dc * wx
    ax, az = -LINK_M * (sa + sb), -LINK_M * (ca + cb)
    px, py, pz = ax + wx, uy, az + wz
    dpx, dpy, dpz = -LINK_M * (ca * da + cb * db) + dwx, duy, LINK_M * (sa * da + sb * db) + dwz
    sr, cr, sy, cy = np.sin(roll), np.cos(roll), np.sin(yaw), np.cos(yaw)
    qy, qz = cr * py - sr * pz, sr * py + cr * pz
    dqy, dqz = cr * dpy - sr * dpz - droll * qz, sr * dpy + cr * dpz + droll * qy
    rx, ry = cy * px - sy * qy, sy * px + cy * qy
    velocity = np.stack((cy * dpx - sy * dqy - dyaw * ry, sy * dpx + cy * dqy + dyaw * rx, dqz))
    hip = SIDE * HALF_HIP_M
    point = np.stack((rx, ry + hip, qz))
    place = np.stack((cy * ax + sy * sr * az, sy * ax - cy * sr * az + hip, cr * az))
    # Angular velocity: about the tilted foot, the leg's pitch, its roll, its yaw, each in its own frame.
    nx, ny, nz = droll + cc * dtilt, cr * dc + sr * sc * dtilt, dyaw + sr * dc - cr * sc * dtilt
    return place, point, velocity, np.stack((cy * nx - sy * ny, sy * nx + cy * ny, nz))


def _cross(a: Float64, b: Float64) -> Float64:
    """Cross product along the first axis."""
    return np.stack((a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]))


class Estimator:
    """Attitude and velocity from inertial unit, encoders and soles.

    The unit's rates are integrated (strap-down); a loaded foot is taken to stand still, so the legs measure the velocity of
    the pelvis, and what the two disagree on corrects velocity, tilt and bias: a fixed-gain observer of the kind of Bloesch
    et al. 2013 (there with a filter's gains). Yaw is only integrated; while a foot stands its own turning, which should be
    nil, shows the bias.
    """

    _VELOCITY = 12.0  # 1/s: towards what the legs say, with the whole weight on them
    _TILT = 0.35  # rad/s per m/s of disagreement
    _BIAS = 0.02  # rad/s² per m/s
    _TURN_BIAS = 0.15  # 1/s
    _LOADED_N = 60.0
    _SLIDES_S = 0.025  # a foot that has just touched down still slides
    _DOUBT_M_S = 0.6  # disagreement at which the legs are believed half

    def __init__(self, n: int, weight_n: float) -> None:
        self._q = np.zeros((n, 4))
        self._q[:, 0] = 1.0
        self._v = np.zeros((n, 3))
        self._bias = np.zeros((n, 3))
        self._yaw = np.zeros(n)
        self._weight = weight_n
        self._stood_s = np.zeros((n, 2))

    def start(self, pitch: Any = 0.0, roll: Any = 0.0, velocity: Any = 0.0) -> None:
        """Begin with a known attitude (aligned before the start) and velocity."""
        n = len(self._q)
        zero = np.zeros(n)
        self._q = turned(self._q * 0 + np.array([1.0, 0, 0, 0]), np.stack((zero + roll, zero, zero), axis=1))
        by = np.stack((zero, zero + pitch, zero), axis=1)
        self._q = multiply(turned(np.tile([1.0, 0, 0, 0], (n, 1)), by), self._q)
        self._v[:] = velocity
        self._yaw[:] = 0

    def update(self, r: Readings, dt: float) -> Estimate:
        """The estimate after one more sample, `dt` s after the last."""
        rate = r.gyro - self._bias
        self._q = turned(self._q, rate * dt)
        R = rotation(self._q)
        self._v += np.einsum("nij,nj->ni", R, r.push)
        self._v[:, 2] -= G * dt
        load = r.sole.sum(axis=2)
        part = r.sole / np.maximum(load, 1.0)[:, :, None]
        ankle, point, moves, spin = foot_motion(r.angle, r.speed, part @ _CONTACTS[:, 0], part @ _CONTACTS[:, 1])
        # Velocity of the pelvis by each foot, if the spheres' lowest points stand still: -(rate x centre + the centre's own
        # motion + whole spin of the foot x way from the centre down to the ground).
        seen = R[:, 2, :]  # the vertical in the body's frame
        turning = rate.T[:, :, None]
        down = -SPHERE_M * seen.T[:, :, None]
        legs = -(_cross(turning, point) + moves + _cross(spin + turning, down))
        turn = spin[2]
        self._stood_s = np.where(load > self._LOADED_N, self._stood_s + dt, 0.0)
        share = np.where(self._stood_s > self._SLIDES_S, load, 0.0) / self._weight
        total = np.maximum(share.sum(axis=1), 1e-9)
        told = np.einsum("nij,nj->ni", R, (legs * share).sum(axis=2).T / total[:, None])
        error = told - self._v
        trust = np.minimum(total, 1.0) / (1 + np.einsum("ij,ij->i", error, error) / self._DOUBT_M_S**2)
        error *= trust[:, None]
        self._v += self._VELOCITY * dt * error
        tilt = np.stack((-error[:, 1], error[:, 0], np.zeros(len(error))), axis=1)
        tilt_body = np.einsum("nij,ni->nj", R, tilt)
        self._q = turned(self._q, (self._TILT * dt) * tilt_body)
        self._bias -= (self._BIAS * dt) * tilt_body
        both = (share > 0.25).all(axis=1)
        yaw_rate = np.einsum("ni,ni->n", seen, rate)
        wrong = np.where(both, yaw_rate + 0.5 * turn.sum(axis=1), 0.0)
        self._bias += (self._TURN_BIAS * dt * wrong)[:, None] * seen
        return self._heading(R, rate, yaw_rate, r, load, ankle, dt)

    def _heading(
        self, R: Float64, rate: Float64, yaw_rate: Float64, r: Readings, load: Float64, ankle: Float64, dt: float
    ) -> Estimate:
        """Everything in the heading frame."""
        cy = np.sqrt(np.maximum(R[:, 0, 0] ** 2 + R[:, 1, 0] ** 2, 1e-9))
        c, s = R[:, 0, 0] / cy, R[:, 1, 0] / cy
        pitch = np.arctan2(-R[:, 2, 0], cy)
        roll = np.arctan2(R[:, 2, 1], R[:, 2, 2])
        yaw = np.arctan2(s, c)
        self._yaw += wrapped(yaw - self._yaw)
        H = np.empty_like(R)
        H[:, 0], H[:, 1], H[:, 2] = (
            c[:, None] * R[:, 0] + s[:, None] * R[:, 1],
            c[:, None] * R[:, 1] - s[:, None] * R[:, 0],
            R[:, 2],
        )
        turning = np.einsum("nij,nj->ni", H, rate)
        foot = np.einsum("nij,jnk->nki", H, ankle)
        vx, vy = c * self._v[:, 0] + s * self._v[:, 1], c * self._v[:, 1] - s * self._v[:, 0]
        return Estimate(
            pitch, roll, self._yaw.copy(), turning[:, 1], turning[:, 0], yaw_rate, vx, vy, self._v[:, 2].copy(),
            r.angle, r.speed, load, foot,
        )  # fmt: skip


def finite(estimate: Estimate) -> Bool:
    """Which bodies' estimates are sound, `[n]`."""
    return np.isfinite(estimate.pitch) & np.isfinite(estimate.vx) & np.isfinite(estimate.vy)
