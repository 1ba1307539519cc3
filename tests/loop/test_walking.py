"""The loop closed over legs: a brain, a channel, a decoder, and a body that walks a course."""

from volition.loop.config import LoopConfig
from volition.loop.loop import Loop


def test_a_loop_walks_through_gates_when_the_computer_helps():
    """Full assist: the task's own aim goes through shaping, gait and physics, at 200 Hz beside bins of 50 Hz."""
    loop = Loop("person", "ideal", "still", "legs", "silent", "walk", config=LoopConfig(assist=1.0), seed=1)
    report = loop.run(9.0)
    assert report.faults == {}
    assert not loop.effector.fallen
    assert report.score["n_trials"] >= 1
    assert report.score["success"] == 1
    assert loop.last.touch.pressure.shape == (8,)
    assert loop.last.touch.ground.shape == (2, 3)


def test_a_push_is_an_act_of_the_loop():
    loop = Loop("person", "ideal", "still", "legs", "silent", "walk", seed=1)
    loop.advance(0.5)
    before = loop.last.body.velocity[1]
    loop.act("push", impulse=[0.0, 30.0, 0.0])
    loop.advance(0.02)
    assert loop.last.body.velocity[1] - before > 0.2
