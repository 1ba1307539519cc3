"""The networks: what was trained is what runs, and it learns what a linear decoder cannot."""

import dataclasses
import os
from functools import cache

import numpy as np
import pytest

from volition.decoder import _graph, _network_torch
from volition.decoder._onnx import Stepper
from volition.decoder.gru import Gru, GruConfig
from volition.decoder.transformer import Transformer, TransformerConfig
from volition.decoder.wiener import Wiener
from volition.errors import ConfigError, InputError, MissingExtraError
from volition.stage import Setup

if os.environ.get("VOLITION_TORCH") == "required":
    import onnx
    import torch
torch = pytest.importorskip("torch", reason="networks learn with PyTorch (extra [train])")
onnx = pytest.importorskip("onnx", reason="networks are written with onnx (extra [train])")

FEATURES = 20
SETUP = Setup(features=FEATURES, intent=("reach.x", "reach.y"), seed=3)
EASY = {
    "dropout": 0.05,
    "unit_dropout": 0.1,
    "noise": 0.05,
    "offset": 0.0,
    "batch_bins": 500,
    "least_steps": 80,
    "members": 1,
}
GRU = GruConfig(units=24, rate=0.01, averaging=0.9, **EASY)
TRANSFORMER = TransformerConfig(units=24, layers=2, heads=2, feedforward=48, context=8, rate=5e-3, averaging=0.9, **EASY)
BOTH = [pytest.param(Gru, GRU, id="gru"), pytest.param(Transformer, TRANSFORMER, id="transformer")]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights_of(cls, config, features, outputs, decays=(), seed=0):
    config = cls.sized(config, features)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = cls.module()(features * (1 + len(decays)) + 1, outputs, config)
        for p in module.parameters():  # biases too, and not the tame values of an untrained network
            torch.nn.init.normal_(p, 0.0, 0.2)
    return {name: p.detach().numpy() for name, p in module.state_dict().items()}


def scale_of(rng, features, outputs):
    return {
        "mean": rng.normal(size=features),
        "sd": rng.uniform(0.5, 2, features),
        "live": np.arange(features) != 1,
        "y_mean": rng.normal(size=outputs),
        "y_sd": rng.uniform(0.1, 2, outputs),
        "y_live": np.arange(outputs) != 2,
    }


SHAPES = [
    pytest.param(Gru, GruConfig(units=7, read_in=0, members=1), (), id="gru"),
    pytest.param(Gru, GruConfig(units=6, layers=2, read_in=5, members=2), (0.6, 0.9), id="gru of all"),
    pytest.param(Transformer, TRANSFORMER, (), id="transformer"),
    pytest.param(Transformer, dataclasses.replace(TRANSFORMER, members=2, layers=1), (0.5,), id="transformer of all"),
]


@pytest.mark.parametrize(("cls", "config", "decays"), SHAPES)
def test_the_graph_of_one_bin_equals_the_whole_sequence(cls, config, decays):
    """Repeated steps with explicit state = the full causal computation in PyTorch, whatever is missing."""
    rng = np.random.default_rng(0)
    bins, features, outputs = 60, 6, 3
    scale, weights = scale_of(rng, features, outputs), weights_of(cls, config, features, outputs, decays)
    x = (rng.normal(size=(bins, features)) * 3).astype(np.float32)
    there = (rng.random(x.shape) > 0.2) & (rng.random((bins, 1)) > 0.1)
    live = scale["live"]
    z = np.where(there & live, np.clip((x - scale["mean"]) / scale["sd"], -_graph.CLIP, _graph.CLIP), 0).astype(np.float32)
    y = np.zeros((bins, outputs), np.float32)
    data = _network_torch.Data(z, there, live, y, scale["y_live"], np.arange(bins) + 1)
    mean, logvar = _network_torch.sequence(cls.module(), weights, data, config, decays)
    run = Stepper(cls.write(weights, scale, decays, config))
    for again in range(2):
        run.reset()
        found = [run.step(np.where(there[k], x[k], np.nan), ~there[k]) for k in range(bins)]
        got, trust = np.stack([a for a, _ in found]), np.array([b for _, b in found])
        wanted = mean * scale["y_sd"] * scale["y_live"] + scale["y_mean"]
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5, err_msg=f"run {again}")
        share = (there & live).sum(1) / live.sum()
        np.testing.assert_allclose(trust, share * (1 / (1 + np.exp(logvar)))[:, scale["y_live"]].mean(1), atol=1e-5)


def test_a_transformer_forgets_what_lies_beyond_its_layers_reach():
    """A bin reaches `layers * (context - 1)` bins back, not one more."""
    rng = np.random.default_rng(1)
    config = dataclasses.replace(TRANSFORMER, layers=2, context=4)
    weights = weights_of(Transformer, config, 5, 2)
    scale = {**scale_of(rng, 5, 2), "live": np.ones(5, bool)}
    run = Stepper(Transformer.write(weights, scale, (), config))
    x = rng.normal(size=(30, 5)).astype(np.float32)
    nothing = np.zeros(5, bool)

    def at_end(changed):
        run.reset()
        return [run.step(row, nothing)[0] for row in changed][-1]

    reach = config.layers * (config.context - 1)
    before, within, beyond = x.copy(), x.copy(), x.copy()
    within[-1 - reach] += 3
    beyond[-2 - reach] += 3
    assert not np.allclose(at_end(within), at_end(before), atol=1e-6)
    np.testing.assert_array_equal(at_end(beyond), at_end(before))


