import numpy as np
import pytest

from volition.decoder.linear import Linear, LinearConfig
from volition.errors import ConfigError, InputError
from volition.stage import Saveable, Setup, Trainable, check, find

K, FEATURES = 2, 5


def arrays(**change):
    rng = np.random.default_rng(4)
    whole = {
        "M1": np.array([[0.8, 0.1], [0.0, 0.7]]),
        "M2": rng.normal(size=(K, FEATURES)),
        "m0": np.array([0.3, -0.2]),
        "mean": np.arange(1.0, 6.0),
    }
    return {key: value for key, value in (whole | change).items() if value is not None}


def restored(**change):
    decoder = Linear()
    decoder.restore(arrays(**change))
    return decoder


def counts(bins=200):
    return np.random.default_rng(1).poisson(2.0, (bins, FEATURES)).astype(np.float32)


def test_it_is_the_component_linear_and_holds_its_contract():
    assert find("decoder", "linear") is Linear
    assert check(Linear()) == []
    decoder = restored()
    assert check(decoder, Setup(features=FEATURES)) == []
    assert check(restored(mean=None), Setup(features=FEATURES)) == []
    assert isinstance(decoder, Saveable)
    assert not isinstance(decoder, Trainable)


def test_the_recursion_against_its_closed_form():
    decoder, a = restored(), arrays()
    X = counts(30)
    drive = X @ a["M2"].T + a["m0"]
    want = [sum(np.linalg.matrix_power(a["M1"], t - s) @ drive[s] for s in range(t + 1)) for t in range(len(X))]
    np.testing.assert_allclose(decoder.predict(X), want, rtol=1e-5, atol=1e-6)


def test_constant_input_settles_at_the_fixed_point():
    decoder, a = restored(), arrays()
    u = np.ones(FEATURES, np.float32)
    fixed = np.linalg.solve(np.eye(K) - a["M1"], a["M2"] @ u + a["m0"])
    np.testing.assert_allclose(decoder.predict(np.tile(u, (300, 1)))[-1], fixed, rtol=1e-5)


def test_predict_is_repeated_step_with_reset_at_borders():
    rng = np.random.default_rng(2)
    X, mask, segments = counts(), rng.random((200, FEATURES)) < 0.2, np.repeat([0, 3, 4], [50, 1, 149])
    for mean in (arrays()["mean"], None):
        decoder = restored(mean=mean)
        whole = decoder.predict(np.where(mask, np.nan, X), mask, segments)
        stepped = []
        for t in range(200):
            if t in (0, 50, 51):
                decoder.reset()
            stepped.append(decoder.step(np.where(mask[t], 1e30, X[t]).astype(np.float32), mask[t]))
        np.testing.assert_array_equal(whole, stepped)
        alone = restored(mean=mean).predict(np.where(mask, np.nan, X)[51:], mask[51:])
        np.testing.assert_array_equal(whole[51:], alone)  # nothing crosses a border


def test_a_missing_channel_counts_as_its_known_mean():
    decoder, X = restored(), counts()
    mask = np.zeros(X.shape, bool)
    mask[:, 3] = True
    replaced = X.copy()
    replaced[:, 3] = arrays()["mean"][3]
    np.testing.assert_array_equal(decoder.predict(X, mask), restored().predict(replaced))
    assert decoder.confidence == pytest.approx(0.8)


def test_without_a_known_mean_a_missing_channel_counts_as_what_it_gave_so_far():
    X, mask = counts(), np.zeros((200, FEATURES), bool)
    mask[100:, 2] = True
    replaced = X.copy()
    replaced[100:, 2] = X[:100, 2].mean(dtype=np.float64)
    np.testing.assert_allclose(
        restored(mean=None).predict(X, mask), restored(mean=None).predict(replaced), rtol=1e-5, atol=1e-5
    )
    mask[:, 2] = True  # never seen: adds nothing
    replaced[:, 2] = 0
    np.testing.assert_array_equal(restored(mean=None).predict(X, mask), restored(mean=None).predict(replaced))


