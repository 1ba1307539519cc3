"""From time-stamped samples to bins, without LSL."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volition.brain._lsl_bins import Events, Regular, int16_voltage, whole_counts


def rows(first, n, channels=2):
    return np.arange(first, first + n)[:, None] * np.ones(channels, np.int64)


def drain(bins, now_s=0.0):
    out = []
    while (got := bins.take(now_s)) is not None:
        out.append(got)
    return out


@settings(max_examples=60, deadline=None)
@given(
    chunks=st.lists(st.integers(1, 70), min_size=1, max_size=30), rate=st.sampled_from([50.0, 1000.0, 2441.40625, 30_000.0])
)
def test_however_it_is_cut_into_chunks_every_sample_comes_once_and_in_order(chunks, rate):
    bins, sent = Regular(rate, 0.02, slack=10_000, max_age_s=np.inf), 0
    got = []
    for n in chunks:
        bins.add((sent + np.arange(n)) / rate, rows(sent, n))
        sent += n
        got += drain(bins)
    lengths = [len(data) for _, data in got]
    assert all(abs(n - rate * 0.02) < 1 for n in lengths)
    assert sum(lengths) + bins.waiting == sent
    if got:
        assert np.array_equal(np.concatenate([data[:, 0] for _, data in got]), np.arange(sum(lengths)))
        assert got[-1][0] == pytest.approx((sum(lengths) - 1) / rate)
    assert +bins.counts == {}


def test_missing_samples_are_counted_and_a_stamp_that_is_only_late_is_not_one():
    bins = Regular(50.0, 0.02, slack=100, max_age_s=np.inf)
    bins.add(np.array([0.00, 0.02, 0.08, 0.10]), rows(0, 4))  # two are missing
    assert bins.counts["gap"] == 2
    bins.add(np.array([0.138, 0.14, 0.16]), rows(4, 3))  # 0.12 came with a stamp 18 ms late
    assert bins.counts["gap"] == 2
    assert len(drain(bins)) == 7


def test_a_new_estimate_of_the_clocks_offset_is_no_gap():
    bins = Regular(1000.0, 0.02, slack=100, max_age_s=np.inf)
    bins.add(np.arange(30) / 1000, rows(0, 30), 5.0)
    bins.add(np.arange(30, 60) / 1000, rows(30, 30), 5.02)
    got = drain(bins)
    assert np.array_equal(np.concatenate([data[:, 0] for _, data in got]), np.arange(60))
    assert [round(t, 3) for t, _ in got] == [5.019, 5.059, 5.079]
    assert +bins.counts == {}


def test_no_bin_joins_what_did_not_follow_each_other():
    bins = Regular(1000.0, 0.02, slack=100, max_age_s=np.inf)
    bins.add(np.arange(30) / 1000, rows(0, 30))
    assert len(drain(bins)) == 1
    bins.add(np.arange(130, 160) / 1000, rows(130, 30))
    ((_, data),) = drain(bins)
    assert np.array_equal(data[:, 0], np.arange(130, 150))
    assert bins.counts["gap"] == 100
    assert bins.cuts == 1


def test_a_queue_is_cut_to_its_newest_bins_and_the_old_are_counted():
    bins = Regular(50.0, 0.02, slack=1, max_age_s=np.inf)
    bins.add(np.arange(6) / 50, rows(0, 6))
    assert [int(data[0, 0]) for _, data in drain(bins)] == [4, 5]
    assert bins.counts["late"] == 4


def test_a_bin_that_is_too_old_is_dropped():
    bins = Regular(50.0, 0.02, slack=9, max_age_s=0.05)
    bins.add(np.array([0.0, 0.02, 0.04]), rows(0, 3))
    assert [int(data[0, 0]) for _, data in drain(bins, now_s=0.08)] == [2]
    assert bins.counts["late"] == 2


def test_a_stream_faster_than_it_says_gives_nothing_until_it_keeps_its_word():
    bins = Regular(50.0, 0.02, slack=1000, max_age_s=np.inf)
    at = 0
    for _ in range(30):  # 100 Hz
        bins.add((at + np.arange(10)) / 100, rows(at, 10))
        at += 10
    assert bins.take(0.0) is None
    assert bins.measured_hz == pytest.approx(100, rel=0.01)
    assert bins.counts["rate"] > 100
    for k in range(150):
        bins.add(np.array([at / 100 + k / 50]), rows(k, 1))
    assert bins.measured_hz == 0
    assert bins.take(0.0) is not None


def test_events_fall_into_the_bin_of_their_time_and_late_ones_are_dropped():
    bins = Events(4, 0.02)
    bins.add(np.array([0.011, 0.005, 0.02]), np.array([[1], [0], [3]])[:, 0])
    times, which = bins.take(0.02)
    assert which.tolist() == [0, 1, 3]
    assert times.tolist() == [0.005, 0.011, 0.02]
    bins.add(np.array([0.019, 0.021, 0.041]), np.array([2, 2, 1]))
    assert bins.take(0.04)[1].tolist() == [2]
    assert bins.counts["late"] == 1
    assert bins.take(0.06)[1].tolist() == [1]
    assert bins.take(0.08)[1].size == 0


def test_after_a_leap_of_the_clock_a_bin_holds_one_bin_only():
    bins = Events(1, 0.02)
    bins.take(0.02)
    bins.add(np.array([0.03, 0.5, 0.991]), np.zeros(3))
    assert bins.take(1.0)[0].tolist() == [0.991]
    assert bins.counts["late"] == 2


@pytest.mark.parametrize("which", [np.array([-1, 4, 0]), np.array([0.5, np.nan, 0.0], np.float32)])
def test_events_of_no_channel_are_counted_and_left_out(which):
    bins = Events(4, 0.02)
    bins.add(np.array([0.001, 0.002, 0.003]), which)
    assert bins.take(0.02)[1].tolist() == [0]
    assert bins.counts["channel"] == 2


def test_what_is_no_count_is_missing():
    counts, missing = whole_counts(np.array([[1.0, -1.0, np.nan, 0.5, 65536.0, 3.0]], np.float32))
    assert missing.tolist() == [False, True, True, True, True, False]
    assert counts.dtype == np.uint16
    assert counts[~missing].tolist() == [1, 3]
    counts, missing = whole_counts(np.array([[1, 2, -1], [3, 4, 5]], np.int16))
    assert counts[:2].tolist() == [4, 6]
    assert missing.tolist() == [False, False, True]


def test_voltage_in_microvolt_becomes_lsb_and_whole_numbers_stay():
    assert int16_voltage(np.array([[1.95, -0.4, np.nan, 1e9]]), 0.195).tolist() == [[10, -2, 0, 32767]]
    whole = np.array([[5, -7]], np.int16)
    assert np.array_equal(int16_voltage(whole, 0.195), whole)
    assert int16_voltage(np.array([[70_000]], np.int32), 1.0).tolist() == [[32767]]
