"""two robot legs that stand, walk and run by themselves and take go, speed and turn from the person.

Segments (m, kg; each leg; everything can be read in `_legs_model.py`):

    segment  mass   length  source
    thigh    7.2    0.42    mass .10 of 72 kg, length .24 of 1.75 m (Winter 2009: .100 and .245)
    shank    3.4    0.42    mass .0465 of 73 kg, length .24 of 1.75 m (Winter 2009: .0465 and .246)
    foot     1.24   0.22    mass .0145 of 85 kg (Winter 2009); sole 0.075 below the ankle, four contact spheres, each a taxel
    trunk    36.4           robot: its own torso and pelvis, centre of mass 0.24 above the hips; 60.1 kg in all
             50.9           prosthesis: trunk, head and passive arms of a person of 75 kg and 1.75 m; 74.5 kg in all

Motors (a DC motor with gear gives its peak torque up to half the no-load speed, from there a straight line to nil):

    joint        peak torque Nm   no-load speed rad/s   range rad      the same of limits "sprint"
    hip yaw      120              20                    -0.6 .. 0.6    156 Nm, 28 rad/s
    hip roll     250              20                    -0.5 .. 0.5    325 Nm, 28 rad/s
    hip pitch    350              28                    -1.0 .. 2.2    455 Nm, 39 rad/s
    knee         350              30                     0.0 .. 2.5    455 Nm, 42 rad/s
    ankle pitch  200              28                    -1.0 .. 0.7    260 Nm, 39 rad/s
    ankle roll   80               20                    -0.4 .. 0.4    104 Nm, 28 rad/s

"stated" are the joints of the strongest humanoids of 2026; "sprint" is 1.3 of their torque at 1.4 of their speed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from volition.effector._gait import controls
from volition.effector._legs_ground import FRICTION
from volition.effector._legs_model import FITS, HIP_TO_SOLE_M, LIMITS, LOWER, TAXELS, UPPER, G, build
from volition.effector._legs_pilot import STANDING, Library, Pilot
from volition.effector._legs_power import Power
from volition.effector._legs_residual import Policy
from volition.effector._legs_sense import Estimator, SensorNoise, Sensors
from volition.effector._legs_shape import Shape
from volition.effector._legs_stand import POSE, Build
from volition.effector._scene import poses_of, scene_of
from volition.errors import ConfigError
from volition.signal import NS_PER_S, BodyState, Float64, Intent, Touch
from volition.stage import GROUNDS, Port, Setup, Spec

GAITS = ("run", "walk")
_INTENT = ("walk.x", "walk.y", "walk.turn")
_TICK_S = 0.005
_PHYSICS_S = 0.001
_STEPS = round(_TICK_S / _PHYSICS_S)
_LATE = 3  # physics steps from the sensors' sample to the motors' new command
_HALF_WIDTH_M = 100.0
_FALLEN_UP, _FALLEN_M = 0.5, 0.5
_SOFTENS_S = 0.4
TRUNK = ("heading", "pitch", "roll")
"""What stands before the leg joints in `BodyState.joint_position`: the trunk's attitude, rad; heading is counted through."""


@dataclass(frozen=True)
class LegsConfig:
    """Which legs, and how much they may be asked.

    Attributes:
        fit: "robot" (a torso of its own) or "prosthesis" (under the pelvis of a person of 75 kg).
        limits: of the motors: "stated" or "sprint".
        residual: whether the learned correction of the gaits is added, where there is one for `fit`; it takes
            part above 4 m/s (prosthesis: 3.2) and until a body that ran so fast stands; the robot's also at a jog. Or the
            policy.npz that `volition train residual` made, for one of your own.
        max_speed_m_s: fastest forward command, m/s, but never faster than the library's fastest gait; 0 is that one.
        gait: "run" (at every speed, with short hurried strides when slow: the surest) or "walk" (at a person's walking
            speeds it walks; when it is knocked it runs).
        friction: of the floor, sliding.
        ground: "flat", "slopes" (10 %), "steps" (3 cm), "slippery" (friction 0.5 to 1), "mixed" (all of them), or "auto":
            what the task asks for. The controller is not told.
        noise: scale of the sensors' noise and bias.
        rest_m_s: an intent smaller than this is rest, m/s (a turn counts half its rad/s); legs that stand start at half as
            much again. What is decoded from a person at rest is small, but not nil (0.1 with a spread of 0.1 m/s with 1,024
            channels and a Kalman filter).
        hold_ms: an intent older than this fades.
        frozen_ms: an intent that does not change at all for so long, and is not nil, fades too; 0 takes it as it is (for a
            joystick or a script).
    """

    fit: str = "robot"
    limits: str = "stated"
    residual: bool | Path = True
    max_speed_m_s: float = 3.0
    gait: str = "run"
    friction: float = 0.9
    ground: str = "auto"
    noise: float = 1.0
    rest_m_s: float = 0.2
    hold_ms: float = 300.0
    frozen_ms: float = 1000.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.fit not in FITS:
            raise ConfigError(f"legs: fit must be one of {', '.join(FITS)}, got {self.fit!r}")
        if self.limits not in LIMITS:
            raise ConfigError(f"legs: limits must be one of {', '.join(LIMITS)}, got {self.limits!r}")
        if self.gait not in GAITS:
            raise ConfigError(f"legs: gait must be one of {', '.join(GAITS)}, got {self.gait!r}")
        if self.ground not in ("auto", *GROUNDS):
            raise ConfigError(f"legs: ground must be auto or one of {', '.join(GROUNDS)}, got {self.ground!r}")
        for name in ("max_speed_m_s", "noise", "rest_m_s", "hold_ms", "frozen_ms"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"legs: {name} must not be negative, got {getattr(self, name)}")
        if not 0.2 <= self.friction <= 2:
            raise ConfigError(f"legs: friction must lie in 0.2..2, got {self.friction}")


