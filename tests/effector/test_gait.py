import numpy as np
import pytest

from volition.effector._gait import HIGH, INDEX, LOW, NAMES, START, Gait, controls
from volition.effector._legs_model import LINK_M, LOWER, UPPER
from volition.effector._legs_pilot import Library
from volition.effector._legs_sense import Estimate


def known(n=1, load=300.0, **values):
    """An estimate in which nothing moves but what is named."""
    zero = {name: np.zeros(n) for name in Estimate.__slots__[:9]}
    zero.update({name: np.full(n, float(value)) for name, value in values.items()})
    joints = np.zeros((n, 2, 6))
    return Estimate(**zero, angle=joints, speed=joints, load=np.full((n, 2), load), foot=np.zeros((n, 2, 3)))


def step(p=START, phase=0.1, vx=1.0, vy=0.0, turn=0.0, e=None, dt=0.005):
    gait = Gait(1)
    gait.start(phase, vx)
    a = np.array([1.0])
    return gait.step(e or known(vx=vx), p[None], vx * a, vy * a, turn * a, dt)[0]


def test_starting_values_lie_within_their_bounds():
    assert (LOW <= START).all()
    assert (START <= HIGH).all()
    assert len(set(NAMES)) == len(NAMES)


def test_half_a_stride_later_left_and_right_have_changed_places():
    """In a symmetric state the law is symmetric: the legs swap and nothing else changes."""
    for phase in (0.05, 0.3, 0.45):
        now, later = step(phase=phase, dt=0.0), step(phase=phase + 0.5, dt=0.0)
        assert later == pytest.approx(now[::-1])


def test_a_turn_to_the_right_mirrors_a_turn_to_the_left():
    e_left, e_right = known(vx=1.0, roll=0.05, vy=0.1, yaw_rate=0.3), known(vx=1.0, roll=-0.05, vy=-0.1, yaw_rate=-0.3)
    left = step(phase=0.2, vy=0.1, turn=0.5, e=e_left, dt=0.0)
    right = step(phase=0.7, vy=-0.1, turn=-0.5, e=e_right, dt=0.0)
    assert right == pytest.approx(left[::-1])


def test_leg_length_and_angle_are_what_the_joints_make():
    """The ankle hangs where angle and length say, whatever the trunk does: hip pitch takes its pitch out."""
    p = START.copy()
    p[[INDEX["kpst"], INDEX["kdst"], INDEX["cmp"], INDEX["thr"]]] = 0.0
    out = step(p, phase=0.0, dt=0.0)
    hip, knee = out[0, 2], out[0, 3]
    length = np.hypot(np.sin(hip) + np.sin(hip - knee), np.cos(hip) + np.cos(hip - knee)) * LINK_M
    assert length == pytest.approx(p[INDEX["Ltd"]], abs=1e-6)
    assert np.arctan2(np.sin(hip) + np.sin(hip - knee), np.cos(hip) + np.cos(hip - knee)) > 0


def test_faster_than_wanted_the_foot_is_put_down_further_ahead():
    late_swing = 0.999
    slow = step(phase=late_swing, e=known(vx=1.0), vx=1.0, dt=0.0)
    gait = Gait(1)
    gait.start(late_swing, 1.8)
    one = np.array([1.0])
    fast = gait.step(known(vx=1.8), START[None], one, 0 * one, 0 * one, 0.0)[0]
    assert fast[0, 2] > slow[0, 2]


def changed(p=START, **values):
    p = p.copy()
    for name, value in values.items():
        p[INDEX[name]] = value
    return p


def test_a_standing_leg_drives_the_body_on_and_back_when_it_is_too_fast():
    plain = step(phase=0.25, dt=0.0)[0, 2]
    assert step(changed(hst=0.1), phase=0.25, dt=0.0)[0, 2] == pytest.approx(plain - 0.1)  # half of d: mid-stance
    assert step(changed(hst=0.1), phase=0.25, e=known(vx=1.0, load=0.0), dt=0.0)[0, 2] == pytest.approx(
        step(phase=0.25, e=known(vx=1.0, load=0.0), dt=0.0)[0, 2]
    )
    for name, gain in (("khe", 0.2), ("kle", -0.2 * START[INDEX["kpst"]])):
        fast, slow = (_at_speed(changed(**{name: 0.2}), v) - _at_speed(START, v) for v in (1.5, 0.5))
        assert fast == pytest.approx(0.5 * gain)
        assert slow == pytest.approx(-0.5 * gain)


