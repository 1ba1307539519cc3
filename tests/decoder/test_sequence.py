import numpy as np
import pytest

from volition.decoder._sequence import Scale, blocks, history, inputs, score, training
from volition.errors import InputError


def test_history_counts_from_every_border():
    assert history(None, 3).tolist() == [1, 2, 3]
    assert history(np.array([5, 5, 7, 7, 7, 5]), 6).tolist() == [1, 2, 1, 2, 3, 1]
    assert history(None, 0).tolist() == []


@pytest.mark.parametrize(("bins", "count"), [(100, 4), (103, 5), (25, 8)])
def test_blocks_cover_everything_once(bins, count):
    found = blocks(bins, count)
    assert np.concatenate([np.arange(bins)[b] for b in found]).tolist() == list(range(bins))
    assert 2 <= len(found) <= count


def test_scale_looks_at_what_is_there():
    values = np.array([[1.0, 5.0, 0.0], [3.0, 5.0, 4.0], [0.0, 5.0, 8.0]])
    missing = np.array([[False, False, True], [False, False, False], [True, False, False]])
    s = Scale.of(values, missing)
    np.testing.assert_allclose(s.mean, [2, 5, 6])
    np.testing.assert_allclose(s.sd[[0, 2]], [1, 2])
    assert s.live.tolist() == [True, False, True]
    np.testing.assert_allclose(s.apply(values, missing), [[-1, 0, 0], [1, 0, -1], [0, 0, 1]])


def test_inputs_are_checked_and_copied():
    X, mask = np.array([[1.0, np.nan]]), np.array([[False, True]])
    x, m = inputs(X, mask, 2)
    np.testing.assert_array_equal(x, [[1, 0]])
    assert np.isnan(X[0, 1])
    assert m is not None
    assert inputs(np.ones((2, 2)), np.zeros((2, 2), bool), 2)[1] is None
    for bad in (np.ones((1, 3)), np.ones(2), np.array([[1.0, np.inf]])):
        with pytest.raises(InputError):
            inputs(bad, None, 2)
    with pytest.raises(InputError, match="mask"):
        inputs(np.ones((2, 2)), np.zeros((1, 2), bool), 2)


def test_training_data_are_checked():
    X, y = np.ones((30, 2)), np.ones((30, 1))
    with pytest.raises(InputError, match="segments"):
        training(X, None, y, np.zeros(29), 2, 1)
    with pytest.raises(InputError, match="targets hold NaN"):
        training(X, None, np.full((30, 1), np.nan), None, 2, 1)


def test_score_leaves_out_what_never_moves():
    y = np.column_stack((np.arange(10.0), np.ones(10)))
    assert score(y, y) == 1
    assert score(y, np.column_stack((np.full(10, 4.5), np.zeros(10)))) == pytest.approx(0)
    assert score(np.ones((5, 1)), np.ones((5, 1))) == 0
