"""Scores of the Neural Latents Benchmark, against what one works out by hand."""

from math import log, log2

import numpy as np
import pytest

from volition.errors import InputError
from volition.train.nlb import _smoothed, bits_per_spike, psth_r2, velocity_r2


def test_bits_per_spike_by_hand():
    spikes = np.array([[0.0], [2.0]])  # mean rate 1: LL0 = 2 ln 1 - 2 = -2
    rates = np.array([[0.5], [1.5]])  # LL = 2 ln 1.5 - 2
    assert bits_per_spike(rates, spikes) == pytest.approx(2 * log(1.5) / (2 * log(2)))
    assert bits_per_spike(np.ones((2, 1)), spikes) == 0
    assert bits_per_spike(np.array([[1.5], [0.5]]), spikes) == pytest.approx(-1.0)  # 2 ln 0.5 / (2 ln 2)


def test_a_perfect_clock_of_sparse_spikes_is_worth_their_surprise():
    spikes = np.zeros((64, 1))
    spikes[::8] = 1.0
    # rates equal to the counts: LL = -8; mean 1/8: LL0 = 8 ln(1/8) - 8
    assert bits_per_spike(spikes, spikes) == pytest.approx(log2(8), abs=1e-6)


def test_nan_marks_bins_that_do_not_count_and_neurons_keep_their_own_mean():
    rng = np.random.default_rng(1)
    truth = rng.gamma(2.0, 0.5, (5, 20, 3)) * np.array([1.0, 4.0, 0.2])
    spikes = rng.poisson(truth).astype(float)
    rates = truth.copy()
    spikes[2, 12:], rates[2, 12:] = np.nan, np.nan
    short = [np.concatenate([a[:2].reshape(-1, 3), a[2, :12], a[3:].reshape(-1, 3)]) for a in (rates, spikes)]
    assert bits_per_spike(rates, spikes) == pytest.approx(bits_per_spike(*short))
    assert bits_per_spike(rates, spikes) > 0.05


def test_a_rate_of_zero_where_a_spike_came_costs_much_but_not_everything():
    found = bits_per_spike(np.array([[0.0], [2.0]]), np.array([[1.0], [1.0]]))
    assert -20 < found < -5


@pytest.mark.parametrize(
    ("rates", "spikes"),
    [
        (np.ones((3, 2)), np.ones((2, 3))),
        (np.ones(3), np.ones(3)),
        (-np.ones((3, 2)), np.ones((3, 2))),
        (np.full((3, 2), np.nan), np.ones((3, 2))),
        (np.ones((3, 2)), np.zeros((3, 2))),
    ],
)
def test_what_cannot_be_scored_is_refused(rates, spikes):
    with pytest.raises(InputError):
        bits_per_spike(rates, spikes)


def linear(trials, seed, noise=0.0):
    rng = np.random.default_rng(seed)
    rates = rng.gamma(2.0, 1.0, (trials, 30, 6))
    weights = np.random.default_rng(9).normal(size=(6, 2))
    return rates, rates @ weights + 3.0 + noise * rng.normal(size=(trials, 30, 2))


def test_velocity_that_is_linear_in_the_rates_is_read_and_noise_is_not():
    (x, y), (test_x, test_y) = linear(10, 1), linear(4, 2)
    assert velocity_r2(x, y, test_x, test_y) == pytest.approx(1.0, abs=1e-6)
    noisy = linear(10, 1, 2.0), linear(4, 2, 2.0)
    share = 1 - 4.0 / noisy[1][1].reshape(-1, 2).var(axis=0)  # of the variance of each axis that is not noise
    assert velocity_r2(*noisy[0], *noisy[1]) == pytest.approx(share.mean(), abs=0.1)
    rng = np.random.default_rng(3)
    assert velocity_r2(x, rng.normal(size=y.shape), test_x, rng.normal(size=test_y.shape)) < 0.05


def test_bins_without_a_velocity_are_left_out():
    (x, y), (test_x, test_y) = linear(10, 1), linear(4, 2)
    y[0, 10:], x[0, 10:] = np.nan, np.nan
    test_y[1] = np.nan
    assert velocity_r2(x, y, test_x, test_y) == pytest.approx(1.0, abs=1e-6)
    with pytest.raises(InputError, match="the test part has no velocity"):
        velocity_r2(x, y, test_x, np.full(test_y.shape, np.nan))
    with pytest.raises(InputError, match="NaN or infinity"):
        velocity_r2(np.full(x.shape, np.nan), y, test_x, test_y)
    with pytest.raises(InputError, match="must agree"):
        velocity_r2(x[:3], y, test_x, test_y)
    with pytest.raises(InputError, match="too few"):
        velocity_r2(x[0, :5], y[1, :5], test_x, test_y)


def test_a_penalty_is_chosen_inside_the_training_part():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(60, 40)), rng.normal(size=(60, 1))
    test_x, test_y = rng.normal(size=(50, 40)), rng.normal(size=(50, 1))
    none, strong = (velocity_r2(x, y, test_x, test_y, (p,)) for p in (1e-4, 1e4))
    assert velocity_r2(x, y, test_x, test_y, (1e-4, 1e4)) == strong > none


def test_psth_of_the_true_rates_is_kept_and_of_shuffled_conditions_is_not():
    rng = np.random.default_rng(5)
    condition = np.repeat([0, 1, 2], 40)
    shape = rng.gamma(2.0, 1.0, (3, 25, 4))
    rates = shape[condition]
    spikes = rng.poisson(rates).astype(float)
    kept = psth_r2(rates, spikes, condition)
    assert 0.9 < kept < 1
    assert psth_r2(shape[(condition + 1) % 3], spikes, condition) < 0
    assert psth_r2(np.stack([spikes[condition == c].mean(0) for c in range(3)])[condition], spikes, condition) == 1.0
    spikes[:, 20:] = np.nan
    assert psth_r2(rates, spikes, condition) == pytest.approx(psth_r2(rates[:, :20], spikes[:, :20], condition))
    with pytest.raises(InputError):
        psth_r2(rates, spikes, condition[:3])


def test_smoothing_is_of_the_recorded_average_and_keeps_a_constant():
    step = np.zeros((4, 30, 2))
    step[:, 15:] = 2.0
    np.testing.assert_allclose(_smoothed(np.full((30, 2), 3.0), 3.0), 3.0)
    assert psth_r2(step, step, np.zeros(4), smooth_bins=2.0) < 1.0
