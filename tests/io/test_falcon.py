"""Our decoders behind FALCON's calls, FALCON's decoders in our loop, and the challenge's way through recordings."""

import numpy as np
import pytest

from volition import Loop
from volition.errors import ConfigError, InputError
from volition.io.falcon import Falcon, FalconConfig, FalconDecoder, run
from volition.stage import Setup, check, find
from volition.train.falcon import score

BINS, CHANNELS = 400, 12


@pytest.fixture(scope="module")
def recorded():
    rng = np.random.default_rng(0)
    y = np.cumsum(rng.normal(size=(BINS, 2)), 0)
    y -= y.mean(0)
    weights = rng.normal(size=(2, CHANNELS))
    X = rng.poisson(np.exp(0.05 * np.clip(y @ weights, -40, 40))).astype(np.float32)
    return X, y


@pytest.fixture(scope="module")
def kalman(recorded):
    decoder = find("decoder", "kalman")()
    decoder.prepare(Setup(features=CHANNELS, channels=CHANNELS))
    return decoder.fit(recorded[0], None, recorded[1])


class Theirs:
    """A decoder as the challenge's participants write it: a leaky sum of the counts of each stream."""

    def __init__(self, outputs=2, batch_size=1):
        self.batch_size, self._outputs, self.tags = batch_size, outputs, []

    def reset(self, dataset_tags=("",)):
        self.tags.append(list(dataset_tags))
        self._state = np.zeros((self.batch_size, self._outputs))

    def predict(self, neural_observations):
        total = neural_observations.sum(axis=1, keepdims=True)
        self._state = 0.8 * self._state + 0.01 * total
        return self._state.copy()

    def observe(self, neural_observations):
        self.predict(neural_observations)

    def on_done(self, dones):
        pass


def test_each_stream_of_a_batch_is_decoded_as_if_it_were_alone(kalman, recorded):
    X = recorded[0]
    batch = FalconDecoder(kalman, batch_size=3)
    batch.reset(["a", "b", "c"])
    out = np.array([batch.predict(np.stack([X[t], X[t + 50], X[t + 100]])) for t in range(200)])
    for i, start in enumerate((0, 50, 100)):
        np.testing.assert_allclose(out[:, i], kalman.predict(X[start : start + 200]), atol=1e-5)


def test_a_bin_that_is_only_shown_is_history_all_the_same(kalman, recorded):
    X = recorded[0]
    one = FalconDecoder(kalman)
    for t in range(20):
        one.observe(X[t : t + 1])
    np.testing.assert_allclose(one.predict(X[20:21])[0], kalman.predict(X[:21])[20], atol=1e-5)


def test_nan_is_missing(kalman, recorded):
    X = recorded[0][:30].copy()
    mask = np.zeros(X.shape, bool)
    mask[5:9, :4] = True
    X[mask] = np.nan
    one = FalconDecoder(kalman)
    out = np.array([one.predict(x[None])[0] for x in X])
    np.testing.assert_allclose(out, kalman.predict(np.nan_to_num(X), mask), atol=1e-5)


def test_history_is_kept_across_trials_unless_told_otherwise(kalman, recorded):
    X = recorded[0]
    kept, forgot = FalconDecoder(kalman), FalconDecoder(kalman, forget=True)
    for decoder in (kept, forgot):
        for t in range(20):
            decoder.predict(X[t : t + 1])
        decoder.on_done(np.array([True]))
    np.testing.assert_allclose(kept.predict(X[20:21])[0], kalman.predict(X[:21])[20], atol=1e-5)
    np.testing.assert_allclose(forgot.predict(X[20:21])[0], kalman.predict(X[20:21])[0], atol=1e-5)


def test_recordings_may_have_decoders_of_their_own(kalman, recorded):
    still = find("decoder", "still")()
    still.prepare(Setup(features=CHANNELS))
    both = FalconDecoder({"day 1": kalman, "day 2": still}, batch_size=2)
    with pytest.raises(ConfigError, match="say which recordings"):
        both.predict(recorded[0][:2])
    both.reset(["day 2", "day 1"])
    out = both.predict(recorded[0][:2])
    assert not out[0].any()
    assert out[1].any()
    with pytest.raises(ConfigError, match="no decoder for the recording 'day 3'"):
        both.reset(["day 1", "day 3"])


def test_what_does_not_fit_is_one_line(kalman, recorded):
    with pytest.raises(ConfigError, match="has learnt nothing"):
        FalconDecoder(find("decoder", "kalman")())
    with pytest.raises(ConfigError, match="batch_size must be positive"):
        FalconDecoder(kalman, 0)
    one = FalconDecoder(kalman)
    with pytest.raises(ConfigError, match="2 tags for a batch of 1"):
        one.reset(["a", "b"])
    with pytest.raises(InputError, match=r"shape \[1, channels\]"):
        one.predict(recorded[0][0])
    with pytest.raises(InputError, match="3 dones"):
        one.on_done(np.zeros(3))
    with pytest.raises(ConfigError, match="finite"):
        FalconConfig(scale=np.nan)


def test_a_decoder_of_theirs_keeps_our_contract():
    setup = Setup()
    theirs = Theirs()
    ours = Falcon(theirs, FalconConfig(tag="S6", scale=2.0))
    assert check(ours) == []
    assert theirs.tags[-1] == ["S6"]
    ours.prepare(setup)
    out = ours.step(np.ones(96, np.float32), np.arange(96) < 48)
    np.testing.assert_allclose(out, 2 * 0.01 * 48)
    assert ours.confidence == 0.5
    wrong = Falcon(Theirs(outputs=3))
    wrong.prepare(setup)
    with pytest.raises(InputError, match=r"shape \(1, 3\), expected \(1, 2\)"):
        wrong.step(np.ones(96, np.float32), np.zeros(96, bool))


def test_a_decoder_of_theirs_runs_in_the_loop():
    with Loop(decoder=Falcon(Theirs(outputs=3))) as loop:
        report = loop.run(1.0)
    assert report.faults == {}
    assert loop.last.decoded[0] > 0


def test_there_and_back_is_the_same_decoder(kalman, recorded):
    again = Falcon(FalconDecoder(kalman))
    again.prepare(Setup(features=CHANNELS, channels=CHANNELS))
    np.testing.assert_allclose(again.predict(recorded[0]), kalman.predict(recorded[0]), atol=1e-5)


def test_the_evaluators_way_through_recordings_and_its_score(kalman, recorded):
    X, y = recorded
    ends = np.zeros(BINS, bool)
    ends[49::50] = True
    asked = np.arange(BINS) % 50 >= 10
    ticks = iter(range(0, 100, 2))  # every look at the clock is 2 s later
    given = {"a": (X, ends), "b": (X[:200], ends[:200])}
    answers, spent = run(FalconDecoder(kalman), given, {"a": asked, "b": asked[:200]}, clock=lambda: next(ticks))
    assert spent == 4
    whole = kalman.predict(X)
    np.testing.assert_allclose(answers["a"][asked], whole[asked], atol=1e-5)
    assert np.isnan(answers["a"][~asked]).all()
    found = score({"a": y, "b": y[:200]}, answers, {"a": asked, "b": asked[:200]}, compute_s=spent)
    assert found.r2 == pytest.approx(np.mean(list(found.sessions.values())))
    assert found.normalised_latency == pytest.approx(4 / (600 * 0.02))
    assert 0.3 < found.r2 < 1
