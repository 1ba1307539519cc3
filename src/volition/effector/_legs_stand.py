"""Standing: both feet stay where they are, and the centre of pressure is kept ahead of where the body is going to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from volition.effector._legs_model import G
from volition.effector._legs_sense import SIDE, Estimate
from volition.signal import Bool, Float64

POSE: Float64 = np.array([0.0, 0.02, 0.35, 0.8, 0.45, -0.02])
"""A crouch, weight over the middle of the soles: from straighter legs the first step of a recovery came too late."""
LOADED_N = 80.0
_SOLE_CENTRE_M = 0.05  # before the ankle
_HEIGHT_M = 0.85  # of the centre of mass, for its natural frequency
_LEG_SHARE = 0.468  # centre of mass of a leg, as a share of the way from hip to ankle


@dataclass(frozen=True)
class Build:
    """Where the mass is: `share` of it above the hips, `height_m` above them."""

    share: float = 0.606
    height_m: float = 0.241

    @classmethod
    def of(cls, model: Any) -> Build:
        """Read from a model: the trunk and whatever hangs on it but the legs."""
        above = [i for i in range(1, model.nbody) if _above(model, i)]
        mass = model.body_mass[above]
        height = [model.body_pos[i][2] * (i != above[0]) + model.body_ipos[i][2] for i in above]
        return cls(float(mass.sum() / model.body_mass.sum()), float(mass @ height / mass.sum()))


def _above(model: Any, body: int) -> bool:
    return not any(model.body(body).name.endswith(part) for part in ("thigh", "shank", "foot"))


def capture_point(e: Estimate, build: Build) -> tuple[Float64, Float64]:
    """Where a foot would have to be to come to rest over it, from the middle of the two soles, m `[n]`.

    `xi = c + c' / omega` of the linear inverted pendulum (Pratt et al. 2006; Hof 2008: "extrapolated centre of mass").
    """
    omega = np.sqrt(G / _HEIGHT_M)
    up, low = build.share, 1 - build.share
    middle = _feet(e).mean(axis=1)
    moving = up + low * (1 - _LEG_SHARE)
    x = up * build.height_m * np.sin(e.pitch) - (1 - low * _LEG_SHARE) * middle[:, 0] - _SOLE_CENTRE_M
    y = -up * build.height_m * np.sin(e.roll) - (1 - low * _LEG_SHARE) * middle[:, 1]
    vx = moving * e.vx + up * build.height_m * e.pitch_rate
    vy = moving * e.vy - up * build.height_m * e.roll_rate
    return x + vx / omega, y + vy / omega


def _alone(e: Estimate) -> Bool:
    """Which feet are in the air while the other one bears, `[n, 2]`."""
    down = e.load > LOADED_N
    return ~down & down[:, ::-1]


def _feet(e: Estimate) -> Float64:
    """Where the feet are, one in the air counting as set down beside the other: `[n, 2, 3]`, m from the pelvis."""
    beside = e.foot[:, ::-1] * np.array([1.0, -1.0, 1.0])
    feet: Float64 = np.where(_alone(e)[:, :, None], beside, e.foot)
    return feet


class Stand:
    """Holds a pose with the feet planted.

    Ankles and hips push the ground so that the centre of pressure leads the capture point (Hof 2008); a slow integral keeps
    the weight over the middle of the soles, whatever the mass.
    """

    _ANKLE, _HIP_ROLL, _ANKLE_ROLL = 1.4, 1.0, 1.0  # rad per m of capture point
    _TRUNK, _TRUNK_RATE = 0.5, 0.06
    _INTEGRAL, _MOST = 0.4, 0.12  # 1/s, rad

    def __init__(self, n: int, build: Build) -> None:
        self._build = build
        self._pose = np.tile(POSE, (n, 2, 1))
        self._sum = np.zeros((n, 2))
        self._pitch = np.zeros(n)

    def hold(self, who: Bool, e: Estimate) -> None:
        """From now on these bodies hold their pose, soles flat, a foot in the air set down beside the other."""
        pose = np.where(_alone(e)[:, :, None], e.angle[:, ::-1], e.angle)
        pose[:, :, 4] = -(pose[:, :, 2] - e.pitch[:, None] - pose[:, :, 3])
        pose[:, :, 5] = -(pose[:, :, 1] + SIDE * e.roll[:, None])
        self._pose[who] = pose[who]
        self._pitch[who] = e.pitch[who]
        self._sum[who] = 0

    def step(self, e: Estimate, xi: tuple[Float64, Float64], dt: float) -> Float64:
        """Joint targets `[n, 2, 6]`, rad."""
        x, y = xi
        self._sum = np.clip(self._sum + self._INTEGRAL * dt * np.stack((x, y), axis=1), -self._MOST, self._MOST)
        ahead, aside = self._ANKLE * x + self._sum[:, 0], y + self._sum[:, 1]
        self._pitch += (dt / 2.0) * (0.0 - self._pitch)
        out = self._pose.copy()
        out[:, :, 4] -= ahead[:, None]
        out[:, :, 2] -= (self._TRUNK * (e.pitch - self._pitch) + self._TRUNK_RATE * e.pitch_rate)[:, None]
        out[:, :, 1] += SIDE * (self._HIP_ROLL * aside)[:, None]
        out[:, :, 5] -= SIDE * (self._ANKLE_ROLL * aside)[:, None]
        return out
