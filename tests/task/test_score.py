"""Formulas against cases worked by hand, and by property."""

from math import isfinite, log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volition.task._score import bit_rate, index_of_difficulty, path_efficiency, summary, throughput, wilson

positive = st.floats(1e-3, 1e3)


def trial(outcome="reached", distance=0.08, radius=0.02, movement=0.5, dial_in=0.0, efficiency=1.0, turns=0):
    return {
        "outcome": outcome,
        "distance_m": distance,
        "radius_m": radius,
        "movement_s": movement,
        "dial_in_s": dial_in,
        "path_efficiency": efficiency,
        "direction_changes": turns,
    }


def summed(trials, **how):
    return summary(trials, **{"targets": 36, "correct": 0, "incorrect": 0, "seconds": 1.0, "timeout_s": 5.0, **how})


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_equals_published_intervals(k, n, low, high):
    assert wilson(k, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 5000), st.data())
def test_wilson_holds_the_rate_and_mirrors(n, data):
    k = data.draw(st.integers(0, n))
    low, high = wilson(k, n)
    assert 0 <= low <= k / n <= high <= 1
    other_low, other_high = wilson(n - k, n)
    assert (1 - other_high, 1 - other_low) == pytest.approx((low, high), abs=1e-12)
    wide_low, wide_high = wilson(k, n, z=2.5758293)
    assert wide_low <= low
    assert wide_high >= high


def test_wilson_without_trials_knows_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


def test_index_of_difficulty_by_hand():
    assert index_of_difficulty(0.07, 0.01) == pytest.approx(3.0)
    assert index_of_difficulty(0.03, 0.03) == pytest.approx(1.0)


def test_throughput_is_the_mean_of_ratios_not_the_ratio_of_means():
    # 3 bit in 1 s and 1 bit in 2 s: (3 + 0.5)/2, not 4/3.
    assert throughput([(0.07, 0.01, 1.0), (0.01, 0.01, 2.0)]) == pytest.approx(1.75)
    assert throughput([]) == 0.0


@given(st.lists(st.tuples(positive, positive, positive), min_size=1), positive)
def test_throughput_knows_no_unit_of_length_and_goes_with_time(movements, scale):
    at_first = throughput(movements)
    assert throughput([(d * scale, w * scale, t) for d, w, t in movements]) == pytest.approx(at_first)
    assert throughput([(d, w, t * scale) for d, w, t in movements]) == pytest.approx(at_first / scale)


def test_bit_rate_by_hand():
    # 36 cells: log2 35 = 5.129 bit a selection; 30 right and 6 wrong in a minute leave 24.
    assert bit_rate(36, 30, 6, 60.0) == pytest.approx(5.129283 * 24 / 60, rel=1e-6)
    assert bit_rate(9, 10, 0, 10.0) == pytest.approx(3.0)


@given(st.integers(3, 1000), st.integers(0, 500), st.integers(0, 500), positive)
def test_bit_rate_never_below_zero_and_falls_with_wrong_selections(n, right, wrong, seconds):
    rate = bit_rate(n, right, wrong, seconds)
    assert rate >= 0
    assert bit_rate(n, right, wrong + 1, seconds) <= rate
    assert bit_rate(n, right + 1, wrong, seconds) >= rate


@pytest.mark.parametrize(("targets", "seconds"), [(2, 1.0), (1, 1.0), (36, 0.0)])
def test_bit_rate_of_nothing_is_zero(targets, seconds):
    assert bit_rate(targets, 5, 0, seconds) == 0.0


@given(st.floats(0, 10), st.floats(0, 10))
def test_path_efficiency_lies_in_0_to_1(straight, actual):
    assert 0 <= path_efficiency(straight, actual) <= 1


def test_path_efficiency_of_two_sides_of_a_square():
    assert path_efficiency(2**0.5, 2.0) == pytest.approx(0.70710678)


def test_a_block_by_hand():
    trials = [
        trial(movement=0.4, dial_in=0.0, efficiency=1.0),
        trial(movement=1.0, dial_in=0.3, efficiency=0.5, turns=2),
        trial(movement=0.6, dial_in=0.0, efficiency=0.9, turns=1),
        trial("timeout", movement=None, dial_in=None, efficiency=None),
    ]
    score = summed(trials, correct=3, incorrect=1, seconds=8.0)
    assert score["success"] == 0.75
    assert (score["success_low"], score["success_high"]) == wilson(3, 4)
    assert score["n_trials"] == 4
    assert score["time_to_target_s"] == pytest.approx(0.6)
    assert score["time_to_target_q25_s"] == pytest.approx(0.5)
    assert score["time_to_target_q75_s"] == pytest.approx(0.8)
    assert score["dial_in_s"] == pytest.approx(0.1)
    assert score["path_efficiency"] == pytest.approx(0.8)
    assert score["direction_changes"] == pytest.approx(1.0)
    assert score["throughput_bit_s"] == pytest.approx(log2(0.08 / 0.04 + 1) * (1 / 0.4 + 1 / 1.0 + 1 / 0.6) / 3)
    assert score["bit_rate_bit_s"] == pytest.approx(log2(35) * 2 / 8)


def test_a_reach_begun_inside_its_target_is_no_fitts_movement():
    only = summed([trial(movement=0.5)])["throughput_bit_s"]
    assert summed([trial(movement=0.5), trial(distance=0.01, movement=0.0)])["throughput_bit_s"] == only


@pytest.mark.parametrize("trials", [[], [trial("timeout", movement=None, dial_in=None, efficiency=None)]])
def test_no_success_gives_numbers_that_do_not_flatter(trials):
    score = summed(trials, seconds=0.0)
    assert all(isinstance(v, float) and isfinite(v) for v in score.values())
    assert score["success"] == score["throughput_bit_s"] == score["bit_rate_bit_s"] == score["path_efficiency"] == 0
    assert score["time_to_target_s"] == score["dial_in_s"] == 5.0


outcomes = st.sampled_from(["reached", "wrong", "timeout"])


@settings(max_examples=50)
@given(st.lists(st.builds(trial, outcomes, positive, positive, positive, st.floats(0, 1), st.floats(0, 1)), max_size=30))
def test_scores_are_finite_and_in_range(trials):
    score = summed(trials)
    assert all(isfinite(v) for v in score.values())
    assert 0 <= score["success_low"] <= score["success"] <= score["success_high"] <= 1
    assert score["time_to_target_q25_s"] <= score["time_to_target_s"] <= score["time_to_target_q75_s"]
