import numpy as np
import pytest

from volition.decoder import _gains
from volition.decoder.kalman import Kalman, KalmanConfig
from volition.errors import ConfigError, InputError
from volition.stage import Setup

CHANNELS = 7
SETUP = Setup(features=CHANNELS, intent=("reach.x", "reach.y"))
NOTHING = np.zeros(CHANNELS, bool)


def parameters(seed=0, n=4, lead=1):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(n, n))
    A *= 0.9 / np.abs(np.linalg.eigvals(A)).max()
    root = rng.normal(size=(n, n))
    W = 0.1 * root @ root.T
    S = W.copy()
    for _ in range(500):
        S = A @ S @ A.T + W
    Q = rng.normal(size=(CHANNELS, CHANNELS))
    Q = Q @ Q.T / CHANNELS + 0.5 * np.eye(CHANNELS)
    return {
        "mean": rng.uniform(1, 3, CHANNELS),
        "y_mean": np.array([0.3, -0.1]),
        "y_sd": np.array([2.0, 0.5]),
        "y_live": np.array([True, True]),
        "A": A,
        "W": W,
        "S": S,
        "C": rng.normal(size=(CHANNELS, n)),
        "V": np.linalg.inv(Q),
        "scale": rng.uniform(0.5, 2, CHANNELS),
        "lead": np.array(lead),
    }


def restored(p):
    decoder = Kalman()
    decoder.restore(p)
    decoder.prepare(SETUP)
    return decoder


def textbook(p, X, mask):
    """Covariance form, the rows of the observed channels only, one bin after the other."""
    A, W, C, Q = p["A"], p["W"], p["C"], np.linalg.inv(p["V"])
    n, k, lead, out, variances = len(A), 2, int(p["lead"]), [], []
    s, P = np.zeros(n), p["S"]
    for t in range(len(X)):
        if t:
            s, P = A @ s, A @ P @ A.T + W
        o = np.flatnonzero(~mask[t])
        if len(o):
            z = ((X[t] - p["mean"]) * p["scale"])[o]
            K = P @ C[o].T @ np.linalg.inv(C[o] @ P @ C[o].T + Q[np.ix_(o, o)])
            s, P = s + K @ (z - C[o] @ s), (np.eye(n) - K @ C[o]) @ P
        i = slice(lead * k, (lead + 1) * k)
        out.append(p["y_mean"] + p["y_sd"] * s[i])
        variances.append(np.diag(P)[i] / np.diag(p["S"])[i])
    return np.array(out), np.array(variances)


def missing(kind, bins, rng):
    mask = np.zeros((bins, CHANNELS), bool)
    if kind == "dead":
        mask[:, [1, 4]] = True
    elif kind == "dies":
        mask[60:, 2] = True
    elif kind == "scattered":
        mask = rng.random(mask.shape) < 0.2
    elif kind == "lost":
        mask[rng.random(bins) < 0.3] = True
    elif kind == "first bin lost":
        mask[0] = True
    elif kind == "most":
        mask[:, :6] = True
    elif kind == "all":
        mask[:] = True
    return mask


@pytest.mark.parametrize("kind", ["nothing", "dead", "dies", "scattered", "lost", "first bin lost", "most", "all"])
@pytest.mark.parametrize("lead", [0, 1])
def test_it_is_the_textbook_filter_whatever_is_missing(kind, lead):
    rng = np.random.default_rng(3)
    p = parameters(lead=lead)
    X = rng.poisson(2.0, (160, CHANNELS)).astype(float)
    mask = missing(kind, len(X), rng)
    decoder = restored(p)
    expected, variances = textbook(p, X, mask)
    decoder.reset()
    for t in range(len(X)):
        got = decoder.step(np.where(mask[t], np.nan, X[t]), mask[t])
        np.testing.assert_allclose(got, expected[t], rtol=1e-4, atol=1e-5)
        assert decoder.confidence == pytest.approx(np.clip(1 - variances[t].mean(), 0, 1), abs=1e-6)
    np.testing.assert_allclose(decoder.predict(X, mask), expected, rtol=1e-4, atol=1e-5)


