import math
from dataclasses import replace

import numpy as np
import pytest

from volition.brain._walking import AXES, Walking, WalkingConfig
from volition.errors import ConfigError
from volition.signal import BodyState, Goal, Stim, View
from volition.stage import Setup, check, find

SETUP = Setup(intent=("walk.x", "walk.y", "walk.turn"), workspace=np.array([[-9.0, -9.0], [9.0, 9.0]]), max_speed=3.0)


def walker(noise=0.0, delay_ms=200.0, **how):
    axes = tuple(AXES.values())
    return Walking(WalkingConfig(**how), (noise, 100.0), delay_ms, axes, SETUP, np.random.default_rng(0))


def view(at=(0.0, 0.0), heading=0.0, goal=(5.0, 0.0), stop=False):
    body = BodyState(0, np.array(at), np.zeros(2), np.array([heading, 0.0, 0.0]), np.empty(0))
    return View(0, Goal(0, 0, np.array(goal), 0.6, stop=stop), body)


def walk(person, goal, seconds, stop=False, delay=10):
    """A body that does what is meant, seen `delay` bins late."""
    x, y, heading, seen = 0.0, 0.0, 0.0, []
    for _ in range(round(seconds * 50)):
        seen.append(((x, y), heading))
        (forward, side, turn), _ = person.step(view(*seen[max(0, len(seen) - 1 - delay)], goal, stop), 0.0)
        x, y = x + 0.02 * (forward * math.cos(heading) - side * math.sin(heading)), y + 0.02 * forward * math.sin(heading)
        heading += 0.02 * turn
    return np.array([x, y]), forward, turn


def test_it_goes_straight_to_what_lies_ahead_and_turns_to_what_does_not():
    assert walker().step(view(), 0.0)[0] == pytest.approx([1.3, 0.0, 0.0])
    left = walker().step(view(goal=(0.0, 5.0)), 0.0)[0]
    assert left == pytest.approx([0.0, 0.0, 0.9], abs=1e-9)
    right = walker().step(view(goal=(0.0, -5.0)), 0.0)[0]
    assert right == pytest.approx([0.0, 0.0, -0.9], abs=1e-9)
    behind = walker().step(view(heading=3.0, goal=(-5.0, 0.0)), 0.0)[0]  # the short way round
    assert behind[2] == pytest.approx((math.pi - 3.0) / 0.7)


@pytest.mark.parametrize("goal", [(4.0, 3.0), (-4.0, 1.0), (0.0, -5.0)])
def test_it_arrives_from_anywhere_and_stands_where_that_is_asked(goal):
    at, forward, turn = walk(walker(), goal, 20, stop=True)
    assert np.hypot(*(at - goal)) < 0.6
    assert (forward, turn) == (0.0, 0.0)


def test_believed_is_where_it_is_not_where_it_sees_itself():
    person = walker()
    at, *_ = walk(person, (9.0, 0.0), 2)
    assert np.hypot(*(np.array(person.believed[:2]) - at)) < 0.05
    assert at[0] > 2


def test_noise_grows_with_what_is_meant_and_rest_is_quiet():
    person = walker(noise=0.2)
    moving = np.array([person.step(view(), 0.0)[0] for _ in range(2000)])
    assert moving[:, 0].std() == pytest.approx(0.2 * 1.3, rel=0.2)
    rest = [person.step(view(goal=(0.1, 0.0), stop=True), 0.0)[0] for _ in range(50)]
    assert not np.any(rest[20:])  # once the plans of the delay are done


def test_it_goes_as_fast_as_the_task_asks_and_the_body_can():
    for asked, goes in ((0.0, 1.3), (2.2, 2.2), (math.inf, 3.0)):
        setup = replace(SETUP, pace_m_s=asked)
        person = Walking(WalkingConfig(), (0.0, 100.0), 0.0, (0, 1, 2), setup, np.random.default_rng(0))
        assert person.step(view(), 0.0)[0][0] == pytest.approx(goes)
        assert person.effort([goes, 0.0, 0.0])[0] == pytest.approx(3.0)


def test_behind_a_goal_that_moves_it_matches_the_speed_and_keeps_the_distance():
    person, x, seen = walker(), 0.0, []
    for k in range(1000):
        seen.append((x, 1.6 + 0.8 * 0.02 * k))
        at, goal = seen[max(0, k - 10)]
        (forward, _, turn), _ = person.step(view((at, 0.0), goal=(goal, 0.0)), 0.0)
        x += 0.02 * forward
    assert forward == pytest.approx(0.8, abs=0.01)
    assert turn == 0
    assert 1.6 + 0.8 * 0.02 * 999 - x == pytest.approx(0.6, abs=0.05)  # the goal's radius


def test_a_goal_that_jumps_is_another_goal_not_a_fast_one():
    person = walker()
    person.step(view(goal=(0.5, 0.0)), 0.0)
    assert person.step(view(goal=(0.0, 40.0)), 0.0)[0] == pytest.approx([0.0, 0.0, 0.9], abs=0.05)
    assert person.step(view(goal=(0.0, 40.0)), 0.0)[0][0] == pytest.approx(0.0, abs=0.01)


def test_full_effort_is_the_walkers_own_not_the_bodys():
    assert walker(walk_m_s=1.5).effort([1.5, 0.0, 0.9]) == pytest.approx([3.0, 0.0, 3.0])
    assert walker(walk_m_s=9.0).effort([3.0, 0.0, 0.45]) == pytest.approx([3.0, 0.0, 1.5])  # no faster than the body


def test_the_person_walks_a_body_that_takes_walking():
    person = find("brain", "person")()
    assert check(person, SETUP) == []
    person.prepare(SETUP)
    counts = person.step(view(), Stim.zero(0, 0)).counts
    assert counts.shape == (96,)
    assert person.intended()[0] > 0.5


@pytest.mark.parametrize("name", ["walk_m_s", "turn_rad_s", "turn_s", "stop_s", "follow_s"])
def test_nothing_of_it_may_be_nil(name):
    with pytest.raises(ConfigError, match=name):
        WalkingConfig(**{name: 0.0})
