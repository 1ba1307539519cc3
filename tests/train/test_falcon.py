"""FALCON's score, against what one works out by hand."""

import numpy as np
import pytest

from volition.errors import InputError
from volition.train.falcon import score

Y = np.array([[0.0, 0.0], [2.0, 0.0], [4.0, 6.0], [2.0, 6.0]])  # variances 2 and 9


def test_axes_are_weighted_by_variance_and_sessions_are_not():
    half = Y.copy()
    half[:, 1] += 3.0  # R² of the second axis 0, of the first 1: (2 + 0) / 11
    found = score({"a": Y, "b": Y}, {"a": Y, "b": half})
    assert found.sessions == pytest.approx({"a": 1.0, "b": 2 / 11})
    assert found.r2 == pytest.approx((1 + 2 / 11) / 2)
    assert found.r2_std == pytest.approx((1 - 2 / 11) / 2)
    assert found.normalised_latency is None


def test_a_long_session_counts_as_much_as_a_short_one():
    mean = np.broadcast_to(Y.mean(0), Y.shape)
    found = score({"a": np.tile(Y, (100, 1)), "b": Y}, {"a": np.tile(Y, (100, 1)), "b": mean})
    assert found.r2 == pytest.approx(0.5)


def test_bins_that_do_not_count_may_be_anything():
    guess = Y.copy()
    guess[1] = np.nan
    assert score({"a": Y}, {"a": guess}, {"a": np.array([True, False, True, True])}).r2 == 1.0


def test_latency_is_time_spent_over_time_recorded():
    assert score({"a": Y}, {"a": Y}, compute_s=0.02, bin_ns=20_000_000).normalised_latency == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("recorded", "decoded", "counts"),
    [
        ({}, {}, None),
        ({"a": Y}, {"b": Y}, None),
        ({"a": Y}, {"a": Y[:3]}, None),
        ({"a": Y}, {"a": Y}, {"a": np.zeros(4, bool)}),
        ({"a": Y}, {"a": Y}, {"a": np.ones(3, bool)}),
        ({"a": Y}, {"a": np.full(Y.shape, np.nan)}, None),
    ],
)
def test_what_cannot_be_scored_is_refused(recorded, decoded, counts):
    with pytest.raises(InputError):
        score(recorded, decoded, counts)
