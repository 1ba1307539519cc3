import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volition.effector._legs_shape import Shape, Shaper

DT = 0.005
CALM = np.zeros(1, bool)
JOYSTICK = Shape(frozen_s=0.0)


def told(wanted, seconds, age=0.0, shaper=None, shape=JOYSTICK):
    """Commands `[steps, 3]` while an intent is held."""
    shaper = shaper or Shaper(1, shape)
    column, rows = np.array(wanted, float)[:, None], []
    for k in range(round(seconds / DT)):
        old = age(k * DT) if callable(age) else age
        rows.append(shaper.step(column, np.array([old]), CALM, DT)[:, 0].copy())
    return np.array(rows)


def test_who_may_brake_hard_does_so_to_stop_and_a_noisy_command_does_not_sag():
    shaper, rng, noisy = Shaper(1, Shape(max_m_s=9.0, frozen_s=0.0)), np.random.default_rng(0), []
    shaper.brake[:] = 4.0
    told((5.0, 0.0, 0.0), 8.0, shaper=shaper)
    for _ in range(400):
        noisy.append(told((5.0 + 0.3 * rng.standard_normal(), 0.0, 0.0), 0.02, shaper=shaper)[-1, 0])
    assert np.mean(noisy) == pytest.approx(5.0, abs=0.03)
    stop = told((0.0, 0.0, 0.0), 1.6, shaper=shaper)[:, 0]
    assert np.diff(stop)[stop[:-1] > 0.1].min() == pytest.approx(-4.0 * DT, rel=0.05)
    assert stop[-1] == 0


@given(st.lists(st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 3), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_whatever_is_decoded_the_command_is_bounded_in_size_and_rate(intents):
    s = Shape()
    shaper = Shaper(1, s)
    before = np.zeros(3)
    for intent in intents:
        for _ in range(10):
            now = shaper.step(np.array(intent)[:, None], np.zeros(1), CALM, DT)[:, 0]
            assert np.isfinite(now).all()
            assert -s.back_m_s <= now[0] <= s.max_m_s
            assert abs(now[1]) <= s.side_m_s
            assert abs(now[2]) <= s.turn_rad_s
            change = np.abs(now - before)
            assert change[0] <= max(s.speed_up_m_s2, s.slow_down_m_s2) * DT + 1e-12
            assert change[2] <= s.turn_rad_s2 * DT + 1e-12
            before = now.copy()


def test_a_person_at_rest_does_not_walk_off_on_noise():
    rng = np.random.default_rng(0)
    shaper = Shaper(1, Shape())
    for k in range(12000):
        if k % 4 == 0:
            noise = rng.normal(size=3) * (0.1, 0.0, 0.1)
        assert (shaper.step(noise[:, None], np.zeros(1), CALM, DT) == 0).all()


def test_reaches_what_is_asked_for_and_comes_back_to_nothing():
    shaper = Shaper(1, Shape(frozen_s=0.0))
    assert told((1.3, 0.0, 0.5), 4.0, shaper=shaper)[-1] == pytest.approx([1.3, 0, 0.5], abs=0.01)
    assert (told((0.0, 0.0, 0.0), 4.0, shaper=shaper)[-1] == 0).all()
    assert not shaper.moving[0]


def test_once_going_it_goes_on_slower_than_it_would_start():
    shaper = Shaper(1, Shape(frozen_s=0.0))
    assert (told((0.12, 0, 0), 2.0, shaper=shaper)[-1] == 0).all()
    told((0.5, 0, 0), 2.0, shaper=shaper)
    assert told((0.12, 0, 0), 3.0, shaper=shaper)[-1][0] == pytest.approx(0.12, abs=0.01)


def test_an_old_intent_is_held_and_then_fades_to_a_stand():
    shaper = Shaper(1, Shape(frozen_s=0.0))
    told((1.0, 0, 0), 3.0, shaper=shaper)
    late = told((1.0, 0, 0), 4.0, age=lambda t: t, shaper=shaper)
    assert late[round(0.25 / DT), 0] > 0.95
    assert (late[-1] == 0).all()
    for age, fades in ((0.1, False), (0.6, True), (1.5, False)):
        told((1.0, 0, 0), 0.1, age=lambda t, age=age: age, shaper=shaper)
        assert shaper.fades.all() == fades


def test_a_frozen_intent_fades_unless_it_is_allowed():
    assert told((1.0, 0, 0), 6.0, shape=Shape(frozen_s=1.0))[-1][0] == 0
    assert told((1.0, 0, 0), 6.0, shape=Shape(frozen_s=0.0))[-1][0] == pytest.approx(1.0, abs=0.01)


def test_turns_are_gentler_the_faster_it_goes():
    assert abs(told((3.0, 0, 1.0), 6.0)[-1][2]) == pytest.approx(0.5, abs=0.02)


def test_a_body_that_seeks_its_balance_is_not_made_faster():
    shaper = Shaper(1, Shape(frozen_s=0.0))
    for _ in range(200):
        command = shaper.step(np.array([[1.0], [0.0], [0.0]]), np.zeros(1), np.ones(1, bool), DT)
    assert command[0, 0] == 0


def test_a_walk_is_kept_to_between_its_bounds_and_run_outside_them():
    shaper = Shaper(1, Shape(walk=True, frozen_s=0.0, walk_from_m_s=(0.5, 0.7), run_from_m_s=(1.7, 1.9)))

    def walks(speed, side=0.0, seconds=4.0):
        for _ in range(round(seconds / 0.02)):
            shaper.step(np.array([[speed], [side], [0.0]]), np.zeros(1), np.zeros(1, bool), 0.02)
        return bool(shaper.walks[0])

    told = [walks(v) for v in (0.0, 0.6, 1.0, 0.6, 0.4, 0.6, 1.8, 1.0, 1.8, 2.0, 1.8, 1.6)]
    assert told == [False, False, True, True, False, False, True, True, True, False, False, True]
    assert not walks(0.8, side=0.3)
    assert walks(1.0)
    assert not Shaper(1, Shape()).walks.any()
