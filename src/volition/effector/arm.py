"""a planar two-link arm of human build in MuJoCo, with torque limits, walls and a feeling fingertip."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot
from typing import Any

import numpy as np

from volition.effector._arm_model import ELBOW_RAD, TAXELS, ArmModel
from volition.effector._scene import poses_of, scene_of
from volition.effector._two_link import Segments, TwoLink, shorten
from volition.errors import ConfigError
from volition.signal import NS_PER_S, BodyState, Float64, Intent, Touch
from volition.stage import Port, Setup, Spec

_INTENT = ("reach.x", "reach.y")
_PERIOD_S = 0.005
_PHYSICS_S = 0.001
_DISTANCE = 0.62  # of the workspace's centre from the shoulder, as a share of the arm's length: elbow at about 105°
_DAMPING = 0.2  # N m s/rad, viscous friction of a joint
_ARMATURE = 0.01  # kg m², inertia of a drive
_FASTEST = 1e3  # m/s, so that an absurd command cannot overflow


@dataclass(frozen=True)
class ArmConfig:
    """Build, limits and control of the arm.

    Attributes:
        height_m: height of the person whose arm it is, m; segment lengths follow by the tables of Winter (2009).
        mass_kg: body mass of the person, kg; segment masses follow likewise.
        half_width_m: half the side of the square workspace, m.
        max_speed_m_s: speed limit of the commanded movement, m/s (see the cursor's).
        max_acceleration_m_s2: limit of the commanded acceleration, m/s². A minimum-jerk reach of 8 cm in 0.5 s peaks at
            5.77 D/T² = 1.8 (Flash & Hogan 1985); 8 leaves room for corrections and takes the jerk out of a noisy decoder.
        shoulder_torque_nm: torque limit at the shoulder, N m: below half of what young adults' shoulder adductors can
            (67.9 ± 28.4, Holzbaur et al. 2007).
        elbow_torque_nm: torque limit at the elbow, N m.
        stiffness_n_m: of the fingertip, N/m, alike in all directions; the hand of a person who holds still has 100 to 800
            (Mussa-Ivaldi, Hogan & Bizzi 1985).
        damping_n_s_m: of the fingertip, N s/m; about critical for the arm's 1 kg or so of effective mass.
        lead_m: how far the wanted place may run ahead of the fingertip in x and in y, m. Against a wall the force grows to
            stiffness x lead + damping x commanded speed: 18 N at full speed.
    """

    height_m: float = 1.75
    mass_kg: float = 75.0
    half_width_m: float = 0.1
    max_speed_m_s: float = 0.3
    max_acceleration_m_s2: float = 8.0
    shoulder_torque_nm: float = 30.0
    elbow_torque_nm: float = 20.0
    stiffness_n_m: float = 400.0
    damping_n_s_m: float = 40.0
    lead_m: float = 0.015

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name, value in vars(self).items():
            if not 0 < value < float("inf"):
                raise ConfigError(f"arm: {name} must be positive, got {value}")
        if self.stiffness_n_m > 2000 or self.damping_n_s_m > 80:
            raise ConfigError("arm: control at 200 Hz is stable up to stiffness_n_m = 2000 and damping_n_s_m = 80")
        link = TwoLink(Segments.human(self.height_m, self.mass_kg))
        reach = link.segments.l1 + link.segments.l2
        far = hypot(self.half_width_m, _DISTANCE * reach + self.half_width_m)
        near = _DISTANCE * reach - self.half_width_m
        if far > 0.95 * reach or near <= 0 or link.pose(0, near)[1] > ELBOW_RAD[1] - 0.1:
            raise ConfigError(f"arm: half_width_m of {self.half_width_m} is more than an arm of {reach:.2f} m can reach")


class Arm:
    """Shoulder and elbow driven by torque motors, controlled 200 times a second, physics at 1 kHz.

    The intent is the velocity of the fingertip. Cut to the speed limit and then to the acceleration limit it becomes the
    wanted velocity v*, its integral the wanted place p*, never more than `lead_m` ahead. The torque is what gives the tip
    the acceleration a* by the arm's dynamics, and an impedance about the wanted movement (Hogan 1985):

        F = damping (v* - v) + stiffness (p* - p)

    The motors cut it off at their limits. Four walls bound the workspace. Touch: 8 taxels round the fingertip, N, zero in
    free motion.

    Reported positions are those of the fingertip's centre, with the centre of the workspace as origin; the shoulder lies at
    -y (x is to the right, y forward, as for a right arm). It starts in the centre.
    """

    Config = ArmConfig
    push_ns = 1.5  # N s, a push to be seen: 32 mm

    def __init__(self, config: ArmConfig | None = None) -> None:
        self.config = config or ArmConfig()
        c = self.config
        half = c.half_width_m
        self.workspace: Float64 = np.array([[-half, -half], [half, half]])
        self.max_speed = c.max_speed_m_s
        self.spec = Spec(
            takes=Port(len(_INTENT), "m/s", _INTENT),
            gives=Port(TAXELS, "N", tuple(f"finger.{k * 360 // TAXELS}" for k in range(TAXELS))),
            period_ns=round(_PERIOD_S * NS_PER_S),
        )
        self._link = TwoLink(Segments.human(c.height_m, c.mass_kg), _DAMPING, _ARMATURE)
        self._shoulder = (0.0, -_DISTANCE * (self._link.segments.l1 + self._link.segments.l2))

    def prepare(self, setup: Setup) -> None:
        """A new arm, at rest, fingertip in the centre."""
        c = self.config
        torque = (c.shoulder_torque_nm, c.elbow_torque_nm)
        self._model = ArmModel(self._link, self._shoulder, c.half_width_m, torque, _ARMATURE, _PHYSICS_S)
        self._model.reset(self._link.pose(-self._shoulder[0], -self._shoulder[1]))
        self._t_ns = 0
        self._wanted, self._wanted_velocity = (0.0, 0.0), (0.0, 0.0)
        self._sense()

    def _sense(self) -> None:
        """Joint angles and velocities, and from them the fingertip's."""
        self._q1, self._q2 = self._model.angles.tolist()
        self._w1, self._w2 = self._model.velocities.tolist()
        x, y = self._link.tip(self._q1, self._q2)
        self._tip = (x + self._shoulder[0], y + self._shoulder[1])
        self._velocity = self._link.velocity(self._q1, self._q2, self._w1, self._w2)

    def step(self, intent: Intent, dt: float) -> tuple[Touch, BodyState]:
        """Move for `dt` s (control steps of 5 ms) with the fingertip velocity of `intent.values`, m/s."""
        x, y = (min(_FASTEST, max(-_FASTEST, v)) for v in intent.values.tolist())
        target = shorten(x, y, self.max_speed)
        periods = max(1, round(dt / _PERIOD_S))
        period = dt / periods
        for _ in range(periods):
            self._control(target, period)
        self._t_ns += round(dt * NS_PER_S)
        return Touch(self._t_ns, self._model.pressure(self._q1 + self._q2)), self.state()

    def _control(self, target: tuple[float, float], period: float) -> None:
        """One control step: from the wanted velocity to torques, held while the physics goes on."""
        (vx, vy), (px, py), (x, y), (ux, uy) = self._wanted_velocity, self._wanted, self._tip, self._velocity
        c = self.config
        ax, ay = shorten((target[0] - vx) / period, (target[1] - vy) / period, c.max_acceleration_m_s2)
        vx, vy = vx + ax * period, vy + ay * period
        ex = min(c.lead_m, max(-c.lead_m, px + vx * period - x))
        ey = min(c.lead_m, max(-c.lead_m, py + vy * period - y))
        self._wanted, self._wanted_velocity = (x + ex, y + ey), (vx, vy)
        force = (
            c.damping_n_s_m * (vx - ux) + c.stiffness_n_m * ex,
            c.damping_n_s_m * (vy - uy) + c.stiffness_n_m * ey,
        )
        torque = self._link.torque((self._q1, self._q2), (self._w1, self._w2), (ax, ay), force)
        self._model.advance(torque, max(1, round(period / _PHYSICS_S)))
        self._sense()

    def push(self, impulse: Float64) -> None:
        """An impulse (N s) at the fingertip, at once: the joints' velocities change by `M⁻¹ Jᵀ impulse`."""
        self._model.push(impulse[:2])
        self._sense()

    def state(self) -> BodyState:
        """Fingertip (m, m/s) and joints (rad, rad/s; shoulder, elbow)."""
        joints, speeds = np.array((self._q1, self._q2)), np.array((self._w1, self._w2))
        return BodyState(self._t_ns, np.array(self._tip), np.array(self._velocity), joints, speeds)

    def scene(self) -> dict[str, Any]:
        """Its shapes, for a view to draw (after `prepare`); see `_scene.py`."""
        return scene_of(self._model.model)

    def poses(self) -> tuple[Float64, Float64]:
        """Where its bodies are now: positions `[bodies, 3]` m, quaternions `[bodies, 4]` (w, x, y, z)."""
        return poses_of(self._model.data)
