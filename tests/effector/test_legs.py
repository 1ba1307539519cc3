import json
from importlib.resources import files

import numpy as np
import pytest

from volition.app._toml import typed
from volition.effector._gait import NAMES
from volition.effector._legs_model import FITS, LIMITS, TAXELS, peak_torque, torque_limit
from volition.effector._legs_pilot import Library
from volition.effector.legs import Legs, LegsConfig
from volition.errors import ConfigError, InputError
from volition.signal import Intent
from volition.stage import Setup, check, find
from volition.train._gait_steps import steps

DT = 0.005


def walk(legs, way, seconds, every=None):
    """Follow an intent (or a function of time) for so long; the states on the way."""
    states = []
    for k in range(round(seconds / DT)):
        values = way(k * DT) if callable(way) else way
        touch, body = legs.step(Intent(0, np.array(values, np.float32)), DT)
        states.append(body)
        if every is not None:
            every(legs, touch)
    return states


@pytest.fixture(scope="module")
def walked():
    """11 s: standing, walking with a turn, stopping; the ground's force and the torques are watched all along."""
    legs = Legs(LegsConfig(frozen_ms=0))
    legs.prepare(Setup(seed=3))
    seen = {"vertical": [], "share": np.zeros(12)}

    def watch(legs, touch):
        seen["share"] = np.maximum(seen["share"], np.abs(legs._data.actuator_force) / peak_torque("stated"))
        seen["vertical"].append(touch.ground[:, 2].sum())

    states = walk(legs, (0.0, 0.0, 0.0), 1.0, watch)
    states += walk(legs, (1.2, 0.0, 0.3), 5.0, watch)
    states += walk(legs, (0.0, 0.0, 0.0), 5.0, watch)
    return legs, states, seen


def test_keeps_the_contract():
    assert find("effector", "legs") is Legs
    assert check(Legs()) == []
    assert Legs().spec.takes.names == ("walk.x", "walk.y", "walk.turn")
    assert Legs().spec.gives.names == TAXELS
    assert Legs().spec.period_ns <= 5_000_000


def test_stands_walks_turns_and_stops(walked):
    legs, states, _ = walked
    assert not legs.fallen
    assert np.hypot(*states[199].position) < 0.08
    went = np.hypot(*(states[1199].position - states[199].position))
    assert 2.0 < went < 7.0
    assert states[1199].joint_position[0] == pytest.approx(1.5, abs=0.5)
    assert legs.standing
    assert np.hypot(*states[-1].velocity) < 0.1


def test_the_ground_carries_the_weight(walked):
    """The ground's impulse over a walk from stand to stand is that of gravity within 1 %."""
    legs, _, seen = walked
    weight = float(legs._model.body_mass.sum()) * 9.81
    assert np.mean(seen["vertical"][100:]) == pytest.approx(weight, rel=0.05)
    assert np.mean(seen["vertical"][100:200]) == pytest.approx(weight, rel=0.01)


def test_motors_stay_under_their_limits_while_walking(walked):
    legs, _, seen = walked
    assert (seen["share"] <= 1 + 1e-9).all()
    assert seen["share"].max() > 0.5
    assert legs.work_j > 0


def test_runs_of_one_seed_are_equal_and_of_two_differ():
    ends = []
    for seed in (1, 1, 2):
        legs = Legs(LegsConfig(frozen_ms=0))
        legs.prepare(Setup(seed=seed))
        ends.append(walk(legs, (0.8, 0.0, 0.0), 1.0)[-1].position.tobytes())
    assert ends[0] == ends[1]
    assert ends[0] != ends[2]


def test_falls_softly_when_it_must():
    legs = Legs()
    legs.prepare(Setup())
    legs.push(np.array([0.0, 400.0, 0.0]))
    walk(legs, (0.0, 0.0, 0.0), 3.0)
    assert legs.fallen
    torque = np.abs(legs._data.actuator_force)
    assert (torque < 0.25 * legs._model.actuator_forcerange[:, 1] + 20).all()
    assert legs.state().position.shape == (2,)
    assert legs._data.qpos[2] > 0.03
    legs.prepare(Setup())
    assert not legs.fallen


def test_a_blow_while_standing_is_caught_by_a_step():
    legs = Legs()
    legs.prepare(Setup())
    walk(legs, (0.0, 0.0, 0.0), 0.5)
    legs.push(np.array([30.0, 0.0, 0.0]))
    states = walk(legs, (0.0, 0.0, 0.0), 4.0)
    assert not legs.fallen
    assert max(s.velocity[0] for s in states) > 0.3
    assert np.hypot(*states[-1].velocity) < 0.3


def test_a_fast_gait_is_told_more_than_is_wanted():
    gaits = [{"speed": 0, "values": {}}, {"speed": 3, "values": {}}, {"speed": 7, "told": 8, "values": {}}]
    library = Library.parse(json.dumps({"gaits": gaits}), "x")
    assert library.ask(np.array([-0.4, 2.0, 3.0, 5.0, 7.0])) == pytest.approx([-0.4, 2.0, 3.0, 5.5, 8.0])


