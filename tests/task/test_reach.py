from math import isfinite, log2

import numpy as np
import pytest

from volition.errors import ConfigError
from volition.signal import BodyState, Goal
from volition.stage import Setup, check, find
from volition.task._layout import CENTRE, Grid
from volition.task.reach import Reach, ReachConfig

MS = 1_000_000
BIN = 20 * MS
CLICKING = Setup(intent=("reach.x", "reach.y", "select"))


def body(t_ns, x, y, select=0.0):
    return BodyState(t_ns, np.array([x, y]), np.zeros(2), np.empty(0), np.empty(0), select)


class Mover:
    """Scripted: goes straight at a speed (m/s) from where it is, sees everything at once."""

    def __init__(self, task, setup=None, start=(0.0, 0.0)):
        self.task, self.t, self.place, self.select = task, 0, start, 0.0
        task.prepare(setup or Setup())
        self.goal = task.restart(0)

    def put(self, x, y, select=0.0):
        self.place, self.t = (x, y), self.t + BIN
        self.goal = self.task.step(self.t, body(self.t, x, y, select))
        return self.goal

    def stay(self, seconds, select=0.0):
        for _ in range(round(seconds * 1e9 / BIN)):
            self.put(*self.place, select)

    def go(self, target, speed=0.2):
        """Move to a place, straight, and stop exactly there."""
        start, target = np.array(self.place), np.array(target)
        steps = max(1, int(np.ceil(np.linalg.norm(target - start) / (speed * BIN / 1e9))))
        trial = self.goal.trial
        for k in range(1, steps + 1):
            self.put(*(start + (target - start) * k / steps))
            if self.goal.trial != trial:
                return

    def perform(self, trials, speed=0.2):
        """Go to each goal and wait there until it is selected."""
        self.put(*self.place)
        while self.goal.trial < trials:
            trial = self.goal.trial
            self.go(self.goal.position, speed)
            while self.goal.trial == trial:
                self.put(*self.place, 1.0 if self.goal.click else 0.0)
                if self.goal.click:
                    self.put(*self.place)


# --- the perfect mover ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("speed", [0.05, 0.2, 0.4])
def test_a_perfect_mover_scores_by_the_formulas(speed):
    task = Reach()
    Mover(task).perform(32, speed)
    score, trials = task.score(), task.trials()
    assert score["success"] == 1
    assert score["n_trials"] == 32
    assert score["path_efficiency"] == pytest.approx(1.0)
    assert score["dial_in_s"] == 0
    assert score["direction_changes"] == 0
    # Every reach is 8 cm long from centre to centre; it counts as arrived 1.5 cm before, found at most two bins later
    # (the path is cut into equal steps, the last of which may overhang).
    for trial in trials:
        assert trial["distance_m"] == pytest.approx(0.08)
        assert (0.08 - 0.015) / speed - 1e-9 <= trial["movement_s"] <= (0.08 - 0.015) / speed + 0.041
        assert trial["duration_s"] == pytest.approx(trial["movement_s"] + 0.3)
    identity = log2(0.08 / 0.03 + 1)
    assert score["throughput_bit_s"] == pytest.approx(np.mean([identity / t["movement_s"] for t in trials]))
    assert score["time_to_target_s"] == pytest.approx(np.median([t["movement_s"] for t in trials]))


def test_centre_out_bit_rate_counts_outward_reaches_alone():
    task = Reach()
    mover = Mover(task)
    mover.perform(20)
    score = task.score()
    assert score["correct"] == sum(not t["return"] for t in task.trials()) == 10
    assert score["bit_rate_bit_s"] == pytest.approx(log2(7) * 10 / (mover.t / 1e9))


def test_returns_can_be_left_out():
    task = Reach(ReachConfig(count_returns=False))
    Mover(task).perform(20)
    assert len(task.trials()) == 20
    assert task.score()["n_trials"] == 10


@pytest.mark.parametrize(("rows", "columns"), [(6, 6), (30, 30)])
@pytest.mark.parametrize("select", ["click", "dwell"])
def test_webgrid_bit_rate_of_a_perfect_user_equals_the_formula(rows, columns, select):
    task = Reach(ReachConfig("webgrid", select, rows=rows, columns=columns))
    # Fast enough to cross any cell in less than a dwell.
    mover = Mover(task, CLICKING)
    mover.perform(25, 0.4)
    assert {t["outcome"] for t in task.trials()} == {"reached"}
    assert task.score()["bit_rate_bit_s"] == pytest.approx(log2(rows * columns - 1) * 25 / (mover.t / 1e9))