def _at_speed(p, speed):
    """Hip of a standing leg, wanted 1 m/s."""
    gait, one = Gait(1), np.ones(1)
    gait.start(0.25, speed)
    return gait.step(known(vx=speed), p[None], one, 0 * one, 0 * one, 0.0)[0, 0, 2]


def leg(p, phase):
    """Angle and length of the left leg."""
    out = step(changed(p, kpst=0.0, kdst=0.0), phase=phase, e=known(vx=1.0, load=0.0), dt=0.0)[0]
    x, z = np.sin(out[2]) + np.sin(out[2] - out[3]), np.cos(out[2]) + np.cos(out[2] - out[3])
    return np.arctan2(x, z), LINK_M * np.hypot(x, z)


def test_a_swinging_leg_can_be_long_and_on_its_way_back_before_it_touches_down():
    late = 0.5 + 0.5 * 0.9  # nine tenths of the swing
    assert leg(START, late)[1] < leg(changed(ext=0.1), late)[1] - 0.01
    h = 1e-4
    before, after = (leg(changed(rts=1.0, retr=0.0), x)[0] for x in (1 - 2 * h, 1 - h))
    first, second = (leg(changed(rts=1.0, retr=0.0), x)[0] for x in (h, 2 * h))
    assert after - before == pytest.approx(second - first, rel=0.02)
    assert after < before


def test_feet_keep_to_their_own_side():
    for vy in (-2.0, 2.0):
        out = step(phase=0.9, e=known(vx=1.0, vy=vy), dt=0.0)
        assert 0.86 * out[0, 1] + 0.10 >= 0.05 - 1e-9


def test_targets_stay_near_the_joints_ranges():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.uniform(LOW, HIGH)
        out = step(p, phase=rng.random(), vx=rng.uniform(-1, 7), turn=rng.normal(), e=known(pitch=rng.normal(), vx=3.0))
        assert (out >= LOWER - 0.3).all()
        assert (out <= UPPER + 0.3).all()


def test_many_bodies_are_driven_as_one_is():
    """Training and the loop share one law: a herd of three gives what three single bodies give."""
    rng = np.random.default_rng(1)
    p = np.stack([Library.shipped("robot", "stated").at(np.array([v]))[0] for v in (0.0, 1.3, 3.0)])
    herd, alone = Gait(3), [Gait(1) for _ in range(3)]
    vx = np.array([0.0, 1.3, 3.0])
    for _ in range(20):
        noise = rng.normal(size=(4, 3)) * 0.1
        e = known(3, vx=0, load=200.0)
        e.pitch, e.roll, e.vx, e.yaw = noise
        got = herd.step(e, p, vx, 0 * vx, 0.1 + 0 * vx, 0.005)
        for i in range(3):
            one = known(1, load=200.0)
            one.pitch, one.roll, one.vx, one.yaw = noise[:, i : i + 1]
            want = alone[i].step(one, p[i : i + 1], vx[i : i + 1], np.zeros(1), np.full(1, 0.1), 0.005)
            assert got[i] == pytest.approx(want[0], abs=1e-12)


def test_drives_are_told_angle_and_a_bounded_speed_in_turn():
    before = np.zeros((1, 2, 6))
    target = before.copy()
    target[0, 0, 2], target[0, 1, 3] = 0.01, 1.0
    told = controls(target, before, 0.005)[0]
    assert told[0::2] == pytest.approx(target.ravel())
    assert told[2 * 2 + 1] == pytest.approx(0.8 * 2.0)
    assert told[2 * 9 + 1] == pytest.approx(0.8 * 25.0)
    assert (controls(target, None, 0.005)[0][1::2] == 0).all()


def clock(e, ticks=1, **values):
    """Phase of the left leg after some ticks from 0.95 (late in its swing, the right leg standing)."""
    gait, one = Gait(1), np.ones(1)
    gait.start(0.95, 1.0)
    p = changed(**values)
    for _ in range(ticks):
        gait.step(e, p[None], one, 0 * one, 0 * one, 0.005)
    return gait.phase[0]


