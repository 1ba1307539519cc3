import time

import numpy as np
import pytest

from volition.decoder.wiener import Wiener, WienerConfig
from volition.errors import ConfigError, InputError
from volition.stage import Setup

CHANNELS, BIN_NS = 6, 50_000_000
SETUP = Setup(features=CHANNELS, intent=("reach.x", "reach.y"), bin_ns=BIN_NS)


def data(bins=600, seed=0, segment=30):
    rng = np.random.default_rng(seed)
    X = rng.poisson(2.0, (bins, CHANNELS)).astype(float)
    weights = np.random.default_rng(9).normal(size=(3, CHANNELS, 2))
    y = sum(np.vstack((np.zeros((lag, 2)), X[: bins - lag] @ weights[lag])) for lag in range(3)) + rng.normal(size=(bins, 2))
    return X, y, np.arange(bins) // segment


def fitted(config=None, setup=SETUP, **how):
    decoder = Wiener(config)
    decoder.prepare(setup)
    X, y, segments = data(**how)
    return decoder.fit(X, None, y, segments)


def test_it_is_closed_form_ridge():
    config = WienerConfig(history_ms=(150.0,), penalties=(7.0,), ratios=(0.0,))
    decoder = fitted(config)
    X, y, segments = data()
    z = (X - X.mean(0)) / X.std(0)
    e = np.zeros((600, 3, CHANNELS))
    for t in range(600):
        for lag in range(3):
            if t - lag >= 0 and segments[t - lag] == segments[t]:
                e[t, lag] = z[t - lag]
    e = e.reshape(600, -1)
    w = np.linalg.solve(e.T @ e + 7 * np.eye(3 * CHANNELS), e.T @ (y - y.mean(0)))
    np.testing.assert_allclose(decoder.predict(X, None, segments), e @ w + y.mean(0), rtol=1e-4, atol=1e-4)


def test_lags_penalty_and_ratio_are_chosen_and_useful():
    decoder = fitted()
    assert decoder.chosen["lags"] >= 3
    X, y, segments = data(seed=1)
    for ages, least in ((slice(2, None), 0.85), (slice(0, 1), 0.2)):
        inside = np.isin(np.arange(600) % 30, np.arange(30)[ages])
        error = (y - decoder.predict(X, None, segments))[inside]
        assert 1 - error.var() / y[inside].var() > least
    assert 0.5 < decoder.validation < 1


def test_short_histories_have_weights_of_their_own():
    rng = np.random.default_rng(3)
    z = rng.normal(size=(4000, 2))  # the sign of the tuning turns in the first bin after a border
    segments = np.arange(4000) // 4
    first = np.arange(4000) % 4 == 0
    y = np.where(first[:, None], -z, z) + 0.1 * rng.normal(size=z.shape)
    setup = Setup(features=2, intent=("reach.x", "reach.y"), bin_ns=BIN_NS)
    errors = {}
    for ratios in ((0.0,), (0.0, 1.0, 3.0)):
        decoder = Wiener(WienerConfig(history_ms=(100.0, 150.0), penalties=(1.0, 10.0), ratios=ratios))
        decoder.prepare(setup)
        decoder.fit(z[:3000], None, y[:3000], segments[:3000])
        guess = decoder.predict(z[3000:], None, segments[3000:])
        errors[len(ratios)] = ((y[3000:] - guess)[first[3000:]] ** 2).mean()
    assert errors[1] > 0.5
    assert errors[3] < 0.05


def test_several_targets_at_once_are_each_as_alone():
    X, y, segments = data()
    targets = [y, np.roll(y, 100, axis=0), y[:, ::-1] ** 2]
    first = Wiener()
    first.prepare(SETUP)
    for one, target in zip(first.fit_each(X, None, targets, segments), targets, strict=True):
        alone = Wiener()
        alone.prepare(SETUP)
        alone.fit(X, None, target, segments)
        assert one.chosen == alone.chosen
        np.testing.assert_allclose(one.predict(X, None, segments), alone.predict(X, None, segments), rtol=1e-5, atol=1e-5)


def correlated(bins=1500, seed=0):
    """Channels that share one signal: what is missing can be told from the others."""
    rng = np.random.default_rng(seed)
    s = np.zeros(bins)
    for t in range(1, bins):
        s[t] = 0.9 * s[t - 1] + rng.normal()
    X = 20 + 4 * s[:, None] + 2 * rng.normal(size=(bins, CHANNELS))
    return X, np.column_stack((s, -s))


@pytest.mark.parametrize("kind", ["channels", "scattered", "lost"])
def test_expectations_beat_the_mean_where_something_is_missing(kind):
    X, y = correlated()
    decoder = Wiener()
    decoder.prepare(SETUP)
    decoder.fit(X[:1000], None, y[:1000])
    rng = np.random.default_rng(1)
    mask = np.zeros((500, CHANNELS), bool)
    if kind == "channels":
        mask[:, :3] = True
    elif kind == "scattered":
        mask = rng.random(mask.shape) < 0.4
    else:
        mask[rng.random(500) < 0.3] = True
    given, truth = X[1000:], y[1000:]
    told = decoder.predict(np.where(mask, np.nan, given), mask)
    filled = decoder.predict(np.where(mask, X[:1000].mean(0), given))
    assert ((told - truth) ** 2).mean() < 0.8 * ((filled - truth) ** 2).mean()


