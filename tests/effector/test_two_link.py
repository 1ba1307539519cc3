"""Kinematics and dynamics against finite differences, and against energy."""

from math import cos, hypot, pi, sin

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volition.effector._two_link import Segments, TwoLink, shorten

HUMAN = Segments.human(1.75, 75.0)
ARM = TwoLink(HUMAN, damping=0.2, armature=0.01)

shoulder, elbow, speed = st.floats(-0.7, 2.3), st.floats(0.3, 2.6), st.floats(-5, 5)


def test_segments_of_winters_tables():
    # 1.75 m and 75 kg: upper arm 32.6 cm, elbow to fingertip 44.5 cm, 2.1 and 1.65 kg.
    assert (HUMAN.l1, HUMAN.l2) == pytest.approx((0.3255, 0.4445))
    assert (HUMAN.m1, HUMAN.m2) == pytest.approx((2.1, 1.65))
    assert (HUMAN.c1, HUMAN.c2) == pytest.approx((0.436 * 0.3255, 0.682 * 0.2555))
    assert (HUMAN.i1, HUMAN.i2) == pytest.approx((2.1 * (0.322 * 0.3255) ** 2, 1.65 * (0.468 * 0.2555) ** 2))


@given(shoulder, elbow)
def test_jacobian_against_finite_differences(q1, q2):
    h = 1e-6
    columns = [
        [(a - b) / (2 * h) for a, b in zip(ARM.tip(q1 + h * i, q2 + h * j), ARM.tip(q1 - h * i, q2 - h * j), strict=True)]
        for i, j in ((1, 0), (0, 1))
    ]
    assert np.reshape(ARM.jacobian(q1, q2), (2, 2)) == pytest.approx(np.array(columns).T, abs=1e-8)


@given(shoulder, elbow)
def test_pose_inverts_tip(q1, q2):
    p1, p2 = ARM.pose(*ARM.tip(q1, q2))
    assert p2 == pytest.approx(q2, abs=1e-6)
    assert (cos(p1), sin(p1)) == pytest.approx((cos(q1), sin(q1)), abs=1e-6)


def test_a_place_out_of_reach_stretches_the_arm_towards_it():
    assert ARM.pose(3.0, 3.0) == pytest.approx((pi / 4, 0.0))


@given(shoulder, elbow, speed, speed)
def test_mass_matrix_gives_the_kinetic_energy_of_the_two_links(q1, q2, w1, w2):
    s = HUMAN
    m11, m12, m22 = ARM.mass(q2)
    turning = (s.i1 * w1**2 + s.i2 * (w1 + w2) ** 2 + 0.01 * (w1**2 + w2**2)) / 2
    v1 = s.c1 * w1
    vx = -s.l1 * sin(q1) * w1 - s.c2 * sin(q1 + q2) * (w1 + w2)
    vy = s.l1 * cos(q1) * w1 + s.c2 * cos(q1 + q2) * (w1 + w2)
    energy = turning + s.m1 * v1**2 / 2 + s.m2 * hypot(vx, vy) ** 2 / 2
    assert (m11 * w1 * w1 + 2 * m12 * w1 * w2 + m22 * w2 * w2) / 2 == pytest.approx(energy, abs=1e-12)
    assert m11 * m22 > m12 * m12


@given(elbow, speed, speed)
def test_bias_does_the_work_that_the_changing_inertia_takes(q2, w1, w2):
    # Energy is conserved: w . bias = w' (dM/dt) w / 2.
    h = 1e-6
    high, low = ARM.mass(q2 + h), ARM.mass(q2 - h)
    d11, d12, d22 = ((a - b) / (2 * h) * w2 for a, b in zip(high, low, strict=True))
    b1, b2 = ARM.bias(q2, w1, w2)
    assert w1 * b1 + w2 * b2 == pytest.approx((d11 * w1 * w1 + 2 * d12 * w1 * w2 + d22 * w2 * w2) / 2, abs=1e-6)


@given(shoulder, elbow, speed, speed, st.floats(-9, 9), st.floats(-9, 9))
def test_torque_gives_the_tip_its_acceleration(q1, q2, w1, w2, ax, ay):
    t1, t2 = ARM.torque((q1, q2), (w1, w2), (ax, ay), (0.0, 0.0))
    m11, m12, m22 = ARM.mass(q2)
    b1, b2 = ARM.bias(q2, w1, w2)
    u1, u2 = np.linalg.solve([[m11, m12], [m12, m22]], [t1 - b1 - 0.2 * w1, t2 - b2 - 0.2 * w2])
    h = 1e-5

    def velocity(t):
        return np.array(ARM.velocity(q1 + w1 * t + u1 * t * t / 2, q2 + w2 * t + u2 * t * t / 2, w1 + u1 * t, w2 + u2 * t))

    assert (velocity(h) - velocity(-h)) / (2 * h) == pytest.approx(np.array([ax, ay]), abs=1e-3)


@given(shoulder, elbow, st.floats(-20, 20), st.floats(-20, 20))
def test_pressing_takes_the_work_of_the_force(q1, q2, fx, fy):
    t1, t2 = ARM.torque((q1, q2), (0.0, 0.0), (0.0, 0.0), (fx, fy))
    for w1, w2 in ((1.0, 0.0), (0.0, 1.0)):
        vx, vy = ARM.velocity(q1, q2, w1, w2)
        assert t1 * w1 + t2 * w2 == pytest.approx(fx * vx + fy * vy, abs=1e-9)


@pytest.mark.parametrize("q2", [0.0, 1e-9, 1e-3, pi])
def test_torque_stays_finite_at_a_singularity(q2):
    torque = ARM.torque((0.5, q2), (1.0, -1.0), (8.0, -8.0), (20.0, 20.0))
    assert np.isfinite(torque).all()
    assert np.abs(torque).max() < 100


def test_damping_of_the_inverse_sets_in_without_a_jump():
    edge = np.arcsin(0.15)
    below, above = (ARM.torque((0.5, edge + d), (0.0, 0.0), (3.0, 2.0), (0.0, 0.0)) for d in (-1e-7, 1e-7))
    assert below == pytest.approx(above, rel=1e-4)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_shorten_keeps_the_direction(x, y):
    sx, sy = shorten(x, y, 0.3)
    assert hypot(sx, sy) <= 0.3 + 1e-12
    assert abs(sx * y - sy * x) <= 1e-9 * (1 + hypot(x, y))
    if hypot(x, y) <= 0.3:
        assert (sx, sy) == (x, y)
