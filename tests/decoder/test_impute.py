import numpy as np
import pytest

from volition.decoder._impute import Imputer, covariance


@pytest.mark.parametrize("gone", [[0], [1, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5]])
def test_it_is_the_conditional_expectation(gone):
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 6))
    S = root @ root.T + np.eye(6)
    u, m = rng.normal(size=6), np.isin(np.arange(6), gone)
    expected = S[np.ix_(m, ~m)] @ np.linalg.solve(S[np.ix_(~m, ~m)], u[~m])
    imputer = Imputer(S)
    for _ in range(2):  # the second time from memory
        np.testing.assert_allclose(imputer.fill(np.where(m, 0.0, u), m), expected, atol=1e-10)


def test_covariance_of_data_with_holes():
    rng = np.random.default_rng(1)
    u = rng.normal(size=(20000, 3)) @ np.array([[1, 0.8, 0], [0, 0.6, 0], [0, 0, 1.0]])
    seen = rng.random(u.shape) < 0.7
    S = covariance(np.where(seen, u, 0.0), seen)
    np.testing.assert_allclose(np.diag(S), 1.0, atol=0.05)
    assert S[0, 1] == pytest.approx(0.9 * 0.8 * 0.7, abs=0.03)  # shrunk, and both seen in half of the bins
    assert np.linalg.eigvalsh(S).min() > 0
    assert np.linalg.eigvalsh(covariance(np.zeros((50, 4)), None)).min() > 0
