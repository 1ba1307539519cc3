import numpy as np
import pytest

from volition.decoder.kalman import Kalman, KalmanConfig
from volition.errors import ConfigError, InputError, UnknownNameError
from volition.signal import Recording
from volition.train.evaluate import evaluate, offsets, target_of

QUICK = KalmanConfig(orders=(1,), leads=(0,), shrinkages=(0.3,), noises=(1.0,))


class Quick(Kalman):
    def __init__(self, config=None):
        super().__init__(config or QUICK)


def recording(bins=1500, unit="cm/s", seed=0):
    rng = np.random.default_rng(seed)
    v = np.zeros((bins, 2))
    for t in range(1, bins):
        v[t] = 0.9 * v[t - 1] + rng.normal(size=2)
    counts = rng.poisson(np.exp(1 + 0.15 * v @ rng.normal(size=(2, 20))))
    kinematics = {"velocity": v, "position": np.cumsum(v, 0)}
    return Recording(counts, 50_000_000, kinematics, {"velocity": unit}, (np.arange(bins) // 250).astype(np.int32))


def test_scores_are_those_of_the_last_fifth():
    r = recording()
    found, control = evaluate(r, (Quick, "still"))
    assert found.r2 > 0.5
    assert found.predicted.shape == found.recorded.shape == (300, 2)
    np.testing.assert_allclose(found.recorded, r.kinematics["velocity"][1200:] / 100)
    again = Quick()
    again.restore(found.model.arrays())
    np.testing.assert_array_equal(again.predict(r.counts[1200:], None, r.segment[1200:]), found.predicted.astype(np.float32))
    error = ((found.recorded - found.predicted) ** 2).sum()
    assert found.r2 == pytest.approx(1 - error / ((found.recorded - found.recorded.mean(0)) ** 2).sum())
    assert control.r2 <= 0
    assert found.latency["p50_us"] > 0
    assert found.control.size == 0


def test_nothing_of_the_test_part_reaches_the_fit():
    r, other = recording(), recording()
    counts = other.counts.copy()
    counts[1200:] = counts[1200:][::-1]
    y = {"velocity": other.kinematics["velocity"].copy()}
    y["velocity"][1200:] *= -1
    changed = Recording(counts, r.bin_ns, y, r.units, r.segment)
    for decoder in ("wiener", Quick):
        a, b = (evaluate(x, (decoder,))[0].model.arrays() for x in (r, changed))
        assert all(np.array_equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("decoder", ["wiener", Quick, "still"])
def test_against_shifted_kinematics_nothing_is_left(decoder):
    found = evaluate(recording(), (decoder,), shifts=5)[0]
    assert found.control.shape == (5,)
    assert np.median(found.control) <= 0.02
    assert found.control.max() <= 0.1


def test_a_leak_would_show_in_the_control():
    class Leak(Quick):
        """Remembers what it was fitted on, of a recording whose two parts are the same."""

        def fit(self, X, mask, y, segments=None):
            self.known = {x.tobytes(): v for x, v in zip(X, y, strict=True)}
            self.fitted = True
            return self

        def predict(self, X, mask=None, segments=None):
            return np.array([self.known.get(x.tobytes(), np.zeros(2)) for x in X], np.float32)

        def step(self, x, mask):
            return np.zeros(2, np.float32)

        def reset(self):
            pass

    r = recording(250)
    twice = Recording(
        np.tile(r.counts, (2, 1)),
        r.bin_ns,
        {"velocity": np.tile(r.kinematics["velocity"], (2, 1))},
        {},
        np.zeros(500, np.int32),
    )
    assert evaluate(twice, (Leak,), shifts=5)[0].control.min() > 0.5


def test_targets_and_their_names():
    r = recording()
    velocity, position = target_of(r, "velocity"), target_of(r, "position")
    assert (velocity.unit, velocity.axes) == ("m/s", ("reach.x", "reach.y"))
    np.testing.assert_allclose(velocity.y, r.kinematics["velocity"] / 100)
    assert (position.unit, position.axes) == ("", ("position.x", "position.y"))
    np.testing.assert_array_equal(target_of(recording(unit="furlong"), "velocity").y, r.kinematics["velocity"])
    with pytest.raises(UnknownNameError, match="did you mean 'velocity'"):
        target_of(r, "velocit")


def test_offsets_are_fixed_distinct_and_not_near_zero():
    found = offsets(1000)
    assert found == offsets(1000)
    assert len(set(found)) == 20
    assert min(found) >= 50
    assert max(found) < 950
    with pytest.raises(InputError, match="too few"):
        offsets(20)


def test_what_cannot_be_evaluated():
    with pytest.raises(ConfigError, match="shifts"):
        evaluate(recording(), ("still",), shifts=-1)
    with pytest.raises(UnknownNameError, match="did you mean 'kalman'"):
        evaluate(recording(), ("kalmann",))
