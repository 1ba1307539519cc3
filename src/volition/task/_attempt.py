"""One trial as it goes: entries into the target, path, direction changes."""

from __future__ import annotations

from math import hypot
from typing import Any

from volition.signal import NS_PER_S
from volition.task._layout import Point
from volition.task._score import path_efficiency

_TURN_M = 0.0005  # sideways movement below this is jitter, not a change of direction


class Attempt:
    """Follows the body from the moment a target is shown.

    Args:
        t_ns: when the target was shown.
        start: where the body was then, m.
        target: centre of the target, m.
        radius: of the target, m.
    """

    __slots__ = (
        "_axis",
        "_entry",
        "_extreme",
        "_inside",
        "_path",
        "_path_at_entry",
        "_radius",
        "_side",
        "_start",
        "_target",
        "_turns",
        "_turns_at_entry",
        "_x",
        "_y",
        "first_entry_ns",
        "last_entry_ns",
        "start_ns",
    )

    def __init__(self, t_ns: int, start: Point, target: Point, radius: float) -> None:
        self.start_ns, self._target, self._radius = t_ns, target, radius
        self.first_entry_ns = self.last_entry_ns = -1
        self._inside = False
        self._path = self._path_at_entry = self._extreme = 0.0
        self._turns = self._turns_at_entry = self._side = 0
        self._entry = target
        self._start, (self._x, self._y) = start, start
        dx, dy = target[0] - start[0], target[1] - start[1]
        length = hypot(dx, dy)
        self._axis = (dx / length, dy / length) if length > 0 else (1.0, 0.0)

    def observe(self, t_ns: int, x: float, y: float, inside: bool) -> None:
        """The body is at (x, y), in the target or not."""
        self._path += hypot(x - self._x, y - self._y)
        self._x, self._y = x, y
        self._turn(x, y)
        if inside and not self._inside:
            if self.first_entry_ns < 0:
                self.first_entry_ns = t_ns
            self.last_entry_ns = t_ns
            self._entry, self._path_at_entry, self._turns_at_entry = (x, y), self._path, self._turns
        self._inside = inside

    def _turn(self, x: float, y: float) -> None:
        """Count where the movement across the task axis turns round (with a little hysteresis)."""
        start = self._start
        across = (y - start[1]) * self._axis[0] - (x - start[0]) * self._axis[1]
        moved = across - self._extreme
        if moved * self._side > 0:
            self._extreme = across
        elif abs(moved) > _TURN_M:
            self._turns += self._side != 0
            self._side = 1 if moved > 0 else -1
            self._extreme = across

    def record(self, t_ns: int, outcome: str, clicked: bool) -> dict[str, Any]:
        """The trial, finished: raw, so that any score can be computed; None where there was no entry.

        The movement ends with the last entry, so that the hold is not part of it; or, `clicked`, with the click.
        """
        start = self._start
        distance = hypot(self._target[0] - start[0], self._target[1] - start[1])
        record: dict[str, Any] = {
            "outcome": outcome,
            "start_s": self.start_ns / NS_PER_S,
            "duration_s": (t_ns - self.start_ns) / NS_PER_S,
            "start_x_m": start[0],
            "start_y_m": start[1],
            "target_x_m": self._target[0],
            "target_y_m": self._target[1],
            "distance_m": distance,
            "radius_m": self._radius,
            "path_m": self._path,
            "movement_s": None,
            "dial_in_s": None,
            "path_efficiency": None,
            "direction_changes": self._turns,
        }
        if self.first_entry_ns >= 0:
            straight = hypot(self._entry[0] - start[0], self._entry[1] - start[1])
            record["movement_s"] = ((t_ns if clicked else self.last_entry_ns) - self.start_ns) / NS_PER_S
            record["dial_in_s"] = (self.last_entry_ns - self.first_entry_ns) / NS_PER_S
            record["path_efficiency"] = path_efficiency(straight, self._path_at_entry)
            record["direction_changes"] = self._turns_at_entry
        return record
