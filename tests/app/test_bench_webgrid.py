"""The Webgrid bench: its rows, the oracle inside the range of a mouse, and one calibrated run."""

import numpy as np
import pytest

from volition.app._bench import webgrid
from volition.app._bench._knowing import enlighten
from volition.loop.calibrate import Calibration
from volition.loop.loop import Loop


def test_every_row_says_what_it_depends_on():
    rows = list(webgrid.measures(False))
    names = [row.what for row in rows]
    assert len(set(names)) == len(names)
    assert all({"seeds", "seconds"} <= set(row.parameters) for row in rows)
    goals = {row.what: row.goal for row in rows if row.goal}
    assert sum("oracle" in name for name in goals) == 2
    assert not any("binds" in name or "perfect" in name for name in goals)
    counted = [row for row in rows if row.what.endswith(("n1, poisson", "utah_m1, poisson"))]
    assert [row.parameters["seeds"] for row in counted] == [20, 20]


@pytest.mark.parametrize("select", ["click", "dwell"])
def test_the_person_alone_is_as_fast_as_a_hand_with_a_mouse(select):
    assert 8.0 <= webgrid.oracle(select, 0, 60.0)["bit_rate_bit_s"] <= 12.0


def test_a_calibrated_person_selects():
    score = webgrid.run("utah_m1", "poisson", 100, 30.0, Calibration(40.0, (0.25,), 20.0), practice_s=5.0)
    assert score["correct"] > score["incorrect"]
    assert score["correct"] >= 4


def test_a_filter_that_knows_the_person_decodes_better_than_one_that_watched_for_ten_seconds():
    def r(known):
        loop = Loop("person", "utah96", "poisson", "cursor", "silent", "reach", seed=100)
        loop.calibrate(Calibration(10.0, (), 1.0))
        if known:
            enlighten(loop)
        meant, decoded = [], []

        def watch(loop):
            meant.append(loop.brain.intended()[:2])
            decoded.append(loop.last.decoded[:2])

        loop.advance(20.0, watch)
        return np.corrcoef(np.ravel(meant), np.ravel(decoded))[0, 1]

    assert r(True) > r(False) + 0.03
