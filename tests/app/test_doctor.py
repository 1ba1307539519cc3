import json
import re
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

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


def test_it_asks_for_what_the_package_declares():
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = doctor.required()
    assert set(wanted[""]) == {re.split("[<>=]", r)[0] for r in project["dependencies"]}
    assert wanted["nwb"] == ["pynwb"]


def test_what_is_missing_is_said_and_exits_1(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "requires", lambda name: ["numpy>=1", "surely-not-there", "nor-this; extra == 'more'"])
    assert cli.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "missing" in out
    assert "'volition[more]' adds nor-this" in out


def test_only_run_from_its_sources_it_says_so(monkeypatch, capsys):
    def unknown(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "requires", unknown)
    assert cli.main(["doctor"]) == 1
    assert "not installed here" in capsys.readouterr().out
