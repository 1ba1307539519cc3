import numpy as np
import pytest

from volition.errors import InputError
from volition.train.cma import Cma


def minimise(function, start, generations, seed=0, sigma=0.5):
    search = Cma(start, sigma, 12, np.random.default_rng(seed))
    for _ in range(generations):
        search.tell(-function(search.ask()))
    return search


def test_finds_the_bottom_of_an_ellipsoid_of_condition_1e6():
    scale = 10.0 ** np.linspace(0, 6, 8)
    search = minimise(lambda x: (scale * x**2).sum(axis=1), np.ones(8), 500)
    assert (scale * search.mean**2).sum() < 1e-6


def test_follows_the_valley_of_rosenbrock():
    search = minimise(
        lambda x: (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(axis=1), np.zeros(4), 400
    )
    assert search.mean == pytest.approx(np.ones(4), abs=1e-3)


def test_goes_on_from_where_it_was_saved():
    rng = np.random.default_rng(3)
    whole = minimise(lambda x: (x**2).sum(axis=1), np.ones(5), 20, seed=3)
    half = Cma(np.ones(5), 0.5, 12, rng)
    for _ in range(10):
        half.tell(-(half.ask() ** 2).sum(axis=1))
    later = Cma(np.zeros(5), 1.0, 12, rng)
    later.restore(half.arrays())
    for _ in range(10):
        later.tell(-(later.ask() ** 2).sum(axis=1))
    assert later.mean == pytest.approx(whole.mean)


def test_another_problem_s_state_is_refused():
    with pytest.raises(InputError, match="this one"):
        Cma(np.zeros(4), 1.0, 8, np.random.default_rng(0)).restore(
            {**Cma(np.zeros(5), 1, 8, np.random.default_rng(0)).arrays()}
        )
