import json
import re
from xml.etree import ElementTree

import pytest

from volition.app import _model
from volition.app._parse import parse
from volition.app.decode import Decode, main
from volition.cli import main as volition
from volition.errors import ConfigError, UnknownNameError

pytestmark = pytest.mark.usefixtures("session")


def run(*args):
    return main(parse(Decode, "volition decode", "", ["session.mat", *args]))


def test_table_report_json_and_models(session, tmp_path, capsys):
    assert run("--json", "rows.json") == 0
    assert "wiener" in capsys.readouterr().out
    document = json.loads((tmp_path / "rows.json").read_text())
    assert set(document) == {"rows", "machine", "version", "command"}
    assert [r["decoder"] for r in document["rows"]] == ["wiener", "kalman"]
    for row in document["rows"]:
        assert row["target"] == "velocity"
        assert 0.5 < row["r2"] < 1
        assert len(row["r2_axes"]) == len(row["r"]) == 2
    folder = tmp_path / "runs" / "decode-session"
    page = (folder / "report.html").read_text()
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == 3  # R² and two traces
    for picture in pictures:
        ElementTree.fromstring(picture)
        assert "nan" not in picture
    for name in ("wiener", "kalman"):
        spec, decoder = _model.load(folder / name)
        assert spec.bin_ns == session.bin_ns
        assert spec.intent == ("reach.x", "reach.y")
        assert spec.trained["data_sha256"] == session.sha256
        assert spec.trained["unit"] == "m/s"
        guess = decoder.predict(session.counts[720:])
        truth = session.kinematics["velocity"][720:] / 100
        r2 = 1 - ((truth - guess) ** 2).sum() / ((truth - truth.mean(0)) ** 2).sum()
        assert r2 == pytest.approx(spec.trained["r2"], abs=1e-4)


def test_the_control_is_shown_beside_the_score(tmp_path, capsys):
    assert run("--decoders", "wiener", "--json", "rows.json", "--control") == 0
    assert "control_max" in capsys.readouterr().out
    (row,) = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert len(row["control"]) == 20
    assert row["control_median"] <= 0.02
    page = (tmp_path / "runs" / "decode-session" / "report.html").read_text()
    assert page.count("<circle") == 20


def test_controls_have_no_model(tmp_path, capsys):
    assert run("--decoders", "still", "random", "--output", "out", "--seed", "3") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["report.html"]
    assert "models" not in capsys.readouterr().out


def test_bad_options_end_before_anything_is_written(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'velocity'"):
        run("--target", "velocty", "--decoders", "still")
    with pytest.raises(UnknownNameError, match="did you mean 'wiener'"):
        run("--decoders", "wienr")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="cannot be written"):
        run("--output", "file/out")
    with pytest.raises(ConfigError, match="cannot be written"):
        run("--json", "file/rows.json", "--decoders", "still")
    for bad in (("--decoders", "still", "still"), ("--seed", "-1")):
        with pytest.raises(ConfigError):
            run(*bad)
    assert not list(tmp_path.rglob("*.json"))
    assert not list(tmp_path.rglob("*.html"))


def test_from_the_command_line(capsys):
    assert volition(["decode", "session.mat", "--decoders", "still"]) == 0
    assert volition(["decode", "session.mat", "--decoders", "stil"]) == 2
    assert "did you mean 'still'" in capsys.readouterr().err
