import json

import numpy as np
import pytest

from volition.cli import main
from volition.effector._gait import HIGH, INDEX, NAMES, START
from volition.effector._legs_pilot import Library
from volition.errors import ConfigError
from volition.train._gait_herd import World
from volition.train._gait_trial import WALKER, attempt
from volition.train.gait import Search, bounded, climb, ladder, library

SMALL = Search(generations=3, population=4, seconds=0.35, seed=7)


def test_a_gait_that_walks_is_fitter_than_one_with_stiff_legs():
    walking = Library.shipped("robot", "stated").at(np.array([1.0]))[0]
    stiff = walking.copy()
    stiff[[INDEX["lift"], INDEX["ks"], INDEX["kpst"]]] = 0.04, 0.0, 0.0
    outcome = attempt(np.repeat([walking, stiff], 4, axis=0), 1.0, World(), 1, 3.0)
    assert outcome.alive[:4].all()
    assert outcome.fitness[:4].min() > outcome.fitness[4:].max()
    assert outcome.fitness.max() < 5


def test_a_rung_that_was_interrupted_goes_on_to_the_same_end(tmp_path):
    whole = climb(START, 1.0, SMALL)
    state = tmp_path / "rung.npz"
    climb(START, 1.0, Search(generations=1, population=4, seconds=0.35, seed=7), state)
    texts = []
    resumed = climb(START, 1.0, SMALL, state, lambda share, text: texts.append((share, text)))
    assert (resumed == whole).all()
    assert [share for share, _ in texts] == pytest.approx([2 / 3, 1.0])


def test_each_rung_begins_from_the_nearest_known():
    once = Search(generations=1, population=4, seconds=0.2, sigma=1e-9)
    near, far = START.copy(), START.copy()
    near[0], far[0] = 1.9, 2.7
    found = ladder((1.0,), once, {1.5: near, 4.0: far})
    assert found[1.0] == pytest.approx(near, abs=1e-6)


def test_what_is_written_can_be_read(tmp_path):
    text = library({0.0: START, 2.0: START}, SMALL, "volition train gait")
    read = Library.parse(text, "x")
    assert read.values == pytest.approx(np.array([START, START]), abs=1e-4)
    assert json.loads(text)["search"]["seed"] == 7


def test_parameters_on_a_bound_are_named():
    p = START.copy()
    p[INDEX["lift"]] = HIGH[INDEX["lift"]]
    assert "lift" in bounded(p)
    assert set(bounded(p)) <= set(NAMES)


def test_the_command_trains_and_resumes(tmp_path, capsys):
    args = ["train", "gait", "--speeds", "1", "--generations", "1", "--population", "4", "--seconds", "0.3"]
    args += ["--output", str(tmp_path / "g")]
    assert main(args) == 0
    first = (tmp_path / "g" / "gaits.json").read_text()
    assert main(args) == 0
    assert (tmp_path / "g" / "gaits.json").read_text() == first
    assert "gaits.json" in capsys.readouterr().out
    assert Library.parse(first, "x").about["search"]["generations"] == 1


def test_impossible_searches_are_refused():
    with pytest.raises(ConfigError, match="4 candidates"):
        Search(population=2)


def test_a_search_keeps_within_its_own_bounds_and_no_other_name_is_one():
    narrow = Search(generations=1, population=4, seconds=0.1, sigma=5.0, bounds={"f": (0.9, 1.0)})
    assert 0.9 <= climb(START, 1.0, narrow)[INDEX["f"]] <= 1.0
    with pytest.raises(ConfigError, match="no gait parameter: stride"):
        Search(bounds={"stride": (0.9, 1.0)})


def test_who_shall_go_like_a_person_pays_for_hurried_strides_and_hard_steps():
    running = np.repeat([Library.shipped("robot", "stated").at(np.array([3.0]))[0]], 4, axis=0)
    free, walking = (attempt(running, 3.0, World(), 1, 0.8, like=like) for like in (None, WALKER))
    assert (walking.fitness < free.fitness - 3).all()
    assert (walking.strides_per_s > 2.5).all()
    assert (walking.peak > 2).all()


def test_a_person_pays_nothing():
    nil = np.zeros(1)
    assert WALKER.price(nil + WALKER.strides_per_s, nil + WALKER.duty, nil) == 0
    assert WALKER.price(nil + WALKER.strides_per_s, nil + WALKER.duty - 0.16, nil) == pytest.approx(0.7)
    assert WALKER.price(nil + WALKER.strides_per_s, nil + WALKER.duty, nil + 0.5) == pytest.approx(1.5)
