"""What every decoder must hold, whoever wrote it."""

import importlib.util
import os
from functools import cache

import numpy as np
import pytest

from volition.stage import Saveable, Setup, Trainable, check, entries, find

FEATURES, BINS = 12, 260
SETUP = Setup(features=FEATURES, intent=("reach.x", "reach.y"), bin_ns=50_000_000)
NAMES = [e.name for e in entries("decoder") if e.origin == "volition"]


# Networks small enough to be learnt in a second; the contract of the default ones is tried in tests/test_contract.py.
SMALL = {
    "gru": {"units": 16, "members": 2, "most_steps": 30, "least_steps": 30},
    "transformer": {"units": 16, "layers": 2, "feedforward": 32, "context": 10, "most_steps": 30, "least_steps": 30},
}


def new(name):
    """An unfitted decoder."""
    cls = find("decoder", name)
    return cls(cls.Config(**SMALL.get(name, {})))


def data(seed=0):
    rng = np.random.default_rng(seed)
    y = np.cumsum(rng.normal(size=(BINS, 2)), 0) * 0.1
    y -= y.mean(0)
    rate = np.exp(0.5 + 0.6 * y @ rng.normal(size=(2, FEATURES)))
    X = rng.poisson(np.minimum(rate, 50)).astype(np.float32)
    segments = np.repeat(np.arange(13), 20)
    return X, y, segments


def made(name):
    """A decoder that has learnt, and data it has not seen."""
    return fitted(name), *data(1)


def needed(name):
    """Skips where a decoder cannot learn here."""
    for need in find("decoder", name)().spec.requires:
        package = need.removeprefix("package:")
        if importlib.util.find_spec(package) is None and os.environ.get("VOLITION_TORCH") != "required":
            pytest.skip(f"{name} needs {package} to learn")


@cache
def fitted(name):
    needed(name)
    decoder = new(name)
    decoder.prepare(SETUP)
    X, y, segments = data()
    if isinstance(decoder, Trainable):
        decoder.fit(X, None, y, segments)
    return decoder


def stepped(decoder, X, mask, segments):
    out = []
    for k in range(len(X)):
        if k == 0 or segments[k] != segments[k - 1]:
            decoder.reset()
        out.append(decoder.step(X[k], mask[k]).copy())
    return np.array(out)


def masks(rng):
    nothing = np.zeros((BINS, FEATURES), bool)
    dead = nothing.copy()
    dead[:, [2, 7]] = True
    lost = np.repeat(rng.random((BINS, 1)) < 0.15, FEATURES, 1)
    return {
        "nothing": nothing,
        "dead": dead,
        "scattered": rng.random((BINS, FEATURES)) < 0.1,
        "lost": lost,
        "both": dead | lost,
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_contract_holds(name):
    needed(name)
    assert check(new(name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_predict_is_repeated_step_and_what_stands_under_the_mask_does_not_matter(name):
    decoder, X, _, segments = made(name)
    for kind, mask in masks(np.random.default_rng(5)).items():
        poisoned = np.where(mask, np.float32(np.nan), X)
        whole = decoder.predict(poisoned, mask, segments)
        assert whole.shape == (BINS, 2)
        assert whole.dtype == np.float32
        other = np.where(mask, np.float32(1e6), X)
        for given in (poisoned, other):
            np.testing.assert_allclose(stepped(decoder, given, mask, segments), whole, rtol=1e-4, atol=1e-6, err_msg=kind)
    np.testing.assert_allclose(decoder.predict(X, None, segments), decoder.predict(X, np.zeros(X.shape, bool), segments))


@pytest.mark.parametrize("name", NAMES)
def test_the_future_changes_nothing(name):
    decoder, X, _, segments = made(name)
    changed = X.copy()
    changed[130:] += 5
    np.testing.assert_array_equal(decoder.predict(changed, None, segments)[:130], decoder.predict(X, None, segments)[:130])


@pytest.mark.parametrize("name", NAMES)
def test_nothing_leaks_over_a_border(name):
    decoder, X, _, segments = made(name)
    changed, mask = X.copy(), np.zeros(X.shape, bool)
    changed[segments == 4] += 5
    after = segments > 4
    np.testing.assert_array_equal(decoder.predict(changed, None, segments)[after], decoder.predict(X, None, segments)[after])
    mask[:, 3] = True  # the other path
    mask[50:55] = True
    np.testing.assert_array_equal(decoder.predict(changed, mask, segments)[after], decoder.predict(X, mask, segments)[after])


@pytest.mark.parametrize("name", NAMES)
def test_what_is_given_is_not_changed(name):
    decoder, X, _, segments = made(name)
    mask = masks(np.random.default_rng(5))["both"]
    before = X.copy(), mask.copy()
    decoder.predict(X, mask, segments)
    decoder.step(X[0], mask[0])
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(mask, before[1])


@pytest.mark.parametrize("name", NAMES)
def test_what_was_learnt_can_be_kept_and_survives_prepare(name):
    decoder, X, _, segments = made(name)
    if not isinstance(decoder, Saveable):
        pytest.skip(f"{name} keeps nothing")
    mask = masks(np.random.default_rng(6))["both"]
    other = find("decoder", name)(decoder.config)
    other.restore(decoder.arrays())
    other.prepare(SETUP)
    np.testing.assert_array_equal(other.predict(X, mask, segments), decoder.predict(X, mask, segments))


@pytest.mark.parametrize("name", NAMES)
def test_two_fits_are_equal(name):
    first, X, _, segments = made(name)
    second = fitted.__wrapped__(name)
    np.testing.assert_array_equal(first.predict(X, None, segments), second.predict(X, None, segments))
