"""The adaptive Kalman filter on populations that drift: what it learns, from what, and that it can be kept and repeated."""

import numpy as np
import pytest

from volition.decoder.adaptive import Adaptive, AdaptiveConfig
from volition.errors import ConfigError, InputError
from volition.signal import BodyState
from volition.stage import Adaptive as Adapts
from volition.stage import Saveable, Setup, check

CHANNELS = 40
SETUP = Setup(features=CHANNELS, intent=("reach.x", "reach.y"))
NOTHING = np.zeros(CHANNELS, bool)
TOP = 0.3


class World:
    """A user who pushes a cursor from target to target, seen through Poisson channels with log-linear tuning."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)
        self.b = np.log(self.rng.uniform(0.2, 1.0, CHANNELS))
        angle = self.rng.uniform(0, 2 * np.pi, CHANNELS)
        self.w = 0.8 * np.stack((np.cos(angle), np.sin(angle)))
        self.p, self.goal, self.bins = np.zeros(2), np.zeros(2), 0

    def drift(self, rate, turn, share=0.0):
        """Other rates at rest, tuning turned, and units exchanged for new ones."""
        self.b = self.b + rate * self.rng.normal(size=CHANNELS)
        a = turn * self.rng.normal(size=CHANNELS)
        self.w = np.stack((np.cos(a) * self.w[0] - np.sin(a) * self.w[1], np.sin(a) * self.w[0] + np.cos(a) * self.w[1]))
        new = self.rng.random(CHANNELS) < share
        self.w[:, new] = 0.8 * self.rng.normal(size=(2, int(new.sum()))) / np.sqrt(2)

    def aim(self):
        off = self.goal - self.p
        return (TOP * off / max(np.hypot(*off), 0.05)).astype(np.float32)

    def counts(self, aim):
        return self.rng.poisson(np.exp(self.b + (aim / TOP) @ self.w)).astype(np.float32)

    def bin(self, move):
        if self.bins % 50 == 0:
            self.goal = self.rng.uniform(-0.09, 0.09, 2)
        self.bins += 1
        aim = self.aim()
        out = move(self.counts(aim), aim)
        self.p = np.clip(self.p + 0.02 * np.asarray(out, float), -0.1, 0.1)
        return out, aim

    def training(self, bins=2000):
        rows = []

        def move(x, aim):
            rows.append((x, aim))
            return aim

        for _ in range(bins):
            self.bin(move)
        return np.array([x for x, _ in rows]), np.array([a for _, a in rows])

    def use(self, decoder, seconds, adapt="off", mask=NOTHING):
        """Closed loop; how far what is decoded goes along with what is meant (cosine over all bins)."""

        def move(x, aim):
            if adapt != "off":
                decoder.observe(body(self.p), aim if adapt == "supervised" else None)
            return decoder.step(np.where(mask, np.nan, x).astype(np.float32), mask)

        pairs = [self.bin(move) for _ in range(round(seconds / 0.02))]
        out, aim = (np.array(column) for column in zip(*pairs, strict=True))
        return float((out * aim).sum() / np.sqrt((out**2).sum() * (aim**2).sum()))


def body(position):
    return BodyState(0, np.asarray(position, float), np.zeros(2), np.empty(0), np.empty(0))


def fitted(world, **config):
    decoder = Adaptive(AdaptiveConfig(**{"shrinkages": (0.3,), **config}))
    decoder.prepare(SETUP)
    X, y = world.training()
    return decoder.fit(X, None, y)


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("way", ["infer", "stabilise", "normalise", "off"])  # every default is checked elsewhere
def test_the_contract_holds_for_every_way(way):
    assert check(Adaptive(AdaptiveConfig(unsupervised=way))) == []


WAYS = [
    ("unsupervised", {"unsupervised": "rates"}, 0.75),
    ("unsupervised", {"unsupervised": "infer"}, 0.6),
    ("supervised", {"supervised": "rml", "half_life_s": 60.0}, 0.8),
    ("supervised", {"supervised": "smoothbatch", "batch_s": 20.0, "half_life_s": 20.0}, 0.8),
]


@pytest.mark.parametrize(("adapt", "config", "least"), WAYS)
def test_it_recovers_from_drift_where_a_fixed_one_does_not(adapt, config, least):
    results = []
    for how in ("off", adapt):
        world = World(0)
        decoder = fitted(world, **config)
        world.drift(rate=0.5, turn=0.6, share=0.2)
        decoder.prepare(SETUP)  # another day
        world.use(decoder, 40, how)
        results.append(world.use(decoder, 40, how))
    fixed, adaptive = results
    assert fixed < 0.5
    assert adaptive > least


def test_rates_are_followed_without_any_label():
    world = World(2)
    decoder = fitted(world, unsupervised="normalise", normalise_s=20.0)
    off = world.rng.normal(size=CHANNELS) * 0.6
    world.b = world.b + off
    decoder.prepare(SETUP)
    world.use(decoder, 60, "unsupervised")
    X, _ = world.training(1500)
    np.testing.assert_allclose(decoder.arrays()["running_mean"], X.mean(0), rtol=0.35, atol=0.1)
    assert (
        np.abs(decoder.arrays()["running_mean"] - X.mean(0)).mean()
        < 0.5 * np.abs(decoder.arrays()["first_mean"] - X.mean(0)).mean()
    )


def test_a_bin_that_was_not_observed_teaches_nothing():
    world = World(3)
    decoder = fitted(world)
    before = dict(decoder.arrays())
    world.use(decoder, 20)
    assert same(before, dict(decoder.arrays()))
    X, _ = world.training(300)
    whole = decoder.predict(X)
    np.testing.assert_allclose([decoder.step(x, NOTHING) for x in X], whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("way", ["rates", "infer", "stabilise", "normalise"])
def test_what_was_adapted_is_kept_survives_prepare_and_is_repeated_to_the_bit(way):
    def lived():
        world = World(4)
        decoder = fitted(world, unsupervised=way, latents=4)
        fresh = dict(decoder.arrays())
        world.use(decoder, 20, "unsupervised")
        return world, decoder, fresh

    world, decoder, fresh = lived()
    kept = {name: np.array(a) for name, a in decoder.arrays().items()}
    assert not same(fresh, kept)
    assert same(kept, dict(lived()[1].arrays()))
    other = Adaptive(decoder.config)
    other.restore(kept)
    other.prepare(SETUP)
    decoder.prepare(SETUP)
    assert isinstance(decoder, Saveable)
    assert isinstance(decoder, Adapts)
    for d in (decoder, other):  # and goes on in the same way
        twin = World(5)
        twin.b, twin.w = world.b, world.w
        twin.use(d, 14, "unsupervised")
    assert same(dict(decoder.arrays()), dict(other.arrays()))


def test_a_channel_that_is_away_meanwhile_is_welcome_back():
    world = World(6)
    decoder = fitted(world)
    dead = NOTHING.copy()
    dead[:4] = True
    world.use(decoder, 30, "supervised", dead)
    found = decoder.arrays()
    assert all(np.isfinite(a).all() for a in found.values())
    assert world.use(decoder, 20) > 0.6


def test_the_drift_score_asks_when_the_population_changed_and_only_then():
    world = World(7)
    decoder = fitted(world, drift_s=20.0)
    world.use(decoder, 10)
    assert decoder.figures() == {}
    world.use(decoder, 20)
    assert decoder.drift > 0
    assert not decoder.asks_for_calibration
    told = decoder.figures()
    assert (told["drift_nats"], told["asks_for_calibration"]) == (decoder.drift, 0)
    quiet = decoder.drift
    world.drift(rate=0.8, turn=0.6)
    world.use(decoder, 30)
    assert decoder.drift > 3 * quiet
    assert decoder.asks_for_calibration
    assert decoder.figures() == {**told, "drift_nats": decoder.drift, "asks_for_calibration": 1}


def test_bad_configurations_and_arrays_are_refused():
    for bad in (
        {"unsupervised": "x"},
        {"supervised": "x"},
        {"window_s": 0.0},
        {"latents": 0},
        {"keep": 0.0},
        {"kappa": -1.0},
    ):
        with pytest.raises(ConfigError):
            AdaptiveConfig(**bad)
    decoder = fitted(World(8))
    arrays = dict(decoder.arrays())
    with pytest.raises(InputError, match="'T'"):
        Adaptive().restore({**arrays, "T": np.zeros(3)})
    with pytest.raises(InputError, match="lacks 'R'"):
        Adaptive().restore({name: a for name, a in arrays.items() if name != "R"})
    with pytest.raises(InputError, match="lacks 'reference_L'"):
        Adaptive(AdaptiveConfig(unsupervised="stabilise")).restore(arrays)
    decoder = Adaptive()
    decoder.prepare(Setup(features=CHANNELS, intent=("grasp",)))
    X, y = World(9).training(400)
    decoder.fit(X, None, y[:, :1])
    for x in X[:299]:
        decoder.observe(body((0.0, 0.0)), None)
        decoder.step(x, NOTHING)
    decoder.observe(body((0.0, 0.0)), None)
    with pytest.raises(ConfigError, match="guessed"):
        decoder.step(X[299], NOTHING)
