from math import pi, sin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volition.task._attempt import Attempt

S = 1_000_000_000


def follow(path, target=(0.1, 0.0), radius=0.02, step_ns=S // 10):
    """An attempt that went along `path`, one place each step, and its last moment."""
    attempt = Attempt(0, path[0], target, radius)
    for k, (x, y) in enumerate(path[1:], 1):
        inside = (x - target[0]) ** 2 + (y - target[1]) ** 2 <= radius**2
        attempt.observe(k * step_ns, x, y, inside)
    return attempt, (len(path) - 1) * step_ns


def test_a_straight_reach_by_hand():
    attempt, end = follow([(0, 0), (0.05, 0), (0.09, 0), (0.1, 0), (0.1, 0)])
    record = attempt.record(end, "reached", clicked=False)
    assert record["distance_m"] == pytest.approx(0.1)
    assert record["movement_s"] == pytest.approx(0.2)
    assert record["duration_s"] == pytest.approx(0.4)
    assert record["dial_in_s"] == 0
    assert record["path_efficiency"] == pytest.approx(1.0)
    assert record["path_m"] == pytest.approx(0.1)
    assert record["direction_changes"] == 0


def test_overshoot_shows_in_dial_in_and_path():
    # In at 0.1 s, out at 0.2 s, in again at 0.3 s: 0.09 forth, 0.05 on, 0.04 back.
    attempt, end = follow([(0, 0), (0.09, 0), (0.14, 0), (0.10, 0), (0.10, 0)])
    record = attempt.record(end, "reached", clicked=False)
    assert record["movement_s"] == pytest.approx(0.3)
    assert record["dial_in_s"] == pytest.approx(0.2)
    assert record["path_efficiency"] == pytest.approx(0.10 / 0.18)


def test_with_a_click_the_movement_lasts_until_the_click():
    attempt, end = follow([(0, 0), (0.1, 0), (0.1, 0), (0.1, 0)])
    assert attempt.record(end, "reached", clicked=True)["movement_s"] == pytest.approx(0.3)
    assert attempt.record(end, "reached", clicked=False)["movement_s"] == pytest.approx(0.1)


def test_never_entered_leaves_the_times_empty():
    attempt, end = follow([(0, 0), (0.01, 0)])
    record = attempt.record(end, "timeout", clicked=False)
    assert record["movement_s"] is record["dial_in_s"] is record["path_efficiency"] is None


@pytest.mark.parametrize("swings", [1, 2, 5])
def test_orthogonal_direction_changes_count_the_turns_of_a_wave(swings):
    # sin over `swings` half-waves turns round once in each.
    path = [(0.1 * k / 100, 0.01 * sin(swings * pi * k / 100)) for k in range(101)]
    attempt, end = follow(path, radius=1e-4)
    assert attempt.record(end, "reached", clicked=False)["direction_changes"] == swings


def test_jitter_is_no_change_of_direction():
    path = [(0.001 * k, 0.0002 * (-1) ** k) for k in range(100)]
    attempt, end = follow(path)
    assert attempt.record(end, "reached", clicked=False)["direction_changes"] == 0


places = st.tuples(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1))


@given(st.lists(places, min_size=2, max_size=40))
def test_times_and_efficiency_are_in_order(path):
    attempt, end = follow(path)
    record = attempt.record(end, "timeout", clicked=False)
    if record["movement_s"] is not None:
        assert 0 <= record["dial_in_s"] <= record["movement_s"] <= record["duration_s"]
        assert 0 <= record["path_efficiency"] <= 1