def test_losing_a_channel_moves_the_output_less_when_its_mean_is_known():
    X, mask = counts(), np.zeros((200, FEATURES), bool)
    mask[:, 1] = True
    a = arrays(mean=np.full(FEATURES, 2.0))
    whole = restored().predict(X)
    filled = restored(mean=a["mean"]).predict(X, mask)
    zeroed = restored(mean=np.zeros(FEATURES)).predict(X, mask)
    assert np.abs(filled - whole).mean() < 0.5 * np.abs(zeroed - whole).mean()


def test_scale_turns_the_arrays_unit_into_metres_per_second():
    plain = restored().predict(counts())
    np.testing.assert_allclose(restored(scale=np.array([1e-3])).predict(counts()), plain * 1e-3, rtol=1e-5)
    decoder = Linear(LinearConfig(scale=1e-3))
    decoder.restore(arrays())
    np.testing.assert_allclose(decoder.predict(counts()), plain * 1e-3, rtol=1e-5)


def test_it_comes_back_from_its_arrays_and_from_a_file(tmp_path):
    decoder = Linear(LinearConfig(scale=1e-3))
    decoder.restore(arrays())
    want = decoder.predict(counts())
    other = Linear()
    other.restore(decoder.arrays())
    np.testing.assert_array_equal(other.predict(counts()), want)
    np.savez(tmp_path / "d.npz", **decoder.arrays())
    third = Linear(LinearConfig(file=str(tmp_path / "d.npz")))
    third.prepare(Setup(features=FEATURES))
    np.testing.assert_array_equal(third.predict(counts()), want)
    assert third.spec.takes.size == FEATURES
    assert third.spec.gives.names == ("reach.x", "reach.y")


def test_prepare_makes_state_anew_and_keeps_what_was_restored():
    decoder = restored()
    decoder.prepare(Setup(features=FEATURES))
    first = decoder.predict(counts())
    decoder.prepare(Setup(features=FEATURES))
    x, mask = counts()[0], np.zeros(FEATURES, bool)
    np.testing.assert_array_equal(decoder.step(x, mask), first[0])


def test_before_any_arrays_it_holds_still():
    decoder = Linear()
    decoder.prepare(Setup(features=FEATURES))
    assert not decoder.predict(counts()).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"M1": None}, "M1 missing"),
        ({"M1": np.eye(3)}, "M1 has shape"),
        ({"m0": np.zeros((2, 1))}, "m0 has shape"),
        ({"mean": np.zeros(4)}, "mean has shape"),
        ({"M2": np.zeros(5)}, "M2 must be"),
        ({"M2": np.full((K, FEATURES), np.nan)}, "M2 holds NaN"),
    ],
)
def test_arrays_that_are_no_decoder(change, message):
    with pytest.raises(InputError, match=message):
        restored(**change)


def test_arrays_that_do_not_fit_the_loop(tmp_path):
    decoder = restored()
    with pytest.raises(ConfigError, match=r"M2 \(2, 5\), but there are 2 intents and 96 features"):
        decoder.prepare(Setup())
    decoder = Linear()
    decoder.prepare(Setup())
    with pytest.raises(InputError, match=r"expected \(2, 96\)"):
        decoder.restore(arrays())
    with pytest.raises(ConfigError, match="no such file"):
        Linear(LinearConfig(file=str(tmp_path / "gone.npz"))).prepare(Setup())
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(InputError, match="not a readable"):
        Linear(LinearConfig(file=str(tmp_path / "text.npz"))).prepare(Setup())
    with pytest.raises(ConfigError, match="scale must be positive"):
        LinearConfig(scale=-1.0)


@pytest.mark.parametrize(
    ("X", "mask", "message"),
    [
        (np.zeros((5, FEATURES + 1)), None, rf"\[bins, {FEATURES}\], got an array of shape \(5, {FEATURES + 1}\)"),
        (np.zeros(FEATURES), None, "got an array of shape"),
        (np.zeros((5, FEATURES)), np.zeros((4, FEATURES), bool), "the mask has shape"),
    ],
)
def test_input_of_another_width_is_refused(X, mask, message):
    with pytest.raises(InputError, match=message):
        restored().predict(X, mask)