def test_webgrid_wrong_clicks_are_counted_and_reduce_the_bit_rate():
    task = Reach(ReachConfig("webgrid", "click"))
    mover = Mover(task, CLICKING)
    mover.perform(10)
    here = mover.place  # the cell just selected: not the next goal
    for _ in range(4):
        if task._layout.at(*here, 0) == task._layout.at(*mover.goal.position, 0):
            mover.go((0.0, 0.0))
        mover.put(*mover.place, 1.0)
        mover.put(*mover.place)
    score = task.score()
    assert (score["correct"], score["incorrect"]) == (10, 4)
    assert [t["outcome"] for t in task.trials()[10:]] == ["wrong"] * 4
    assert score["success"] == pytest.approx(10 / 14)
    assert score["bit_rate_bit_s"] == pytest.approx(log2(35) * 6 / (mover.t / 1e9))


# --- selecting ------------------------------------------------------------------------------------------------------------


def other_cell(grid, *cells):
    return next(grid.centre(k) for k in range(grid.targets) if k not in cells)


def test_dwelling_on_a_wrong_cell_is_a_wrong_selection():
    task = Reach(ReachConfig("webgrid"))
    mover = Mover(task)
    mover.put(0.001, 0.001)
    grid: Grid = task._layout
    wrong = other_cell(grid, grid.at(*mover.goal.position, 0), grid.at(0.001, 0.001, 0))
    mover.put(*wrong)
    mover.stay(0.28)
    assert not task.trials()
    mover.stay(0.02)
    assert task.trials()[0]["outcome"] == "wrong"
    assert task.trials()[0]["selected"] == grid.at(*wrong, 0)


def test_the_cell_one_stands_in_when_a_target_lights_is_not_selected_until_left():
    task = Reach(ReachConfig("webgrid"))
    mover = Mover(task)
    mover.put(0.001, 0.001)
    mover.stay(2.0)
    assert not task.trials()
    aside = other_cell(task._layout, task._layout.at(*mover.goal.position, 0), task._layout.at(0.001, 0.001, 0))
    mover.put(*aside)
    mover.put(0.001, 0.001)
    mover.stay(0.3)
    assert task.trials()[0]["outcome"] == "wrong"


def test_a_held_button_is_one_click():
    task = Reach(ReachConfig("webgrid", "click"))
    mover = Mover(task, CLICKING)
    mover.put(0.001, 0.001)
    mover.stay(1.0, select=1.0)
    assert len(task.trials()) == 1


def test_a_click_needs_the_intent_select():
    with pytest.raises(ConfigError, match="select"):
        Reach(ReachConfig(select="click")).prepare(Setup())


def test_leaving_begins_the_hold_anew():
    task = Reach()
    mover = Mover(task)
    mover.put(0.0, 0.0)
    target = tuple(mover.goal.position)
    mover.put(*target)
    mover.stay(0.28)
    mover.put(0.0, 0.0)
    mover.put(*target)
    mover.stay(0.28)
    assert not task.trials()
    mover.stay(0.02)
    (trial,) = task.trials()
    assert trial["outcome"] == "reached"
    assert trial["dial_in_s"] == pytest.approx(0.28 + 2 * 0.02)


def test_the_time_out_fails_a_trial_and_goes_on():
    task = Reach(ReachConfig(timeout_s=2.0))
    mover = Mover(task)
    mover.put(0.05, 0.01)
    mover.stay(2.0)
    assert [t["outcome"] for t in task.trials()] == ["timeout"]
    assert mover.goal.trial == 1


@pytest.mark.parametrize("layout", ["centre_out", "webgrid"])
def test_doing_nothing_scores_nothing(layout):
    task = Reach(ReachConfig(layout, timeout_s=1.0))
    mover = Mover(task)
    mover.stay(60.0)
    score = task.score()
    assert score["n_trials"] >= 58
    assert score["success"] == score["bit_rate_bit_s"] == 0


@pytest.mark.parametrize("layout", ["centre_out", "webgrid"])
def test_wandering_seldom_succeeds(layout):
    task, rng = Reach(ReachConfig(layout)), np.random.default_rng(3)
    mover = Mover(task)
    for _ in range(30_000):
        mover.put(*np.clip(np.array(mover.place) + 0.02 * rng.normal(0, 0.2, 2), -0.1, 0.1))
    score = task.score()
    assert score["n_trials"] >= 100
    assert score["success_high"] <= 0.10
    assert score["bit_rate_bit_s"] < 0.1


# --- blocks ---------------------------------------------------------------------------------------------------------------


def test_restart_forgets_the_block():
    task = Reach()
    mover = Mover(task)
    mover.perform(5)
    goal = task.restart(mover.t)
    assert isinstance(goal, Goal)
    assert goal.trial == 0
    assert not task.trials()
    assert task.score()["n_trials"] == task.score()["block_s"] == 0


def test_a_block_begun_off_the_centre_leads_there_first():
    task = Reach()
    mover = Mover(task)
    mover.put(0.0, 0.0)
    mover.put(0.09, 0.0)
    assert task.restart(mover.t).position == pytest.approx(np.zeros(2))
    assert task._target == CENTRE


