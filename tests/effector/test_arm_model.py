"""The MuJoCo body against our own closed-form dynamics, and its touch against the contact forces."""

from math import pi

import mujoco
import numpy as np
import pytest

from volition.effector._arm_model import TAXELS, ArmModel
from volition.effector._two_link import Segments, TwoLink

LINK = TwoLink(Segments.human(1.75, 75.0), damping=0.2, armature=0.01)


@pytest.fixture
def model():
    return ArmModel(LINK, (0.0, -0.4774), 0.1, (30.0, 20.0), 0.01, 0.001)


@pytest.mark.parametrize("pose", [(0.45, 1.8), (0.1, 2.2), (1.0, 0.6)])
@pytest.mark.parametrize("speed", [(0.0, 0.0), (2.0, -3.0), (-4.0, 1.0)])
def test_inertia_and_bias_equal_the_closed_form(model, pose, speed):
    model.reset(pose)
    model.velocities[:] = speed
    mujoco.mj_forward(model.model, model.data)
    full = np.zeros((2, 2))
    mujoco.mj_fullM(model.model, model.data, full)
    m11, m12, m22 = LINK.mass(pose[1])
    assert full == pytest.approx(np.array([[m11, m12], [m12, m22]]), rel=1e-9)
    assert model.data.qfrc_bias == pytest.approx(LINK.bias(pose[1], *speed), abs=1e-9)
    assert model.data.qfrc_passive == pytest.approx(-0.2 * np.array(speed))
    tip = model.data.geom("finger").xpos
    assert tip[:2] - (0.0, -0.4774) == pytest.approx(LINK.tip(*pose))
    assert tip[2] == 0


def test_torque_is_cut_off_at_the_limits(model):
    model.reset((0.45, 1.8))
    model.advance((1e9, -1e9), 1)
    assert model.data.actuator_force.tolist() == [30.0, -20.0]


def test_without_torque_it_only_loses_energy(model):
    model.reset((0.45, 1.8))
    model.velocities[:] = (0.5, -0.8)
    last = np.inf
    for _ in range(300):
        model.advance((0.0, 0.0), 1)
        w1, w2 = model.velocities
        m11, m12, m22 = LINK.mass(model.angles[1])
        energy = (m11 * w1 * w1 + 2 * m12 * w1 * w2 + m22 * w2 * w2) / 2
        # The integrator may err by its own order in a step, and no more.
        assert energy <= last * (1 + 1e-5)
        last = energy
    assert last < 0.5 * (0.5**2 * LINK.mass(1.8)[0])


def press(model, pose, towards):
    """Into the wall with a steady force of 10 N, until at rest."""
    model.reset(pose)
    for _ in range(2000):
        q, w = tuple(model.angles.tolist()), tuple(model.velocities.tolist())
        v = np.array(LINK.velocity(*q, *w))
        model.advance(LINK.torque(q, w, (0.0, 0.0), tuple(10.0 * np.array(towards) - 40.0 * v)), 1)
    return q


@pytest.mark.parametrize(("x", "y"), [(1, 0), (-1, 0), (0, 1), (0, -1)])
def test_taxels_feel_the_wall_where_it_is(model, x, y):
    pose = press(model, LINK.pose(0.09 * x, 0.4774 + 0.09 * y), (x, y))
    heading = pose[0] + pose[1]
    felt = model.pressure(heading)
    assert felt.shape == (TAXELS,)
    assert felt.sum() == pytest.approx(10.0, rel=1e-3)
    # The direction in which it feels is that of the wall.
    angles = heading + np.arange(TAXELS) * 2 * pi / TAXELS
    centre = felt @ np.c_[np.cos(angles), np.sin(angles)] / felt.sum()
    assert (centre / np.linalg.norm(centre)) @ (x, y) > np.cos(pi / TAXELS)
    assert (felt > 0).sum() <= 2


def test_in_the_corner_two_walls_are_felt(model):
    pose = press(model, LINK.pose(0.09, 0.4774 + 0.09), (1, 1))
    assert model.pressure(pose[0] + pose[1]).sum() == pytest.approx(20.0, rel=1e-3)


def test_links_pass_above_the_walls(model):
    # The forearm lies across the near wall all the time; only the finger may touch.
    model.reset(LINK.pose(0.0, 0.4774))
    assert model.data.ncon == 0
