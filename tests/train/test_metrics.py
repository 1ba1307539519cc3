import numpy as np
import pytest

from volition.errors import InputError
from volition.train.metrics import latency_us, pearson, r2, r2_axes


def test_r2_by_hand():
    y = np.array([[0.0, 1.0], [1.0, 3.0], [2.0, 5.0]])
    guess = np.array([[0.0, 2.0], [1.0, 3.0], [1.0, 3.0]])
    np.testing.assert_allclose(r2_axes(y, guess), [1 - 1 / 2, 1 - 5 / 8])
    assert r2(y, guess) == pytest.approx((2 * 0.5 + 8 * 0.375) / 10)
    assert r2(y, guess) == pytest.approx(1 - 6 / 10)
    assert r2(y, y) == 1
    assert r2(y, np.tile(y.mean(0), (3, 1))) == pytest.approx(0)


def test_an_axis_that_never_moves():
    y = np.column_stack((np.arange(4.0), np.full(4, 2.0)))
    np.testing.assert_array_equal(r2_axes(y, y), [1, 1])
    np.testing.assert_array_equal(r2_axes(y, y + 1)[1], 0)
    assert r2(y, y + np.array([0, 5])) == 1  # no variance, no weight
    assert np.isnan(pearson(y, y)[1])
    assert r2(y[:, 1:], y[:, 1:]) == 1


def test_pearson_is_that_of_numpy_and_blind_to_scale():
    rng = np.random.default_rng(0)
    y, guess = rng.normal(size=(2, 50, 3))
    expected = [np.corrcoef(y[:, k], guess[:, k])[0, 1] for k in range(3)]
    np.testing.assert_allclose(pearson(y, guess), expected)
    np.testing.assert_allclose(pearson(y, 3 * guess + 7), expected)


def test_latency_in_microseconds():
    assert latency_us(np.full(10, 2500)) == {"p50_us": 2.5, "p99_us": 2.5, "max_us": 2.5}
    found = latency_us(np.arange(1, 1001) * 1000.0)
    assert found["p50_us"] == pytest.approx(500.5)
    assert found["max_us"] == 1000


@pytest.mark.parametrize("score", [r2, r2_axes, pearson])
def test_what_cannot_be_scored(score):
    for y, guess in (
        (np.ones((3, 2)), np.ones((3, 1))),
        (np.ones(3), np.ones(3)),
        (np.ones((0, 2)), np.ones((0, 2))),
        (np.ones((3, 1)), np.full((3, 1), np.nan)),
    ):
        with pytest.raises(InputError):
            score(y, guess)
    with pytest.raises(InputError):
        latency_us(np.empty(0))
