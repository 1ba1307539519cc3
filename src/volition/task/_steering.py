"""How the ideal user of a walking task steers a body, where the body is by now, and when it has fallen."""

from __future__ import annotations

from math import atan2, cos, hypot, pi, sin

import numpy as np

from volition.errors import ConfigError
from volition.signal import NS_PER_S, BodyState, Float32
from volition.stage import Setup
from volition.task._layout import Point

FALLEN_RAD = pi / 3
STILL_M_S = 0.25
_TURN_RAD_S = 0.9


class Steering:
    """Bodies that take "walk.x" and "walk.turn" are steered by heading, any other by velocity ("reach.x", "reach.y").

    Args:
        setup: what the loop tells.
        who: the task, for messages.

    Attributes:
        walks: whether it is steered by heading.
        half: from the middle of the workspace to its nearest edge, m.

    Raises:
        ConfigError: the effector can neither be walked nor be moved about.
    """

    def __init__(self, setup: Setup, who: str) -> None:
        self.walks = "walk.x" in setup.intent
        names = ("walk.x", "walk.turn") if self.walks else ("reach.x", "reach.y")
        for name in names:
            if name not in setup.intent:
                raise ConfigError(f"{who}: needs an effector that takes the intent {name!r}")
        self._first, self._second = (setup.intent.index(name) for name in names)
        self._width = len(setup.intent)
        self.half = float(np.abs(setup.workspace[:, :2]).min())

    def heading(self, body: BodyState) -> float:
        """Where the body looks, rad; 0 for one that looks nowhere."""
        return float(body.joint_position[0]) if self.walks and body.joint_position.size else 0.0

    def fallen(self, body: BodyState) -> bool:
        """Whether its trunk is tilted by more than 60 degrees."""
        return self.walks and body.joint_position.size > 2 and float(np.abs(body.joint_position[1:3]).max()) > FALLEN_RAD

    def still(self) -> Float32:
        """Standing."""
        return np.zeros(self._width, np.float32)

    def command(self, body: BodyState, to: Point, speed: float) -> Float32:
        """Turn towards a place and go, the slower the further it lies to the side.

        `turn = 1.5 bearing`, at most 0.9 rad/s; `forward = speed max(0, cos bearing)²`.
        """
        x, y = body.position.tolist()[:2]
        dx, dy = to[0] - x, to[1] - y
        command = self.still()
        if not self.walks:
            scale = speed / max(hypot(dx, dy), 1e-9)
            command[self._first], command[self._second] = scale * dx, scale * dy
            return command
        bearing = (atan2(dy, dx) - self.heading(body) + pi) % (2 * pi) - pi
        command[self._first] = speed * max(0.0, cos(bearing)) ** 2
        command[self._second] = min(_TURN_RAD_S, max(-_TURN_RAD_S, 1.5 * bearing))
        return command


def speed_of(body: BodyState) -> float:
    """Over ground, m/s."""
    return float(np.hypot(*body.velocity[:2]))


class Track:
    """Where a body is and looks in a block, and whether it has fallen in it.

    Args:
        steering: of the task.

    Attributes:
        here: its place, m; kept from block to block.
        heading: where it looks, rad; kept from block to block.
        fell: whether it has fallen since `begin`.
        now_ns: when it was last seen.
    """

    def __init__(self, steering: Steering) -> None:
        self._steering = steering
        self.here: Point = (0.0, 0.0)
        self.heading = 0.0
        self.begin(0)

    def begin(self, t_ns: int) -> None:
        """A block begins."""
        self.fell = False
        self._start_ns = self.now_ns = t_ns

    def observe(self, t_ns: int, body: BodyState) -> int:
        """See it; returns the nanoseconds since it was last seen."""
        dt_ns, self.now_ns = t_ns - self.now_ns, t_ns
        x, y = body.position.tolist()[:2]
        self.here, self.heading = (x, y), self._steering.heading(body)
        self.fell = self.fell or self._steering.fallen(body)
        return dt_ns

    @property
    def block_s(self) -> float:
        """Length of the block by now, s."""
        return (self.now_ns - self._start_ns) / NS_PER_S

    def from_here(self, way: float, distance: float) -> Point:
        """So far in a direction (rad), m."""
        return self.here[0] + distance * cos(way), self.here[1] + distance * sin(way)

    def leaves(self, distance: float, half: float) -> bool:
        """Whether going so far to where it looks leads out of a square of that half width, m."""
        return max(map(abs, self.from_here(self.heading, distance))) > half

    def ahead(self, distance: float, half: float) -> float:
        """The direction to go so far in, rad: where it looks, or towards the middle where that would leave the square."""
        return self.inward() if self.leaves(distance, half) else self.heading

    def inward(self) -> float:
        """The direction of the middle, rad; +x in the middle itself."""
        x, y = self.here
        return atan2(-y, -x) if x or y else 0.0

    def to(self, at: Point) -> float:
        """How far a place is from here, m."""
        return hypot(at[0] - self.here[0], at[1] - self.here[1])


class Stood:
    """For how long the body has stood still in a place."""

    __slots__ = ("_since_ns",)

    def __init__(self) -> None:
        self._since_ns = -1

    def observe(self, t_ns: int, still: bool) -> int:
        """Nanoseconds that it has stood by now; -1 while it does not."""
        if not still:
            self._since_ns = -1
            return -1
        if self._since_ns < 0:
            self._since_ns = t_ns
        return t_ns - self._since_ns
