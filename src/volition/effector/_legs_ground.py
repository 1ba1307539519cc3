"""The ground under the legs: flat, or slopes, steps and slippery places, drawn anew for every seed.

Rough ground is a row of slabs along x, each 120 m wide, so that whoever walks across a slope has it from the side. Heights
stay between 0 and 0.4 m below the flat place in the middle on which the legs begin. The controller knows nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, cos, hypot, sin
from typing import Any

import mujoco
import numpy as np

SLOPE, STEP_M, FRICTION = 0.10, 0.03, (0.5, 1.0)
_LOWEST_M = -0.4
_START_M = 1.5  # flat to either side of the origin
_END_M = 36.0  # beyond it is flat
_FAR_M, _HALF_WIDTH_M, _THICK_M = 200.0, 60.0, 0.5


@dataclass(frozen=True, slots=True)
class Slab:
    """A piece of ground from (x0, z0) to (x1, z1), m, with its sliding friction (0: the floor's own)."""

    x0: float
    z0: float
    x1: float
    z1: float
    friction: float = 0.0


def slabs(kind: str, rng: np.random.Generator) -> list[Slab]:
    """The pieces of one ground: steepest slopes of 10 %, steps of 3 cm up and down, one after the other."""
    found = [Slab(-_START_M, 0.0, _START_M, 0.0)]
    for way in (1, -1):
        x, z = _START_M, 0.0
        while x < _END_M:
            grip = float(rng.uniform(*FRICTION)) if kind in ("slippery", "mixed") else 0.0
            for length, rise in _feature(kind, z, rng):
                if length:
                    (x0, z0), (x1, z1) = sorted(((way * x, z), (way * (x + length), z + rise)))
                    found.append(Slab(x0, z0, x1, z1, grip))
                x, z = x + length, z + rise
        (x0, z0), (x1, z1) = sorted(((way * x, z), (way * _FAR_M, z)))
        found.append(Slab(x0, z0, x1, z1))
    return found


def _feature(kind: str, z: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """A slope or a flight of steps, and a flat place after it: (length, rise) one after the other, m; length 0 is a step."""
    what = {"slopes": "slope", "steps": "steps", "slippery": "flat"}.get(kind) or ("slope", "steps")[int(rng.integers(2))]
    up = 1 if z < _LOWEST_M / 2 else -1  # towards the side on which there is room
    flat = (float(rng.uniform(0.6, 1.5)), 0.0)
    if what == "slope":
        length, steep = float(rng.uniform(1.0, 2.0)), float(rng.uniform(0.5, 1.0)) * SLOPE
        return [(length, up * steep * length), flat]
    if what == "steps":
        flight = [((0.0, up * STEP_M), (float(rng.uniform(0.35, 0.8)), 0.0)) for _ in range(int(rng.integers(1, 5)))]
        return [*(part for step in flight for part in step), flat]
    return [flat]


def add_ground(spec: Any, kind: str, rng: np.random.Generator, **contact: Any) -> None:
    """Lay the slabs as boxes fixed to the world; `contact`: what their geoms have in common."""
    for k, s in enumerate(slabs(kind, rng)):
        length, tilt = hypot(s.x1 - s.x0, s.z1 - s.z0), atan2(s.z1 - s.z0, s.x1 - s.x0)
        half = 0.5 * _THICK_M
        x, z = 0.5 * (s.x0 + s.x1) + half * sin(tilt), 0.5 * (s.z0 + s.z1) - half * cos(tilt)
        grip = s.friction or 1.0
        spec.worldbody.add_geom(
            name=f"ground.{k}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=(0.5 * length, _HALF_WIDTH_M, half),
            pos=(x, 0, z),
            quat=(cos(0.5 * tilt), 0, -sin(0.5 * tilt), 0),
            friction=(grip, 0.02, 0.001),
            **contact,
        )