def test_more_masks_than_it_remembers():
    rng = np.random.default_rng(8)
    p = parameters()
    X = rng.poisson(2.0, (400, CHANNELS)).astype(float)
    mask = rng.random(X.shape) < 0.4  # 128 possible
    np.testing.assert_allclose(restored(p).predict(X, mask), textbook(p, X, mask)[0], rtol=1e-4, atol=1e-5)


def test_what_was_lost_before_is_not_worked_out_again_and_memory_ends(monkeypatch):
    p, rng = parameters(), np.random.default_rng(4)
    X = rng.poisson(2.0, (400, CHANNELS)).astype(float)
    mask = np.zeros(X.shape, bool)
    mask[50::50, :3] = True  # far enough apart to come to rest
    decoder = restored(p)
    sizes = []
    for t in range(len(X)):
        decoder.step(np.where(mask[t], np.nan, X[t]), mask[t])
        sizes.append(decoder._gains._nodes)
    assert sizes[30] < sizes[99] == sizes[-1]
    monkeypatch.setattr(_gains, "_NODES", sizes[30] + 3)
    np.testing.assert_allclose(restored(p).predict(X, mask), textbook(p, X, mask)[0], rtol=1e-4, atol=1e-5)


def test_without_input_it_returns_to_the_mean_and_trusts_nothing():
    decoder = restored(parameters())
    for _ in range(30):
        decoder.step(np.full(CHANNELS, 9.0), NOTHING)
    assert decoder.confidence > 0.3
    for _ in range(300):
        last = decoder.step(np.full(CHANNELS, np.nan), ~NOTHING)
    np.testing.assert_allclose(last, [0.3, -0.1], atol=1e-3)
    assert decoder.confidence < 1e-3


def simulated(bins=1500, seed=0, noise=0.4):
    rng = np.random.default_rng(seed)
    y = np.zeros((bins, 2))
    for t in range(1, bins):
        y[t] = 0.95 * y[t - 1] + 0.3 * rng.normal(size=2)
    C = rng.normal(size=(2, CHANNELS))
    return 5 + y @ C + noise * rng.normal(size=(bins, CHANNELS)), y, C


def test_it_recovers_the_model_that_made_the_data():
    X, y, C = simulated(4000)
    X, Xt, y, yt = X[:3000], X[3000:], y[:3000], y[3000:]
    decoder = Kalman(KalmanConfig(orders=(1,), leads=(0,), shrinkages=(0.1,), noises=(1.0,)))
    decoder.prepare(SETUP)
    decoder.fit(X, None, y)
    learnt = decoder.arrays()
    np.testing.assert_allclose(learnt["A"], 0.95 * np.eye(2), atol=0.04)
    np.testing.assert_allclose((learnt["C"] / learnt["scale"][:, None] / learnt["y_sd"]).T, C, atol=0.05)
    np.testing.assert_allclose(learnt["W"] * learnt["y_sd"] ** 2, 0.09 * np.eye(2), atol=0.01)
    error = yt - decoder.predict(Xt)
    assert 1 - error.var() / yt.var() > 0.9


def test_missing_training_entries_do_not_shrink_the_tuning():
    X, y, _ = simulated(4000)
    config = KalmanConfig(orders=(1,), leads=(0,), shrinkages=(0.1,), noises=(1.0,))
    whole, holed = Kalman(config), Kalman(config)
    mask = np.random.default_rng(2).random(X.shape) < 0.3
    for decoder, m in ((whole, None), (holed, mask)):
        decoder.prepare(SETUP)
        decoder.fit(X if m is None else np.where(m, np.nan, X), m, y)
    ratio = holed.arrays()["C"] / whole.arrays()["C"]
    big = np.abs(whole.arrays()["C"]) > 0.3
    assert np.abs(ratio[big] - 1).max() < 0.1


def test_leading_activity_is_found():
    X, y, _ = simulated(1200, noise=1.0)
    decoder = Kalman(KalmanConfig(orders=(1, 2, 3, 4), noises=(1.0,)))
    decoder.prepare(SETUP)
    decoder.fit(X[2:], None, y[:-2])  # activity now speaks of movement two bins later
    assert decoder.chosen["lead"] == 2


