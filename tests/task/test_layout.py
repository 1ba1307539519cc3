from collections import Counter
from itertools import islice, pairwise
from math import hypot

import numpy as np
import pytest

from volition.errors import ConfigError
from volition.task._layout import CENTRE, NOWHERE, Grid, Ring

SQUARE = np.array([[-0.1, -0.1], [0.1, 0.1]])
ELSEWHERE = np.array([[1.0, 2.0], [1.4, 2.2]])


@pytest.mark.parametrize("workspace", [SQUARE, ELSEWHERE])
def test_ring_stands_round_the_middle_of_the_workspace(workspace):
    ring = Ring(workspace, 8, 0.08, 0.02)
    middle = workspace.mean(0)
    assert ring.centre(CENTRE) == pytest.approx(middle)
    places = np.array([ring.centre(k) for k in range(8)])
    assert np.hypot(*(places - middle).T) == pytest.approx(np.full(8, 0.08))
    assert (places >= workspace[0] + 0.02 - 1e-12).all()
    assert (places <= workspace[1] - 0.02 + 1e-12).all()
    steps = np.hypot(*(places - np.roll(places, 1, 0)).T)
    assert steps == pytest.approx(np.full(8, steps[0]))


def test_ring_knows_only_the_target_asked_for():
    ring = Ring(SQUARE, 4, 0.08, 0.02)
    assert ring.at(0.08, 0.019, 0) == 0
    assert ring.at(0.08, 0.021, 0) == NOWHERE
    assert ring.at(0.0, 0.08, 0) == NOWHERE  # there stands target 1


def test_ring_visits_every_target_once_a_block_and_returns_between():
    order = list(islice(Ring(SQUARE, 8, 0.08, 0.02).order(np.random.default_rng(1)), 64))
    assert order[0::2] == [CENTRE] * 32
    blocks = [order[1::2][k : k + 8] for k in range(0, 32, 8)]
    assert all(sorted(block) == list(range(8)) for block in blocks)
    assert len({tuple(block) for block in blocks}) > 1


def test_ring_that_does_not_fit_says_what_to_change():
    with pytest.raises(ConfigError, match="distance_m or radius_m smaller"):
        Ring(SQUARE, 8, 0.095, 0.01)


@pytest.mark.parametrize(("rows", "columns"), [(6, 6), (30, 30), (2, 5)])
@pytest.mark.parametrize("workspace", [SQUARE, ELSEWHERE])
def test_cells_tile_the_workspace(workspace, rows, columns):
    grid = Grid(workspace, rows, columns)
    assert grid.targets == rows * columns
    for cell in range(grid.targets):
        x, y = grid.centre(cell)
        assert grid.at(x, y, 0) == cell
        # The inner circle lies in the cell.
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            assert grid.at(x + 0.999 * grid.radius * dx, y + 0.999 * grid.radius * dy, 0) == cell
    points = np.random.default_rng(0).uniform(*workspace, (200, 2)).tolist()
    half = (workspace[1] - workspace[0]) / (columns, rows) / 2
    for x, y in points:
        cx, cy = grid.centre(grid.at(x, y, 0))
        assert abs(x - cx) <= half[0] + 1e-12
        assert abs(y - cy) <= half[1] + 1e-12


def test_a_place_beyond_the_edge_belongs_to_the_outermost_cell():
    grid = Grid(SQUARE, 6, 6)
    assert grid.at(-0.1001, -0.1001, 0) == 0
    assert grid.at(0.1001, 0.1001, 0) == 35


def test_grid_draws_evenly_and_never_twice_running():
    grid = Grid(SQUARE, 2, 3)
    order = list(islice(grid.order(np.random.default_rng(0)), 6000))
    assert all(a != b for a, b in pairwise(order))
    # Chi-square of 5 degrees of freedom stays below its 99.9 % point, 20.5.
    counts = Counter(order)
    assert sum((counts[k] - 1000) ** 2 / 1000 for k in range(6)) < 20.5


def test_centres_are_apart_by_a_cell():
    grid = Grid(SQUARE, 6, 6)
    a, b = grid.centre(0), grid.centre(7)
    assert hypot(a[0] - b[0], a[1] - b[1]) == pytest.approx(2**0.5 * 2 * grid.radius)
