import json
from dataclasses import replace

import numpy as np
import pytest

from volition.effector._gait import INDEX
from volition.effector._legs_pilot import Library, Pilot
from volition.effector._legs_sense import Estimate
from volition.effector._legs_shape import Shape
from volition.effector._legs_stand import Build

AHEAD = np.array([0.3, 0.0, -0.8])
SHIPPED = Library.shipped("robot", "stated")


def known(**values):
    """An estimate of one body in which nothing moves but what is named, its feet where they would stop it."""
    zero = {name: np.zeros(1) for name in Estimate.__slots__[:9]}
    zero.update({name: np.full(1, float(value)) for name, value in values.items()})
    joints = np.zeros((1, 2, 6))
    return Estimate(**zero, angle=joints, speed=joints, load=np.full((1, 2), 300.0), foot=np.full((1, 2, 3), AHEAD))


def test_a_file_may_hold_gaits_that_walk():
    text = json.dumps({"gaits": [{"speed": 1, "values": {"f": 3.0}}], "walk": [{"speed": 1, "values": {"f": 1.0}}]})
    library = Library.parse(text, "x")
    assert library.at(np.ones(1))[0, INDEX["f"]] == 3.0
    assert library.walk.at(np.ones(1))[0, INDEX["f"]] == 1.0
    assert Library.parse(json.dumps({"gaits": [{"speed": 1, "values": {}}]}), "x").walk is None


def test_a_gait_may_have_numbers_of_its_own_for_who_is_braked():
    gaits = [{"speed": 1, "values": {"f": 3.0, "d": 0.4}, "brakes": {"f": 2.0}}, {"speed": 3, "values": {"f": 3.0}}]
    library = Library.parse(json.dumps({"gaits": gaits}), "x")
    found = library.at(np.array([1.0, 1.0, 2.0]), np.array([False, True, True]))
    assert found[:, INDEX["f"]].tolist() == [3.0, 2.0, 2.5]
    assert found[1, INDEX["d"]] == 0.4
    assert library.at(np.ones(1))[0, INDEX["f"]] == 3.0


def test_who_walks_strides_as_in_a_walk_until_he_is_knocked():
    slow = SHIPPED.at(np.ones(1))
    run = slow[0, INDEX["f"]]
    slow[:, INDEX["f"]] = 1.0
    pilot = Pilot(1, replace(SHIPPED, walk=Library(np.ones(1), slow, {})), Shape(walk=True, frozen_s=0.0), Build())

    def strides(seconds, **felt):
        e, count, before = known(vx=1.0, **felt), 0.0, pilot.gait.phase[0]
        for _ in range(round(seconds / 0.005)):
            pilot.step(e, np.array([[1.0], [0.0], [0.0]]), np.zeros(1), 0.005)
            count += (pilot.gait.phase[0] - before) % 1.0
            before = pilot.gait.phase[0]
        return count / seconds

    strides(3.0)
    assert strides(1.0) == pytest.approx(1.0, abs=0.02)
    strides(0.5, roll=0.4)
    assert strides(0.5, roll=0.4) == pytest.approx(run, rel=0.02)
    strides(2.5)
    assert strides(1.0) == pytest.approx(1.0, abs=0.02)
