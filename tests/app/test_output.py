import getpass
import json
import math
import os
import socket
from pathlib import Path

import numpy as np
import pytest

from volition import __version__
from volition.app import _output
from volition.errors import ConfigError

ROWS = [
    {"what": "speed", "value": np.float32(1.5), "ok": np.bool_(True), "each": np.arange(2)},
    {"what": "size", "value": float("nan"), "ok": None, "file": Path("/somewhere/deep/a.mat")},
]


def below_a_file(tmp_path: Path) -> Path:
    """A place that nobody can write to, root included."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    return tmp_path / "file" / "sub" / "rows.json"


def test_json_holds_rows_machine_version_and_command(tmp_path, capsys):
    _output.emit(ROWS, ("what", "value"), tmp_path / "rows.json", "volition x")
    document = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))
    assert set(document) == {"rows", "machine", "version", "command"}
    assert document["version"] == __version__
    assert document["command"] == "volition x"
    assert document["rows"][0] == {"what": "speed", "value": 1.5, "ok": True, "each": [0, 1]}
    assert document["rows"][1] == {"what": "size", "value": None, "ok": None, "file": "a.mat"}


def test_json_has_no_nan(tmp_path):
    _output.save([{"a": math.inf, "b": [float("nan")]}], tmp_path / "rows.json")
    text = (tmp_path / "rows.json").read_text(encoding="utf-8")

    def refuse(word):
        raise AssertionError(word)

    assert json.loads(text, parse_constant=refuse)["rows"] == [{"a": None, "b": [None]}]


def test_machine_tells_nothing_of_its_owner():
    machine = _output.machine()
    assert set(machine) == {"cpu", "cores", "ram_gib", "python", "platform", "date"}
    words = json.dumps(machine).lower().replace("/", " ").split()
    assert machine["cores"] >= 1
    for secret in (socket.gethostname(), getpass.getuser() if os.environ.get("USER") else "", os.path.expanduser("~")):
        assert not secret or secret.lower() not in words


def test_the_command_names_no_folder_of_this_machine(monkeypatch):
    monkeypatch.setattr("sys.argv", ["volition", "decode", "/home/me/data/a b.mat", "--lags", "5"])
    assert _output.this_command() == "volition decode 'a b.mat' --lags 5"


def test_table_without_a_terminal_is_plain_and_aligned(capsys):
    _output.emit([{"a": "x", "n": 1.0}, {"a": "longer", "n": 123.456}, {"a": "[bold]", "n": None}], title="t")
    assert capsys.readouterr().out.splitlines() == ["t", "a           n", "x           1", "longer  123.5", "[bold]      -"]


def test_table_on_a_terminal_shows_brackets_as_they_are(capsys):
    _output._rich_table([{"a": "[bold] text"}], ("a",), "[title]")
    out = capsys.readouterr().out
    assert "[bold] text" in out
    assert "[title]" in out


def test_no_rows_is_no_error(capsys):
    _output.emit([], ("a", "b"))
    assert capsys.readouterr().out == "a  b\n"


def test_unwritable_place_is_one_line_and_leaves_nothing(tmp_path):
    with pytest.raises(ConfigError, match=r"--json .*rows\.json: cannot be written: .*"):
        _output.save(ROWS, below_a_file(tmp_path))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_looking_whether_a_place_can_be_written_makes_nothing(tmp_path):
    _output.writable_parent(tmp_path / "a" / "b" / "rows.json", "--json")
    assert list(tmp_path.iterdir()) == []
    _output.write_whole(tmp_path / "a" / "b" / "rows.json", "x")
    assert (tmp_path / "a" / "b" / "rows.json").read_text(encoding="utf-8") == "x"


def test_a_folder_in_the_place_is_refused(tmp_path):
    (tmp_path / "rows.json").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        _output.save(ROWS, tmp_path / "rows.json")


def test_a_failed_write_keeps_what_was_there(tmp_path, monkeypatch):
    target = tmp_path / "rows.json"
    target.write_text("before", encoding="utf-8")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ConfigError, match="No space left"):
        _output.write_whole(target, "after")
    assert target.read_text(encoding="utf-8") == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["rows.json"]


def test_a_written_file_has_the_usual_rights(tmp_path):
    (tmp_path / "usual").write_text("", encoding="utf-8")
    _output.write_whole(tmp_path / "new", "x")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode
