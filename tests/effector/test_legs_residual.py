import io
import itertools
import json

import numpy as np
import pytest

from volition.effector._gait import Gait
from volition.effector._legs_residual import ACTIONS, SCALE, SEEN, Policy, Residual, observe
from volition.effector._legs_sense import Estimate
from volition.errors import InputError

FLIPPED = ("roll", "roll_rate", "yaw", "yaw_rate", "vy")


def body(rng, n=4):
    names = ["pitch", "roll", "yaw", "pitch_rate", "roll_rate", "yaw_rate", "vx", "vy", "vz"]
    values = {name: 0.2 * rng.standard_normal(n) for name in names}
    return Estimate(
        **values,
        angle=rng.random((n, 2, 6)),
        speed=rng.random((n, 2, 6)),
        load=300 * rng.random((n, 2)),
        foot=np.zeros((n, 2, 3)),
    )


def mirrored(e):
    turned = {name: -getattr(e, name) for name in FLIPPED}
    legs = {name: getattr(e, name)[:, ::-1] for name in ("angle", "speed", "load")}
    same = {name: getattr(e, name) for name in ("pitch", "pitch_rate", "vx", "vz", "foot")}
    return Estimate(**turned, **legs, **same)


def clock(phase, heading):
    gait = Gait(len(phase))
    gait.phase[:], gait.heading[:], gait.speed[:] = phase % 1, heading, 1.5
    return gait


def network(rng, sizes=(SEEN, 8, ACTIONS), name="x"):
    saved = {"mean": np.zeros(sizes[0]), "spread": np.ones(sizes[0]), "about": np.array(json.dumps({"seed": 3}))}
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        saved |= {f"w{i}": rng.standard_normal((a, b)) / np.sqrt(a), f"b{i}": 0.1 * rng.standard_normal(b)}
    file = io.BytesIO()
    np.savez(file, **saved)
    file.seek(0)
    return Policy.load(file, name)


def test_a_mirrored_body_half_a_stride_on_is_given_the_mirrored_correction():
    rng = np.random.default_rng(1)
    policy, e = network(rng), body(rng)
    phase, heading, command = rng.random(4), 0.2 * rng.standard_normal(4), rng.standard_normal((3, 4))
    target, stepping = rng.random((4, 2, 6)), np.ones(4, bool)
    one, pace = Residual(4, policy).step(e, clock(phase, heading), command, command[0], target, stepping, 0.005)
    sign = np.array([[1.0], [-1.0], [-1.0]])
    other, same = Residual(4, policy).step(
        mirrored(e), clock(phase + 0.5, -heading), sign * command, command[0], target[:, ::-1], stepping, 0.005
    )
    assert np.abs(one).max() > 0.01
    assert other == pytest.approx(one[:, ::-1])
    assert same == pytest.approx(pace)


def test_who_stands_gets_nothing_and_nobody_more_than_the_bounds():
    rng = np.random.default_rng(2)
    e, gait = body(rng), clock(rng.random(4), np.zeros(4))
    residual = Residual(4, lambda seen: np.full((len(seen), ACTIONS), 9.0))
    stepping = np.array([True, False, True, False])
    for _ in range(60):
        added, pace = residual.step(e, gait, np.zeros((3, 4)), np.zeros(4), np.zeros((4, 2, 6)), stepping, 0.005)
    assert added[stepping] == pytest.approx(np.broadcast_to(SCALE, (2, 2, 6)), rel=1e-4)
    assert (added[~stepping] == 0).all()
    assert (pace[~stepping] == 1).all()


def test_who_is_corrected_is_told_what_the_policy_says_and_the_others_what_the_library_says():
    rng = np.random.default_rng(4)
    residual = Residual(2, network(rng), from_m_s=4.0, told=[(5.0, 5.0), (7.0, 8.0)])
    e, gait, fast = body(rng, 2), clock(np.zeros(2), np.zeros(2)), np.full((3, 2), 6.0)
    assert residual.ask(fast[0], fast[0]).tolist() == [6.0, 6.0]
    gait.speed[:] = 3.0, 5.0
    residual.step(e, gait, fast, fast[0], e.angle, np.ones(2, bool), 0.005)
    assert residual.ask(fast[0], fast[0]).tolist() == [6.0, 6.5]
    assert residual.ask(np.array([7.5, 7.5]), np.zeros(2)).tolist() == [0.0, 8.5]


def test_who_brakes_is_given_the_other_network_until_more_is_asked_of_it_and_told_no_more_than_is_wanted():
    rng = np.random.default_rng(5)
    e, gait, stepping = body(rng, 3), clock(np.full(3, 0.1), np.zeros(3)), np.ones(3, bool)

    def constant(action):
        return lambda seen: np.full((len(seen), ACTIONS), action)

    residual = Residual(3, constant(0.5), from_m_s=4.0, told=[(5.0, 6.0)], stops=constant(-0.5))
    command, seen = np.zeros((3, 3)), []
    for speed, asked in ((6.0, (6.0, 4.9, 0.0)), (3.0, (3.0, 3.1, 0.0)), (5.0, (5.0, 5.0, 0.0))):
        gait.speed[:], command[0] = speed, asked
        for _ in range(2):
            residual.step(e, gait, command, command[0], e.angle, stepping, 0.005)
        seen.append((residual.brakes.tolist(), np.sign(residual.aim[:, 0]).tolist()))
        told = residual.ask(command[0], command[0])
    assert seen[0] == ([False, True, True], [1, -1, -1])
    assert seen[1] == ([False, False, True], [1, 1, -1])
    assert seen[2] == ([False, False, True], [1, 1, -1])
    assert told.tolist() == [6.0, 6.0, 0.0]


