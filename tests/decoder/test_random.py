import numpy as np
import pytest

from volition.decoder.random import Random, RandomConfig
from volition.errors import ConfigError
from volition.stage import Setup


def run(seed=0, intent=("reach.x", "reach.y"), bins=20000, X=None, config=None, **how):
    decoder = Random(config)
    decoder.prepare(Setup(seed=seed, features=3, intent=intent, **how))
    return decoder.predict(np.zeros((bins, 3)) if X is None else X)


def test_speed_and_smoothness_are_as_configured():
    v = run(max_speed=0.5, config=RandomConfig(share=0.2, time_constant_ms=100.0))
    np.testing.assert_allclose(v.std(0), 0.1, rtol=0.08)
    np.testing.assert_allclose(v.mean(0), 0.0, atol=0.01)
    a = [np.corrcoef(v[1:, k], v[:-1, k])[0, 1] for k in range(2)]
    np.testing.assert_allclose(a, np.exp(-0.2), atol=0.02)
    assert abs(np.corrcoef(v.T)[0, 1]) < 0.05


def test_it_knows_the_seed_and_nothing_else():
    noise = np.random.default_rng(1).poisson(3, (50, 3))
    np.testing.assert_array_equal(run(bins=50), run(X=noise))
    assert not np.array_equal(run(bins=50), run(seed=1, bins=50))


def test_probabilities_stay_between_0_and_1():
    v = run(intent=("reach.x", "select", "grasp"), max_speed=5.0)
    assert v[:, 1:].min() >= 0
    assert v[:, 1:].max() <= 1
    assert v[:, 0].min() < -1


@pytest.mark.parametrize("bad", [{"share": 0.0}, {"share": 1.5}, {"time_constant_ms": 0.0}])
def test_what_cannot_be_is_refused(bad):
    with pytest.raises(ConfigError):
        RandomConfig(**bad)
