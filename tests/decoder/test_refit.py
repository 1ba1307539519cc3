"""ReFIT: labels turned to the goal, rest on the target, position known."""

import numpy as np
import pytest

from volition.decoder.kalman import Kalman, KalmanConfig
from volition.decoder.refit import Refit, RefitConfig
from volition.errors import ConfigError, InputError
from volition.signal import BodyState
from volition.stage import Adaptive, Setup

CHANNELS = 30
SETUP = Setup(features=CHANNELS, intent=("reach.x", "reach.y"))
NOTHING = np.zeros(CHANNELS, bool)


def body(position):
    return BodyState(0, np.asarray(position, float), np.zeros(2), np.empty(0), np.empty(0))


class World:
    """A user who pushes a cursor, by channels tuned to what is meant and to where the cursor is."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)
        self.C = self.rng.normal(size=(2, CHANNELS)) * 0.5
        self.D = self.C + self.rng.normal(size=(2, CHANNELS)) * 0.2  # the same axes, or the noise model would see to it
        self.p, self.goal = np.zeros(2), np.zeros(2)

    def aim(self):
        off = self.goal - self.p
        d = np.hypot(*off)
        return (0.3 * off / max(d, 0.05) if d > 0.01 else np.zeros(2)).astype(np.float32)

    def counts(self, meant):
        rate = 3.0 + (meant / 0.3) @ self.C + (self.p / 0.1) @ self.D
        return (rate + self.rng.normal(size=CHANNELS)).astype(np.float32)

    def move(self, v):
        self.p = np.clip(self.p + 0.02 * np.asarray(v, float), -0.1, 0.1)

    def training(self, bins=1500):
        """The computer moves the cursor, the user means the same."""
        X, y = [], []
        for t in range(bins):
            if t % 40 == 0:
                self.goal = self.rng.uniform(-0.08, 0.08, 2)
            aim = self.aim()
            X.append(self.counts(aim))
            y.append(aim)
            self.move(aim)
        return np.array(X), np.array(y)

    def used(self, decoder, bins, supervised=True):
        """Closed loop; how much of what is decoded is not along what was meant (1 - cosine over all bins)."""
        out_aim = out_out = aim_aim = 0.0
        for t in range(bins):
            if t % 60 == 0:
                self.goal = self.rng.uniform(-0.08, 0.08, 2)
            aim = self.aim()
            decoder.observe(body(self.p), aim if supervised else None)
            out = decoder.step(self.counts(aim), NOTHING)
            out_aim, out_out, aim_aim = out_aim + out @ aim, out_out + out @ out, aim_aim + aim @ aim
            self.move(out)
        return 1 - out_aim / np.sqrt(out_out * aim_aim)


def fitted(world, **config):
    decoder = Refit(RefitConfig(**config))
    decoder.prepare(SETUP)
    return decoder.fit(*insert(world.training()))


def insert(pair):
    return pair[0], None, pair[1]


def test_its_first_stage_is_the_velocity_kalman_filter():
    X, y = World().training()
    decoder, kalman = (
        fitted(World()),
        Kalman(KalmanConfig(orders=(1,), leads=(0,), noises=(1.0,), shrinkages=(0.1, 0.3, 1.0))),
    )
    kalman.prepare(SETUP)
    kalman.fit(X, None, y)
    np.testing.assert_array_equal(decoder.predict(X), kalman.predict(X))
    assert isinstance(decoder, Adaptive)


def test_the_second_stage_takes_the_position_out_and_controls_better():
    world = World()
    decoder = fitted(world, refit_s=30.0)
    before = world.used(decoder, 1499)
    assert decoder.refits == 0
    world.used(decoder, 1)
    assert decoder.refits == 1
    after = world.used(decoder, 1400, supervised=False)
    assert decoder.refits == 1  # learnt nothing without labels
    assert after < 0.75 * before


def test_labels_keep_the_decoded_speed_turn_to_the_goal_and_rest_on_it():
    decoder = fitted(World())
    meant = decoder._meant(np.array([0.3, 0.4], np.float32), np.array([0.0, -2.0], np.float32))
    np.testing.assert_allclose(meant, [0.0, -0.5], atol=1e-6)
    np.testing.assert_array_equal(decoder._meant(np.array([0.3, 0.4], np.float32), np.zeros(2, np.float32)), [0.0, 0.0])


def test_what_the_second_stage_learnt_is_kept():
    world = World()
    decoder = fitted(world, refit_s=20.0)
    world.used(decoder, 1000)
    assert decoder.refits == 1
    other = Refit(decoder.config)
    other.restore(decoder.arrays())
    other.prepare(SETUP)
    assert other.refits == 1
    decoder.prepare(SETUP)
    for t in range(20):
        x = world.counts(np.array([0.1, 0.0]))
        for d in (decoder, other):
            d.observe(body([0.05, 0.01 * t]), None)
        np.testing.assert_array_equal(decoder.step(x, NOTHING), other.step(x, NOTHING))


def test_a_dead_channel_is_met_in_the_second_stage_too():
    world = World()
    decoder = fitted(world, refit_s=20.0)
    dead = NOTHING.copy()
    dead[3] = True
    for _ in range(1000):
        world.goal = world.rng.uniform(-0.08, 0.08, 2)
        decoder.observe(body(world.p), world.aim())
        x = world.counts(world.aim())
        x[3] = np.nan
        world.move(decoder.step(x, dead))
    assert decoder.refits == 1
    assert all(np.isfinite(a).all() for a in decoder.arrays().values())


def test_bad_configurations_and_arrays_are_refused():
    with pytest.raises(ConfigError, match="refit_s"):
        RefitConfig(refit_s=0.0)
    with pytest.raises(ConfigError, match="shrinkages"):
        RefitConfig(shrinkages=(0.0,))
    arrays = fitted(World()).arrays()
    with pytest.raises(InputError, match="of_place"):
        Refit().restore({**arrays, "of_place": np.zeros((2, 3))})
