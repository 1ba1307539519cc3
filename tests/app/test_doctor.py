import json

from volition import __version__, cli
from volition.app import doctor


def test_it_tells_what_is_here(tmp_path, capsys):
    code = cli.main(["doctor", "--json", str(tmp_path / "rows.json")])
    rows = {r["what"]: r for r in json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))["rows"]}
    assert code == (0 if all(r["ok"] for r in rows.values()) else 1)
    assert rows["volition"]["value"] == __version__
    for what in ("numpy", "mujoco-core", "GL backend", "ONNX providers", "timer, late after 1 ms", "folder", "extra [nwb]"):
        assert rows[what]["value"]
    assert "CPU" in rows["ONNX providers"]["value"]


def test_what_is_missing_is_said_and_exits_1(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_CORE", ("numpy", "surely-not-installed"))
    assert cli.main(["doctor"]) == 1
    assert "missing" in capsys.readouterr().out