def test_a_correction_of_ones_own_is_read_from_its_file(tmp_path):
    file = tmp_path / "policy.npz"
    file.write_bytes(files("volition.effector").joinpath("gaits", "robot-residual.npz").read_bytes())
    typed_as = typed(LegsConfig, "residual", str(file), "effector")
    policy, shipped = Legs(LegsConfig(residual=typed_as))._policy, Legs()._policy
    assert (policy.layers[0][0] == shipped.layers[0][0]).all()
    assert Legs(LegsConfig(residual=typed(LegsConfig, "residual", False, "effector")))._policy is None
    file.write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"policy\.npz: not a residual policy"):
        Legs(LegsConfig(residual=file))


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("limits", LIMITS)
def test_gaits_of_every_fit_are_shipped(fit, limits):
    library = Library.shipped(fit, limits)
    assert library.speeds[0] == 0
    assert library.speeds[-1] >= 3
    assert Legs(LegsConfig(fit=fit, limits=limits)).max_speed == 3
    for asked in (0.0, 99.0):
        assert Legs(LegsConfig(fit=fit, limits=limits, max_speed_m_s=asked)).max_speed == library.speeds[-1]


def test_gaits_between_two_speeds_lie_on_the_line_between():
    library = Library(np.array([0.0, 2.0]), np.array([np.zeros(len(NAMES)), np.ones(len(NAMES))]), {})
    assert library.at(np.array([-1.0, 0.5, 9.0]))[:, 0] == pytest.approx([0, 0.25, 1])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("no json", "not a file of gaits"),
        (json.dumps({"gaits": [{"speed": 1, "values": {"kyp": 1.0}}]}), "unknown gait parameters kyp"),
        (json.dumps({"gaits": [{"speed": 1, "values": {}}, {"speed": 1, "values": {}}]}), "speeds must rise"),
        (json.dumps({"gaits": []}), "speeds must rise"),
    ],
)
def test_damaged_files_of_gaits_are_one_line(text, what):
    with pytest.raises(InputError, match=what):
        Library.parse(text, "x.json")


@pytest.mark.parametrize(
    "wrong", [{"fit": "cat"}, {"gait": "crawl"}, {"limits": "none"}, {"friction": 0.0}, {"noise": float("nan")}]
)
def test_impossible_configurations_are_refused(wrong):
    with pytest.raises(ConfigError, match=r"^legs: "):
        LegsConfig(**wrong)


@pytest.mark.parametrize("limits", LIMITS)
def test_no_physics_step_of_a_walk_leaves_the_torque_speed_line(limits):
    """Every step of 2 s from stand to walk, each torque against the line at the joint speed that the step began with."""
    import mujoco

    legs = Legs(LegsConfig(limits=limits, frozen_ms=0))
    legs.prepare(Setup())
    over, step = [], mujoco.mj_step

    def watched(model, data):
        before = data.qvel[6:18].copy()
        step(model, data)
        over.append((np.abs(data.actuator_force) - torque_limit(limits, before, data.actuator_force)).max())

    patch = pytest.MonkeyPatch()
    patch.setattr(mujoco, "mj_step", watched)
    try:
        walk(legs, (2.0, 0.0, 0.0), 2.0)
    finally:
        patch.undo()
    assert len(over) == 2000
    assert max(over) < 1e-6


def test_legs_that_walk_stride_like_a_person_and_others_refuse_to():
    legs = Legs(LegsConfig(gait="walk", frozen_ms=0))
    legs.prepare(Setup(seed=2))
    load = []
    walk(legs, (1.3, 0.0, 0.0), 6.0, lambda _, touch: load.append(touch.ground[:, 2]))
    assert not legs.fallen
    found = steps(np.array(load)[600:], DT, float(legs._model.body_mass.sum()) * 9.81)
    assert found.strides_per_s == pytest.approx(0.93, rel=0.25)  # a run has 2.9
    assert found.duty == pytest.approx(0.63, abs=0.12)
    assert found.air < 0.1
    assert found.peak < 2
    with pytest.raises(ConfigError, match="no gait that walks"):
        Legs(LegsConfig(fit="prosthesis", gait="walk"))


def test_a_prosthesis_gets_going_runs_and_turns_while_it_runs():
    legs = Legs(LegsConfig(fit="prosthesis", limits="sprint", max_speed_m_s=0.0, frozen_ms=0))
    legs.prepare(Setup())
    states = walk(legs, (6.0, 0.0, 0.0), 9.0)
    assert states[-1].velocity[0] > 4.5
    states += walk(legs, (6.0, 0.0, 0.15), 5.0)
    assert not legs.fallen
    before, now = (np.subtract(states[k].position, states[k - 120].position) for k in (1800, -1))
    assert np.degrees(np.arctan2(now[1], now[0]) - np.arctan2(before[1], before[0])) > 10  # of 43; once to the wrong side