def problem(bins=2000, seed=0):
    """Spikes whose log rates follow a hidden movement; wanted is what no linear decoder can say of it."""
    world, rng = np.random.default_rng(7), np.random.default_rng(seed)
    y = np.zeros((bins, 2))
    for t in range(1, bins):
        y[t] = 0.9 * y[t - 1] + rng.normal(size=2)
    y /= y.std(0)
    rate = np.exp(1 + 0.5 * y @ world.normal(size=(2, FEATURES)))
    X = rng.poisson(np.minimum(rate, 60)).astype(np.float32)
    return X, np.stack((np.abs(y[:, 0]), y[:, 0] * y[:, 1]), 1).astype(np.float32)


def r2(y, guess):
    return 1 - ((y - guess) ** 2).sum() / ((y - y.mean(0)) ** 2).sum()


@cache
def learnt(cls, config):
    decoder = cls(config)
    decoder.prepare(SETUP)
    X, y = problem()
    return decoder.fit(X, None, y)


@pytest.mark.parametrize(("cls", "config"), BOTH)
def test_it_learns_what_is_not_linear_and_knows_how_well(cls, config):
    decoder = learnt(cls, config)
    X, y = problem(1500, 1)
    ridge = Wiener()
    ridge.prepare(SETUP)
    ridge.fit(problem()[0], None, problem()[1])
    guess = decoder.predict(X)
    assert r2(y, guess) > r2(y, ridge.predict(X)) + 0.1
    assert 0.3 < decoder.validation < 1
    decoder.reset()
    trust = np.array([(decoder.step(x, np.zeros(FEATURES, bool)), decoder.confidence)[1] for x in X])
    error = ((guess - y) ** 2 / y.var(0)).mean(1)
    order = np.argsort(trust)
    thirds = [error[part].mean() for part in np.array_split(order, 3)]
    assert thirds[0] > thirds[1] > thirds[2]
    expected = 1 / trust - 1  # the definition, solved for the error; of a mean over outputs, so only about
    assert 0.5 < expected.mean() / error.mean() < 2


@pytest.mark.parametrize(("cls", "config"), BOTH)
def test_missing_features_cost_little_and_confidence(cls, config):
    decoder = learnt(cls, config)
    X, y = problem(1500, 1)
    mask = np.zeros(X.shape, bool)
    mask[:, :3] = True
    whole, less = r2(y, decoder.predict(X)), r2(y, decoder.predict(np.where(mask, np.nan, X), mask))
    assert whole - 0.25 < less < whole
    decoder.reset()
    decoder.step(X[0], mask[0])
    some = decoder.confidence
    decoder.reset()
    decoder.step(X[0], np.zeros(FEATURES, bool))
    assert 0 < some < decoder.confidence
    decoder.step(X[0], np.ones(FEATURES, bool))
    assert decoder.confidence == 0.0


@pytest.mark.parametrize(("cls", "config"), BOTH)
def test_a_seed_makes_one_network_and_disturbs_no_other_numbers(cls, config):
    short = dataclasses.replace(config, most_steps=2, least_steps=2)
    X, y = problem(400)

    def fit(seed):
        decoder = cls(short)
        decoder.prepare(dataclasses.replace(SETUP, seed=seed))
        return decoder.fit(X, None, y).arrays()["onnx"].tobytes()

    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = fit(0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert fit(0) == first
    assert fit(1) != first


def test_it_goes_on_from_a_saved_model():
    X, y = problem(1500)
    once = dataclasses.replace(GRU, refit=False)
    first = Gru(once)
    first.prepare(SETUP)
    first.fit(X, None, y)
    warm = Gru(dataclasses.replace(once, warm_start=True, most_steps=2, least_steps=2, rate=1e-6))
    warm.restore(first.arrays())
    warm.prepare(SETUP)
    warm.fit(X, None, y)
    cold = Gru(dataclasses.replace(once, most_steps=2, least_steps=2, rate=1e-6))
    cold.prepare(SETUP)
    cold.fit(X, None, y)
    assert warm.validation == pytest.approx(first.validation, abs=0.02)
    assert cold.validation < first.validation - 0.3


def test_int8_is_smaller_and_close():
    X, y = problem(1500)
    config = dataclasses.replace(GRU, units=64, most_steps=20, least_steps=20)
    both = []
    for int8 in (False, True):
        decoder = Gru(dataclasses.replace(config, int8=int8))
        decoder.prepare(SETUP)
        both.append(decoder.fit(X, None, y))
    assert both[1].arrays()["onnx"].size < 0.6 * both[0].arrays()["onnx"].size
    a, b = (d.predict(X[:300]) for d in both)
    assert 0 < np.abs(a - b).max() < 0.2 * y.std()


def test_a_stopped_training_leaves_what_was_there():
    decoder = Gru(dataclasses.replace(GRU, most_steps=2, least_steps=2))
    decoder.prepare(SETUP)
    X, y = problem(300)

    def stop(share, what):
        raise KeyboardInterrupt

    decoder.progress = stop
    with pytest.raises(KeyboardInterrupt):
        decoder.fit(X, None, y)
    assert not decoder.fitted
    decoder.progress = None
    kept = decoder.fit(X, None, y).arrays()["onnx"].tobytes()
    decoder.progress = stop
    with pytest.raises(KeyboardInterrupt):
        decoder.fit(X[:200], None, y[:200])
    assert decoder.arrays()["onnx"].tobytes() == kept


def test_what_never_varies_is_answered_with_its_mean():
    decoder = Gru(dataclasses.replace(GRU, most_steps=2, least_steps=2))
    decoder.prepare(SETUP)
    X, y = problem(200)
    y[:, 1] = 0.25
    decoder.fit(X, None, y)
    np.testing.assert_array_equal(decoder.predict(X)[:, 1], np.float32(0.25))
    decoder.fit(X, None, np.full_like(y, 0.5))
    np.testing.assert_array_equal(decoder.predict(X), np.float32(0.5))


def test_without_pytorch_it_is_said_what_to_install(monkeypatch):
    decoder = Gru(GRU)
    decoder.prepare(SETUP)
    X, y = problem(100)
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"volition\[train\]"):
        decoder.fit(X, None, y)


