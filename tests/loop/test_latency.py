import numpy as np
import pytest

from volition.loop.latency import Latency


def test_empty_says_zero():
    assert Latency().percentile_ns(99) == 0


@pytest.mark.parametrize("q", [1, 50, 90, 99, 99.9, 100])
def test_percentiles_agree_with_numpy_to_one_part_in_64(q):
    values = (np.random.default_rng(0).lognormal(10, 2, 20_000)).astype(int)
    latency = Latency()
    for v in values:
        latency.add(int(v))
    exact = np.sort(values)[int(np.ceil(q / 100 * len(values))) - 1]
    assert exact <= latency.percentile_ns(q) <= exact * (1 + 1 / 64) + 1


def test_small_values_are_exact():
    latency = Latency()
    for v in range(128):
        latency.add(v)
    assert latency.percentile_ns(50) == 63
    assert latency.max_ns == 127
    assert latency.sum_ns == 127 * 64


def test_a_day_fits():
    latency = Latency()
    latency.add(86_400 * 10**9)
    assert latency.percentile_ns(50) == 86_400 * 10**9


def test_summary_is_in_microseconds():
    latency = Latency()
    latency.add(1_500_000)
    assert latency.summary_us()["max_us"] == 1500.0
    assert latency.summary_us()["n"] == 1
