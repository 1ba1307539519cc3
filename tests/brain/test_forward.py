"""The internal model: foreseeing, inverting, and learning gain, turn, curve, drift and lag of a body from what is seen."""

import numpy as np
import pytest

from volition.brain._model import Forward

DT, DELAY, TOP = 0.02, 10, 0.3


def live(model, seconds, answer, seed=0, noise=0.0):
    """Steer at random, see the outcome late, learn; `answer(plan, state)` is the velocity. Error of belief at the end."""
    rng = np.random.default_rng(seed)
    path, state, plan = [np.zeros(2)] * (DELAY + 1), np.zeros(2), np.zeros(2)
    wrong = []
    for k in range(round(seconds / DT)):
        if k % 12 == 0:
            angle, size = rng.uniform(-np.pi, np.pi), TOP * rng.choice([0.2, 0.6, 1.0])
            plan = size * np.array([np.cos(angle), np.sin(angle)])
        seen = path[-1 - DELAY].tolist()
        model.learn(seen, True)
        at, _ = model.now(seen)
        wrong.append(np.hypot(*(np.array(at) - path[-1])))
        model.add(plan.tolist())
        state = answer(plan, state)
        path.append(path[-1] + DT * (state + noise * rng.standard_normal(2)))
    return np.mean(wrong[-200:])


def model(learn_s=30.0):
    return Forward(2, DT, DELAY, TOP, learn_s)


def turn(degrees, gain=1.0):
    a = np.radians(degrees)
    return gain * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])


def test_a_body_that_does_what_is_meant_is_foreseen_exactly_from_the_start():
    m = model()
    assert live(m, 20.0, lambda u, _: u) < 1e-9
    assert np.allclose(m.matrix, np.eye(2), atol=1e-6)
    assert m.lag_ms == 0.0


@pytest.mark.parametrize("degrees", [-40, 30, 80])
def test_a_turned_body_is_learnt_and_planned_for(degrees):
    B = turn(degrees, 0.8)
    m = model()
    before = live(m, 2.0, lambda u, _: B @ u)
    after = live(m, 120.0, lambda u, _: B @ u)
    assert after < 0.1 * before
    assert np.allclose(m.matrix, B, atol=0.03)
    wanted = [0.06, -0.1]
    assert np.allclose(B @ m.plan(wanted), wanted, atol=0.005)


def test_what_cannot_be_had_is_pushed_for_with_full_effort_in_its_direction():
    B = turn(35, 0.5)
    m = model()
    live(m, 120.0, lambda u, _: B @ u)
    plan = np.array(m.plan([0.0, 1.0]))
    assert np.hypot(*plan) == pytest.approx(TOP)
    moved = B @ plan
    assert abs(np.degrees(np.arctan2(moved[0], moved[1]))) < 3


def test_drift_is_learnt_and_held_against():
    push = np.array([0.03, -0.02])
    m = model()
    live(m, 200.0, lambda u, _: u + push)
    assert np.allclose(m.drift, push, atol=0.006)
    assert np.allclose(m.plan([0.0, 0.0]), -push, atol=0.008)


def test_smoothing_is_recognised_and_the_coast_foreseen():
    keep = np.exp(-DT / 0.08)
    m = model()
    live(m, 60.0, lambda u, v: keep * v + (1 - keep) * u)
    assert m.lag_ms == 80.0
    state, moved = np.array([0.2, 0.0]), 0.0
    for _ in range(40):
        m.add([0.2, 0.0])
    _, coast = m.now([0.0, 0.0])
    for _ in range(200):
        state = keep * state
        moved += DT * state[0]
    assert coast[0] == pytest.approx(moved, rel=0.05)


def test_a_curve_is_learnt():
    m = model()
    live(m, 300.0, lambda u, _: u * (0.4 + 0.6 * np.hypot(*u) / TOP))
    for size in (0.06, 0.18, 0.28):
        wanted = size * (0.4 + 0.6 * size / TOP)
        assert np.hypot(*m.plan([wanted, 0.0])) == pytest.approx(size, abs=0.015)


def test_noise_neither_biases_nor_unsettles_it():
    m = model()
    live(m, 300.0, lambda u, _: u, noise=0.1)
    assert np.allclose(m.matrix, np.eye(2), atol=0.06)
    assert np.abs(m.drift).max() < 0.02


def test_without_learning_it_keeps_its_belief():
    m = model(0.0)
    live(m, 30.0, lambda u, _: turn(60) @ u)
    assert np.array_equal(m.matrix, np.eye(2))


def test_without_delay_only_what_is_seen_is_believed():
    m = Forward(3, DT, 0, TOP, 30.0)
    m.add([0.1, 0.0, 0.0])
    assert m.now([1.0, 2.0, 3.0]) == ([1.0, 2.0, 3.0], [0.0, 0.0, 0.0])


def test_motion_at_an_edge_teaches_nothing():
    m = model()
    for k in range(400):
        m.learn([0.0, 0.0], False)
        m.add([0.1 * (k % 3), 0.1])
    assert np.array_equal(m.matrix, np.eye(2))


def test_what_was_learnt_is_taken_along_and_unlearnt_where_the_body_has_changed():
    B = turn(50, 0.7)
    m = model()
    naive = live(m, 4.0, lambda u, _: B @ u)
    live(m, 300.0, lambda u, _: B @ u, seed=1)
    again = Forward(2, DT, DELAY, TOP, 30.0, m.belief)
    naive_off, again_off = (np.linalg.norm(x - m.matrix) for x in (np.eye(2), again.matrix))
    assert 0.2 * naive_off < again_off < 0.5 * naive_off  # the slow part: after so long as it lasts, 1 - 1/e
    assert again.lag_ms == m.lag_ms
    assert live(again, 4.0, lambda u, _: B @ u) < 0.7 * naive
    other = turn(-20)
    live(again, 120.0, lambda u, _: other @ u, seed=2)
    assert np.allclose(again.matrix, other, atol=0.03)


def test_a_drift_is_not_expected_again():
    m = model()
    live(m, 120.0, lambda u, _: u + np.array([0.06, 0.0]))
    assert m.drift[0] > 0.03
    assert Forward(2, DT, DELAY, TOP, 30.0, m.belief).drift == [0.0, 0.0]


def test_a_belief_about_another_body_is_left_out():
    assert np.array_equal(Forward(3, DT, DELAY, TOP, 30.0, model().belief).matrix, np.eye(3))
