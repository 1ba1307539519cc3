import numpy as np
import pytest

from volition.errors import ConfigError
from volition.stage import GROUNDS, check
from volition.task.terrain import Terrain, TerrainConfig


def test_keeps_the_contract(legs):
    assert check(Terrain()) == []
    assert check(Terrain(), legs) == []


def test_every_ground_that_it_asks_for_can_be_laid():
    for kind in GROUNDS:
        assert Terrain(TerrainConfig(kind=kind)).ground == kind
    with pytest.raises(ConfigError, match="kind must be one of"):
        TerrainConfig(kind="ice")
    with pytest.raises(ConfigError, match="distance_m"):
        TerrainConfig(distance_m=0.0)


def test_gates_stay_on_the_rough_part_and_lie_across_it(legs, walker):
    task = Terrain(TerrainConfig(speed_m_s=3.0))
    task.prepare(legs)
    seen = []
    walker.obey(task, 120, lambda goal, body: seen.append(goal.position))
    assert np.abs(seen).max() <= 32
    assert np.ptp(np.array(seen)[:, 0]) > 50
    assert task.score()["success"] == 1
    assert any(t["stop"] for t in task.trials())
