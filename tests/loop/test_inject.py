import numpy as np
import pytest

from volition.loop.inject import Injector
from volition.loop.loop import Loop
from volition.loop.replay import replay
from volition.signal import Features
from volition.stage import Setup


def features(n=512):
    return Features(1, np.ones(n, np.float32), np.zeros(n, np.bool_))


def test_a_larger_share_of_dead_channels_holds_the_smaller_one():
    injector = Injector(Setup(channels=512, features=512))
    before = np.zeros(512, np.bool_)
    for share in (0.1, 0.3, 0.9, 1.0):
        injector.kill = share
        now = injector.features(features()).mask
        assert now.sum() == round(share * 512)
        assert now[before].all()
        before = now
    injector.kill = 0.0
    assert not injector.active


def test_a_channel_dies_with_all_its_features():
    injector = Injector(Setup(channels=50, features=100))
    injector.kill = 0.5
    mask = injector.features(features(100)).mask
    assert np.array_equal(mask[:50], mask[50:])
    assert mask.sum() == 50


@pytest.mark.parametrize("n", [96, 1024, 700])
def test_packets_are_lost_as_often_as_asked_and_whole(n):
    injector = Injector(Setup(channels=n, features=n))
    injector.drop = 0.3
    masks = np.array([injector.features(features(n)).mask for _ in range(2000)])
    assert np.allclose(masks.mean(axis=0), 0.3, atol=0.05)
    for begin in range(0, n, 256):
        packet = masks[:, begin : begin + 256]
        assert np.array_equal(packet.all(axis=1), packet.any(axis=1))


def test_what_was_missing_stays_missing_and_nothing_is_changed_in_place():
    injector = Injector(Setup(channels=4, features=4))
    injector.kill = 0.25
    given = Features(1, np.ones(4, np.float32), np.array([True, False, True, False]))
    mask = injector.features(given).mask
    assert mask[0]
    assert mask[2]
    assert given.mask.tolist() == [True, False, True, False]


def test_faults_by_hand_act_on_the_loop_and_a_replay_does_the_same(tmp_path):
    stages = {"channel": "ideal", "decoder": "random", "effector": "arm", "feedback": "linear"}
    with Loop(**stages, seed=3, record=tmp_path / "run") as loop:
        loop.advance(1.0)
        assert not loop.last.features.mask.any()
        loop.act("kill", share=0.5)
        loop.act("drop", share=0.2)
        loop.act("oracle", on=True)
        loop.act("touch", on=False)
        loop.advance(1.0)
        assert loop.last.features.mask.sum() >= 48
        assert np.array_equal(loop.last.intent.values, loop.last.intended)
        loop.act("drop", share=1.0)
        loop.advance(0.5)
        assert loop.last.features.mask.all()
        assert loop.guards["channel"].faults["lost"] >= 25
        loop.act("drop", share=0.0)
        loop.act("kill", share=0.0)
        loop.act("oracle", on=False)
        loop.act("touch", on=True)
        loop.advance(0.5)
        assert not loop.last.features.mask.any()
    verdict = replay(tmp_path / "run")
    assert verdict.equal, str(verdict)
    assert verdict.compared["act"] == 9


def test_without_touch_nothing_is_delivered():
    loop = Loop(channel="ideal", decoder="random", effector="arm", feedback="linear")
    pressed = type(loop.last.touch)(0, np.full(loop.setup.taxels, 2.0))
    for on in (True, False, True):
        loop.act("touch", on=on)
        loop.last.touch = pressed
        loop._feel(loop.t_ns)
        assert bool(loop.last.stim.amplitude_ua.any()) is on
