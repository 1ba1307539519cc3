"""The bench of the legs measures what it says, on few bodies and short ways."""

import pytest

from volition.app._bench import legs

WAY = {"fit": "robot", "limits": "stated", "bodies": 2, "seconds": 5.0, "speed": 0.8, "turn": 0.0, "side": 0.0}


def test_every_row_has_a_name_of_its_own_and_a_goal():
    rows = list(legs.measures(quick=True))
    assert len({row.what for row in rows}) == len(rows)
    assert all(row.goal for row in rows if not row.what.startswith("human"))  # some of those are only told
    full = list(legs.measures())
    assert all(row.parameters["bodies"] >= 20 for row in full if "bodies" in row.parameters)


def test_who_stands_neither_drifts_nor_turns():
    found = legs._stand("robot", 2, 6.5)
    assert found.value < 2
    assert found.extra["heading_deg"] < 1
    assert found.extra["fell"] == 0


def test_survivors_are_counted_and_their_speed_is_told():
    upright = legs._survives(0.5, **WAY)
    assert upright.value == 100
    assert upright.extra["speed_m_s"] == pytest.approx(0.8, abs=0.3)


def test_nonsense_from_the_decoder_ends_in_a_stand():
    assert legs._fault("NaN", 2, 0.8, "robot", "stated").value == 100


def test_a_push_that_nobody_survives_is_seen(monkeypatch):
    monkeypatch.setattr(legs, "_PUSH_NS", 400.0)
    assert legs._pushed("robot", 4).value < 50


def test_stopping_is_measured_from_the_command_to_the_stand():
    found = legs._stops(2, 1.0, "stated")
    assert found.value == 100
    assert found.extra["stood"] == 2
    assert 0.2 < found.extra["way_m"] <= found.extra["way_90_m"] < 5


def test_a_way_that_is_too_long_is_no_stop(monkeypatch):
    monkeypatch.setattr(legs, "_STOP_M", 0.1)
    found = legs._stops(2, 1.0, "stated")
    assert found.value == 0
    assert found.extra["stood"] == 2


def test_a_turn_counts_by_its_worse_side_and_by_who_is_upright_after_it():
    how = {"fit": "robot", "limits": "stated", "speed": 0.8, "bodies": 2, "seconds": 2.0}
    found = legs._steers(**how)
    assert 40 < found.value == min(found.extra["left"], found.extra["right"]) < 130
    assert found.extra["upright"] == found.extra["bodies"] == 2
    assert legs._upright_turning(**how).value == 100


def test_who_walks_over_steps_is_counted():
    found = legs._over("steps", 1, 3.0)
    assert found.value == 100
    assert found.extra["way_m"] > 1