def test_in_the_loop_it_smooths_as_little_as_is_offered():
    X, y, _ = simulated(1200, noise=1.0)
    offered = {"orders": (1, 2, 3, 4), "leads": (1, 2), "shrinkages": (0.1, 1.0), "noises": (2.0, 8.0)}
    for control in (True, False):
        decoder = Kalman(KalmanConfig(**offered, control=control))
        decoder.prepare(SETUP)
        freely = decoder.fit(X[2:], None, y[:-2]).chosen
        assert freely["lead"] == 2
        found = decoder.calibrate(X[2:], None, y[:-2]).chosen
        if control:
            assert (found["lead"], found["order"], found["noise"]) == (1, 2, 2.0)
        else:
            assert found == freely


def test_constant_columns_silent_and_dead_channels():
    X, y, _ = simulated(600)
    X[:, 2] = 0  # silent
    X[:, 3] = 4  # constant
    X[::300, 2] = 1  # nearly
    mask = np.zeros(X.shape, bool)
    mask[:, 5] = True  # dead from the beginning
    X[:, 5] = np.nan
    setup = Setup(features=CHANNELS, intent=("reach.x", "reach.y", "select"))
    decoder = Kalman()
    decoder.prepare(setup)
    decoder.fit(X, mask, np.column_stack((y, np.full(600, 0.25))))
    guess = decoder.predict(X, mask)
    np.testing.assert_array_equal(guess[:, 2], np.float32(0.25))
    assert np.corrcoef(guess[:, 0], y[:, 0])[0, 1] > 0.8
    still = Kalman()
    still.prepare(setup)
    still.fit(X, mask, np.tile([0.0, 1.0, 2.0], (600, 1)))
    np.testing.assert_array_equal(still.predict(X, mask), np.tile(np.float32([0, 1, 2]), (600, 1)))
    assert still.confidence == 0
    mute = Kalman()
    mute.prepare(setup)
    mute.fit(np.zeros_like(X), None, np.column_stack((y, y[:, :1])))
    np.testing.assert_allclose(
        mute.predict(np.zeros_like(X)), np.tile(np.r_[y.mean(0), y[:, 0].mean()], (600, 1)), atol=1e-5
    )


def test_what_cannot_be_is_refused():
    for bad in (
        {"orders": ()},
        {"orders": (0,)},
        {"leads": (-1,)},
        {"orders": (1,), "leads": (1,)},
        {"shrinkages": (0.0,)},
        {"noises": (0.0,)},
        {"penalty": 0.0},
        {"folds": 1},
    ):
        with pytest.raises(ConfigError):
            KalmanConfig(**bad)
    decoder = Kalman()
    decoder.prepare(SETUP)
    with pytest.raises(ConfigError, match="learnt nothing"):
        decoder.predict(np.zeros((3, CHANNELS)))
    with pytest.raises(ConfigError, match="learnt nothing"):
        decoder.step(np.zeros(CHANNELS), NOTHING)
    X, y, _ = simulated(100)
    with pytest.raises(InputError, match="shape"):
        decoder.fit(X[:, :3], None, y)
    with pytest.raises(InputError, match="targets"):
        decoder.fit(X, None, y[:, :1])
    with pytest.raises(InputError, match="too few"):
        decoder.fit(X[:5], None, y[:5])
    with pytest.raises(InputError, match="NaN"):
        decoder.fit(np.where(X > 6, np.nan, X), None, y)
    p = parameters()
    with pytest.raises(InputError, match="lacks 'A'"):
        Kalman().restore({k: v for k, v in p.items() if k != "A"})
    with pytest.raises(InputError, match="shape"):
        Kalman().restore({**p, "W": np.eye(3)})
    with pytest.raises(InputError, match="finite"):
        Kalman().restore({**p, "W": np.full((4, 4), np.nan)})
    with pytest.raises(ConfigError, match="fitted for 7 features"):
        restored(p).prepare(Setup(features=8))
