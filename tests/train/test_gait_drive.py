import numpy as np

from volition.train._gait_drive import Knocks, drive
from volition.train._gait_herd import World


def test_a_herd_walks_stops_and_is_measured():
    track = drive(4, 7.0, lambda t: (1.0, 0.0, 0.0) if 0.5 < t < 3.5 else (0.0, 0.0, 0.0), World(), 2)
    assert track.alive.all()
    assert track.x[-1].min() > 0.8
    assert track.standing[:20].all()
    assert track.standing[-1].mean() >= 0.5
    weight = track.load[track.between(0.2, 0.5)].sum(axis=2).mean()
    assert 0.9 < weight / track.weight_n < 1.1
    assert (track.power >= 0).all()
    assert np.isinf(track.fell_s).all()
    strides = track.steps(0, 1.5, 3.5)
    assert 0.5 < strides.strides_per_s < 4
    assert 0.2 < strides.duty < 0.9
    assert 0.9 < strides.peak < 4


def test_knocks_differ_between_bodies_and_not_between_runs():
    knocks = Knocks(speed_m_s=0.3, turn_rad_s=0.3, kick_m_s=0.3, every_s=0.5)
    a, b = (drive(2, 1.0, lambda t: (0.5, 0.0, 0.0), World(), 5, knocks) for _ in range(2))
    assert (a.x == b.x).all()
    assert a.x[-1, 0] != a.x[-1, 1]


def test_who_runs_at_6_m_s_turns_to_the_side_that_is_asked():
    for turn in (0.15, -0.15):
        world = World(limits="sprint", iterations=10)
        track = drive(4, 11.0, lambda t, turn=turn: (6.0 * (t > 0.5), 0.0, turn * (t > 6.0)), world, 42)
        heading = np.unwrap(track.heading, axis=0)
        turned = heading[-1] - heading[track.between(6.0, 11.0).start]
        assert track.alive.all()
        assert (turned * np.sign(turn)).mean() > 0.5 * 0.15 * 5.0
        assert (turned * np.sign(turn) > 0).all()  # within a stride the trunk turns to and fro, by 0.2 rad


def test_the_hard_pushed_fall_and_are_left_lying():
    far = np.array([3.0, 0.0])
    track = drive(2, 2.0, lambda t: (0.0, 0.0, 0.0), World(), 1, pushes=[(0.2, 0 * far, far)])
    assert track.alive.tolist() == [False, True]
    assert 0.2 < track.fell_s[0] < 2.0


def test_legs_turn_at_a_jog_as_told():
    def intents(t):
        return (2.5, 0.0, 0.55 if t > 4.5 else 0.0) if t > 0.5 else (0.0, 0.0, 0.0)

    track = drive(12, 10.0, intents, World(iterations=10), 7, Knocks(0.3, 0.35, 0.5))
    late = track.between(6.0, 10.0)
    assert track.alive.all()
    assert 2.32 < track.ahead[late].mean() < 2.8  # with the gaits alone 2.23
    assert 0.5 < track.turning[late].mean() < 0.6
