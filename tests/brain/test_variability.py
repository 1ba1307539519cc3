"""Noise: common factors, gamma gains, renewal spikes, each against its formula."""

import math

import numpy as np
import pytest
from scipy.stats import gamma, kstest

from volition.brain._variability import CommonNoise, Normals, OwnNoise, Renewal, averaged

BIN_NS = 20_000_000


def test_a_common_factor_has_unit_variance_and_its_time_constant():
    noise = CommonNoise(np.array([40.0, 400.0]), BIN_NS, np.random.default_rng(0))
    z = np.array([noise.step() for _ in range(60_000)])
    assert np.allclose(z.var(0), 1.0, atol=0.1)
    for k, tau in enumerate((40.0, 400.0)):
        assert np.corrcoef(z[5:, k], z[:-5, k])[0, 1] == pytest.approx(math.exp(-100 / tau), abs=0.04)
    assert np.allclose(noise.scale**2, averaged(20.0 / np.array([40.0, 400.0])))


def test_the_mean_over_a_bin_varies_as_the_formula_says():
    rng, fine, tau = np.random.default_rng(1), 40, 1.0
    keep = math.exp(-1 / fine / tau)
    x = np.zeros((4000, 5 * fine))
    x[:, 0] = rng.standard_normal(4000)
    for k in range(1, x.shape[1]):
        x[:, k] = keep * x[:, k - 1] + math.sqrt(1 - keep**2) * rng.standard_normal(4000)
    for width in (1, 5):
        assert x[:, : width * fine].mean(1).var() == pytest.approx(float(averaged(width / tau)), rel=0.08)


def test_normal_numbers_of_16_bits_are_as_normal_as_full_ones():
    normals = Normals(1001, 0.5, np.random.default_rng(8))
    z = np.array([normals.draw().copy() for _ in range(200)]) / 0.5
    assert z.mean() == pytest.approx(0, abs=0.01)
    assert z.std() == pytest.approx(1, abs=0.01)
    assert kstest(z.ravel(), "norm").pvalue > 0.01
    assert abs(np.corrcoef(z[:, 0], z[:, 1])[0, 1]) < 0.25
    assert abs(np.corrcoef(z[:-1].ravel(), z[1:].ravel())[0, 1]) < 0.01
    assert z.max() > 4.0


def test_intervals_are_gamma_whether_drawn_for_many_channels_or_for_one():
    shape = np.array([0.6, 1.0, 4.0])
    for copies in (1, 10):
        process = Renewal(np.repeat(shape, copies), BIN_NS, 0.0, np.random.default_rng(9))
        at = np.arange(3 * copies)
        drawn = np.array([process._intervals(at) for _ in range(3000 // copies)]).reshape(-1, 3, copies)
        for i, k in enumerate(shape):
            assert kstest(drawn[:, i].ravel(), gamma(k, scale=1 / k).cdf).pvalue > 0.01


@pytest.mark.parametrize("variance", [0.05, 0.5, 1.5])
def test_gains_are_gamma_with_mean_one(variance):
    noise = OwnNoise(np.full(20_000, variance), 1e6, BIN_NS, np.random.default_rng(2))  # so slow that a bin averages nothing
    g = noise.step().astype(float)
    assert g.min() >= 0
    assert g.mean() == pytest.approx(1.0, abs=0.02)
    assert g.var() == pytest.approx(variance, rel=0.08)
    true = np.random.default_rng(3).gamma(1 / variance, variance, 200_000)
    for q in (0.1, 0.5, 0.9, 0.99):
        assert np.quantile(g, q) == pytest.approx(np.quantile(true, q), rel=0.06, abs=0.05)


def test_own_noise_is_correlated_in_time():
    noise = OwnNoise(np.full(4000, 0.3), 100.0, BIN_NS, np.random.default_rng(4))
    first = noise.step().copy()
    for _ in range(5):
        later = noise.step()
    assert np.corrcoef(first, later)[0, 1] == pytest.approx(math.exp(-1.0), abs=0.05)


@pytest.mark.parametrize("shape", [0.6, 1.0, 4.0])
def test_a_renewal_process_keeps_its_rate_and_has_the_fano_factor_of_its_shape(shape):
    process = Renewal(np.full(3000, shape), BIN_NS, 0.0, np.random.default_rng(5))
    expected = np.full(3000, 0.5, np.float32)
    first = process.step(expected)
    assert first.mean() == pytest.approx(0.5, abs=0.05)  # in equilibrium from the first bin on
    total = sum(process.step(expected).astype(float) for _ in range(100))
    assert total.mean() == pytest.approx(50, rel=0.01)
    assert total.var() / total.mean() == pytest.approx(1 / shape + (1 - shape**-2) / (6 * 50), rel=0.1)


def test_spike_times_lie_where_the_intervals_end():
    process = Renewal(np.full(50, 1e4), BIN_NS, 0.0, np.random.default_rng(6))  # a clock
    expected = np.full(50, 2.0, np.float32)
    times = [[] for _ in range(50)]
    for k in range(1, 30):
        counts, channel, t_ns = process.events(expected, k * BIN_NS)
        assert np.array_equal(np.bincount(channel, minlength=50), counts)
        for c, t in zip(channel, t_ns, strict=True):
            times[c].append(t)
    steps = np.concatenate([np.diff(t) for t in times])
    assert np.median(steps) == pytest.approx(BIN_NS / 2, rel=0.01)
    assert steps.std() < 0.05 * BIN_NS


def test_no_two_spikes_are_nearer_than_the_refractory_time():
    process = Renewal(np.ones(20), BIN_NS, 2.0, np.random.default_rng(7))
    expected = np.full(20, 4.0, np.float32)  # 200 Hz
    last = np.full(20, -(10**10))
    for k in range(1, 100):
        _, channel, t_ns = process.events(expected, k * BIN_NS)
        for c, t in zip(channel, t_ns, strict=True):
            assert t - last[c] >= 2_000_000
            last[c] = t
