from xml.etree import ElementTree

import numpy as np

from volition.view.decoding import bars, dots, traces


def drawn(picture, tag):
    return [e for e in ElementTree.fromstring(picture).iter() if e.tag == tag]


def test_a_bar_is_as_high_as_its_value():
    picture = bars({"a": [0.5, 1.0], "b & c": [-3.0, 0.25]}, ["x", "y"], "R²")
    heights = [float(e.get("height")) for e in drawn(picture, "rect")]
    full = heights[1]
    np.testing.assert_allclose(heights, [full / 2, full, 0, full / 4], atol=0.15)
    assert "-3.00" in picture


def test_traces_hold_every_line():
    t = np.linspace(0, 6, 80)
    picture = traces(np.sin(t), {"one": np.cos(t), "two": 0 * t}, 0.05, "reach.x (m/s)")
    assert sum("L" in e.get("d") for e in drawn(picture, "path")) == 3
    assert "reach.x (m/s)" in picture
    ElementTree.fromstring(traces(np.zeros(3), {"flat": np.zeros(3)}, 0.05, "nothing moves"))


def test_each_shift_is_a_dot():
    picture = dots({"a": np.array([0.0, 0.1, -0.2]), "b": np.array([0.05])}, {"a": 0.8, "b": -9.0})
    assert len(drawn(picture, "circle")) == 4
