"""The legs' body in MuJoCo: segments, joints and motors as tables, and the model made of them.

Two legs of six motors each under a trunk. The trunk is a robot's own (`robot`), or that of a person who wears the legs
(`prosthesis`: trunk, head and passive arms of a 75 kg person). All frames: x forward, y left, z up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from volition.effector._legs_ground import add_ground
from volition.errors import ConfigError
from volition.signal import Float64
from volition.stage import GROUNDS

FITS = ("robot", "prosthesis")
LIMITS = ("stated", "sprint")
G = 9.81
HALF_HIP_M = 0.10
LINK_M = 0.42  # thigh and shank
SOLE_M = 0.075  # ankle to sole
SPHERE_M = 0.025  # radius of a contact sphere
HIP_TO_SOLE_M = 2 * LINK_M + SOLE_M
CONTACTS = ((-0.06, 0.03), (-0.06, -0.03), (0.16, 0.035), (0.16, -0.035))
"""Contact spheres of a foot, which are its taxels: x, y from the ankle, m (two at the heel, two at the ball)."""
TAXELS = tuple(f"{side}.{place}" for side in ("left", "right") for place in ("heel.l", "heel.r", "ball.l", "ball.r"))
VOLTAGE = 48.0
_JOINT_DAMPING = 0.5


@dataclass(frozen=True, slots=True)
class Segment:
    """One rigid part: where its mass is, as a capsule.

    Attributes:
        mass_kg: its mass.
        start, end: ends of the capsule's axis, m, in the body's frame.
        radius_m: of the capsule.
        source: where the numbers come from.
    """

    mass_kg: float
    start: tuple[float, float, float]
    end: tuple[float, float, float]
    radius_m: float
    source: str


_WINTER = "Winter 2009, body of 75 kg and 1.75 m"
_HUMAN_LENGTH = "length .24 of 1.75 m (Winter 2009: thigh .245, shank .246)"
THIGH = Segment(7.2, (0, 0, -0.04), (0, 0, -0.37), 0.07, "mass .10 of 72 kg (Winter 2009); " + _HUMAN_LENGTH)
SHANK = Segment(3.4, (0, 0, -0.02), (0, 0, -0.36), 0.045, "mass .0465 of 73 kg (Winter 2009); " + _HUMAN_LENGTH)
FOOT = Segment(1.2, (-0.04, 0, -0.045), (0.15, 0, -0.05), 0.025, "mass .0145 of 83 kg; ball 0.16 m before the ankle")
TRUNKS: dict[str, tuple[tuple[str, Segment], ...]] = {
    "robot": (
        ("pelvis", Segment(9.0, (0, -0.10, 0.03), (0, 0.10, 0.03), 0.09, "pelvis of 60 kg, Winter 2009 (.142)")),
        ("trunk", Segment(27.4, (0, 0, 0.12), (0, 0, 0.50), 0.13, "a robot's torso with battery; its own design")),
    ),
    "prosthesis": (
        ("pelvis", Segment(10.65, (0, -0.10, 0.03), (0, 0.10, 0.03), 0.09, f".142 of {_WINTER}")),
        ("trunk", Segment(26.6, (0, 0, 0.16), (0, 0, 0.45), 0.13, f".355 of {_WINTER}; shoulder .288 of height up")),
        ("head", Segment(6.1, (0, 0, 0.66), (0, 0, 0.72), 0.09, f"head and neck .081 of {_WINTER}")),
    ),
}
UPPER_ARM = Segment(2.1, (0, 0, -0.03), (0, 0, -0.29), 0.045, f".028 of {_WINTER}; length .186 of height")
FOREARM = Segment(1.65, (0.02, 0, -0.32), (0.30, 0, -0.32), 0.04, f"with hand .022 of {_WINTER}; elbow bent by 90 degrees")
_SHOULDER = (0.0, 0.20, 0.504)
# A passive swinging arm: an own frequency near that of a stride, half of critical damping (own choice).
_ARM_STIFFNESS, _ARM_DAMPING = 12.0, 1.5


@dataclass(frozen=True, slots=True)
class Motor:
    """A joint and the motor that drives it: a DC motor with gear and current limit.

    Torque is at most `torque_nm`, in full up to half of the no-load speed, and falls from there on a straight line to zero.

    Attributes:
        axis: of the left leg's joint; the right one is mirrored where that swaps left for right.
        mirrored: whether so.
        range: of the joint, rad.
        torque_nm: peak torque at the joint.
        speed_rad_s: no-load speed at the joint.
        armature: rotor inertia behind the gear, kg m².
        kp, kd: gains of the drive's own position loop, Nm/rad and Nm s/rad.
    """

    name: str
    axis: tuple[float, float, float]
    mirrored: bool
    range: tuple[float, float]
    torque_nm: float
    speed_rad_s: float
    armature: float
    kp: float
    kd: float


MOTORS = (
    Motor("hip_yaw", (0, 0, 1), True, (-0.6, 0.6), 120, 20, 0.03, 200, 5),  # + toe out
    Motor("hip_roll", (1, 0, 0), True, (-0.5, 0.5), 250, 20, 0.06, 500, 12),  # + abduct
    Motor("hip_pitch", (0, -1, 0), False, (-1.0, 2.2), 350, 28, 0.08, 500, 10),  # + thigh forward
    Motor("knee", (0, 1, 0), False, (0.0, 2.5), 350, 30, 0.06, 600, 8),  # + bend
    Motor("ankle_pitch", (0, -1, 0), False, (-1.0, 0.7), 200, 28, 0.03, 300, 5),  # + toe up
    Motor("ankle_roll", (1, 0, 0), True, (-0.4, 0.4), 80, 20, 0.01, 120, 3),  # + sole outward
)
JOINTS = tuple(f"{side}.{motor.name}" for side in ("left", "right") for motor in MOTORS)
LOWER: Float64 = np.array([m.range[0] for m in MOTORS])
UPPER: Float64 = np.array([m.range[1] for m in MOTORS])
_SETS = {"stated": (1.0, 1.0), "sprint": (1.3, 1.4)}
_STIFF = (0.01, 1.0)  # contact: time constant s, damping ratio
_LEFT, _RIGHT, _FLOOR = 2, 4, 1


def peak_torque(limits: str) -> Float64:
    """Peak torque of the 12 motors, Nm."""
    return np.tile([m.torque_nm * _SETS[limits][0] for m in MOTORS], 2)


def no_load_speed(limits: str) -> Float64:
    """No-load speed of the 12 motors, rad/s."""
    return np.tile([m.speed_rad_s * _SETS[limits][1] for m in MOTORS], 2)


def torque_limit(limits: str, velocity: Float64, direction: Float64) -> Float64:
    """What each motor can give at a joint velocity, in the direction of a torque, Nm: the torque-speed line.

    `min(peak, 2 peak (1 - direction velocity / no-load speed))`: a motor that brakes has its full torque.
    """
    peak = peak_torque(limits)
    line: Float64 = np.minimum(peak, 2 * peak * (1 - np.sign(direction) * velocity / no_load_speed(limits)))
    return np.maximum(line, 0.0)


def build(
    fit: str = "robot",
    limits: str = "stated",
    timestep: float = 0.001,
    iterations: int = 50,
    ground: str = "flat",
    rng: np.random.Generator | None = None,
) -> Any:
    """The compiled model: a free trunk over a floor.

    Args:
        fit: "robot" or "prosthesis".
        limits: "stated" or "sprint" (torque x 1.3, no-load speed x 1.4).
        timestep: of the physics, s.
        iterations: of the solver.
        ground: one of `GROUNDS`; where it is not flat, the floor lies 1 m below the slabs.
        rng: what a ground that is not flat is drawn from.

    Raises:
        ConfigError: unknown fit, limits or ground.
    """
    if ground not in GROUNDS:
        raise ConfigError(f"legs: ground is one of {GROUNDS}, got {ground!r}")
    if fit not in FITS or limits not in LIMITS:
        raise ConfigError(f"legs: fit is one of {FITS} and limits one of {LIMITS}, got {fit!r} and {limits!r}")
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    option = spec.option
    option.timestep, option.iterations, option.ls_iterations = timestep, iterations, max(6, iterations)
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.gravity = (0, 0, -G)
    spec.worldbody.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=(200, 200, 1),
        pos=(0, 0, 0 if ground == "flat" else -1),
        contype=_FLOOR,
        conaffinity=0,
        friction=(1, 0.02, 0.001),
        solref=_STIFF,
    )
    if ground != "flat":
        add_ground(spec, ground, rng or np.random.default_rng(), contype=_FLOOR, conaffinity=0, solref=_STIFF)
    trunk = spec.worldbody.add_body(name="trunk", pos=(0, 0, HIP_TO_SOLE_M))
    trunk.add_freejoint()
    trunk.add_site(name="imu", pos=(0, 0, 0))
    for _, segment in TRUNKS[fit]:
        _capsule(trunk, segment, contype=0, conaffinity=_FLOOR)
    for side, sign in (("left", 1), ("right", -1)):
        _leg(spec, trunk, side, sign, limits)
    if fit == "prosthesis":
        for side, sign in (("left", 1), ("right", -1)):
            _arm(trunk, side, sign)
    return spec.compile()


def _capsule(body: Any, segment: Segment, contype: int, conaffinity: int) -> None:
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        fromto=(*segment.start, *segment.end),
        size=(segment.radius_m, 0, 0),
        mass=segment.mass_kg,
        contype=contype,
        conaffinity=conaffinity,
        solref=_STIFF,
    )


def _arm(trunk: Any, side: str, sign: int) -> None:
    """A person's arm, bent at the elbow, swinging by itself."""
    x, y, z = _SHOULDER
    body = trunk.add_body(name=f"{side}.arm", pos=(x, sign * y, z))
    joint = body.add_joint(
        name=f"{side}.shoulder",
        type=mujoco.mjtJoint.mjJNT_HINGE,
        axis=(0, -1, 0),
        limited=True,
        range=(-1.0, 1.5),
    )
    joint.stiffness[0], joint.damping[0] = _ARM_STIFFNESS, _ARM_DAMPING
    for segment in (UPPER_ARM, FOREARM):
        _capsule(body, segment, contype=0, conaffinity=0)


