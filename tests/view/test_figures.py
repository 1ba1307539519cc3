import re

import numpy as np
import pytest

from volition.view._figures import Axes, _levels, angle_error, hit, nice_ticks, paths, velocities
from volition.view._gather import Trace


def trace(decoded, intended, trial=None, position=None):
    n = len(decoded)
    rows = np.zeros((n, 6 + 8))
    rows[:, 0] = np.arange(1, n + 1) * 0.02
    rows[:, 2] = 0 if trial is None else trial
    rows[:, 3] = 0.01
    if position is not None:
        rows[:, 6:8] = position
    rows[:, 10:12], rows[:, 12:14] = decoded, intended
    return Trace(rows, 2, 2)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 7), (0, 1e-4), (12345, 12346), (-0.11, 0.11)])
def test_ticks_are_round_few_and_inside(low, high):
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 11
    assert low - 1e-9 <= ticks[0]
    assert ticks[-1] <= high + 1e-9
    assert np.allclose(np.diff(ticks), ticks[1] - ticks[0])


def test_axes_map_the_corners_of_the_data_to_those_of_the_box():
    axes = Axes((10, 20, 110, 220), (0, 2), (-1, 1))
    assert (axes.x(0), axes.x(2)) == (10, 110)
    assert (axes.y(-1), axes.y(1)) == (220, 20)


def test_a_line_breaks_where_nothing_is_known():
    axes = Axes((0, 0, 10, 10), (0, 10), (0, 10))
    text = axes.line(np.arange(5.0), np.array([1, 2, np.nan, 4, 5]), "red")
    assert re.search(r'd="([^"]*)"', text)[1].count("M") == 2


def test_the_angle_is_that_between_the_two_and_unknown_where_nothing_is_meant():
    turn = np.radians([0, 45, 90, 180])
    intended = np.array([[1.0, 0.0]] * 4 + [[0.0, 0.0], [1.0, 0.0]])
    decoded = np.array([*np.column_stack([np.cos(turn), np.sin(turn)]) * 3, [1.0, 0.0], [0.0, 0.0]])
    error = angle_error(trace(decoded, intended), ("reach.x", "reach.y"))
    assert np.allclose(error[:4], [0, 45, 90, 180])
    assert np.isnan(error[4:]).all()


def test_of_a_body_steered_by_heading_the_angle_is_between_speed_and_turn():
    walk = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 1.0]])
    two = trace(np.zeros((2, 2)), np.zeros((2, 2)))
    two.intended, two.decoded = walk, np.array([[0.0, 0.0, 1.0], [1.0, 5.0, 1.0]])
    assert np.allclose(angle_error(two, ("walk.x", "walk.y", "walk.turn")), [90, 0], atol=1e-4)
    assert "walk.turn, rad/s" in velocities(two, ("walk.x", "walk.y", "walk.turn"))


def test_a_workspace_of_many_metres_is_shown_as_far_as_the_body_came():
    position = np.column_stack([np.linspace(30.0, 34.0, 30), np.zeros(30)])
    block = trace(np.zeros((30, 2)), np.zeros((30, 2)), np.zeros(30), position)
    block.goal[:] = [34.0, 0.0]
    text = paths(block, [{"outcome": "reached"}], np.array([[-100.0, -100.0], [100.0, 100.0]]))
    x = [float(pair.split()[0]) for pair in re.findall(r"[ML]([\d.]+ [\d.]+)", re.search(r'd="(M[^"]*L[^"]*)"', text)[1])]
    assert x[-1] - x[0] > 250  # of 420
    assert ">m</text>" in text


def test_each_trial_is_drawn_in_the_colour_of_its_outcome():
    position = np.random.default_rng(0).normal(0, 0.02, (30, 2))
    block = trace(np.zeros((30, 2)), np.zeros((30, 2)), np.repeat([0, 1, 2], 10), position)
    trials = [{"outcome": "reached"}, {"outcome": "timeout"}]  # the third is not finished: not drawn
    text = paths(block, trials, np.array([[-0.1, -0.1], [0.1, 0.1]]))
    lines = re.findall(r'fill="none" stroke="([^"]*)"', text)
    assert lines == ["var(--hit)", "var(--miss)"]
    assert ">1/2</text>" in text


def test_success_is_read_from_either_key():
    assert hit({"outcome": "reached"})
    assert hit({"success": True, "outcome": "strange"})
    assert not hit({"outcome": "timeout"})
    assert not hit({})


def test_a_raster_keeps_counts_marks_what_is_missing_and_folds_many_channels():
    counts = np.array([[0, 1, 2], [3, 9, 0]], float)
    missing = np.array([[False, False, True], [False, False, False]])
    low = np.minimum(counts, 4)
    assert _levels(low, missing).tolist() == [[0, 1, 5], [3, 4, 0]]
    assert _levels(np.zeros((1024, 10)), np.zeros((1024, 10), bool)).shape == (512, 10)


def test_velocities_of_one_dimension_need_one_panel():
    one = trace(np.ones((10, 2)), np.ones((10, 2)))
    one.decoded, one.intended = one.decoded[:, :1], one.intended[:, :1]
    assert velocities(one, ("grasp",)).count("<path") >= 2
