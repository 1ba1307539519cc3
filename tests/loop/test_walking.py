"""The loop closed over legs: a brain, a channel, a decoder, and a body that walks a course."""

import math

import pytest

from volition.loop.config import LoopConfig
from volition.loop.loop import Loop


def test_a_loop_walks_over_rough_ground_when_the_computer_helps_and_its_report_tells_what_it_cost():
    """Full assist: the task's own aim goes through shaping, gait and physics, at 200 Hz beside bins of 50 Hz."""
    task = ("terrain", {"kind": "slopes", "distance_m": 3.0})
    loop = Loop("person", "ideal", "still", "legs", "silent", task, config=LoopConfig(assist=1.0), seed=1)
    assert loop.setup.ground == "slopes"
    loop.advance(0.5)
    assert loop.effector.figures()["electric_j"] > 0
    report = loop.run(6.0)
    assert report.faults == {}
    assert not loop.effector.fallen
    assert report.score["n_trials"] >= 1
    assert report.score["success"] == 1
    assert loop.last.touch.pressure.shape == (8,)
    assert loop.last.touch.ground.shape == (2, 3)
    assert report.effector["mean_electric_w"] * 6.0 == pytest.approx(report.effector["electric_j"], rel=0.01)
    assert len(report.to_dict()["effector"]["joints"]) == 12
    assert "left.knee" in str(report)


def test_the_pace_of_a_task_is_the_persons():
    loop = Loop("person", "ideal", "still", "legs", "silent", ("sprint", {"set_s": 0.0}), seed=1)
    assert loop.setup.pace_m_s == math.inf
    loop.advance(0.4)
    assert loop.last.intended[0] > 2.0


def test_a_push_is_an_act_of_the_loop():
    loop = Loop("person", "ideal", "still", "legs", "silent", "walk", seed=1)
    loop.advance(0.5)
    before = loop.last.body.velocity[1]
    loop.act("push", impulse=[0.0, 30.0, 0.0])
    loop.advance(0.02)
    assert loop.last.body.velocity[1] - before > 0.2