def test_training_with_holes():
    X, y = correlated()
    mask = np.random.default_rng(2).random(X.shape) < 0.3
    mask[::50] = True
    mask[:, 4] = True  # dead
    decoder = Wiener()
    decoder.prepare(SETUP)
    decoder.fit(np.where(mask, np.nan, X)[:1000], mask[:1000], y[:1000])
    guess = decoder.predict(np.where(mask, np.nan, X)[1000:], mask[1000:])
    assert 1 - (guess - y[1000:]).var() / y[1000:].var() > 0.85


def test_confidence_follows_history_and_what_is_seen():
    decoder = fitted()
    X, _, _ = data(seed=1)
    nothing = np.zeros(CHANNELS, bool)
    decoder.reset()
    trust = []
    for x in X[:20]:
        decoder.step(x, nothing)
        trust.append(decoder.confidence)
    assert trust[0] < trust[3] <= 1
    half = nothing.copy()
    half[:3] = True
    decoder.step(X[20], half)
    assert decoder.confidence == pytest.approx(trust[-1] / 2)
    decoder.step(X[20], ~nothing)
    assert decoder.confidence == 0


def test_constant_columns_and_silent_channels():
    X, y, segments = data()
    X[:, 1] = 0
    decoder = Wiener()
    decoder.prepare(Setup(features=CHANNELS, intent=("a", "b", "c"), bin_ns=BIN_NS))
    decoder.fit(X, None, np.column_stack((y, np.full(600, -2.0))), segments)
    guess = decoder.predict(X, None, segments)
    np.testing.assert_array_equal(guess[:, 2], np.float32(-2))
    assert np.corrcoef(guess[:, 0], y[:, 0])[0, 1] > 0.7
    for counts, target in ((X, np.ones((600, 3))), (0 * X, np.column_stack((y, y[:, 0])))):
        decoder.fit(counts, None, target, segments)
        np.testing.assert_allclose(decoder.predict(counts, None, segments), np.tile(target.mean(0), (600, 1)), atol=1e-5)
        assert decoder.confidence == 0


def test_a_history_longer_than_the_window_slides():
    config = WienerConfig(history_ms=(4000.0,), penalties=(100.0,))  # 80 bins: more than it slides by
    decoder = fitted(config, bins=900, segment=450)
    X, _, segments = data(900, seed=2, segment=450)
    whole = decoder.predict(X, None, segments)
    decoder.reset()
    nothing = np.zeros(CHANNELS, bool)
    steps = np.array([decoder.step(x, nothing) for x in X[:450]])
    np.testing.assert_allclose(steps, whole[:450], rtol=1e-4, atol=1e-4)


def test_a_step_is_cheap_with_many_channels():
    rng = np.random.default_rng(0)
    X = rng.poisson(0.5, (400, 1024)).astype(np.float32)
    decoder = Wiener(WienerConfig(history_ms=(300.0,), penalties=(1000.0,), ratios=(0.0,)))
    decoder.prepare(Setup(features=1024, intent=("reach.x", "reach.y"), bin_ns=20_000_000))
    decoder.fit(X, None, rng.normal(size=(400, 2)))
    nothing, times = np.zeros(1024, bool), []
    for x in X:
        began = time.perf_counter_ns()
        decoder.step(x, nothing)
        times.append(time.perf_counter_ns() - began)
    assert np.percentile(times, 20) < 100e3  # 50 µs on a quiet machine, and room for a busy one


def test_what_cannot_be_is_refused():
    for bad in (
        {"history_ms": ()},
        {"history_ms": (0.0,)},
        {"penalties": (0.0,)},
        {"ratios": (-1.0,)},
        {"most_weights": 0},
        {"folds": 1},
    ):
        with pytest.raises(ConfigError):
            WienerConfig(**bad)
    decoder = Wiener()
    decoder.prepare(SETUP)
    with pytest.raises(ConfigError, match="learnt nothing"):
        decoder.predict(np.zeros((3, CHANNELS)))
    with pytest.raises(ConfigError, match="learnt nothing"):
        decoder.step(np.zeros(CHANNELS), np.zeros(CHANNELS, bool))
    learnt = dict(fitted().arrays())
    with pytest.raises(InputError, match="lacks 'S'"):
        Wiener().restore({k: v for k, v in learnt.items() if k != "S"})
    with pytest.raises(InputError, match="shape"):
        Wiener().restore({**learnt, "weights": learnt["weights"][1:]})
    other = Wiener()
    other.prepare(Setup(features=9))
    with pytest.raises(InputError, match="for 6 features"):
        other.restore(learnt)
