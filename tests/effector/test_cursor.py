import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volition.effector.cursor import Cursor, CursorConfig
from volition.errors import ConfigError
from volition.signal import Intent
from volition.stage import Setup, check, find

DT = 0.02


def moved(cursor, x, y, select=0.0, dt=DT):
    return cursor.step(Intent(0, np.array([x, y, select], np.float32)), dt)[1]


def ready(**config):
    cursor = Cursor(CursorConfig(**config))
    cursor.prepare(Setup())
    return cursor


def test_known_before_prepare():
    cursor = Cursor()
    assert find("effector", "cursor") is Cursor
    assert cursor.spec.takes.names == ("reach.x", "reach.y", "select")
    assert cursor.spec.takes.unit == "m/s"
    assert cursor.spec.period_ns == cursor.spec.gives.size == 0
    assert cursor.workspace.tolist() == [[-0.1, -0.1], [0.1, 0.1]]
    assert cursor.max_speed == 0.3
    assert check(Cursor()) == []


def test_integrates_the_velocity():
    cursor = ready()
    for _ in range(10):
        body = moved(cursor, 0.1, -0.05)
    assert body.position == pytest.approx([0.02, -0.01])
    assert body.velocity == pytest.approx([0.1, -0.05])
    assert body.t_ns == 200_000_000


@pytest.mark.parametrize("size", [0.31, 1.0, 1e6, 1e30])
def test_speed_is_cut_as_a_vector(size):
    body = moved(ready(), 0.6 * size, -0.8 * size)
    assert np.hypot(*body.velocity) == pytest.approx(0.3)
    assert body.velocity == pytest.approx([0.18, -0.24])


commands = st.lists(st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 2), max_size=60)


@given(commands)
def test_never_leaves_the_workspace_nor_exceeds_the_speed(path):
    cursor = ready()
    for x, y in path:
        body = moved(cursor, x, y)
        assert (np.abs(body.position) <= 0.1).all()
        assert np.hypot(*body.velocity) <= 0.3 + 1e-9


def test_at_the_edge_it_slides_and_tells_the_true_velocity():
    cursor = ready()
    for _ in range(100):
        body = moved(cursor, 0.2, 0.02)
    assert body.position == pytest.approx([0.1, 0.04])
    assert body.velocity == pytest.approx([0.0, 0.02])


def test_a_click_has_hysteresis_and_rests():
    cursor = ready()
    given = [0.6, 0.3, 0.24, 0.9, *[0.9] * 12]
    pressed = [moved(cursor, 0, 0, g).select for g in given]
    assert pressed[:4] == [1, 1, 0, 0]  # held at 0.3, let go at 0.24, and no second one yet
    assert pressed.index(1, 3) * DT == pytest.approx(2 * DT + 0.2, abs=DT)


def test_a_lower_threshold_clicks_sooner():
    cursor = Cursor(CursorConfig(click=0.2))
    cursor.prepare(Setup())
    assert moved(cursor, 0, 0, 0.2).select == 1
    assert moved(cursor, 0, 0, 0.11).select == 1
    assert moved(cursor, 0, 0, 0.09).select == 0


@pytest.mark.parametrize(("select", "click"), [(0.0, 0.0), (0.49, 0.0), (0.5, 1.0), (1.0, 1.0)])
def test_click(select, click):
    assert moved(ready(), 0, 0, select).select == click


def test_prepare_begins_anew_and_states_given_out_stay():
    cursor = ready()
    body = moved(cursor, 0.1, 0.1, 1.0)
    before = body.position.copy()
    moved(cursor, 0.1, 0.1)
    assert (body.position == before).all()
    cursor.prepare(Setup())
    state = cursor.state()
    assert not state.position.any()
    assert state.t_ns == state.select == 0


def test_size_and_speed_are_configured():
    cursor = ready(half_width_m=0.2, max_speed_m_s=2.0)
    assert cursor.workspace[1].tolist() == [0.2, 0.2]
    assert moved(cursor, 9.0, 0.0).velocity[0] == pytest.approx(2.0)


@pytest.mark.parametrize("wrong", [{"half_width_m": 0.0}, {"max_speed_m_s": -1.0}, {"max_speed_m_s": float("nan")}])
def test_a_configuration_that_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        CursorConfig(**wrong)


def test_a_push_displaces_and_the_edges_hold():
    cursor = Cursor()
    cursor.push(np.array([1.0, -0.4, 9.0]))
    assert np.allclose(cursor.state().position, (0.025, -0.01))
    cursor.push(np.array([100.0, 0.0, 0.0]))
    assert np.allclose(cursor.state().position, (0.1, -0.01))
