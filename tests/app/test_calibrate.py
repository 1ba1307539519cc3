import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from volition.app._parse import parse
from volition.app.calibrate import Calibrate, main
from volition.brain._preset import Preset
from volition.brain.person import Person, PersonConfig
from volition.cli import main as volition
from volition.errors import ConfigError, InputError
from volition.signal import BodyState, Goal, Recording, Stim, View
from volition.stage import Setup
from volition.train.person import simulate


@pytest.fixture(autouse=True)
def session(monkeypatch, tmp_path):
    """A recording that any file is read as, and an empty folder to work in."""
    rng = np.random.default_rng(0)
    bins = 2400
    v = np.zeros((bins, 2))
    for t in range(1, bins):
        v[t] = 0.85 * v[t - 1] + rng.standard_normal(2)
    kinematics = {"velocity": v, "position": np.cumsum(v, axis=0) / 100}
    empty = Recording(np.ones((bins, 1)), 50_000_000, kinematics, {"velocity": "cm/s"}, np.zeros(bins, np.int32))
    made = replace(simulate("utah_m1", empty, channels=30), name="session")
    monkeypatch.setattr("volition.io.read.read", lambda path, layout=None, bin_ms=None: made)
    monkeypatch.chdir(tmp_path)
    return made


def run(*args):
    return main(parse(Calibrate, "volition calibrate", "", ["session.mat", *args]))


def test_preset_table_report_and_json(tmp_path, capsys):
    assert run("--output", "mine.json", "--report", "page.html", "--json", "rows.json", "--populations", "2") == 0
    said = capsys.readouterr().out
    assert "noise correlation, 500 ms" in said
    assert "--set brain.preset=mine.json" in said
    rows = {r["what"]: r for r in json.loads((tmp_path / "rows.json").read_text())["rows"]}
    assert 0.3 < rows["Fano factor, 50 ms"]["recorded"] < 2
    assert rows["R² of velocity, 25 units"]["simulated"] > 0.1
    assert len(Preset.load("mine.json").factor_ms) >= 1
    page = (tmp_path / "page.html").read_text()
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == 9  # rates, depth, directions, information, two Fano factors, two correlations, decoding
    for picture in pictures:
        ElementTree.fromstring(picture)
        assert "nan" not in picture
    assert "http" not in page.replace("http://www.w3.org", "")


def test_a_person_made_of_the_preset_fires(capsys):
    assert run("--populations", "0") == 0
    file = re.search(r"brain\.preset=(\S+\.json)", capsys.readouterr().out).group(1)
    person = Person(PersonConfig(preset=file))
    person.prepare(Setup(channels=64))
    none = np.empty(0)
    view = View(0, Goal(0, 0, np.array([0.08, 0.0]), 0.01), BodyState(0, np.zeros(2), np.zeros(2), none, none))
    assert sum(int(person.step(view, Stim.zero(0, 0)).counts.sum()) for _ in range(100)) > 500


def test_another_day_is_compared_with_all_of_the_first(capsys):
    assert run("--populations", "1", "--against", "other.mat") == 0
    assert "rates, KS distance" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--populations", "-1"), "populations"),
        (("--output", "mine.txt"), r"ends in \.json"),
        (("--populations", "0", "--report", "a.html"), "compares nothing"),
        (("--seed", "-1"), "seed"),
    ],
)
def test_what_cannot_be(args, words):
    with pytest.raises(ConfigError, match=words):
        run(*args)


def test_places_are_tried_before_the_work(monkeypatch, tmp_path):
    (tmp_path / "nowhere").write_text("a file")
    monkeypatch.setattr("volition.train.person_compare.calibrated", lambda *a, **k: pytest.fail("worked first"))
    with pytest.raises(ConfigError, match="--output"):
        run("--output", "nowhere/mine.json")


def test_errors_are_one_line(monkeypatch, capsys):
    def refuse(*args, **kwargs):
        raise InputError("session.mat: no such file")

    monkeypatch.setattr("volition.io.read.read", refuse)
    assert volition(["calibrate", "session.mat"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
