"""a point that moves with the intended velocity inside a square."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot

import numpy as np

from volition.errors import ConfigError
from volition.signal import NS_PER_MS, NS_PER_S, BodyState, Float64, Intent, Touch
from volition.stage import Port, Setup, Spec

_INTENT = ("reach.x", "reach.y", "select")
_VISCOSITY = 40.0  # N s/m, that of the arm's fingertip


@dataclass(frozen=True)
class CursorConfig:
    """Where the cursor may go, and how fast.

    Attributes:
        half_width_m: half the side of the square workspace, m. 0.1 gives 0.2 m, a hand's easy range on a desk and enough
            for the usual 8 cm centre-out (Gilja et al. 2012).
        max_speed_m_s: speed limit, m/s. A minimum-jerk movement peaks at 1.88 D/T (Flash & Hogan 1985): 0.3 m/s for 8 cm
            in 0.5 s, an able hand. Faster than that, a visual delay of 0.2 s alone means 6 cm of unseen movement.
        click: "select" from which on a click begins; it lasts until half of that (a decoder's answer flickers: hysteresis
            keeps one click one). Least squares makes rare events small: 0.2-0.3 suits a linear decoder better than 0.5.
        click_rest_ms: for so long after a click no other begins, ms (assumption: a double click by hand takes 100-500).
    """

    half_width_m: float = 0.1
    max_speed_m_s: float = 0.3
    click: float = 0.5
    click_rest_ms: float = 200.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not 0 < self.half_width_m < float("inf"):
            raise ConfigError(f"cursor: half_width_m must be positive, got {self.half_width_m}")
        if not 0 < self.max_speed_m_s < float("inf"):
            raise ConfigError(f"cursor: max_speed_m_s must be positive, got {self.max_speed_m_s}")
        if not 0 < self.click <= 1:
            raise ConfigError(f"cursor: click must lie above 0 and up to 1, got {self.click}")
        if not 0 <= self.click_rest_ms < float("inf"):
            raise ConfigError(f"cursor: click_rest_ms must not be negative, got {self.click_rest_ms}")


class Cursor:
    """A point without mass.

    `p' = clip(p + dt v min(1, vmax/|v|))`: the velocity is shortened as a vector, so its direction stays; the position stops
    at the edges, and the velocity reported is the one that came true. An intent "select" of `click` or more is a
    click, until it falls below half of that. It feels nothing. It starts in the centre.
    """

    Config = CursorConfig
    push_ns = 1.0  # N s, a push to be seen: 25 mm

    def __init__(self, config: CursorConfig | None = None) -> None:
        self.config = config or CursorConfig()
        half = self.config.half_width_m
        self.workspace: Float64 = np.array([[-half, -half], [half, half]])
        self.max_speed = self.config.max_speed_m_s
        self.spec = Spec(takes=Port(len(_INTENT), "m/s", _INTENT), gives=Port(0, "N"))
        self._none = np.empty(0)
        self._rest()

    def _rest(self) -> None:
        self._t_ns, self._x, self._y = 0, 0.0, 0.0
        self._vx, self._vy, self._select = 0.0, 0.0, 0.0
        self._ready_ns = 0

    def prepare(self, setup: Setup) -> None:
        """Back to the centre, at rest."""
        self._rest()

    def step(self, intent: Intent, dt: float) -> tuple[Touch, BodyState]:
        """Move for `dt` s with the velocity of `intent.values` (m/s, m/s, probability of a click)."""
        vx, vy, select = intent.values.tolist()
        speed = hypot(vx, vy)
        if speed > self.max_speed:
            vx, vy = vx * (self.max_speed / speed), vy * (self.max_speed / speed)
        half = self.config.half_width_m
        x = min(half, max(-half, self._x + vx * dt))
        y = min(half, max(-half, self._y + vy * dt))
        self._vx, self._vy = (x - self._x) / dt, (y - self._y) / dt
        self._x, self._y = x, y
        self._t_ns += round(dt * NS_PER_S)
        self._press(select)
        return Touch(self._t_ns, self._none), self.state()

    def _press(self, select: float) -> None:
        """Begin, hold or end a click."""
        if self._select:
            if select < self.config.click / 2:
                self._select, self._ready_ns = 0.0, self._t_ns + round(self.config.click_rest_ms * NS_PER_MS)
        elif select >= self.config.click and self._t_ns >= self._ready_ns:
            self._select = 1.0

    def push(self, impulse: Float64) -> None:
        """Displaced by an impulse (N s): without mass, in a medium of viscosity b, it yields `J / b`."""
        half = self.config.half_width_m
        dx, dy = (float(v) / _VISCOSITY for v in impulse[:2])
        self._x, self._y = min(half, max(-half, self._x + dx)), min(half, max(-half, self._y + dy))

    def state(self) -> BodyState:
        """Where it is, m, and how it moves, m/s; no joints."""
        position, velocity = np.array((self._x, self._y)), np.array((self._vx, self._vy))
        return BodyState(self._t_ns, position, velocity, self._none, self._none, self._select)