class Legs:
    """Legs under their own control: 200 times a second from sensors to motor commands, physics at 1 kHz.

    The intent is where the body should go: forward and sideways velocity (m/s) and heading rate (rad/s). It is shaped (rate
    limits, a threshold between standing and going, fading of what is old), then a phase clock, leg angles and lengths, foot
    placement and trunk feedback make joint targets for the drives. The controller knows only its sensors: an inertial unit
    at the pelvis, encoders, taxels; the loop gets the true pose, as a camera would see it.

    Position is that of the pelvis (x, y of the world, m), velocity the same in the world's frame. `joint_position` holds the
    trunk's heading, pitch and roll and then the joints (`_legs_model.JOINTS`), rad. Touch: four taxels a sole, N, and the
    ground's force on each foot `[2, 3]`, world frame, N.

    After a fall the motors go soft within 0.4 s and stay so until `prepare`.
    """

    Config = LegsConfig

    def __init__(self, config: LegsConfig | None = None) -> None:
        self.config = config or LegsConfig()
        self._library = Library.shipped(self.config.fit, self.config.limits)
        self._policy = Policy.chosen(self.config.residual, self.config.fit)
        if self.config.gait == "walk" and self._library.walk is None:
            raise ConfigError(f"legs: no gait that walks is shipped for {self.config.fit} with {self.config.limits} limits")
        top = float(self._library.speeds[-1])
        self.max_speed = min(self.config.max_speed_m_s or top, top)
        half = _HALF_WIDTH_M
        self.workspace: Float64 = np.array([[-half, -half], [half, half]])
        self.spec = Spec(
            takes=Port(len(_INTENT), "m/s", _INTENT),
            gives=Port(len(TAXELS), "N", TAXELS),
            period_ns=round(_TICK_S * NS_PER_S),
        )
        self._model: Any = None
        self._laid = ""

    def prepare(self, setup: Setup) -> None:
        """The legs anew, standing at the origin and looking along x."""
        c = self.config
        ground = setup.ground if c.ground == "auto" else c.ground
        if ground != "flat" or self._laid != "flat":  # a flat one is the same for every seed
            self._make(ground, setup.rng("ground"))
        self._data = mujoco.MjData(self._model)
        self._t_ns = 0
        rng = setup.rng("effector")
        shape = Shape(
            max_m_s=self.max_speed,
            go=1.5 * c.rest_m_s,
            stay=c.rest_m_s,
            hold_s=c.hold_ms / 1e3,
            frozen_s=c.frozen_ms / 1e3,
            walk=c.gait == "walk",
        )
        residual = None if self._policy is None else self._policy.residual(1)
        self._pilot = Pilot(1, self._library, shape, Build.of(self._model), residual)
        self._sensors = Sensors(1, rng, SensorNoise(scale=c.noise))
        self._estimator = Estimator(1, float(self._model.body_mass.sum()) * G)
        self._place()
        self.fallen = False
        self._soft_s = 0.0
        self._heading = 0.0
        self._ground = np.zeros((2, 3))
        self._torque, self._speed = np.zeros((_STEPS, 12)), np.zeros((_STEPS + 1, 12))
        self._power = Power(self._model)

    def _make(self, ground: str, rng: np.random.Generator) -> None:
        """The model, over its ground."""
        c = self.config
        self._laid = ground
        self._model = model = build(c.fit, c.limits, _PHYSICS_S, ground=ground, rng=rng)
        if ground in ("slippery", "mixed"):  # of two surfaces the rougher counts: the ground's own
            model.geom_friction[model.geom_bodyid > 0, 0] = FRICTION[0]
        else:
            model.geom_friction[:, 0] = c.friction
        self._foot_of = {int(model.geom(name).id): i // 4 for i, name in enumerate(TAXELS)}
        self._wrench = np.zeros(6)

    def _place(self) -> None:
        """Standing in the pose from which standing begins."""
        d = self._data
        mujoco.mj_resetData(self._model, d)
        target = np.tile(POSE, (1, 2, 1))
        d.qpos[7:19] = target.ravel()
        d.qpos[2] = HIP_TO_SOLE_M
        mujoco.mj_forward(self._model, d)
        soles = [self._model.geom(name).id for name in TAXELS]
        d.qpos[2] -= float((d.geom_xpos[soles, 2] - self._model.geom_size[soles, 0]).min())
        d.ctrl[:] = controls(target, None, _TICK_S)[0]
        mujoco.mj_forward(self._model, d)
        self._target = target

    def step(self, intent: Intent, dt: float) -> tuple[Touch, BodyState]:
        """Move for `dt` s (control ticks of 5 ms) with body velocity and heading rate of `intent.values`."""
        wanted = np.asarray(intent.values, float)[:, None]
        age = np.array([intent.age_ns / NS_PER_S])
        for _ in range(max(1, round(dt / _TICK_S))):
            self._tick(wanted, age)
        self._t_ns += round(dt * NS_PER_S)
        return Touch(self._t_ns, self._data.sensordata.copy(), self._ground.copy()), self.state()

    def _tick(self, wanted: Float64, age: Float64) -> None:
        """Sense, decide, and 3 ms later tell the motors."""
        d, torque, speed = self._data, self._torque, self._speed
        reading = self._sensors.read(d.qpos[None], d.qvel[None], d.sensordata[None], _TICK_S)
        estimate = self._estimator.update(reading, _TICK_S)
        self.fallen = self.fallen or bool(
            np.cos(estimate.pitch[0]) * np.cos(estimate.roll[0]) < _FALLEN_UP or not np.isfinite(estimate.pitch[0])
        )
        before = self._target
        if self.fallen:
            told = self._soft(estimate.angle)
        else:
            self._target = self._pilot.step(estimate, wanted, age, _TICK_S)
            told = controls(self._target, before, _TICK_S)
        speed[0] = d.qvel[6:18]
        for k in range(_STEPS):
            if k == _LATE:
                d.ctrl[:] = told[0]
            mujoco.mj_step(self._model, d)
            torque[k], speed[k + 1] = d.actuator_force, d.qvel[6:18]
        self._power.add(torque, 0.5 * (speed[:-1] + speed[1:]), _PHYSICS_S, d.qpos[:2])
        self._feel()

    def _soft(self, angle: Float64) -> Float64:
        """A fall: the drives follow the joints ever more closely, so that their springs give way in time."""
        self._soft_s += _TICK_S
        share = min(1.0, self._soft_s / _SOFTENS_S)
        self._target = (1 - share) * self._target + share * np.clip(angle, LOWER, UPPER)
        return controls(self._target, None, _TICK_S)

    def _feel(self) -> None:
        """Heading, counted through, and the ground's force on each foot."""
        d = self._data
        w, x, y, z = d.qpos[3:7]
        yaw = float(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))
        self._heading += (yaw - self._heading + np.pi) % (2 * np.pi) - np.pi
        self._ground[:] = 0
        for i in range(d.ncon):
            contact = d.contact[i]
            one, other = int(contact.geom[0]), int(contact.geom[1])
            # The force is that of the first body on the second; a sole comes after a plane and before a box.
            foot, sign = self._foot_of.get(other), 1.0
            if foot is None:
                foot, sign = self._foot_of.get(one), -1.0
            if foot is None or self._model.geom_bodyid[one if sign > 0 else other]:
                continue
            mujoco.mj_contactForce(self._model, d, i, self._wrench)
            self._ground[foot] += sign * (self._wrench[:3] @ contact.frame.reshape(3, 3))

    @property
    def work_j(self) -> float:
        """Positive mechanical work of all motors in this block, J."""
        return self._power.positive_j

    def begin_block(self) -> None:
        """Power and energy are counted anew; the motors stay as warm as they are."""
        self._power.begin()

    def figures(self) -> Mapping[str, Any]:
        """Way, energy, power and heat of this block; see `_legs_power.Power`."""
        return self._power.figures()

    @property
    def standing(self) -> bool:
        """Whether both feet are planted by intention."""
        return bool(self._pilot.mode[0] == STANDING)

    def state(self) -> BodyState:
        """Pelvis (m, m/s), and heading, pitch, roll and joints (rad, rad/s)."""
        d = self._data
        w, x, y, z = d.qpos[3:7]
        pitch = float(np.arcsin(np.clip(2 * (w * y - z * x), -1, 1)))
        roll = float(np.arctan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)))
        angles = np.concatenate(((self._heading, pitch, roll), d.qpos[7:19]))
        rates = np.concatenate(((d.qvel[5], d.qvel[4], d.qvel[3]), d.qvel[6:18]))
        return BodyState(self._t_ns, d.qpos[:2].copy(), d.qvel[:2].copy(), angles, rates)

    def push(self, impulse: Float64) -> None:
        """A blow on the whole body, N s `[3]` in the world's frame; it acts from the next step on."""
        self._data.qvel[:3] += np.asarray(impulse, float) / float(self._model.body_mass.sum())

    def scene(self) -> dict[str, Any]:
        """Its shapes, for a view to draw (after `prepare`); see `_scene.py`."""
        return scene_of(self._model)

    def poses(self) -> tuple[Float64, Float64]:
        """Where its bodies are now: positions `[bodies, 3]` m, quaternions `[bodies, 4]` (w, x, y, z)."""
        return poses_of(self._data)
