import numpy as np

from volition.decoder.still import Still
from volition.stage import Setup


def test_it_never_moves():
    decoder = Still()
    decoder.prepare(Setup(features=4, intent=("reach.x", "reach.y", "select")))
    X = np.random.default_rng(0).poisson(9, (30, 4)).astype(np.float32)
    np.testing.assert_array_equal(decoder.predict(X), np.zeros((30, 3)))
    np.testing.assert_array_equal(decoder.step(X[0], np.ones(4, bool)), np.zeros(3))
    assert decoder.confidence == 0
