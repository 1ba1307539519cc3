"""What goes over the socket of the page: a greeting, frames, a status; and the closed list of what may come back.

Once, as JSON: *hello* (sizes, names, shapes of the body). Up to 50 times a second, binary, little-endian: a *frame*

    u8 1, u8 flags (1: paused), u16 n, u32 number of the newest bin, f64 time s,
    f32 goal x y z, goal radius, body x y z, progress,
    f32 decoded[k], intended[k], commanded[k], scale of touch (N), scale of stimulation (µA),
    f32 position[bodies, 3], i16 quaternion[bodies, 4] (w x y z, times 32767),
    u8 touch[taxels], stimulation[electrodes] (255 is the scale),
    u8 raster[n, ceil(features / 4)]: the newest n bins, oldest first, two bits a feature: 0, 1, 2 (or more), 3 missing

A few times a second, as JSON: a *status* (phase, score, latency, faults, what the controls stand at).

A recorded run is shown with the same greeting and the same frames (`_tape.py`).
"""

from __future__ import annotations

import json
import math
import struct
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.loop.build import label
from volition.loop.record import appearance
from volition.signal import NS_PER_S, Features, Float64
from volition.stage import STAGES
from volition.view._gather import steering

_HEAD = struct.Struct("<BBHIdffffffff")
_FRAME = 1
_MOST_BINS = 16  # in one frame; more than these in a 50th of a second is more than an eye follows
_LEAST_TOUCH_N, _LEAST_STIM_UA = 1.0, 10.0
_UNIT = np.array([1.0, 0.0, 0.0, 0.0])


class RefusedError(Exception):
    """A message from the page that is not on the list; the text says why."""


@dataclass(frozen=True)
class Act:
    """One thing that the page may ask for.

    `value` is a share 0..1, a speed, on and off, an impulse in N s, or kind and name of a component.
    """

    name: str
    value: float | bool | tuple[float, ...] | tuple[str, str] | None = None


_PLAIN = frozenset({"pause", "resume", "step", "restart"})
_NUMBERS: Mapping[str, tuple[float, float]] = {
    "speed": (0.0, 100.0),  # simulated seconds a second; 0 is no limit
    "assist": (0.0, 1.0),
    "drop": (0.0, 1.0),
    "kill": (0.0, 1.0),
}
_SWITCHES = frozenset({"oracle", "touch"})
_MOST_NS = 300.0  # N s: a tackle by a heavy player
_PUSH_NS = 20.0  # N s, of a body that does not say
_NAME = 40  # characters of a component's name


def parse(message: str | bytes) -> Act:
    """An act, from `{"act": name}` or `{"act": name, "value": value}` and nothing else.

    Raises:
        RefusedError: it is anything else.
    """
    try:
        content = json.loads(message) if isinstance(message, str) else None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not {"act"} <= content.keys() <= {"act", "value"}:
        raise RefusedError("not an act")
    name, value = content["act"], content.get("value")
    if not isinstance(name, str):
        raise RefusedError("not an act")
    if name in _PLAIN and "value" not in content:
        return Act(name)
    if name in _SWITCHES and isinstance(value, bool):
        return Act(name, value)
    if name in _NUMBERS and isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = _NUMBERS[name]
        if low <= value <= high:  # false for NaN too
            return Act(name, float(value))
    if name == "push" and isinstance(value, list) and len(value) == 3 and all(map(_is_push, value)):
        return Act(name, tuple(map(float, value)))
    if name == "choose" and isinstance(value, list) and len(value) == 2 and all(map(_is_name, value)):
        return Act(name, (value[0], value[1]))
    raise RefusedError(f"not an act with that value: {name[:20]!r}")


