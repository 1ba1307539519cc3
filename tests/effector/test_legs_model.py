import inspect

import mujoco
import numpy as np
import pytest

from volition.effector import legs
from volition.effector._legs_model import (
    CONTACTS,
    FITS,
    JOINTS,
    MOTORS,
    SOLE_M,
    TAXELS,
    G,
    build,
    no_load_speed,
    peak_torque,
    torque_limit,
)
from volition.errors import ConfigError


@pytest.fixture(scope="module")
def robot():
    return build()


def on_a_rig(limits="stated"):
    """A model in the air, weightless, so that only the motors act."""
    model = build("robot", limits)
    model.opt.gravity[:] = 0
    data = mujoco.MjData(model)
    data.qpos[2] = 5.0
    return model, data


def test_ranges_compile_in_radians(robot):
    for name, motor in zip(JOINTS, MOTORS * 2, strict=True):
        assert robot.jnt_range[robot.joint(name).id] == pytest.approx(motor.range)


def test_masses_are_those_of_the_table(robot):
    assert robot.body_mass.sum() == pytest.approx(60.08, abs=0.01)
    assert build("prosthesis").body_mass.sum() == pytest.approx(74.5, abs=0.1)
    for fit in FITS:
        model = build(fit)
        for side in ("left", "right"):
            got = [model.body(f"{side}.{part}").mass[0] for part in ("thigh", "shank", "foot")]
            assert got == pytest.approx([7.2, 3.4, 1.24])


def test_inertia_is_that_of_the_segments(robot):
    """Principal moments about the centre of mass; a rod of 27.4 kg and 0.64 m alone would have 0.94 kg m²."""
    assert sorted(robot.body("trunk").inertia) == pytest.approx([0.315, 1.398, 1.462], abs=0.002)
    assert sorted(robot.body("left.thigh").inertia) == pytest.approx([0.017, 0.118, 0.118], abs=0.001)


def test_stands_on_the_floor_when_straight(robot):
    data = mujoco.MjData(robot)
    mujoco.mj_forward(robot, data)
    lowest = [data.geom(name).xpos[2] - robot.geom(name).size[0] for name in TAXELS]
    assert lowest == pytest.approx([0.0] * 8, abs=1e-9)
    assert len(CONTACTS) * 2 == len(TAXELS)
    assert pytest.approx(0.075) == SOLE_M


def test_left_and_right_mirror_each_other(robot):
    """Equal joint angles give mirrored feet."""
    data = mujoco.MjData(robot)
    data.qpos[7:19] = np.tile([0.2, 0.3, 0.4, 0.5, -0.1, 0.2], 2)
    mujoco.mj_forward(robot, data)
    left, right = data.body("left.foot").xpos, data.body("right.foot").xpos
    assert left == pytest.approx(right * [1, -1, 1])


def test_signs_of_the_joints(robot):
    """Positive: toe out, abduct, thigh forward, knee bent, toe up."""
    data = mujoco.MjData(robot)
    straight = None
    for k in (None, 0, 1, 2, 3, 4):
        data.qpos[7:19] = 0
        if k is not None:
            data.qpos[7 + k] = 0.2
        mujoco.mj_forward(robot, data)
        toe = data.geom("left.ball.l").xpos.copy()
        foot = data.body("left.foot").xpos.copy()
        if k is None:
            straight = toe, foot
            continue
        moved, went = toe - straight[0], foot - straight[1]
        assert (moved[1] > 0.01, went[1] > 0.05, went[0] > 0.05, went[0] < -0.05, moved[2] > 0.01)[k]


@pytest.mark.parametrize("limits", ["stated", "sprint"])
def test_torque_stays_under_the_torque_speed_line_in_every_step(limits):
    model, data = on_a_rig(limits)
    rng = np.random.default_rng(0)
    used = np.zeros(12)
    for k in range(3000):
        if k % 40 == 0:
            data.ctrl[0::2] = rng.uniform(-2, 3, 12)
            data.ctrl[1::2] = rng.uniform(-40, 40, 12)
        before = data.qvel[6:18].copy()
        mujoco.mj_step(model, data)
        torque = data.actuator_force
        allowed = torque_limit(limits, before, torque)
        assert (np.abs(torque) <= allowed + 1e-6).all()
        used = np.maximum(used, np.abs(torque) / peak_torque(limits))
    assert (used > 0.9).all()


def test_a_motor_runs_up_to_its_no_load_speed_and_no_further():
    model, data = on_a_rig()
    model.jnt_limited[:] = 0
    model.dof_damping[:] = 0
    speed = np.zeros(12)
    data.ctrl[0::2] = 1e3
    for _ in range(400):
        mujoco.mj_step(model, data)
        speed = np.maximum(speed, np.abs(data.qvel[6:18]))
    assert (speed[[3, 9]] > 0.8 * no_load_speed("stated")[3]).all()


def test_impulse_is_change_of_momentum(robot):
    """Two legs dropped from 10 cm: the ground's impulse less gravity's is what the momentum changed by."""
    data = mujoco.MjData(robot)
    data.qpos[2] += 0.1
    data.ctrl[0::2] = 0
    impulse, steps = np.zeros(3), 600
    wrench = np.zeros(6)
    mass = robot.body_mass.sum()

    def momentum():
        mujoco.mj_subtreeVel(robot, data)
        return mass * data.subtree_linvel[0]

    mujoco.mj_forward(robot, data)
    start = momentum().copy()
    for _ in range(steps):
        mujoco.mj_step(robot, data)
        for i in range(data.ncon):
            contact = data.contact[i]
            assert contact.geom[0] == robot.geom("floor").id
            mujoco.mj_contactForce(robot, data, i, wrench)
            impulse += wrench[:3] @ contact.frame.reshape(3, 3) * 0.001
    mujoco.mj_forward(robot, data)
    gained = momentum() - start
    assert impulse[2] == pytest.approx(mass * G * 0.001 * steps + gained[2], rel=0.01)


def test_legs_collide_with_each_other_and_not_with_themselves(robot):
    data = mujoco.MjData(robot)
    data.qpos[2] = 5.0
    mujoco.mj_forward(robot, data)
    assert data.ncon == 0
    data.qpos[8], data.qpos[14] = -0.4, -0.4
    mujoco.mj_forward(robot, data)
    assert data.ncon > 0


def test_the_table_that_is_printed_is_the_model():
    text = inspect.getdoc(legs)
    for motor in MOTORS:
        row = next(line for line in text.splitlines() if line.strip().startswith(motor.name.replace("_", " ") + " "))
        assert f" {motor.torque_nm} " in row
        assert f" {motor.speed_rad_s} " in row
        assert f"{motor.range[0]} .. {motor.range[1]}" in row
        assert f"{round(1.3 * motor.torque_nm)} Nm, {round(1.4 * motor.speed_rad_s)} rad/s" in row


def test_unknown_fits_are_refused():
    with pytest.raises(ConfigError, match="fit is one of"):
        build("giraffe")
