from math import cos, pi, sin

import numpy as np
import pytest

from volition.errors import ConfigError
from volition.signal import BodyState
from volition.stage import Setup, check
from volition.task.walk import Walk, WalkConfig

LEGS = Setup(intent=("walk.x", "walk.y", "walk.turn"), workspace=np.array([[-100.0, -100.0], [100.0, 100.0]]), max_speed=3.0)
DT_NS = 20_000_000


def body(t_ns, x, y, heading=0.0, speed=0.0, tilt=0.0):
    way = np.array((cos(heading), sin(heading)))
    return BodyState(t_ns, np.array((x, y)), speed * way, np.array((heading, tilt, 0.0)), np.zeros(3))


def prepared(**config):
    task = Walk(WalkConfig(**config))
    task.prepare(LEGS)
    return task


def test_keeps_the_contract():
    assert check(Walk()) == []
    assert check(Walk(), LEGS) == []


def test_who_does_what_is_aimed_passes_every_gate_and_stops_where_asked(walker):
    task = walker.obey(prepared(), 60)
    score = task.score()
    assert score["success"] == 1
    assert score["n_trials"] >= 10
    assert score["path_efficiency"] > 0.8
    stops = [t for t in task.trials() if t["stop"]]
    assert len(stops) == len(task.trials()) // 3
    assert min(t["duration_s"] for t in stops) > 1.0


def test_running_through_a_gate_is_no_stop():
    task = prepared(stop_every=1, timeout_s=5.0)
    gate = task.restart(0).position
    way = gate / np.linalg.norm(gate)
    for k in range(200):
        task.step(k * DT_NS, body(k * DT_NS, *(way * 2.0 * 0.02 * k), speed=2.0))
    assert not any(t["outcome"] == "reached" for t in task.trials())


def test_a_fall_ends_all_success(walker):
    walker.tilt = 1.2
    task = walker.obey(prepared(timeout_s=2.0), 10)
    assert task.score()["fell"] == 1
    assert {t["outcome"] for t in task.trials()} == {"fell"}


def test_standing_still_times_out():
    task = prepared(timeout_s=2.0)
    for k in range(400):
        task.step(k * DT_NS, body(k * DT_NS, 0, 0))
    assert {t["outcome"] for t in task.trials()} == {"timeout"}
    assert task.score()["success"] == 0


def test_the_aim_turns_before_it_walks():
    task = prepared()
    gate = task.restart(0).position
    behind = np.arctan2(gate[1], gate[0]) + pi
    forward, aside, turn = task.aim(body(0, 0, 0, behind)).tolist()
    assert forward == 0
    assert aside == 0
    assert abs(turn) == pytest.approx(0.9)


def test_gates_stay_in_the_workspace():
    task = Walk(WalkConfig(timeout_s=0.1, hold_s=0.0))
    task.prepare(Setup(intent=LEGS.intent, workspace=np.array([[-5.0, -5.0], [5.0, 5.0]]), max_speed=3.0))
    x = y = 0.0
    for k in range(2000):
        x, y = 0.9 * np.array((x, y)) + 0.1 * task.step(k * DT_NS, body(k * DT_NS, x, y)).position
        assert np.abs(task._goal.position).max() < 5.0
    assert task.score()["n_trials"] > 50


def test_bodies_that_cannot_walk_are_refused():
    with pytest.raises(ConfigError, match=r"walk\.turn"):
        Walk().prepare(Setup(intent=("walk.x",)))
    with pytest.raises(ConfigError, match="radius_m"):
        WalkConfig(radius_m=5.0)


def test_a_course_along_x_goes_up_and_down(walker):
    task = walker.obey(prepared(along_x=True, stop_every=0, speed_m_s=3.0), 150)
    gates = np.array([(t["target_x_m"] - t["start_x_m"], t["target_y_m"] - t["start_y_m"]) for t in task.trials()])
    assert (np.abs(gates[:, 1]) <= np.abs(gates[:, 0]) * np.tan(pi / 3) + 1.3).all()
    assert (gates[:, 0] > 0).any()
    assert (gates[:, 0] < 0).any()