def test_what_is_no_network_is_refused():
    decoder = Gru(GRU)
    decoder.prepare(SETUP)
    with pytest.raises(InputError, match="lacks 'onnx'"):
        decoder.restore({"mean": np.zeros(3)})
    with pytest.raises(InputError, match="cannot be run"):
        decoder.restore({"onnx": np.arange(100, dtype=np.uint8)})
    with pytest.raises(InputError, match="bytes"):
        decoder.restore({"onnx": np.zeros((2, 2))})
    rng = np.random.default_rng(0)
    other = Gru.write(weights_of(Gru, GRU, 6, 3), scale_of(rng, 6, 3), (), Gru.sized(GRU, 6))
    with pytest.raises(InputError, match="6 features and 3 intents"):
        decoder.restore({"onnx": np.frombuffer(other, np.uint8)})
    g = _graph.Graph()
    g.gives("y", g.takes("x", 1, 3), 1, 3)
    with pytest.raises(InputError, match="lacks confidence, mask"):
        Stepper(g.bytes())


@pytest.mark.parametrize(
    "bad",
    [
        {"units": 0},
        {"dropout": 1.0},
        {"rate": 0.0},
        {"warp": 0.5},
        {"device": "tpu"},
        {"smooth_ms": (0.0,)},
        {"smooth_ms": "slow"},
        {"mixup": "often"},
        {"noise": np.nan},
    ],
)
def test_bad_settings_are_refused(bad):
    with pytest.raises(ConfigError):
        GruConfig(**bad)


def test_slow_averages_where_features_are_few():
    few, many = Gru.sized(GruConfig(), 96), Gru.sized(GruConfig(), 1024)
    assert (few.smooth_ms, many.smooth_ms) == ((100, 300), ())
    assert Gru.sized(GruConfig(smooth_ms=(50.0,)), 1024).smooth_ms == (50.0,)
    assert Transformer.sized(TransformerConfig(smooth_ms="auto"), 96).smooth_ms == ()


def test_mixed_windows_lie_on_the_line_between_two_and_lack_what_either_lacks():
    rng = np.random.default_rng(2)
    z = rng.normal(size=(6, 5, 3)).astype(np.float32)
    nothing = np.zeros((6, 5), bool)
    nothing[0, 3:] = True
    there = (rng.random(z.shape) < 0.8) & ~nothing[..., None]
    z *= there
    y = z @ np.ones((3, 1), np.float32)  # of windows with everything there, mixtures obey the same law
    mixed, both, target = _network_torch._mixed(1.0, z, there, y, nothing, np.random.default_rng(0))
    other = np.random.default_rng(0).permutation(6)
    alone = nothing | nothing[other]
    np.testing.assert_array_equal(both[alone], there[alone])
    np.testing.assert_array_equal(mixed[alone], z[alone])
    np.testing.assert_array_equal(both[~alone], (there & there[other])[~alone])
    whole = both.all(2) & ~alone
    assert whole.sum() > 3
    np.testing.assert_allclose(target[whole], mixed[whole].sum(1, keepdims=True), atol=1e-6)
    assert np.abs(mixed - z)[whole].max() > 0.1


def test_sizes_of_a_transformer_must_fit():
    with pytest.raises(ConfigError, match="multiple"):
        TransformerConfig(units=10, heads=4)
    with pytest.raises(ConfigError, match="context"):
        TransformerConfig(context=1)
