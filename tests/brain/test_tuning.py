"""The population: firing rates against the anchors, tuning recovered by regression, and both against a recording."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from volition.brain._tuning import Population, TuningConfig
from volition.stage import Setup

DT = 0.02


def population(channels, seed=0, axes=2, clicks=False, **config):
    setup = Setup(seed=seed, channels=channels, max_speed=0.3)
    return Population(TuningConfig(**config), axes, clicks, setup, setup.rng("brain"))


def rates(pop, bins=3000, velocity=(0.0, 0.0)):
    return sum(pop.step(list(velocity), 0.0).astype(float) for _ in range(bins)) / (bins * DT)


def fit(counts, velocity, steps=30):
    """Maximum likelihood of exp(b + w.v + s|v|) for all channels at once: rows (b, w, s). Newton, ridge 1."""
    D = np.column_stack([np.ones(len(velocity)), velocity, np.hypot(*velocity.T)])
    outer = (D[:, :, None] * D[:, None, :]).reshape(len(D), -1)
    ridge = np.diag([0.0] + [1.0] * (D.shape[1] - 1))
    W = np.zeros((D.shape[1], counts.shape[1]))
    W[0] = np.log(counts.mean(0))
    for _ in range(steps):
        mu = np.exp(np.clip(D @ W, -20, 8))
        hessian = (outer.T @ mu).T.reshape(-1, *ridge.shape) + ridge
        slope = (D.T @ (counts - mu) - ridge @ W).T
        move = np.linalg.solve(hessian, slope[..., None])[..., 0].T
        W += np.clip(move, -0.5, 0.5)
        if np.abs(move).max() < 1e-4:
            break
    return W


@pytest.mark.parametrize("seed", [0, 1])
def test_n1_rates_have_the_measured_quantiles(seed):
    rate = rates(population(1024, seed))
    for q, hz, tolerance in [(0.5, 0.5, 0.15), (0.9, 8.5, 0.1), (0.95, 9.9, 0.1), (0.99, 31.0, 0.2)]:
        assert np.quantile(rate, q) == pytest.approx(hz, rel=tolerance)
    assert 2.4 <= rate.mean() <= 3.2
    assert (rate >= 2).mean() == pytest.approx(0.32, abs=0.02)


def test_utah_rates_are_multi_unit():
    rate = rates(population(96))
    assert np.quantile(rate, 0.05) == pytest.approx(5, rel=0.2)
    assert np.median(rate) == pytest.approx(10, rel=0.1)
    assert np.quantile(rate, 0.95) == pytest.approx(20, rel=0.2)


def test_movement_leaves_the_rates_in_range():
    pop = population(1024)
    angle = np.linspace(0, 40 * np.pi, 2000)
    total = sum(pop.step([0.15 * np.cos(a), 0.15 * np.sin(a)], 0.0).sum() for a in angle)
    assert 2.4 <= total / (2000 * DT * 1024) <= 3.6


def test_preset_follows_the_number_of_channels():
    assert population(96).preset == population(256).preset == "utah_m1"
    assert population(257).preset == population(1024).preset == "n1"
    assert population(1024, preset="utah_m1").preset == "utah_m1"


def test_counts_are_poisson():
    pop = population(64)
    counts = np.array([pop.step([0.1, 0.05], 0.0) for _ in range(4000)], float)
    fano = counts.var(0) / counts.mean(0)
    assert fano.mean() == pytest.approx(1.0, abs=0.02)
    lagged = np.mean([np.corrcoef(c[1:], c[:-1])[0, 1] for c in counts.T])
    assert abs(lagged) < 0.01


def test_rates_never_exceed_the_ceiling():
    pop = population(64, depth=10.0, max_rate_hz=300.0)
    assert rates(pop, 1000, (0.3, 0.0)).max() < 300 * 1.05


def test_tuning_is_recovered_by_regression():
    pop = population(96, seed=3)
    v = np.random.default_rng(0).uniform(-1, 1, (12000, 2))
    counts = np.array([pop.step(list(0.3 * x), 0.0) for x in v], float)
    W = fit(counts, v)
    assert np.corrcoef(W[1:3].T.ravel(), pop.weights.ravel())[0, 1] > 0.98
    assert np.corrcoef(W[3], pop.speed)[0, 1] > 0.95
    error = W[0] - np.log(pop.rate_hz * DT)  # standard error up to 0.1: few bins are near rest
    assert abs(np.median(error)) < 0.02
    assert np.abs(error).max() < 0.4
    tuned = np.hypot(*pop.weights.T) > 0
    assert tuned.mean() == pytest.approx(0.8, abs=0.1)


def test_preferred_directions_are_uniform():
    pop = population(4000)
    w = pop.weights[np.hypot(*pop.weights.T) > 0]
    z = np.exp(1j * np.arctan2(w[:, 1], w[:, 0]))
    assert abs(z.mean()) < 0.05
    assert abs((z**2).mean()) < 0.05


def test_clicks_are_encoded_only_where_there_is_something_to_click():
    assert not population(96).click.any()
    pop = population(200, clicks=True)
    assert (pop.click != 0).mean() == pytest.approx(0.3, abs=0.1)
    quiet, pressed = (sum(pop.step([0.0, 0.0], c).astype(float) for _ in range(1500)) for c in (0.0, 1.0))
    assert np.corrcoef(np.log(pressed / quiet), pop.click)[0, 1] > 0.9


def test_depth_is_that_of_a_recording():
    """The cited measurement, done again."""
    if not (data := os.environ.get("VOLITION_DATA")):
        pytest.skip("VOLITION_DATA is not set: real recordings are not here")
    import scipy.io

    mat = scipy.io.loadmat(Path(data) / "motor/m1_stevenson_2011.mat")
    counts, velocity, lag = mat["spikes"].T.astype(float), mat["handVel"][:2].T, 2
    counts = counts[:, counts.mean(0) / 0.05 >= 1]
    velocity = velocity / np.quantile(np.hypot(*velocity.T), 0.99)
    W = fit(counts[:-lag], velocity[lag:])
    shifted = (np.roll(velocity, by, 0)[lag:] for by in (2500, 5000, 7500, 10000, 12500))
    chance = np.concatenate([np.hypot(*fit(counts[:-lag], v)[1:3]) for v in shifted])
    depth = np.hypot(*W[1:3])
    tuned = depth > np.quantile(chance, 0.95)
    config = TuningConfig()
    assert tuned.mean() == pytest.approx(config.tuned_fraction, abs=0.02)
    assert np.median(depth[tuned]) == pytest.approx(config.depth, rel=0.05)
    assert np.log(depth[tuned]).std() == pytest.approx(config.depth_sigma, rel=0.05)
    assert W[3, tuned].mean() == pytest.approx(config.speed_depth, abs=0.02)
    assert W[3, tuned].std() == pytest.approx(config.speed_sigma, rel=0.05)

    setup = replace(Setup(channels=counts.shape[1], max_speed=1.0))
    pop = Population(config, 2, False, setup, setup.rng("brain"))
    length = np.hypot(*pop.weights.T)
    assert np.median(length[length > 0]) == pytest.approx(np.median(depth[tuned]), rel=0.2)