def sequence(seed, layout):
    task = Reach(ReachConfig(layout))
    Mover(task, Setup(seed=seed)).perform(16, 0.4)
    return [t["target"] for t in task.trials()]


@pytest.mark.parametrize("layout", ["centre_out", "webgrid"])
def test_the_seed_decides_the_order(layout):
    assert sequence(4, layout) == sequence(4, layout)
    assert sequence(4, layout) != sequence(5, layout)


# --- the ideal user -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["centre_out", "webgrid"])
def test_aim_leads_straight_to_the_target_and_rests_there(layout):
    task = Reach(ReachConfig(layout))
    mover = Mover(task)
    mover.put(0.0, 0.0)
    goal = np.array(mover.goal.position)
    for place in np.random.default_rng(0).uniform(-0.1, 0.1, (50, 2)):
        aim, way = task.aim(body(0, *place)), goal - place
        distance = np.linalg.norm(way)
        if distance <= mover.goal.radius / 2:
            assert not aim.any()
            continue
        assert aim == pytest.approx(0.5 * min(1, distance / 0.05) * way / distance, rel=1e-5, abs=1e-7)
        assert aim.dtype == np.float32


def test_aim_can_be_asked_about_an_earlier_goal():
    task = Reach()
    mover = Mover(task)
    mover.put(0.0, 0.0)
    earlier = Goal(0, 0, np.array([-0.05, 0.05]), 0.01)
    assert task.aim(body(0, 0.0, 0.0), earlier) == pytest.approx(np.array([-0.5, 0.5]) / 2**0.5)
    assert not task.aim(body(0, -0.0461, 0.05), earlier).any()
    assert task.aim(body(0, 0.0, 0.0), mover.goal) == pytest.approx(task.aim(body(0, 0.0, 0.0)))


def test_aim_stands_in_the_order_of_the_intents():
    names = ("select", "reach.y", "grasp", "reach.x")
    task = Reach(ReachConfig(select="click"))
    mover = Mover(task, Setup(intent=names))
    mover.put(0.0, 0.0)
    x, y = mover.goal.position
    away = task.aim(body(0, x - 0.05, y))
    assert away[3] > 0
    assert abs(away[1]) < 1e-6
    assert away[0] == away[2] == 0
    assert task.aim(body(0, x, y)).tolist() == [1, 0, 0, 0]  # nobody saw it come there: it presses at once


@pytest.mark.parametrize("select", ["dwell", "click"])
@pytest.mark.parametrize("layout", ["centre_out", "webgrid"])
def test_a_body_without_mass_that_follows_aim_always_succeeds(layout, select):
    task = Reach(ReachConfig(layout, select))
    setup = Setup(intent=CLICKING.intent, max_speed=0.3)
    mover, click = Mover(task, setup), 0.0
    for _ in range(3000):
        aim = task.aim(body(mover.t, *mover.place, click))
        click = float(aim[2])
        mover.put(*(np.array(mover.place) + 0.02 * aim[:2]), click)
    score = task.score()
    assert score["n_trials"] > 60
    assert score["success"] == 1
    assert score["path_efficiency"] > 0.999


def test_the_ideal_user_presses_once_some_time_after_it_came():
    config = ReachConfig("webgrid", "click")
    task = Reach(config)
    mover = Mover(task, CLICKING)
    mover.put(0.09, 0.09) if mover.goal.position[0] < 0 else mover.put(-0.09, -0.09)
    goal = mover.goal
    pressed = []
    for _ in range(50):
        mover.put(*goal.position)
        pressed.append(task.aim(body(mover.t, *mover.place), goal)[2])
    on = np.flatnonzero(pressed)
    assert on[0] == pytest.approx(config.click_after_s / 0.02, abs=1)
    assert len(on) == config.click_s / 0.02
    assert np.all(np.diff(on) == 1)


# --- house ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["centre_out", "webgrid"])
def test_contract(layout):
    assert find("task", "reach") is Reach
    assert check(Reach(ReachConfig(layout))) == []
    assert check(Reach(ReachConfig(layout, "click")), CLICKING) == []


def test_prepare_leaves_it_ready_with_a_finite_score():
    task = Reach()
    task.prepare(Setup())
    assert task.restart(0).trial == 0
    assert all(isfinite(v) for v in task.score().values())


@pytest.mark.parametrize(
    "wrong",
    [
        {"layout": "grid"},
        {"select": "gaze"},
        {"hold_s": 6.0},
        {"timeout_s": float("inf")},
        {"radius_m": 0.09},
        {"radius_m": 0.0},
        {"targets": 1},
        {"rows": 1, "columns": 2},
        {"slow_m": 0.0},
    ],
)
def test_a_configuration_that_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError, match=f"reach: .*{next(iter(wrong)).split('_')[0].rstrip('s')}|at least"):
        ReachConfig(**wrong)
