import math

import pytest

from volition.view._canvas import Canvas, Plot, arrow, bar


@pytest.mark.parametrize(
    ("x", "y", "mark"), [(1, 0, "→"), (1, 1, "↗"), (0, 1, "↑"), (-1, 0, "←"), (-1, -1, "↙"), (0, -1, "↓")]
)
def test_an_arrow_points_where_the_vector_does(x, y, mark):
    assert arrow(x, y) == mark


def test_nothing_points_nowhere():
    assert arrow(0, 0) == arrow(math.nan, 1) == "·"


def test_a_bar_is_as_wide_as_told_whatever_the_value():
    for value in (-1, 0, 0.5, 1, 7, math.nan, math.inf):
        assert len(bar(value, 10)) == 10
    assert bar(0.5, 10).count("█") == 5


def test_writing_is_clipped_at_the_edges():
    canvas = Canvas(5, 2)
    canvas.put(3, 0, "abcd")
    canvas.put(-2, 1, "abcd")
    canvas.put(0, 7, "gone")
    assert canvas.text() == ["   ab", "cd"]


def test_runs_hold_every_character_once_and_split_at_styles():
    canvas = Canvas(6, 1)
    canvas.put(1, 0, "ab", "red")
    (line,) = canvas.runs()
    assert line == [(" ", ""), ("ab", "red"), ("   ", "")]


def test_a_plot_keeps_what_must_be_seen_inside_and_up_is_up():
    plot = Plot(20, 10, (-1, -1), (1, 1))
    corners = [plot.cell(x, y) for x in (-1, 1) for y in (-1, 1)]
    assert all(corners)
    assert plot.cell(0, 1)[1] < plot.cell(0, -1)[1]
    assert plot.cell(-1, 0)[0] < plot.cell(1, 0)[0]
    assert plot.cell(5, 0) is None
    assert plot.cell(math.nan, 0) is None


def test_dots_of_one_character_are_joined():
    plot = Plot(1, 1, (0, 0), (1, 3))
    for x in (0, 1):
        for y in range(4):
            plot.dot(x, y)
    canvas = Canvas(1, 1)
    plot.draw(canvas, 0, 0)
    assert canvas.text() == ["⣿"]