def test_the_clock_skips_the_rest_of_a_swing_that_the_ground_has_ended():
    step_on = START[0] * 0.005
    assert clock(known(load=300.0)) == pytest.approx(0.95 + step_on)
    assert clock(known(load=300.0), rst=1.0) == pytest.approx(step_on)
    assert clock(known(load=300.0), rst=0.5) == pytest.approx(0.975 + step_on)
    in_the_air = known(load=0.0)
    assert clock(in_the_air, rst=1.0) == pytest.approx(0.95 + step_on)


def test_the_clock_waits_for_a_foot_that_is_late_but_not_for_ever():
    in_the_air = known(load=0.0)
    assert clock(in_the_air, ticks=10) < 0.1
    assert 0.98 < clock(in_the_air, ticks=20, wai=0.2) < 1.0
    assert clock(in_the_air, ticks=60, wai=0.2) < 0.3


def test_a_leg_that_is_let_go_asks_for_the_angle_that_it_has():
    e = known(vx=1.0)
    e.angle[:, :, 2], e.angle[:, :, 3] = 0.35, 0.4
    free = changed(mst=1.0, mas=1.0, kpst=0.0, kdst=0.0, an0=0.0)
    out = step(free, phase=0.1, e=e, dt=0.0)[0]
    assert out[2] == pytest.approx(0.35)
    assert out[4] == pytest.approx(0.4 - 0.35)


def test_a_foot_rolls_from_heel_to_sole_and_pushes_off_later_and_harder_when_slow():
    def sole(phase, v=1.0, **values):
        gait, one = Gait(1), np.ones(1)
        gait.start(phase, v)
        p = changed(kpst=0.0, kdst=0.0, kfp=0.0, ks=0.0, khe=0.0, off=0.0, **values)
        out = gait.step(known(vx=v), p[None], one, 0 * one, 0 * one, 0.0)[0, 0]
        return out[4] + out[2] - out[3]

    d = START[INDEX["d"]]
    assert sole(0.0, rol=0.2) == pytest.approx(START[INDEX["ant"]])
    assert sole(0.3 * d, rol=0.2) == pytest.approx(START[INDEX["an0"]])
    assert sole(0.7 * d, pst=0.3) > sole(0.7 * d)
    assert sole(0.7 * d, v=0.5, kpo=0.5) < sole(0.7 * d, v=0.5)
    assert sole(0.2 * d, v=1.5, kan=0.1) == pytest.approx(sole(0.2 * d, v=1.5) - 0.05)


def test_a_level_leg_keeps_the_hip_at_one_height():
    level = changed(lvl=1.0, kpst=0.0, kdst=0.0, cmp=0.0, thr=0.0)
    heights = []
    for phase in (0.0, 0.25 * START[INDEX["d"]], 0.5 * START[INDEX["d"]], 0.999 * START[INDEX["d"]]):
        out = step(level, phase=phase, dt=0.0)[0]
        heights.append(LINK_M * (np.cos(out[2]) + np.cos(out[2] - out[3])))
    assert np.ptp(heights) < 1e-3
    up, off = leg(level, 0.5 - 1e-6), leg(level, 0.5 + 1e-6)
    assert off == pytest.approx(up, abs=1e-3)


def test_a_leg_gives_against_the_sinking_of_the_body_and_is_told_its_weight():
    e, still = known(vx=1.0), known(vx=1.0)
    e.vz[:] = -0.3
    bent = step(START, phase=0.1, e=still, dt=0.0)[0, 3]
    assert step(changed(kvz=0.05), phase=0.1, e=still, dt=0.0)[0, 3] == bent
    assert step(changed(kvz=0.05), phase=0.1, e=e, dt=0.0)[0, 3] < bent - 0.05
    in_the_air = known(load=0.0)
    in_the_air.vz[:] = -0.3
    assert step(changed(kvz=0.05), phase=0.1, e=in_the_air, dt=0.0)[0, 3] == pytest.approx(
        step(START, phase=0.1, e=in_the_air, dt=0.0)[0, 3]
    )
    alone = changed(kff=1.0, d=0.4)  # the other leg swings: this one has it all
    assert step(alone, phase=0.2, e=still, dt=0.0)[0, 3] == pytest.approx(
        step(changed(d=0.4), phase=0.2, e=still, dt=0.0)[0, 3] * (1 - 0.205), rel=0.03
    )
