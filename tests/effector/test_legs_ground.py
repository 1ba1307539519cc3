from itertools import pairwise

import mujoco
import numpy as np
import pytest

from volition.effector._legs_ground import FRICTION, SLOPE, STEP_M, slabs
from volition.effector._legs_model import TAXELS, build
from volition.effector.legs import Legs, LegsConfig
from volition.errors import ConfigError
from volition.signal import Intent
from volition.stage import GROUNDS, Setup


@pytest.mark.parametrize("kind", GROUNDS[1:])
def test_slabs_join_and_are_no_rougher_than_told(kind):
    for seed in range(5):
        pieces = sorted(slabs(kind, np.random.default_rng(seed)), key=lambda s: s.x0)
        assert pieces[0].x0 < -100
        assert pieces[-1].x1 > 100
        for a, b in pairwise(pieces):
            assert b.x0 == pytest.approx(a.x1)
            drop = abs(b.z0 - a.z1)
            assert drop == pytest.approx(0.0, abs=1e-9) or drop == pytest.approx(STEP_M)
        steep = [abs(s.z1 - s.z0) / (s.x1 - s.x0) for s in pieces]
        jumps = [abs(b.z0 - a.z1) > 1e-6 for a, b in pairwise(pieces)]
        assert max(steep) <= SLOPE + 1e-9
        assert (max(steep) > 0.04) == (kind in ("slopes", "mixed"))
        assert any(jumps) == (kind in ("steps", "mixed"))
        assert min(s.z0 for s in pieces) >= -0.4 - 1e-9
        assert max(max(s.z0, s.z1) for s in pieces) <= 1e-9
        grips = [s.friction for s in pieces if s.friction]
        assert bool(grips) == (kind in ("slippery", "mixed"))
        assert all(FRICTION[0] <= g <= FRICTION[1] for g in grips)


def test_a_ball_laid_on_the_ground_lies_where_the_slabs_say():
    """The boxes' tops are the profile: rays from above meet it."""
    rng = np.random.default_rng(3)
    model = build(ground="mixed", rng=np.random.default_rng(3))
    data = mujoco.MjData(model)
    data.qpos[:2] = 150.0  # the legs out of the way
    mujoco.mj_forward(model, data)
    pieces = slabs("mixed", rng)
    for s in pieces[::3]:
        x = 0.5 * (max(s.x0, -50) + min(s.x1, 50))
        z = s.z0 + (s.z1 - s.z0) * (x - s.x0) / (s.x1 - s.x0)
        away = mujoco.mj_ray(
            model, data, np.array([x, 0.3, 5.0]), np.array([0.0, 0.0, -1.0]), None, 1, -1, np.zeros(1, np.int32), None
        )
        assert 5.0 - away == pytest.approx(z, abs=1e-6)


def test_legs_walk_over_it_and_feel_it():
    """5 s of slopes, steps and slippery places: upright, and what the ground pushes is the weight."""
    legs = Legs(LegsConfig(frozen_ms=0, ground="mixed"))
    legs.prepare(Setup(seed=2))
    pushed, gave = [], []
    for k in range(1000):
        touch, _ = legs.step(Intent(0, np.array([1.2 if k > 100 else 0.0, 0.0, 0.0], np.float32)), 0.005)
        pushed.append(touch.ground.sum(axis=0))
        gave.append(touch.pressure.sum())
    assert not legs.fallen
    assert legs.state().position[0] > 3
    assert legs._data.qpos[2] != pytest.approx(0.9, abs=0.005)
    weight = float(legs._model.body_mass.sum()) * 9.81
    assert np.mean(pushed, axis=0)[2] == pytest.approx(weight, rel=0.05)
    assert np.mean(gave) == pytest.approx(weight, rel=0.1)
    assert len(TAXELS) == 8


def test_the_ground_is_the_tasks_unless_it_is_the_configurations():
    grounds = {}
    for config, asked in (("auto", "flat"), ("auto", "steps"), ("flat", "steps")):
        legs = Legs(LegsConfig(ground=config))
        legs.prepare(Setup(ground=asked))
        grounds[config, asked] = legs._model.ngeom
    assert grounds["auto", "flat"] == grounds["flat", "steps"] < grounds["auto", "steps"]
    legs = Legs(LegsConfig())
    legs.prepare(Setup(ground="steps"))
    legs.prepare(Setup())  # the same legs in another loop
    assert legs._model.ngeom == grounds["auto", "flat"]


def test_ground_that_is_not_known_is_refused():
    with pytest.raises(ConfigError, match="ground must be auto"):
        LegsConfig(ground="lava")
    with pytest.raises(ConfigError, match="ground is one of"):
        build(ground="lava")
