"""A body painted in software: MuJoCo's primitive shapes as shaded outlines, the far ones first; for films.

Not a renderer: shapes that pierce each other are not cut, and a long wall can hide what stands before it only as a whole.
What the page draws with WebGL is the better picture; this one needs nothing but Pillow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.signal import Float64

_ANGLE = 0.7  # field of view, rad
_LIGHT = np.array([0.25, 0.15, 1.0]) / math.hypot(0.25, 0.15, 1.0)
_LAYERS = ((1.0, 0.80, 0.0), (0.78, 0.93, 0.1), (0.5, 1.05, 0.22))  # of a round shape: size, brightness, shift to the light
SKY, FLOOR, LINE, SHADOW = (233, 237, 243), (207, 214, 224), (187, 195, 207), (176, 183, 193)
SOLID, LIMB, TIP, GOAL = (154, 166, 182), (95, 127, 176), (23, 103, 181), (240, 170, 60)

Colour = tuple[int, int, int]


def _turning(quat: Any) -> Float64:
    """Rotation matrix of a quaternion (w, x, y, z)."""
    w, x, y, z = (float(v) for v in quat)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def hull(points: NDArray[Any]) -> list[tuple[float, float]]:
    """Convex hull of points in the plane, `[n, 2]` (Andrew's monotone chain, 1979).

    >>> hull(np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.5]]))
    [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
    """
    ordered = sorted({(float(x), float(y)) for x, y in points})
    if len(ordered) < 3:
        return ordered

    def half(line: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        found: list[tuple[float, float]] = []
        for p in line:
            while len(found) > 1:
                a, b = found[-2], found[-1]
                if (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]) > 0:
                    break
                found.pop()
            found.append(p)
        return found[:-1]

    return half(ordered) + half(ordered[::-1])


def _ball(sides: int = 14, rows: int = 7) -> Float64:
    """Points of a unit sphere, `[n, 3]`."""
    t, p = np.meshgrid(np.linspace(0, np.pi, rows), np.linspace(0, 2 * np.pi, sides, endpoint=False))
    return np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], axis=-1).reshape(-1, 3)


_BALL = _ball()
_RING = np.stack([np.cos(np.arange(16) / 16 * 2 * np.pi), np.sin(np.arange(16) / 16 * 2 * np.pi)], axis=-1)
_CORNERS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
_FACES = (
    (0, (-1, 0, 0)), (1, (1, 0, 0)), (2, (0, -1, 0)), (3, (0, 1, 0)), (4, (0, 0, -1)), (5, (0, 0, 1)),
)  # fmt: skip


def cloud(shape: str, size: Sequence[float], share: float = 1.0) -> Float64:
    """Points of the surface of a shape, `[n, 3]` m, whose hull it is; `share` makes it thinner."""
    a, b, c = (*map(float, size), 0.0, 0.0, 0.0)[:3]
    if shape == "sphere":
        return np.asarray(_BALL * a * share)
    if shape == "ellipsoid":
        return np.asarray(_BALL * np.array([a, b, c]) * share)
    if shape == "capsule":
        ends = np.array([[0, 0, b], [0, 0, -b]])
        return np.concatenate([_BALL * a * share + end for end in ends])
    if shape == "cylinder":
        half = b * (1 if share == 1 else 0.98)
        return np.concatenate([np.column_stack([_RING * a * share, np.full(16, z)]) for z in (-half, half)])
    return np.asarray(_CORNERS * np.array([a, b, c]))


class Camera:
    """Where the picture is taken from; as the page's at the start.

    Args:
        planar: whether the body moves in a plane, seen from above.
        centre: what is looked at, m.
        radius: of the ball that is to be seen, m.
        box: left, top, width, height in pixels.
    """

    def __init__(self, planar: bool, centre: Float64, radius: float, box: tuple[float, float, float, float]) -> None:
        azimuth, elevation = (-math.pi / 2, 1.02) if planar else (-math.pi / 3, 0.35)
        left, top, width, height = box
        self.box, self.radius, self.centre = box, radius, centre
        reach = radius / math.sin(_ANGLE / 2) * max(1.0, height / width) * 0.82
        flat = math.cos(elevation)
        back = np.array([flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(elevation)])
        right = np.cross([0, 0, 1], back)
        right /= np.linalg.norm(right)
        self._axes = np.stack([right, np.cross(back, right), back])
        self.eye = centre + reach * back
        self._scale = height / 2 / math.tan(_ANGLE / 2)
        self._middle = (left + width / 2, top + height / 2)

    def see(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Places in the picture, `[n, 2]` pixels."""
        local = (np.asarray(points, float) - self.eye) @ self._axes.T
        depth = np.maximum(-local[:, 2], 0.05 * self.radius)
        scale = self._scale / depth
        return np.column_stack([self._middle[0] + local[:, 0] * scale, self._middle[1] - local[:, 1] * scale])

    def far(self, point: Any) -> float:
        """Distance from the eye, m."""
        return float(np.linalg.norm(np.asarray(point) - self.eye))


def _shade(colour: Colour, light: float) -> Colour:
    r, g, b = (min(255, max(0, round(v * light))) for v in colour)
    return r, g, b


class Painter:
    """Paints one body.

    Args:
        scene: shapes, as `effector/_scene.py` gives them.
        planar: whether the controlled point has two coordinates.
        workspace: `[2, d]` m.
    """

    def __init__(self, scene: Mapping[str, Any], planar: bool, workspace: Float64) -> None:
        self._geoms = [g for g in scene["geoms"] if g["shape"] != "plane"]
        self._flat = planar
        self._planar = planar and len(self._geoms) == len(scene["geoms"])  # who stands on a floor is in space
        self._workspace = np.zeros((2, 3))
        self._workspace[:, : workspace.shape[1]] = workspace[:, :3]
        self._offset: Float64 | None = None
        self._radius, self._ground = 1.0, 0.0
        self._local = [(np.asarray(g["pos"], float), _turning(g["quat"])) for g in self._geoms]

    def _place(self, poses: Any) -> list[tuple[Float64, Float64]]:
        """Where each shape is: place and rotation."""
        turned = [_turning(q) for q in poses[1]]
        placed = []
        for geom, (pos, turn) in zip(self._geoms, self._local, strict=True):
            body = geom["body"]
            placed.append((np.asarray(poses[0][body], float) + turned[body] @ pos, turned[body] @ turn))
        return placed

    def _measure(self, placed: list[tuple[Float64, Float64]], at: Float64) -> None:
        """Centre and size of the picture, from the first pose, and in the plane from the workspace."""
        points = [self._workspace] if self._planar else []
        points += [cloud(g["shape"], g["size"]) @ turn.T + pos for g, (pos, turn) in zip(self._geoms, placed, strict=True)]
        every = np.concatenate(points)
        low, high = every.min(axis=0), every.max(axis=0)
        centre = (low + high) / 2
        self._radius = float(np.linalg.norm(high - low)) / 2 * (1.0 if self._planar else 1.3) or 1.0
        self._ground = float(low[2])
        self._offset = centre if self._planar else centre - at

    def paint(
        self, draw: Any, box: tuple[float, float, float, float], poses: Any, at: Float64, goal: Float64, size: float
    ) -> None:
        """Draw the body, its shadow and the goal.

        Args:
            draw: Pillow's drawing hand.
            box: left, top, width, height in pixels.
            poses: positions `[bodies, 3]` and quaternions `[bodies, 4]`.
            at: the controlled point, m, `[3]`.
            goal: m, `[3]`.
            size: radius of the goal, m.
        """
        placed = self._place(poses)
        if self._offset is None:
            self._measure(placed, at)
        assert self._offset is not None
        camera = Camera(self._planar, self._offset if self._planar else self._offset + at, self._radius, box)
        self._floor(draw, camera)
        clouds = [cloud(g["shape"], g["size"]) @ turn.T + pos for g, (pos, turn) in zip(self._geoms, placed, strict=True)]
        for points in clouds:
            fallen = points - np.outer(points[:, 2] - self._ground, [0.25, 0.15, 1.0])
            _fill(draw, hull(camera.see(fallen)), SHADOW)
        order = sorted((-camera.far(points.mean(axis=0)), i) for i, points in enumerate(clouds))
        around = np.column_stack([_RING, np.zeros(16)]) if self._flat else _BALL
        for moves in (False, True):
            if moves and size > 0:
                _fill(draw, hull(camera.see(goal + around * size)), GOAL)
            for _, i in order:
                if (self._geoms[i]["body"] > 0) is moves:
                    self._one(draw, camera, self._geoms[i], placed[i])
        if size > 0:
            ring = hull(camera.see(goal + around * size))
            draw.line([*ring, ring[0]], fill=GOAL, width=2)  # also where something hides it
        if size > 0 and self._planar:
            tip, r = camera.see(at[None])[0], max(2.0, 0.008 * box[3])
            draw.ellipse((tip[0] - r, tip[1] - r, tip[0] + r, tip[1] + r), fill=TIP)

    def _floor(self, draw: Any, camera: Camera) -> None:
        left, top, width, height = camera.box
        draw.rectangle((left, top, left + width, top + height), fill=FLOOR)
        step = 10 ** round(math.log10(self._radius / 4))
        middle = np.round(camera.centre[:2] / step) * step
        n = 12
        for k in range(-n, n + 1):
            for ends in (((k, -n), (k, n)), ((-n, k), (n, k))):
                line = np.array([(*(middle + np.array(end) * step), self._ground) for end in ends])
                if all((line - camera.eye) @ camera._axes[2] < -0.1 * camera.radius):
                    draw.line([tuple(p) for p in camera.see(line)], fill=LINE, width=2)
        if self._planar:
            (x0, y0, _), (x1, y1, _) = self._workspace
            plate = np.array([(x, y, self._ground) for x in (x0, x1) for y in (y0, y1)])
            _fill(draw, hull(camera.see(plate)), SKY)

    def _one(self, draw: Any, camera: Camera, geom: Mapping[str, Any], place: tuple[Float64, Float64]) -> None:
        pos, turn = place
        small = geom["shape"] == "sphere" and geom["size"][0] < 0.1 * self._radius
        colour = (TIP if small else LIMB) if geom["body"] else SOLID
        if geom["rgba"]:
            colour = _rgb(geom["rgba"])
        if geom["shape"] == "box":
            corners = cloud("box", geom["size"]) @ turn.T + pos
            for face, normal in _FACES:
                axis, side = divmod(face, 2)
                out = turn @ np.array(normal, float)
                here = corners[_CORNERS[:, axis] == (1 if side else -1)]
                if out @ (camera.eye - here.mean(axis=0)) > 0:
                    light = 0.62 + 0.2 * out[2] + 0.3 * max(0.0, float(out @ _LIGHT))
                    _fill(draw, hull(camera.see(here)), _shade(colour, light))
            return
        thick = max(geom["size"]) if geom["shape"] == "ellipsoid" else geom["size"][0]
        for share, light, shift in _LAYERS:
            points = cloud(geom["shape"], geom["size"], share) @ turn.T + pos + _LIGHT * shift * thick
            _fill(draw, hull(camera.see(points)), _shade(colour, light))


def _rgb(rgba: Sequence[float]) -> Colour:
    r, g, b = (round(255 * v) for v in rgba[:3])
    return r, g, b


def _fill(draw: Any, outline: list[tuple[float, float]], colour: Colour) -> None:
    if len(outline) >= 3:
        draw.polygon(outline, fill=colour)
