"""Decoders with the face of scikit-learn, with and without it."""

import importlib.util

import numpy as np
import pytest

from volition.errors import ConfigError, InputError
from volition.stage import Setup, find
from volition.train.estimator import Estimator

WIENER = {"history_ms": (100.0,), "penalties": (1000.0,), "ratios": (1.0,)}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    noise, y = rng.normal(size=(1500, 2)), np.zeros((1500, 2))
    for t in range(1, 1500):  # a velocity that comes and goes
        y[t] = 0.9 * y[t - 1] + 0.1 * noise[t]
    X = rng.poisson(np.exp(np.clip(y @ rng.normal(size=(2, 20)) * 3, -2, 2)))
    return X, y


def test_it_is_the_decoder_of_that_name(data):
    X, y = data
    model = Estimator("wiener", **WIENER).fit(X[:1000], y[:1000])
    cls = find("decoder", "wiener")
    decoder = cls(cls.Config(**WIENER))
    decoder.prepare(Setup(features=20, channels=20))
    decoder.fit(X[:1000], None, y[:1000])
    np.testing.assert_allclose(model.predict(X[1000:]), decoder.predict(X[1000:]), rtol=1e-5)
    assert 0.3 < model.score(X[1000:], y[1000:]) < 1


def test_one_target_may_be_flat_and_nan_is_missing(data):
    X, y = data
    gaps = X.astype(float)
    gaps[::7, 3] = np.nan
    model = Estimator("kalman").fit(gaps[:1000], y[:1000, 0])
    assert model.predict(gaps[1000:]).shape == (500,)
    assert model.score(gaps[1000:], y[1000:, 0]) > 0.2


def test_parameters_are_those_of_the_decoder():
    model = Estimator("wiener", folds=3)
    params = model.get_params()
    assert (params["decoder"], params["bin_ms"], params["folds"], params["most_weights"]) == ("wiener", 20.0, 3, 16000)
    assert model.set_params(folds=5, bin_ms=50.0) is model
    assert (model.get_params()["folds"], model.bin_ms) == (5, 50.0)
    assert "folds" not in model.set_params(decoder="still").get_params()
    assert repr(Estimator("kalman")) == "Estimator(decoder='kalman', bin_ms=20.0, seed=0)"


def test_segments_are_borders(data):
    X, y = data
    segments = np.repeat([0, 1, 2], 500)
    model = Estimator("wiener", **WIENER).fit(X, y, segments)
    whole = model.predict(X, segments)
    np.testing.assert_allclose(whole[500:], model.predict(X[500:], segments[500:]), rtol=1e-5)


def test_what_cannot_be_is_one_line(data):
    X, y = data
    with pytest.raises(ConfigError, match="has no 'fold'; it has"):
        Estimator("wiener", fold=3)
    with pytest.raises(ConfigError, match="unknown decoder"):
        Estimator("weener")
    with pytest.raises(ConfigError, match="not fitted yet"):
        Estimator().predict(X)
    with pytest.raises(ConfigError, match="learns nothing"):
        Estimator("still").fit(X, y)
    with pytest.raises(InputError, match="y must be"):
        Estimator("kalman").fit(X, y[:10])
    with pytest.raises(InputError, match="X must be"):
        Estimator("kalman").fit(X[:, 0], y)
    model = Estimator("wiener", **WIENER).fit(X, y)
    with pytest.raises(InputError, match="fitted on 20 channels, got 5"):
        model.predict(X[:, :5])
    with pytest.raises(ConfigError, match="has no 'fold'"):
        model.set_params(fold=2)
    assert model.get_params()["folds"] == 4


@pytest.mark.skipif(
    importlib.util.find_spec("sklearn") is None, reason="scikit-learn is not installed; volition needs it nowhere"
)
def test_scikit_learn_takes_it_as_one_of_its_own(data):
    from sklearn.base import clone, is_regressor
    from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    X, y = data
    model = Estimator("wiener", **WIENER)
    assert is_regressor(model)
    assert clone(model).get_params() == model.get_params()
    folds = KFold(3, shuffle=False)
    scores = cross_val_score(model, X, y, cv=folds)
    by_hand = [Estimator("wiener", **WIENER).fit(X[a], y[a]).score(X[b], y[b]) for a, b in folds.split(X)]
    np.testing.assert_allclose(scores, by_hand)
    search = GridSearchCV(model, {"penalties": [(10.0,), (1e7,)]}, cv=folds).fit(X, y)
    assert search.best_params_ == {"penalties": (10.0,)}
    piped = make_pipeline(FunctionTransformer(np.sqrt), model).fit(X, y)
    assert piped.score(X, y) > 0.3
