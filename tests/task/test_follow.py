import numpy as np
import pytest

from volition.errors import ConfigError
from volition.stage import check
from volition.task.follow import Follow, FollowConfig


def prepared(legs, **config):
    task = Follow(FollowConfig(**config))
    task.prepare(legs)
    return task


def test_keeps_the_contract(legs):
    assert check(Follow()) == []
    assert check(Follow(), legs) == []


def test_who_does_what_is_aimed_keeps_the_distance(legs, runner):
    task = runner.obey(prepared(legs), 100)
    trials = task.trials()
    assert {t["outcome"] for t in trials} == {"kept"}
    assert len(trials) == 4
    assert max(t["gap_error_m"] for t in trials[1:]) < 0.5
    assert task.score()["speed_error_m_s"] < 0.3


def test_the_leader_wanders_as_told_and_stays_on_the_field(legs, walker):
    seen = []
    walker.obey(prepared(legs, speed_m_s=1.5), 400, lambda goal, body: seen.append(goal.position))
    at = np.array(seen)
    step = np.diff(at, axis=0)
    speed = np.hypot(*step.T) / 0.02
    assert speed[500:].mean() == pytest.approx(1.5, rel=0.15)
    assert 0.1 < speed[500:].std() / 1.5 < 0.4
    assert speed.max() < 3.5
    heading = np.unwrap(np.arctan2(*step[5:].T[::-1]))
    assert np.ptp(heading) > 1.0
    assert np.abs(at).max() < 100


def test_a_leader_that_is_lost_begins_anew(legs, walker):
    task = prepared(legs)
    task.aim = lambda body, goal=None: np.zeros(3)
    gaps = []
    walker.obey(task, 30, lambda goal, body: gaps.append(np.hypot(*(goal.position - body.position))))
    assert {t["outcome"] for t in task.trials()} == {"lost"}
    assert len(task.trials()) >= 3
    assert max(gaps) < 6.2
    assert task.score()["success"] == 0


def test_a_fall_ends_it(legs, walker):
    task = walker.obey(prepared(legs), 5)
    walker.tilt = 1.2
    walker.obey(task, 30)
    assert [t["outcome"] for t in task.trials()] == ["fell"]


def test_a_leader_that_cannot_be_followed_is_refused():
    for wrong in ({"speed_m_s": 0.0}, {"gap_m": 9.0}, {"trial_s": 0.0}):
        with pytest.raises(ConfigError, match="follow"):
            FollowConfig(**wrong)
