"""The arm's body in MuJoCo: two links, a fingertip, and the four walls of a tray.

The fingertip dips into the tray; the links pass above it, so only the fingertip meets the walls. The plane is horizontal:
gravity is borne by the support and left out.
"""

from __future__ import annotations

from math import atan2, pi

import mujoco
import numpy as np

from volition.effector._two_link import Pair, TwoLink
from volition.signal import Float64

TAXELS = 8
FINGER_RADIUS_M = 0.008  # an index finger is about 16 mm wide
_WALL_M = 0.05
# Standard ranges of motion (AAOS): shoulder 45° of horizontal extension to 135° of horizontal flexion, elbow 0 to 150°.
SHOULDER_RAD = (-45 * pi / 180, 135 * pi / 180)
ELBOW_RAD = (0.0, 150 * pi / 180)
_STIFF = (0.005, 1.0)  # solref of walls and joint stops: time constant s, damping ratio


class ArmModel:
    """Rigid-body physics of the arm; the world's origin is the centre of the workspace.

    Args:
        link: kinematics and inertias.
        shoulder: where the shoulder is, m.
        half_width: of the workspace of the fingertip's centre, m.
        torque: limits at shoulder and elbow, N m.
        armature: inertia of each drive, kg m².
        timestep: of the physics, s.
    """

    def __init__(
        self, link: TwoLink, shoulder: Pair, half_width: float, torque: Pair, armature: float, timestep: float
    ) -> None:
        spec = mujoco.MjSpec()
        spec.compiler.degree = False
        spec.option.gravity = (0, 0, 0)
        spec.option.timestep = timestep
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        self._add_arm(spec, link, shoulder, torque, armature)
        _add_walls(spec, half_width + FINGER_RADIUS_M)
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        self.angles, self.velocities = self.data.qpos, self.data.qvel
        self._control = self.data.ctrl
        self._finger = self.model.geom("finger").id
        self._wrench = np.zeros(6)

    @staticmethod
    def _add_arm(spec: mujoco.MjSpec, link: TwoLink, shoulder: Pair, torque: Pair, armature: float) -> None:
        s, parent = link.segments, spec.worldbody
        parts = (
            ("shoulder", (*shoulder, 0), s.l1, s.m1, s.c1, s.i1, SHOULDER_RAD),
            ("elbow", (s.l1, 0, 0), s.l2, s.m2, s.c2, s.i2, ELBOW_RAD),
        )
        for (name, place, length, mass, centre, inertia, limits), most in zip(parts, torque, strict=True):
            body = parent.add_body(name=name, pos=place)
            body.explicitinertial = True
            # Turning about z alone, the other two moments play no part; MuJoCo wants them positive and balanced.
            body.mass, body.ipos, body.inertia = mass, (centre, 0, 0), (inertia, inertia, inertia)
            joint = body.add_joint(
                name=name,
                type=mujoco.mjtJoint.mjJNT_HINGE,
                axis=(0, 0, 1),
                limited=True,
                range=limits,
                armature=armature,
                solref_limit=_STIFF,
            )
            joint.damping[0] = link.damping
            body.add_geom(
                type=mujoco.mjtGeom.mjGEOM_CAPSULE,
                fromto=(0, 0, 0.04, length, 0, 0.04),
                size=(0.02, 0, 0),
                contype=0,
                conaffinity=0,
            )
            motor = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
            motor.set_to_motor()
            motor.ctrllimited = motor.forcelimited = True
            motor.ctrlrange = motor.forcerange = (-most, most)
            parent = body
        parent.add_geom(
            name="finger",
            type=mujoco.mjtGeom.mjGEOM_SPHERE,
            pos=(s.l2, 0, 0),
            size=(FINGER_RADIUS_M, 0, 0),
            contype=1,
            conaffinity=1,
            condim=1,
            solref=_STIFF,
        )

    def reset(self, angles: Pair) -> None:
        """At rest in a pose (rad), all memory of the solver gone."""
        mujoco.mj_resetData(self.model, self.data)
        self.angles[:] = angles
        mujoco.mj_forward(self.model, self.data)

    def advance(self, torque: Pair, steps: int) -> None:
        """So many physics steps with this torque at shoulder and elbow (N m); the motors cut it off at their limits."""
        self._control[:] = torque
        mujoco.mj_step(self.model, self.data, steps)

    def push(self, impulse: Float64) -> None:
        """An impulse in the plane (N s, `[2]`) at the fingertip: the joint velocities jump by `M⁻¹ Jᵀ impulse`."""
        mujoco.mj_forward(self.model, self.data)  # inertia and Jacobian of the pose as it is now
        jacobian = np.zeros((3, self.model.nv))
        mujoco.mj_jacGeom(self.model, self.data, jacobian, None, self._finger)
        jump = np.zeros((1, self.model.nv))
        mujoco.mj_solveM(self.model, self.data, jump, (jacobian[:2].T @ impulse)[None])
        self.velocities += jump[0]

    def pressure(self, heading: float) -> Float64:
        """Normal force on the taxels round the fingertip, `[8]`, N.

        Taxel k looks in the direction `heading + k 45°`, 0 being along the finger. The normal force of a contact is shared
        by the two taxels that its direction lies between, in proportion to nearness: the sum is that of the contact forces.

        Args:
            heading: direction of the finger in the plane, rad.
        """
        found = np.zeros(TAXELS)
        for i in range(self.data.ncon):
            contact = self.data.contact[i]
            mujoco.mj_contactForce(self.model, self.data, i, self._wrench)
            force = float(self._wrench[0])
            if force <= 0:
                continue
            # The frame's first axis points from geom 1 to geom 2; where the finger is geom 1 it points out of the finger.
            sign = 1.0 if contact.geom[0] == self._finger else -1.0
            towards = atan2(sign * contact.frame[1], sign * contact.frame[0]) - heading
            place = towards / (2 * pi) * TAXELS
            low = int(place // 1)
            share = place - low
            found[low % TAXELS] += force * (1 - share)
            found[(low + 1) % TAXELS] += force * share
        return found


def _add_walls(spec: mujoco.MjSpec, half: float) -> None:
    """Four smooth walls whose inner faces stand at ±`half` m."""
    middle, long = half + _WALL_M, half + 2 * _WALL_M
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        spec.worldbody.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=(x * middle, y * middle, 0),
            size=(_WALL_M if x else long, _WALL_M if y else long, 0.02),
            contype=1,
            conaffinity=1,
            condim=1,
            solref=_STIFF,
        )
