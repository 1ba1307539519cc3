"""What a view needs to draw a MuJoCo body: its shapes once, then where its bodies are."""

from __future__ import annotations

from typing import Any

import mujoco

from volition.signal import Float64

_SHOWN_GROUPS = 3  # MuJoCo's own viewer shows groups 0 to 2 and hides the rest, collision shapes mostly
_SHAPES = {
    int(mujoco.mjtGeom.mjGEOM_PLANE): "plane",
    int(mujoco.mjtGeom.mjGEOM_SPHERE): "sphere",
    int(mujoco.mjtGeom.mjGEOM_CAPSULE): "capsule",
    int(mujoco.mjtGeom.mjGEOM_ELLIPSOID): "ellipsoid",
    int(mujoco.mjtGeom.mjGEOM_CYLINDER): "cylinder",
    int(mujoco.mjtGeom.mjGEOM_BOX): "box",
}


def scene_of(model: Any) -> dict[str, Any]:
    """Shapes of a model, in plain numbers.

    A mesh or any other shape that is not a primitive stands in as the box around it.

    Returns:
        "bodies": how many; "geoms": a list of
            shape: "plane", "sphere", "capsule", "ellipsoid", "cylinder" or "box";
            size: 3 numbers as MuJoCo has them (radius, half length; half sizes), m;
            pos, quat: place in its body, m and (w, x, y, z);
            rgba: colour, or None where the model gives none;
            body: number of the body it is fixed to (0 is the world).
    """
    geoms = []
    for i in range(model.ngeom):
        if model.geom_group[i] >= _SHOWN_GROUPS or model.geom_rgba[i, 3] == 0:
            continue
        shape = _SHAPES.get(int(model.geom_type[i]), "")
        pos, size = model.geom_pos[i].copy(), model.geom_size[i]
        if not shape:
            turned = _turned(model.geom_aabb[i, :3], model.geom_quat[i])
            shape, pos, size = "box", pos + turned, model.geom_aabb[i, 3:]
        rgba = model.geom_rgba[i].tolist()
        geoms.append(
            {
                "shape": shape,
                "size": size.tolist(),
                "pos": pos.tolist(),
                "quat": model.geom_quat[i].tolist(),
                "rgba": None if rgba == [0.5, 0.5, 0.5, 1.0] else rgba,
                "body": int(model.geom_bodyid[i]),
            }
        )
    return {"bodies": int(model.nbody), "geoms": geoms}


def _turned(vector: Float64, quat: Float64) -> Float64:
    """A vector turned by a quaternion (w, x, y, z)."""
    turned: Float64 = vector.copy()
    mujoco.mju_rotVecQuat(turned, vector, quat)
    return turned


def poses_of(data: Any) -> tuple[Float64, Float64]:
    """Positions `[bodies, 3]` m and quaternions `[bodies, 4]` of all bodies, the world first."""
    return data.xpos.copy(), data.xquat.copy()