def _leg(spec: Any, trunk: Any, side: str, sign: int, limits: str) -> None:
    mine, other = (_LEFT, _RIGHT) if sign > 0 else (_RIGHT, _LEFT)
    hip = trunk.add_body(name=f"{side}.thigh", pos=(0, sign * HALF_HIP_M, 0))
    shank = hip.add_body(name=f"{side}.shank", pos=(0, 0, -LINK_M))
    foot = shank.add_body(name=f"{side}.foot", pos=(0, 0, -LINK_M))
    bodies = (hip, hip, hip, shank, foot, foot)
    torque, speed = _SETS[limits]
    for motor, body in zip(MOTORS, bodies, strict=True):
        name = f"{side}.{motor.name}"
        axis = tuple(sign * a for a in motor.axis) if motor.mirrored else motor.axis
        joint = body.add_joint(
            name=name,
            type=mujoco.mjtJoint.mjJNT_HINGE,
            axis=axis,
            limited=True,
            range=motor.range,
            armature=motor.armature,
        )
        joint.damping[0] = _JOINT_DAMPING
        actuator = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        actuator.set_to_dcmotor(
            motorconst=[0.0, 0.0],
            resistance=0.0,
            nominal=[VOLTAGE, 2 * torque * motor.torque_nm, speed * motor.speed_rad_s],
            saturation=[torque * motor.torque_nm, 0, 0],
            controller=[motor.kp, 0, motor.kd, 0, 0, VOLTAGE],
            ctrlspec=int(mujoco.mjtCtrlInput.mjINPUT_POS) | int(mujoco.mjtCtrlInput.mjINPUT_VEL),
        )
    _capsule(hip, THIGH, contype=mine, conaffinity=_FLOOR | other)
    _capsule(shank, SHANK, contype=mine, conaffinity=_FLOOR | other)
    _capsule(foot, FOOT, contype=mine, conaffinity=other)
    _sole(spec, foot, side)


def _sole(spec: Any, foot: Any, side: str) -> None:
    """Contact spheres under the foot, each a taxel."""
    for (x, y), place in zip(CONTACTS, ("heel.l", "heel.r", "ball.l", "ball.r"), strict=True):
        at = (x, y, SPHERE_M - SOLE_M)
        name = f"{side}.{place}"
        foot.add_geom(
            name=name,
            type=mujoco.mjtGeom.mjGEOM_SPHERE,
            pos=at,
            size=(SPHERE_M, 0, 0),
            mass=0.01,
            contype=0,
            conaffinity=_FLOOR,
            friction=(1, 0.02, 0.001),
            solref=_STIFF,
        )
        foot.add_site(name=name, pos=at, size=(1.2 * SPHERE_M, 0, 0), group=3)
        spec.add_sensor(
            name=name,
            type=mujoco.mjtSensor.mjSENS_TOUCH,
            objtype=mujoco.mjtObj.mjOBJ_SITE,
            objname=name,
        )
