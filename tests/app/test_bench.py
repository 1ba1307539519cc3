import json
from pathlib import Path

import pytest

from volition import cli
from volition.app import bench
from volition.app._bench import Found, Measure, SkipError, median_of, success_rate
from volition.app._bench import decode as decode_bench
from volition.app._bench import loop as loop_bench
from volition.app._bench._bare import Rig


class Counter:
    """A measure that counts how often it is made."""

    def __init__(self, value: float) -> None:
        self.value, self.made = value, 0

    def __call__(self) -> Found:
        self.made += 1
        return Found(self.value)


def skipped() -> Found:
    raise SkipError("no such device here")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "code_hash", lambda: "code")


@pytest.fixture
def measures(monkeypatch):
    made = [Counter(120.0), Counter(30.0)]

    def some(quick):
        yield Measure("speed", "x", made[0], at_least=100, parameters={"seconds": 1})
        yield Measure("size", "MB", made[1], at_most=20)
        yield Measure("device", "ms", skipped, at_most=1)

    monkeypatch.setattr("volition.app._bench.loop.measures", some)
    return made


def rows() -> list[dict]:
    return json.loads(Path("rows.json").read_text(encoding="utf-8"))["rows"]


def test_rows_tell_value_goal_and_whether_it_holds(measures, capsys):
    assert cli.main(["bench", "loop", "--json", "rows.json"]) == 1  # one goal is missed
    speed, size, device = rows()
    assert speed == {"what": "speed", "value": 120.0, "unit": "x", "goal": ">= 100", "ok": True, "seconds": 1}
    assert (size["goal"], size["ok"]) == ("<= 20", False)
    assert (device["value"], device["ok"], device["note"]) == (None, None, "skipped: no such device here")
    assert json.loads(Path("rows.json").read_text(encoding="utf-8"))["command"] == "volition bench loop"
    assert "skipped" in capsys.readouterr().out


def test_what_is_measured_is_not_measured_again(measures):
    cli.main(["bench", "loop", "--json", "rows.json"])
    first = rows()
    cli.main(["bench", "loop", "--json", "rows.json"])
    assert [m.made for m in measures] == [1, 1]
    assert rows() == first
    cli.main(["bench", "loop", "--quick"])  # a quick figure never stands for a real one
    assert [m.made for m in measures] == [2, 2]
    cli.main(["bench", "loop", "--fresh"])
    assert [m.made for m in measures] == [3, 3]


def test_other_code_is_measured_anew(measures, monkeypatch):
    cli.main(["bench", "loop"])
    monkeypatch.setattr(bench, "code_hash", lambda: "other code")
    cli.main(["bench", "loop"])
    assert [m.made for m in measures] == [2, 2]


def test_a_bench_that_is_stopped_goes_on_where_it_was(measures, capsys):
    def stopped():
        raise KeyboardInterrupt

    whole = measures[1].__class__.__call__
    measures[1].__class__.__call__ = lambda self: stopped() if self is measures[1] else whole(self)
    try:
        assert cli.main(["bench", "loop"]) == 130
    finally:
        measures[1].__class__.__call__ = whole
    assert cli.main(["bench", "loop", "--json", "rows.json"]) == 1
    assert [m.made for m in measures] == [1, 1]
    assert len(rows()) == 3


def test_all_goals_reached_is_0(measures):
    measures[1].value = 10.0
    assert cli.main(["bench", "loop"]) == 0


def test_benches_are_listed(capsys):
    assert cli.main(["bench"]) == 0
    assert "loop" in capsys.readouterr().out


def test_a_foreign_store_and_an_unwritable_folder_are_one_line(measures, capsys):
    Path(".bench").mkdir()
    Path(".bench/loop.json").write_text("not json", encoding="utf-8")
    assert cli.main(["bench", "loop"]) == 2
    assert "--fresh" in capsys.readouterr().err
    assert cli.main(["bench", "loop", "--output", ".bench/loop.json/x"]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_median_of_several_runs_keeps_the_spread():
    values = iter([3.0, 1.0, 10.0])
    assert median_of(3, lambda: next(values)) == Found(3.0, {"runs": 3, "low": 1.0, "high": 10.0})


def test_success_has_its_wilson_interval():
    found = success_rate(99, 100)
    assert found.value == 99.0
    assert found.extra["low"] == pytest.approx(94.55, abs=0.01)
    assert found.extra["high"] == pytest.approx(99.82, abs=0.01)


def test_the_bare_loop_runs_without_a_fault():
    loop = Rig().loop()
    for _ in range(100):
        loop.step()
    assert not loop.report().faults
    assert loop.report().held == 0
    assert loop.t_ns == 100 * loop.setup.bin_ns


def test_the_loops_own_time_is_small_and_positive():
    assert 0 < loop_bench._overhead(300, 3).value < 200


def test_oracle_and_chance_are_told_apart():
    oracle = loop_bench._success("still", True, seeds=1, seconds=10.0)
    chance = loop_bench._success("random", False, seeds=1, seconds=10.0)
    assert oracle.value > 90
    assert chance.value < 50
    assert oracle.extra["trials"] >= 5


def test_memory_is_that_of_the_process_alone(monkeypatch):
    ballast = bytearray(300_000_000)
    ballast[::4096] = b"x" * len(ballast[::4096])  # really resident
    monkeypatch.setattr(loop_bench, "_DEMO", ["list"])
    assert 5 < loop_bench._demo_memory(None).value < 100
    del ballast


def test_a_demo_that_fails_is_no_figure(monkeypatch):
    monkeypatch.setattr(loop_bench, "_DEMO", ["surely-no-command"])
    with pytest.raises(SkipError, match="unknown command"):
        loop_bench._demo_memory(None)


def test_decoding_is_skipped_with_a_reason_without_the_recordings(monkeypatch, tmp_path):
    (first, *_) = decode_bench.measures(quick=True)
    monkeypatch.delenv(decode_bench.DATA, raising=False)
    assert "VOLITION_DATA is not set" in bench.measure(first)["note"]
    monkeypatch.setenv(decode_bench.DATA, str(tmp_path))
    assert "m1_stevenson_2011.mat is not below" in bench.measure(first)["note"]


def test_goals_of_decoding_are_what_each_kind_of_decoder_must_reach_those_of_chance_are_for_all():
    items = list(decode_bench.measures(quick=False))
    per_session = 4 * 3 + 2 * 2  # three linear decoders with their controls, two networks
    assert len(items) == per_session * len(decode_bench.SETS) + 2 + 1
    assert [m.goal for m in items[:6]] == [">= 0.82", ">= 0.69", "<= 0.02", "<= 0.1", "", ""]
    goals = {m.what: m.goal for m in items}
    assert goals["R² of velocity y, M1 Stevenson 2011, gru"] == ">= 0.91"
    assert [m.goal for m in items if "gained over wiener" in m.what] == [">= 0.02"] * 2
    assert len(list(decode_bench.measures(quick=True))) == 12


def test_the_figures_of_the_velocity_are_found():
    found = [
        {"decoder": "kalman", "target": "velocity", "r2_axes": [0.5, 0.4]},
        {"decoder": "wiener", "target": "position", "r2_axes": [0.3, 0.1]},
        {"decoder": "wiener", "target": "velocity", "r2_axes": [0.8, 0.7], "control_max": 0.05},
    ]
    assert decode_bench.figure(found, "wiener", "r2_axes") == [0.8, 0.7]
    assert decode_bench.figure(found, "wiener", "control_max") == 0.05
    assert decode_bench.figure(found, "kalman", "control_max") is None
    assert decode_bench.figure(found[:2], "wiener", "r2_axes") is None
