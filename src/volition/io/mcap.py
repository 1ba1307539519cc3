"""A recorded run as MCAP (extra [mcap]), for Foxglove and whatever else reads it: JSON messages with their schemas.

    /scene       foxglove.SceneUpdate       the shapes of the body, once, and the goal each time that it changes
    /tf          foxglove.FrameTransforms   where the bodies are
    /spikes, /features, /intent, /body, /goal, /touch, /stim, /act     the signals, arrays as lists, NaN as null

Times are those of the run, from 0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from volition.errors import MissingExtraError
from volition.io import _files
from volition.loop.played import Bin, PlayedRun
from volition.loop.report import _clean
from volition.signal import NS_PER_S

_NUMBERS = {"type": "array", "items": {"type": ["number", "null"]}}
_WHOLE = {"type": "array", "items": {"type": "integer"}}
_NUMBER, _STRING = {"type": "number"}, {"type": "string"}
_TIME = {"type": "object", "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}}}
_XYZ = {"type": "object", "properties": dict.fromkeys("xyz", _NUMBER)}
_XYZW = {"type": "object", "properties": dict.fromkeys("xyzw", _NUMBER)}
_POSE = {"type": "object", "properties": {"position": _XYZ, "orientation": _XYZW}}
_COLOUR = {"type": "object", "properties": dict.fromkeys("rgba", _NUMBER)}
_SOLID = {"type": "object", "properties": {"pose": _POSE, "size": _XYZ, "color": _COLOUR}}
_TUBE = {"type": "object", "properties": {**_SOLID["properties"], "bottom_scale": _NUMBER, "top_scale": _NUMBER}}  # type: ignore[dict-item]
_LIST = {"type": "array", "items": {"type": "object"}}


def _list(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


def _table(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


_ENTITY = _table(
    timestamp=_TIME, frame_id=_STRING, id=_STRING, lifetime=_TIME, frame_locked={"type": "boolean"}, metadata=_LIST,
    arrows=_LIST, cubes=_list(_SOLID), spheres=_list(_SOLID), cylinders=_list(_TUBE), lines=_LIST, triangles=_LIST,
    texts=_LIST, models=_LIST,
)  # fmt: skip
_TRANSFORM = _table(timestamp=_TIME, parent_frame_id=_STRING, child_frame_id=_STRING, translation=_XYZ, rotation=_XYZW)
_SCHEMAS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "/scene": ("foxglove.SceneUpdate", _table(deletions=_LIST, entities=_list(_ENTITY))),
    "/tf": ("foxglove.FrameTransforms", _table(transforms=_list(_TRANSFORM))),
    "/spikes": ("volition.Spikes", _table(counts=_WHOLE, segment={"type": "integer"})),
    "/features": ("volition.Features", _table(x=_NUMBERS, missing=_WHOLE)),
    "/intent": (
        "volition.Intent",
        _table(names=_list(_STRING), intended=_NUMBERS, decoded=_NUMBERS, commanded=_NUMBERS, confidence=_NUMBER),
    ),
    "/body": ("volition.BodyState", _table(position=_NUMBERS, velocity=_NUMBERS, joint_position=_NUMBERS, select=_NUMBER)),
    "/goal": ("volition.Goal", _table(trial={"type": "integer"}, position=_NUMBERS, radius=_NUMBER)),
    "/touch": ("volition.Touch", _table(pressure_n=_NUMBERS, total_n=_NUMBER)),
    "/stim": ("volition.Stim", _table(amplitude_ua=_NUMBERS, frequency_hz=_NUMBERS, pulse_width_us=_NUMBERS)),
    "/act": ("volition.Act", _table(act=_STRING)),
}
_LISTS = ("metadata", "arrows", "cubes", "spheres", "cylinders", "lines", "triangles", "texts", "models")
_BLUE, _GREY, _AMBER = (0.37, 0.5, 0.69, 1.0), (0.6, 0.65, 0.71, 1.0), (0.9, 0.6, 0.1, 0.7)


def _stamp(t_ns: int) -> dict[str, int]:
    return {"sec": t_ns // NS_PER_S, "nsec": t_ns % NS_PER_S}


def _xyz(values: Any) -> dict[str, float]:
    x, y, z = (*map(float, values), 0.0, 0.0, 0.0)[:3]
    return {"x": x, "y": y, "z": z}


def _turn(quat: Any) -> dict[str, float]:
    w, x, y, z = map(float, quat)
    return {"x": x, "y": y, "z": z, "w": w}


def _entity(name: str, frame: str, t_ns: int, **shapes: Any) -> dict[str, Any]:
    empty: dict[str, list[Any]] = {key: [] for key in _LISTS}
    base = {"timestamp": _stamp(t_ns), "frame_id": frame, "id": name, "lifetime": _stamp(0), "frame_locked": True}
    return {**base, **empty, **shapes}


def _shapes(geoms: list[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """MuJoCo's primitives as Foxglove's: a capsule is a tube with two balls."""
    found: dict[str, list[Any]] = {"cubes": [], "spheres": [], "cylinders": []}
    for geom in geoms:
        a, b, c = (*map(float, geom["size"]), 0.0, 0.0, 0.0)[:3]
        r, g, blue, alpha = geom["rgba"] or (_BLUE if geom["body"] else _GREY)
        colour = {"r": r, "g": g, "b": blue, "a": alpha}
        pose = {"position": _xyz(geom["pos"]), "orientation": _turn(geom["quat"])}

        def solid(x: float, y: float, z: float, pose: Any = pose, colour: Any = colour) -> dict[str, Any]:
            return {"pose": pose, "size": {"x": 2 * x, "y": 2 * y, "z": 2 * z}, "color": colour}

        match geom["shape"]:
            case "sphere":
                found["spheres"].append(solid(a, a, a))
            case "ellipsoid":
                found["spheres"].append(solid(a, b, c))
            case "box":
                found["cubes"].append(solid(a, b, c))
            case "plane":
                found["cubes"].append(solid(a or 10.0, b or 10.0, 1e-4))
            case "cylinder" | "capsule":
                found["cylinders"].append({**solid(a, a, b), "bottom_scale": 1.0, "top_scale": 1.0})
                if geom["shape"] == "capsule":
                    w, x, y, z = map(float, geom["quat"])
                    axis = np.array([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])
                    for end in (-b, b):
                        at = {"position": _xyz(np.asarray(geom["pos"]) + end * axis), "orientation": _turn((1, 0, 0, 0))}
                        found["spheres"].append(solid(a, a, a, at))
    return found


def _scene(run: PlayedRun) -> dict[str, Any]:
    """All bodies of a run, each in a frame of its own."""
    scene = run.shown["scene"]
    if scene is None:
        low, high = np.asarray(run.shown["workspace"], float)
        radius = 0.03 * float((high - low).max())
        ball = {"shape": "sphere", "size": [radius, 0, 0], "pos": [0, 0, 0], "quat": [1, 0, 0, 0], "rgba": None, "body": 1}
        scene = {"bodies": 2, "geoms": [ball]}
    entities = [
        _entity(f"body {n}", f"body_{n}", 0, **_shapes([g for g in scene["geoms"] if g["body"] == n]))
        for n in range(scene["bodies"])
    ]
    return {"deletions": [], "entities": [e for e in entities if e["cubes"] or e["spheres"] or e["cylinders"]]}


def _transforms(at: Bin) -> dict[str, Any]:
    poses, body = at.get("poses"), at.get("body")
    if poses is None:
        place = [0.0] * 3 if body is None else body.position
        rows = [((0, 0, 0), (1, 0, 0, 0)), (place, (1, 0, 0, 0))]
    else:
        rows = [(row[:3], row[3:]) for row in poses]
    found = []
    for n, (place, turn) in enumerate(rows):
        frames = {"parent_frame_id": "world", "child_frame_id": f"body_{n}"}
        found.append({"timestamp": _stamp(at.t_ns), **frames, "translation": _xyz(place), "rotation": _turn(turn)})
    return {"transforms": found}


def _messages(run: PlayedRun, at: Bin, names: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is said of one bin: (topic, message)."""
    for act in at.acts:
        yield "/act", dict(act)
    spikes, features, body, intent = at.get("spikes"), at.get("features"), at.get("body"), at.get("intent")
    if spikes is not None and hasattr(spikes, "counts"):
        yield "/spikes", {"counts": spikes.counts, "segment": spikes.segment}
    if features is not None:
        x = np.where(features.mask, np.nan, features.x)
        yield "/features", {"x": x, "missing": np.flatnonzero(features.mask)}
    sides = {"intended": at.get("intended"), "decoded": at.get("decoded")}
    told = {key: [] if value is None else value for key, value in sides.items()}
    yield "/intent", {"names": names, **told, "commanded": intent.values, "confidence": intent.confidence}
    if body is not None:
        yield "/tf", _transforms(at)
        keys = ("position", "velocity", "joint_position", "select")
        yield "/body", {key: getattr(body, key) for key in keys}
    touch, stim = at.get("touch"), at.get("delivered")
    if touch is not None and touch.pressure.size:
        yield "/touch", {"pressure_n": touch.pressure, "total_n": float(touch.pressure.sum())}
    if stim is not None and stim.amplitude_ua.size:
        yield "/stim", {key: getattr(stim, key) for key in ("amplitude_ua", "frequency_hz", "pulse_width_us")}


