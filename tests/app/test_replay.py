import json
from pathlib import Path

import pytest

from volition import cli


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recorded") / "r"
    assert cli.main(["run", "--oracle", "--seconds", "3", "--channel", "utah96", "--output", str(folder)]) == 0
    return folder


def test_a_run_replays_equal_to_the_byte(recorded, tmp_path, capsys):
    assert cli.main(["replay", str(recorded), "--json", str(tmp_path / "rows.json")]) == 0
    assert "every byte equal" in capsys.readouterr().out
    rows = {r["signal"]: r for r in json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))["rows"]}
    assert rows["spikes"]["records"] == 150
    assert all(row["ok"] for row in rows.values())


def test_a_difference_is_found_and_named(recorded, tmp_path, capsys):
    changed = tmp_path / "r"
    changed.mkdir()
    for file in recorded.iterdir():
        (changed / file.name).write_bytes(file.read_bytes())
    run = json.loads((changed / "run.json").read_text(encoding="utf-8"))
    run["stages"]["effector"]["config"]["max_speed_m_s"] *= 0.5
    (changed / "run.json").write_text(json.dumps(run), encoding="utf-8")
    assert cli.main(["replay", str(changed)]) == 1
    out = capsys.readouterr().out
    assert "first difference: " in out
    assert "body" in out.split("differing: ")[-1]


@pytest.mark.parametrize("command", ["replay", "play"])
@pytest.mark.parametrize("content", [None, "", "{}", '{"stages": 3}'])
def test_a_folder_without_a_run_is_one_line(command, content, tmp_path, capsys):
    if content is not None:
        (tmp_path / "run.json").write_text(content, encoding="utf-8")
    assert cli.main([command, str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_play_shows_what_happened_without_executing(recorded, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("volition.brain.person.Person.step", lambda *args: pytest.fail("executed"))
    assert cli.main(["play", str(recorded), "--every-s", "0.5", "--json", str(tmp_path / "rows.json")]) == 0
    assert "person" in capsys.readouterr().out
    rows = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))["rows"]
    assert len(rows) == 6
    assert sum(row["spikes"] for row in rows) > 1000


@pytest.mark.parametrize("step", ["0", "-1", "nan", "inf"])
def test_play_wants_a_positive_step(recorded, step, capsys):
    assert cli.main(["play", str(recorded), "--every-s", step]) == 2
    assert "--every-s" in capsys.readouterr().err
