import numpy as np
import pytest

from volition.decoder._ridge import Choice, Problem, Weights, embed, gram
from volition.decoder._sequence import history

CHANNELS, LAGS = 3, 4


def data(bins=240, seed=0, longest=9):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest, bins)
    segments = np.repeat(np.arange(bins), lengths)[:bins]
    z = rng.normal(size=(bins, CHANNELS))
    return z, history(segments, bins), rng.normal(size=(bins, 2)) + z[:, :2]


def augmented(z, past, bins, choice):
    """The model as one plain ridge: common weights and, for each short history, deviations with a larger prior variance."""
    e = embed(z, past, bins, choice.lags)
    groups = [e]
    for h in range(1, choice.lags):
        mine = (past[bins] == h)[:, None]
        groups.append(np.sqrt(choice.ratio) * np.where(mine, e[:, : h * CHANNELS], 0.0))
    return np.hstack(groups)


def brute(z, past, y, choice, train, test):
    a = augmented(z, past, train, choice)
    mean = y[train].mean(0)
    w = np.linalg.solve(a.T @ a + choice.penalty * np.eye(a.shape[1]), a.T @ (y[train] - mean))
    return augmented(z, past, test, choice) @ w + mean


@pytest.mark.parametrize("ratio", [0.0, 0.7, 5.0])
@pytest.mark.parametrize("kernel", [True, False])
def test_both_ways_solve_the_model(ratio, kernel):
    z, past, y = data()
    problem = Problem(z, past, y, LAGS)
    if kernel:
        problem._kernel, problem._G = True, z @ z.T
    assert problem._kernel is kernel
    bins = np.arange(len(z))
    for lags in (1, 2, LAGS):
        choice = Choice(lags, 3.0, ratio)
        found = problem.solve([choice])[0].predict(z, past, bins)
        np.testing.assert_allclose(found, brute(z, past, y, choice, bins, bins), atol=1e-9)


@pytest.mark.parametrize("kernel", [True, False])
def test_held_out_blocks_are_not_learnt_from(kernel):
    z, past, y = data()
    choices = [Choice(2, 1.0, 0.0), Choice(LAGS, 5.0, 1.0), Choice(LAGS, 50.0, 0.0)]
    problem = Problem(z, past, y, LAGS)
    if kernel:
        problem._kernel, problem._G = True, z @ z.T
    errors = problem.validate(choices, 4)
    bins = np.arange(len(z))
    for choice in choices:
        squares = np.zeros(2)
        for part in np.array_split(bins, 4):
            guess = brute(z, past, y, choice, np.delete(bins, part), part)
            squares += ((y[part] - guess) ** 2).sum(0)
        expected = (1 - squares / ((y - y.mean(0)) ** 2).sum(0)).mean()
        assert errors[choice].r2(slice(0, 2)) == pytest.approx(expected, abs=1e-9)


def test_gram_is_that_of_the_embedding():
    z, past, _ = data(3000)
    bins = np.arange(10, 2900)
    e = embed(z, past, bins, LAGS)
    np.testing.assert_allclose(gram(z, past, bins, LAGS), e.T @ e, atol=1e-8)


def test_lags_before_a_border_are_empty():
    z = np.arange(1.0, 13.0).reshape(6, 2)
    past = history(np.array([0, 0, 0, 1, 1, 1]), 6)
    e = embed(z, past, np.arange(6), 2)
    np.testing.assert_array_equal(e[0], [1, 2, 0, 0])
    np.testing.assert_array_equal(e[1], [3, 4, 1, 2])
    np.testing.assert_array_equal(e[3], [7, 8, 0, 0])


def test_score_by_age():
    z, past, y = data(400)
    errors = Problem(z, past, y, LAGS).validate([Choice(LAGS, 1.0, 1.0)], 4)[Choice(LAGS, 1.0, 1.0)]
    trust = errors.by_age(slice(0, 2))
    assert trust.shape == (LAGS,)
    assert (trust > 0.2).all()
    assert (trust < 0.8).all()
    rare = errors.by_age(slice(0, 2), fewest=10**6)
    np.testing.assert_allclose(rare, rare[0])


def test_prediction_uses_the_weights_of_the_history():
    past = history(np.array([0, 0, 0, 0]), 4)
    weights = Weights([np.array([[1.0]]), np.array([[10.0], [20.0]])], np.array([0.5]))
    z = np.array([[1.0], [2.0], [3.0], [4.0]])
    np.testing.assert_allclose(weights.predict(z, past, np.arange(4))[:, 0], [1.5, 40.5, 70.5, 100.5])
