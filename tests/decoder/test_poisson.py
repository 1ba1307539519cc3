"""The point-process filter: places, clicks, shared noise, learning from selections and labels."""

from functools import cache

import numpy as np
import pytest

from volition.decoder import _common_noise
from volition.decoder._log_linear import Batch, Belief, regressors
from volition.decoder._retrospect import Retrospect
from volition.decoder.poisson import Poisson, PoissonConfig
from volition.errors import ConfigError, InputError
from volition.signal import BodyState
from volition.stage import Adaptive, Placed, Retrospective, Setup

CHANNELS = 40
SETUP = Setup(features=CHANNELS, intent=("reach.x", "reach.y", "select"))
NOTHING = np.zeros(CHANNELS, bool)
TOP = 0.3


def body(position):
    return BodyState(0, np.asarray(position, float), np.zeros(2), np.empty(0), np.empty(0))


class World:
    """A user who pushes a cursor to goals and presses there, with log-linear channels."""

    def __init__(self, seed=0, tuning_seed=0):
        self.rng, fixed = np.random.default_rng(seed), np.random.default_rng(tuning_seed)
        self.theta = np.vstack((fixed.normal(-1.5, 0.4, (1, CHANNELS)), fixed.normal(0, 0.6, (6, CHANNELS))))
        self.p, self.goal, self.since = np.zeros(2), np.array((0.05, 0.05)), 0
        self.common = np.zeros(CHANNELS)

    def aim(self):
        off = self.goal - self.p
        d = np.hypot(*off)
        press = float(d < 0.012)
        return np.array((*(TOP * off / max(d, 0.17 * TOP) if d > 0.003 else np.zeros(2)), press))

    def counts(self, aim):
        phi = regressors(aim[None, :2] / TOP, aim[None, 2:], self.p[None] / 0.1)
        return self.rng.poisson(np.exp(np.minimum(phi @ self.theta + self.common, 3))[0]).astype(np.float32)

    def new_goal(self):
        self.goal, self.since = self.rng.uniform(-0.09, 0.09, 2), 0

    def training(self, bins=2500):
        X, y, places = [], [], []
        for _ in range(bins):
            if self.since == 40:
                self.new_goal()
            self.since += 1
            aim = self.aim()
            X.append(self.counts(aim))
            y.append(aim)
            places.append(self.p.copy())
            self.p = np.clip(self.p + 0.02 * aim[:2], -0.1, 0.1)
        return np.array(X), np.array(y), np.array(places)

    def used(self, decoder, bins, adapt="off", place=True):
        """Closed loop; correlation of what is decoded with what was meant, and selections made."""
        meant, given, selections, inside = [], [], 0, 0
        for _ in range(bins):
            self.since += 1
            aim = self.aim()
            if place:
                decoder.place(body(self.p))
            if adapt != "off":
                decoder.observe(body(self.p), aim.astype(np.float32) if adapt == "supervised" else None)
            out = decoder.step(self.counts(aim), NOTHING)
            meant.append(aim)
            given.append(out)
            self.p = np.clip(self.p + 0.02 * out[:2], -0.1, 0.1)
            inside = inside + 1 if np.hypot(*(self.goal - self.p)) < 0.015 else 0
            there = inside > 10
            if there or self.since == 100:
                selections += there
                if adapt == "selections":
                    decoder.selected(self.goal.copy() if there else None)
                self.new_goal()
                inside = 0
        meant, given = np.array(meant), np.array(given)
        return [float(np.corrcoef(meant[:, k], given[:, k])[0, 1]) for k in range(3) if meant[:, k].any()], selections


@cache
def learnt():
    decoder = Poisson()
    decoder.prepare(SETUP)
    X, y, places = World().training()
    decoder.fit(X, None, y, None, places)
    return {name: a.copy() for name, a in decoder.arrays().items()}


def made(**config):
    decoder = Poisson(PoissonConfig(**config))
    decoder.restore(learnt())
    decoder.prepare(SETUP)
    return decoder


def test_it_finds_the_tuning_and_steers():
    decoder = made(acceleration=0.0)
    assert all(isinstance(decoder, kind) for kind in (Placed, Adaptive, Retrospective))
    world = World(1)
    found = learnt()["mean"]
    for part in (slice(0, 1), slice(1, 3), slice(5, 7)):  # rate, velocity, place
        assert np.corrcoef(found[part].ravel(), world.theta[part].ravel())[0, 1] > 0.85
    (x, y, click), selections = world.used(decoder, 1200)
    assert min(x, y) > 0.75
    assert click > 0.7
    assert selections > 15
    assert 0.3 < decoder.confidence < 1


def test_a_known_place_is_no_movement():
    placed, unplaced = (World(2).used(made(acceleration=0.0), 800, place=place)[0][:2] for place in (True, False))
    assert np.mean(placed) > np.mean(unplaced) + 0.03


def test_acceleration_makes_slow_slower_and_keeps_direction():
    X, _, _ = World(3).training(200)
    plain, bent = (made(acceleration=a).predict(X)[:, :2] for a in (0.0, 1.0))
    speed = np.linalg.norm(plain, axis=1)
    np.testing.assert_allclose(bent, plain * (speed / TOP)[:, None], rtol=1e-3, atol=1e-6)


