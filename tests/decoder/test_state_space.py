import numpy as np

from volition.decoder import _state_space as model
from volition.decoder._sequence import history


def test_the_vectorised_filter_is_the_recursion():
    rng = np.random.default_rng(0)
    n, bins = 3, 700
    A = rng.normal(size=(n, n))
    A *= 0.97 / np.abs(np.linalg.eigvals(A)).max()
    root = rng.normal(size=(n, n))
    J = 0.05 * root @ root.T
    m = model.Movement(A, 0.1 * np.eye(n), 2 * np.eye(n))
    gains = np.array(model.covariances(m, J))
    segments = np.repeat(np.arange(60), rng.integers(1, 30, 60))[:bins]
    past = history(np.concatenate((segments, np.full(bins - len(segments), 99))), bins)
    U = rng.normal(size=(bins, n))
    expected, s, P = [], np.zeros(n), m.S
    for t in range(bins):
        s, P = (np.zeros(n), m.S) if past[t] == 1 else (A @ s, A @ P @ A.T + m.W)
        P = np.linalg.inv(np.linalg.inv(P) + J)
        s = s + P @ (U[t] - J @ s)
        expected.append(s)
    np.testing.assert_allclose(model.run(A, gains, J, U, past), expected, atol=1e-5)


def test_states_do_not_reach_over_borders():
    y = np.arange(12.0)[:, None]
    past = history(np.array([0] * 5 + [1] * 7), 12)
    S, rows = model.states(y, past, lead=1, order=3)
    assert rows.tolist() == [1, 2, 3, 6, 7, 8, 9, 10]  # y at t+1, t, t-1 must be known
    np.testing.assert_array_equal(S[0], [2, 1, 0])
    np.testing.assert_array_equal(S[3], [7, 6, 5])


def test_movement_is_a_companion_matrix_and_finds_the_process():
    rng = np.random.default_rng(1)
    y = np.zeros((5000, 1))
    for t in range(2, 5000):
        y[t] = 1.2 * y[t - 1] - 0.5 * y[t - 2] + rng.normal()
    past = history(np.arange(5000) // 100, 5000)
    S, rows = model.states(y, past, 0, 2)
    m = model.fit_movement(S, rows, past, 1)
    np.testing.assert_allclose(m.A, [[1.2, -0.5], [1, 0]], atol=0.05)
    np.testing.assert_allclose(m.W, [[1, 0], [0, 0]], atol=0.06)


def test_noise_is_shrunk_towards_its_diagonal():
    rng = np.random.default_rng(2)
    residual = rng.normal(size=(50, 4)) @ rng.normal(size=(4, 4))
    residual[:, 3] = 0  # silent
    noise, C = model.Noise(residual), rng.normal(size=(4, 2))
    Q = residual.T @ residual / 50
    half = noise.covariance(0.5)
    np.testing.assert_allclose(half[0, 1], Q[0, 1] / 2)
    np.testing.assert_allclose(np.diag(half)[:3], np.diag(Q)[:3])
    assert half[3, 3] > 0
    for amount in (0.1, 0.5, 1.0):
        expected = C.T @ np.linalg.inv(noise.covariance(amount))
        np.testing.assert_allclose(noise.weigh(C, amount), expected, atol=1e-8)
        np.testing.assert_allclose(C.T @ noise.precision(amount), expected, atol=1e-8)