def _goals(at: Bin) -> Iterator[tuple[str, dict[str, Any]]]:
    goal = at.get("goal")
    yield "/goal", {"trial": goal.trial, "position": goal.position, "radius": goal.radius}
    size = 2 * goal.radius if math.isfinite(goal.radius) else 0.0
    pose = {"position": _xyz(goal.position), "orientation": _turn((1, 0, 0, 0))}
    colour = dict(zip("rgba", _AMBER, strict=True))
    ball = {"pose": pose, "size": {"x": size, "y": size, "z": size}, "color": colour}
    yield "/scene", {"deletions": [], "entities": [_entity("goal", "world", at.t_ns, spheres=[ball])]}


def write_mcap(run: PlayedRun, path: str | Path, progress: Callable[[float], None] = lambda share: None) -> Path:
    """Write a run; the file appears under its name only when it is complete.

    Args:
        run: the run.
        path: where to.
        progress: told the share that is done.

    Raises:
        MissingExtraError: the library `mcap` is not installed.
        InputError: the place cannot be written.
    """
    try:
        from mcap.writer import Writer
    except ImportError:
        raise MissingExtraError("MCAP needs mcap, which is not installed: pip install 'volition[mcap]'") from None
    path, names = Path(path), list(run.shown["intent"])
    with _files.replacing(path) as temporary, temporary.open("wb") as stream:
        writer = Writer(stream)
        writer.start(profile="", library="volition")
        channels = {}
        for topic, (name, schema) in _SCHEMAS.items():
            number = writer.register_schema(name, "jsonschema", json.dumps(schema).encode())
            channels[topic] = writer.register_channel(topic, "json", number)

        def say(topic: str, message: Any, t_ns: int) -> None:
            data = json.dumps(_clean(message), allow_nan=False).encode()
            writer.add_message(channels[topic], t_ns, data, t_ns)

        say("/scene", _scene(run), 0)
        goal: tuple[float, ...] = ()
        for at in run.read():
            for topic, message in _messages(run, at, names):
                say(topic, message, at.t_ns)
            now = at.get("goal")
            if now is not None and (now.trial, *now.position) != goal:
                goal = (now.trial, *now.position)
                for topic, message in _goals(at):
                    say(topic, message, at.t_ns)
            progress((at.number + 1) / run.bins)
        about = {"volition": run.run["version"], "seed": str(run.run["seed"]), **run.labels}
        writer.add_metadata("run", {key: str(value) for key, value in about.items()})
        writer.finish()  # type: ignore[no-untyped-call]
    return path