def test_the_command_of_who_brakes_lies_below_its_speed_within_bounds_from_the_first_moment_on():
    e, gait, stepping = body(np.random.default_rng(8), 5), clock(np.full(5, 0.1), np.zeros(5)), np.ones(5, bool)
    goal, never = np.array([0.0, 6.0, 4.0, 7.0, 0.0]), np.zeros(5, bool)
    found = []
    for gap, old in ((None, never), ((1.2, 2.0), never), ((1.2, 2.0), ~never)):
        residual = Residual(5, lambda seen: np.zeros((len(seen), ACTIONS)), from_m_s=4.0, gap_m_s=gap)
        command = np.zeros((3, 5))
        for speed, asked in ((7.0, [6.9, 6.9, 6.9, 6.9, 3.0]), (5.5, [6.0, 6.0, 5.9, 6.1, 0.0]), (1.0, [0.0] * 5)):
            gait.speed[:], command[0] = speed, asked
            for _ in range(2):
                command[0] = residual.slowed(gait.speed, command[0], np.minimum(goal, asked), old)
                residual.step(e, gait, command, command[0], e.angle, stepping, 0.005)
            found.append(command[0].round(3).tolist())
    free, held, fading = found[:3], found[3:6], found[6:]
    assert free == [[6.9, 6.9, 6.9, 6.9, 3.0], [6.0, 6.0, 5.9, 6.1, 0.0], [0.0] * 5]
    assert held[0] == [5.8, 6.9, 5.8, 6.9, 5.0]  # from 7 to 6 m/s is no braking
    assert held[1] == [4.3, 6.0, 4.3, 6.1, 3.5]
    assert held[2] == [0.0] * 5  # so that it comes to rest
    assert fading == free


def test_who_jogs_is_given_its_own_network_and_may_turn_more_until_it_runs_walks_or_stands():
    e, gait, command = body(np.random.default_rng(9), 4), clock(np.full(4, 0.1), np.zeros(4)), np.zeros((3, 4))

    def constant(action):
        return lambda seen: np.full((len(seen), ACTIONS), action)

    residual = Residual(4, constant(0.5), from_m_s=4.0, slow=constant(-0.5))
    stepping, walks, seen = np.ones(4, bool), np.array([False, False, False, True]), []
    for speed, asked in (([0.5, 1.5, 4.5, 1.5], 3.0), ([0.5, 0.9, 2.0, 0.9], 0.0), ([0.5, 0.5, 0.5, 0.5], 0.0)):
        gait.speed[:], command[0] = speed, asked
        for _ in range(2):
            residual.step(e, gait, command, command[0], e.angle, stepping, 0.005, walks)
        seen.append(np.sign(residual.aim[:, 0]).tolist())
    assert seen == [[0, -1, 1, 0], [0, 0, 1, 0], [0, 0, 1, 0]]
    gait.speed[:], command[0] = 1.5, 1.5
    residual.step(e, gait, command, command[0], e.angle, stepping, 0.005, walks)
    assert residual.aside(1.5).tolist() == [2.2, 2.2, 2.2, 1.5]
    residual.step(e, gait, command, command[0], e.angle, ~stepping, 0.005, walks)
    assert not residual.jogs.any()
    assert (residual.offset == 0).all()


def test_the_networks_come_out_of_a_file_as_they_went_in():
    rng = np.random.default_rng(6)
    run, stop, slow = network(rng), network(rng), network(rng)
    file = io.BytesIO()
    np.savez(file, about=np.array("{}"), **run.arrays(), **stop.arrays("stops."), **slow.arrays("slow."))
    file.seek(0)
    found, seen = Policy.load(file, "all"), rng.standard_normal((3, SEEN))
    assert found(seen) == pytest.approx(run(seen), abs=1e-4)
    assert found.stops(seen) == pytest.approx(stop(seen), abs=1e-4)
    assert found.slow(seen) == pytest.approx(slow(seen), abs=1e-4)
    assert np.abs(run(seen) - stop(seen)).max() > 0.1


def test_what_is_seen_is_bounded_and_of_the_declared_size():
    rng = np.random.default_rng(3)
    e = body(rng)
    e.vx[:] = 1e9
    seen, swap = observe(
        e, clock(np.array([0.1, 0.6, 0.2, 0.7]), np.zeros(4)), np.zeros((3, 4)), np.zeros(4), e.angle, np.zeros((4, ACTIONS))
    )
    assert seen.shape == (4, SEEN)
    assert np.abs(seen).max() <= 5
    assert swap.tolist() == [False, True, False, True]


def test_a_file_that_is_no_policy_is_refused(tmp_path):
    bad = tmp_path / "bad.npz"
    bad.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="not a residual policy"):
        Policy.load(bad, "bad.npz")
    with pytest.raises(InputError, match="a policy of sizes"):
        network(np.random.default_rng(0), (SEEN, 8, 3), "small")