def test_spikes_believed_less_move_it_less_and_leave_it_less_sure():
    X, _, _ = World(3).training(200)
    whole, part = made(acceleration=0.0), made(acceleration=0.0, worth=0.3)
    fast, slow = (np.linalg.norm(decoder.predict(X)[:, :2], axis=1).mean() for decoder in (whole, part))
    assert slow < fast
    for decoder in (whole, part):
        decoder.step(X[0], np.zeros(X.shape[1], bool))
    assert part.confidence < whole.confidence
    kept = [decoder.arrays()["trust"] for decoder in (whole, part)]
    np.testing.assert_array_equal(*kept)  # what is kept is what was found, so that a reload does not shrink it again


@pytest.mark.parametrize("adapt", ["selections", "supervised"])
def test_units_that_changed_are_learnt_again_from_selections_or_labels(adapt):
    world, other = World(4), World(4, tuning_seed=9)
    some = np.arange(CHANNELS) < 12
    world.theta[:, some] = other.theta[:, some]
    decoder = made(acceleration=0.0, batch_s=5.0)

    def alike():
        return np.corrcoef(decoder.arrays()["mean"][1:3, some].ravel(), world.theta[1:3, some].ravel())[0, 1]

    before, usual = alike(), decoder.arrays()["usual"]
    world.used(decoder, 2500, adapt)
    assert abs(before) < 0.4
    assert alike() > 0.6
    after = decoder.arrays()["usual"]
    off = [np.abs(rates - world.theta[0])[some].mean() for rates in (usual, after)]
    assert off[1] < off[0]


def test_what_was_selected_labels_the_seconds_before_it_and_nothing_else():
    labels = Retrospect([0, 1], [0, 1], 0.3, 0.1, react=2, recall=4)
    for k in range(8):
        labels.add(np.full(3, float(k)), np.array((0.01 * k, 0.0)), np.array((9.0, 9.0, 0.5)))
    counts, at, aim = labels.selected(np.array((0.06, 0.0)))
    assert counts[:, 0].tolist() == [4, 5, 6, 7]
    np.testing.assert_allclose(aim[:, 0], [0.2, 0.1, 0.0, -0.1], atol=1e-9)
    assert labels.selected(np.array((0.0, 0.0))) is None
    labels.add(np.zeros(3), np.zeros(2), np.zeros(3))
    labels.add(np.zeros(3), np.zeros(2), np.zeros(3))
    labels.add(np.zeros(3), np.zeros(2), np.zeros(3))
    assert labels.selected(None) is None
    assert labels.selected(np.zeros(2)) is None
    assert len(at) == 4
    assert (aim[:, 2] == 0.5).all()


def test_noise_that_channels_share_is_found_with_its_time_constant():
    rng = np.random.default_rng(0)
    z = np.zeros(6000)
    for t in range(1, 6000):
        z[t] = 0.95 * z[t - 1] + np.sqrt(1 - 0.95**2) * rng.normal()
    load = rng.normal(0, 0.7, 60)
    expected = np.full((6000, 60), 0.4)
    counts = rng.poisson(expected * np.exp(z[:, None] * load - load**2 / 2))
    found = _common_noise.find(counts.astype(float), expected, 4, 5, 10)
    size = np.linalg.norm(found.loadings, axis=0)
    assert size[1:].sum() < size[0]
    assert abs(np.corrcoef(found.loadings[:, 0], load)[0, 1]) > 0.95
    assert np.abs(found.loadings[:, 0]).mean() == pytest.approx(np.abs(load).mean(), rel=0.35)
    assert 0.9 < found.keep[0] < 0.98
    none = _common_noise.find(rng.poisson(expected).astype(float), expected, 4, 5, 10)
    assert none.loadings.shape[1] == 0
    assert none.trust.mean() == pytest.approx(1.0, abs=0.05)


def test_a_belief_learns_in_two_batches_what_it_learns_in_one():
    rng = np.random.default_rng(1)
    phi = regressors(rng.normal(size=(1200, 2)), np.zeros((1200, 0)), np.zeros((1200, 0)))
    theta = np.vstack((np.full(5, -1.0), rng.normal(0, 0.5, (3, 5))))
    counts = rng.poisson(np.exp(np.minimum(phi @ theta, 3))).astype(float)
    missing = rng.random(counts.shape) < 0.1
    first, trust = Belief.none(4, np.full(5, 0.4)), np.ones(5)
    once = first.learn(Batch(phi, counts, missing, np.ones(1200)), trust)
    half = first.learn(Batch(phi[:600], counts[:600], missing[:600], np.ones(600)), trust)
    twice = half.learn(Batch(phi[600:], counts[600:], missing[600:], np.ones(600)), trust)
    np.testing.assert_allclose(twice.mean, once.mean, atol=0.05)
    assert np.abs(once.mean - theta).max() < 0.25
    wide = once.widened(np.full(4, 0.3))
    assert (np.linalg.inv(wide.precision)[:, 0, 0] > 0.09).all()


def test_what_it_cannot_be_is_refused():
    for wrong in ({"factors": -1}, {"quick": 0}, {"worth": 0}, {"night_rate_sd": -1}, {"acceleration": float("nan")}):
        with pytest.raises(ConfigError):
            PoissonConfig(**wrong)
    decoder = Poisson()
    decoder.prepare(SETUP)
    with pytest.raises(ConfigError, match="learnt nothing"):
        decoder.step(np.zeros(CHANNELS, np.float32), NOTHING)
    with pytest.raises(InputError, match="precision"):
        decoder.restore({**learnt(), "precision": np.zeros((2, 2))})
    with pytest.raises(InputError, match="lacks"):
        decoder.restore({"mean": np.zeros((7, CHANNELS))})
    smaller = Poisson()
    smaller.prepare(Setup(features=5, intent=("reach.x", "reach.y", "select")))
    with pytest.raises(InputError, match="40"):
        smaller.restore(learnt())
