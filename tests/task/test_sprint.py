import math

import numpy as np
import pytest

from volition.errors import ConfigError
from volition.signal import BodyState
from volition.stage import Setup, check
from volition.task.sprint import Sprint, SprintConfig


def prepared(legs, **config):
    task = Sprint(SprintConfig(**config))
    task.prepare(legs)
    return task


def test_keeps_the_contract(legs):
    assert check(Sprint()) == []
    assert check(Sprint(), legs) == []


def test_a_run_from_a_standing_start_is_timed_to_the_metre(legs, runner):
    """Speed after t s is 3 (1 - exp(-t / 0.5 s)), so 100 m take 33.33 + 0.5 s."""
    task = runner.obey(prepared(legs), 60)
    run = task.trials()[0]
    assert run["outcome"] == "finished"
    assert run["start_s"] == pytest.approx(1.0, abs=0.05)
    assert run["time_s"] == pytest.approx(100 / 3 + 0.5, abs=0.06)
    splits = [run[f"split_{10 * (k + 1)}_s"] for k in range(10)]
    assert splits[-1] == run["time_s"]
    assert np.diff(splits)[2:] == pytest.approx(10 / 3, abs=0.01)
    assert splits[0] > 10 / 3 + 0.4
    assert run["flying_m_s"] == pytest.approx(3.0, abs=0.01)
    assert run["top_m_s"] == pytest.approx(3.0, abs=0.01)
    assert run["stood"]
    assert 3 < run["stop_m"] < 25
    score = task.score()
    assert score["success"] == score["stood"] == 1
    assert score["best_time_s"] == run["time_s"]


def test_the_next_run_is_on_the_field_again(legs, runner):
    task = runner.obey(prepared(legs), 180)
    assert [t["outcome"] for t in task.trials()][:2] == ["finished", "finished"]
    assert max(abs(t["finish_x_m"]) for t in task.trials()) < 130
    assert task.trials()[1]["off_lane_m"] < 15


def test_the_goal_asks_to_stand_before_and_after_and_to_run_between(legs, runner):
    stops = []
    runner.obey(prepared(legs), 45, lambda goal, body: stops.append(goal.stop))
    changes = [b for a, b in zip([None, *stops], stops, strict=False) if a != b]
    assert changes[:3] == [True, False, True]


def test_a_fall_ends_the_run_and_the_block(legs, runner):
    task = runner.obey(prepared(legs), 10)
    runner.tilt = 1.2
    runner.obey(task, 10)
    assert [t["outcome"] for t in task.trials()] == ["fell"]
    assert task.score()["fell"] == 1
    assert task.score()["success"] == 0


def test_who_does_not_run_times_out(legs):
    task = prepared(legs, timeout_s=3.0)
    for k in range(500):
        task.step(k * 20_000_000, BodyState(0, np.zeros(2), np.zeros(2), np.zeros(3), np.zeros(3)))
    assert task.trials()[0]["outcome"] == "timeout"
    assert task.score()["best_time_s"] == 3.0


def test_the_pace_is_asked_of_person_and_ideal_user():
    assert Sprint().pace_m_s == math.inf
    assert Sprint(SprintConfig(pace_m_s=2.0)).pace_m_s == 2.0
    with pytest.raises(ConfigError, match="sprint"):
        SprintConfig(distance_m=0.0)
    with pytest.raises(ConfigError, match="intent"):
        Sprint().prepare(Setup(intent=("grasp",)))
