import numpy as np
import pytest

from volition.effector._legs_ground import GROUNDS
from volition.errors import ConfigError
from volition.stage import Setup, check
from volition.task.terrain import Terrain, TerrainConfig

LEGS = Setup(intent=("walk.x", "walk.y", "walk.turn"), workspace=np.array([[-100.0, -100.0], [100.0, 100.0]]), max_speed=3.0)


def test_keeps_the_contract():
    assert check(Terrain()) == []
    assert check(Terrain(), LEGS) == []


def test_every_ground_that_it_asks_for_can_be_laid():
    for kind in GROUNDS:
        assert Terrain(TerrainConfig(kind=kind)).ground == kind
    with pytest.raises(ConfigError, match="kind must be one of"):
        TerrainConfig(kind="ice")
    with pytest.raises(ConfigError, match="distance_m"):
        TerrainConfig(distance_m=0.0)


def test_gates_stay_on_the_rough_part():
    task = Terrain(TerrainConfig(timeout_s=1.5))
    task.prepare(LEGS)
    from volition.signal import BodyState

    at = np.zeros(2)
    for k in range(3000):
        goal = task.step(k * 20_000_000, BodyState(0, at, np.zeros(2), np.zeros(3), np.zeros(3)))
        at = at + 0.1 * (goal.position - at)
        assert np.abs(goal.position).max() <= 32
    assert len(task.trials()) > 20
