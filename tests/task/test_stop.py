import numpy as np
import pytest

from volition.errors import ConfigError
from volition.stage import check
from volition.task.stop import Stop, StopConfig


def prepared(legs, **config):
    task = Stop(StopConfig(**config))
    task.prepare(legs)
    return task


def test_keeps_the_contract(legs):
    assert check(Stop()) == []
    assert check(Stop(), legs) == []


def test_way_and_time_to_stand_are_those_of_the_body(legs, runner):
    """A speed that falls as 3 exp(-t / 0.5 s) is below 0.25 m/s after 1.24 s and 1.375 m."""
    task = runner.obey(prepared(legs), 90)
    stops = task.trials()
    assert len(stops) >= 5
    assert {t["outcome"] for t in stops} == {"stood"}
    straight = [t for t in stops if t["speed_m_s"] == pytest.approx(3.0, abs=0.02)]
    assert straight
    for t in straight:
        assert t["time_s"] == pytest.approx(0.5 * np.log(3.0 / 0.25), abs=0.08)
        assert t["way_m"] == pytest.approx(0.5 * (3.0 - 0.25), abs=0.08)
    assert task.score()["success"] == 1
    assert task.score()["way_max_m"] < 2


def test_red_comes_at_random_moments_and_asks_to_stand_there(legs, runner):
    red = []
    runner.obey(prepared(legs, green_s=(2.0, 4.0)), 60, lambda goal, body: goal.stop and red.append((goal, body)))
    starts = sorted({goal.t_ns for goal, _ in red})
    assert np.diff(starts).std() > 0.2e9
    for goal, body in red:
        assert np.hypot(*(goal.position - body.position)) < 0.5 * goal.radius


def test_who_runs_on_through_red_fails_and_who_falls_ends(legs, runner):
    task = prepared(legs, green_s=(1.0, 1.0), timeout_s=2.0)
    task.aim = lambda body, goal=None: np.array([3.0, 0.0, 0.0])
    runner.obey(task, 10)
    assert {t["outcome"] for t in task.trials()} == {"timeout"}
    assert task.score()["success"] == 0
    runner.tilt = 1.2
    runner.obey(task, 5)
    assert [t["outcome"] for t in task.trials()].count("fell") == 1
    assert task.score()["fell"] == 1


def test_impossible_lights_are_refused():
    for wrong in ({"green_s": (3.0, 1.0)}, {"limit_m": 0.0}, {"pace_m_s": -1.0}):
        with pytest.raises(ConfigError, match="stop"):
            StopConfig(**wrong)