def _is_push(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_MOST_NS <= value <= _MOST_NS


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _NAME


def plain(value: Any) -> Any:
    """Ready for JSON: what is not finite is null, arrays and NumPy's numbers are Python's."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _three(vector: Float64) -> tuple[float, float, float]:
    """A place in space; what it lacks is 0."""
    x, y, z = (*vector.tolist(), 0.0, 0.0, 0.0)[:3]
    return x, y, z


def _ball(size: float) -> dict[str, Any]:
    """The scene of an effector that shows none: its controlled point, as a ball."""
    ball = {"shape": "sphere", "size": [size, 0, 0], "pos": [0, 0, 0], "quat": [1, 0, 0, 0], "rgba": None, "body": 1}
    return {"bodies": 2, "geoms": [ball]}


class Frames:
    """Makes the greeting and the frames of one run, live or recorded; called once a bin.

    Attributes:
        bins: number of bins so far, which a frame carries.

    Args:
        shown: names, sizes, shapes (`loop/record.py`, `appearance`).
        about: what else the greeting says.
    """

    def __init__(self, shown: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        self._shown, self._about = shown, about
        extent = float(np.ptp(np.asarray(shown["workspace"], float), axis=0).max())
        self._ball = shown["scene"] is None
        self._scene = _ball(0.03 * extent) if self._ball else shown["scene"]
        unit, features, channels = shown["features_unit"], shown["features"], shown["channels"]
        self._counts = not unit or unit.startswith("counts")
        self._features = channels if 0 < channels < features else features
        self._packed: deque[bytes] = deque(maxlen=_MOST_BINS)
        self._pad = -self._features % 4
        self._level = np.zeros(self._features + self._pad, np.uint8)
        self._mean, self._spread = np.zeros(self._features), np.ones(self._features)
        self._touch, self._stim = _LEAST_TOUCH_N, _LEAST_STIM_UA
        self.bins = 0

    def greeting(self) -> dict[str, Any]:
        """Everything that does not change while the run goes on."""
        shown = self._shown
        content: dict[str, Any] = plain(
            {
                "hello": 1,
                "bin_s": shown["bin_ns"] / NS_PER_S,
                "features": self._features,
                "intent": shown["intent"],
                "steers": steering(shown["intent"]),
                "unit": shown["intent_unit"],
                "max_speed": shown["max_speed"],
                "workspace": shown["workspace"],
                "taxels": shown["taxels"],
                "electrodes": shown["electrodes"],
                "scene": self._scene,
                **self._about,
            }
        )
        return content

    def add(self, features: Features | None) -> None:
        """Take the raster of one bin."""
        n, level = self._features, self._level
        if features is None:
            level[:n] = 3
        else:
            missing = features.mask[:n]
            x = np.where(missing, 0.0, features.x[:n])
            level[:n] = np.clip(x, 0, 2) if self._counts else self._level_of(x)
            level[:n][missing] = 3
        four = level.reshape(-1, 4)
        self._packed.append((four[:, 0] | four[:, 1] << 2 | four[:, 2] << 4 | four[:, 3] << 6).tobytes())
        self.bins += 1

    def _level_of(self, x: NDArray[Any]) -> NDArray[Any]:
        """Features that are no counts: how far above their running mean, in running deviations."""
        away = x - self._mean
        self._mean += 0.01 * away
        self._spread += 0.01 * (np.abs(away) - self._spread)
        return np.clip(away / np.maximum(self._spread, 1e-12), 0, 2)

    def pack(self, last: Any, poses: Any, t_s: float, progress: float, paused: bool = False) -> bytes:
        """The newest state, and the raster since the last frame.

        Args:
            last: signals: goal, body, touch, delivered, decoded, intended, intent.
            poses: positions and quaternions of all bodies, or None where nobody knows them.
            t_s: time of the run, s.
            progress: 0..1.
            paused: whether the loop waits.
        """
        n = len(self._packed)
        raster = b"".join(self._packed)
        self._packed.clear()
        head = _HEAD.pack(
            *(_FRAME, int(paused), n, self.bins & 0xFFFFFFFF, t_s),
            *(*_three(last.goal.position), last.goal.radius, *_three(last.body.position), progress),
        )
        touch = np.nan_to_num(last.touch.pressure, posinf=0.0)  # a broken sensor gives NaN
        stim = last.delivered.amplitude_ua
        self._touch = max(self._touch, float(touch.max(initial=0.0)))
        self._stim = max(self._stim, float(stim.max(initial=0.0)))
        bodies = self._scene["bodies"]
        if self._ball:
            position, quaternion = np.array([(0.0, 0.0, 0.0), _three(last.body.position)]), np.array([_UNIT, _UNIT])
        elif poses is None or len(poses[0]) != bodies:
            position, quaternion = np.tile(_three(last.body.position), (bodies, 1)), np.tile(_UNIT, (bodies, 1))
        else:
            position, quaternion = poses
        parts = (
            np.concatenate([last.decoded, last.intended, last.intent.values, (self._touch, self._stim)], dtype="<f4"),
            np.asarray(position, "<f4"),
            np.rint(np.clip(np.nan_to_num(quaternion), -1, 1) * 32767).astype("<i2"),
            np.rint(np.clip(touch / self._touch, 0, 1) * 255).astype(np.uint8),
            np.rint(np.clip(stim / self._stim, 0, 1) * 255).astype(np.uint8),
        )
        return head + b"".join(part.tobytes() for part in parts) + raster


class Encoder(Frames):
    """Makes the messages of a loop that runs; called in the loop's thread.

    Args:
        loop: the loop.
        choices: kind of stage -> names that the page may choose from.
    """

    def __init__(self, loop: Any, choices: Mapping[str, Sequence[str]] | None = None) -> None:
        self._poses = getattr(loop.effector, "poses", None)
        shown = appearance(loop.setup, loop.stages)
        about = {
            "stages": [[kind, label(loop.stages[kind])] for kind in (*STAGES, "task")],
            "seed": loop.setup.seed,
            "clock": loop.config.clock,
            "dims": len(loop.last.body.position),
            "push": float(getattr(loop.effector, "push_ns", _PUSH_NS)) if hasattr(loop.effector, "push") else 0.0,
            "choices": dict(choices or {}),
        }
        super().__init__(shown if self._poses is not None else {**shown, "scene": None}, about)

    def hello(self) -> str:
        """The greeting."""
        return json.dumps(self.greeting(), allow_nan=False)

    def frame(self, loop: Any, paused: bool) -> bytes:
        """The newest state, and the raster since the last frame."""
        poses = self._poses() if self._poses is not None else None
        return self.pack(loop.last, poses, loop.t_ns / NS_PER_S, loop.progress, paused)


def status(loop: Any, **more: Any) -> str:
    """Score, latency, faults and what the controls stand at; half a millisecond, so a few times a second."""
    rows = {**{name: guard.latency for name, guard in loop.guards.items()}, **loop.latency}
    report = {
        "status": 1,
        "phase": loop.phase,
        "t_s": loop.t_ns / NS_PER_S,
        "progress": loop.progress,
        "score": dict(loop.task.score()),
        "trials": len(loop.task.trials()),
        "decoder": loop.told("decoder"),
        "latency": [
            [name, row.percentile_ns(50) / 1e3, row.percentile_ns(99) / 1e3, row.max_ns / 1e3]
            for name, row in rows.items()
            if row.n
        ],
        "misses": loop.misses,
        "ticks": loop.ticks,
        "faults": {name: dict(guard.faults) for name, guard in loop.guards.items() if guard.faults},
        "gate": dict(getattr(getattr(loop.channel, "gate", None), "counts", {})),
        "assist": loop.assist,
        "oracle": loop.config.oracle,
        "drop": loop.injector.drop,
        "kill": loop.injector.kill,
        "touch": loop.injector.touch,
        **more,
    }
    return json.dumps(plain(report), allow_nan=False)


def order(preferred: Float64) -> str:
    """In which order the raster shows the features: by preferred direction, the unknown last."""
    rank = np.argsort(np.nan_to_num(preferred, nan=np.inf), kind="stable")
    return json.dumps({"order": rank.tolist(), "known": int(np.isfinite(preferred).sum())})
