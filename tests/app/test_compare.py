"""The command `compare`: what it understands, what it refuses before any work, what it writes and says."""

import json
import re
from pathlib import Path

import pytest

from volition import cli
from volition.app._compare import page, spec
from volition.app.compare import Compare, planned

QUICK = ["--seconds", "3", "--open-seconds", "4", "--set", "calibration.observe_s=6", "--set", "calibration.assist=[]"]
WIENER = "wiener,history_ms=[100.0],penalties=[1000.0],ratios=[1.0]"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def plan(*words, **given):
    return planned(Compare(*words, **given))[1]


def test_a_comparison_from_flags_to_table_and_page(capsys):
    command = [
        "compare",
        "--decoders",
        WIENER,
        "random",
        "--tasks",
        "centre_out",
        "webgrid",
        "--seeds",
        "2",
        *QUICK,
        "--oracle",
    ]
    assert cli.main([*command, "--workers", "2", "--output", "out", "--json", "rows.json"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert len(re.findall(r"^(?:centre_out|webgrid) +(?:wiener|random|oracle)", said.out, re.M)) == 6
    assert "report: out/report.html" in said.out
    rows = json.loads(Path("rows.json").read_text())["rows"]
    assert rows == json.loads(Path("out/table.json").read_text())["rows"]
    assert [(r["task"], r["decoder"]) for r in rows[:3]] == [
        ("centre_out", WIENER),
        ("centre_out", "random"),
        ("centre_out", "oracle"),
    ]
    assert all((r["seeds"], r["failed"]) == (2, 0) for r in rows)
    best = rows[2]
    assert best["bit_rate_bit_s"] > rows[1]["bit_rate_bit_s"]
    assert best["r2"] is None
    assert rows[0]["r2"] > rows[1]["r2"]
    text = Path("out/report.html").read_text(encoding="utf-8")
    assert text.count("<svg") == 2
    assert "Simulated persons" in text
    assert len(list(Path("out/units").iterdir())) == 12


def test_flags_are_names_layouts_presets_and_fields():
    assert spec.variant("brain", "utah_m1,day=3") == {"name": "person", "preset": "utah_m1", "day": 3}
    assert spec.variant("brain", "person,channels=32") == {"name": "person", "channels": 32}
    assert spec.variant("task", "webgrid,rows=4,columns=5") == {
        "name": "reach",
        "layout": "webgrid",
        "rows": 4,
        "columns": 5,
    }
    assert spec.variant("decoder", "own.module:Mine") == {"name": "own.module:Mine"}


def test_a_specification_says_the_same_as_flags_and_flags_go_before_it():
    Path("what.toml").write_text(
        """
        seeds = 3
        seconds = 5.0
        oracle = true
        channel = "utah96"
        [decoders.quick]
        name = "wiener"
        history_ms = [100.0]
        [decoders.kalman]
        [persons.few]
        name = "person"
        channels = 96
        [tasks.grid]
        name = "reach"
        layout = "webgrid"
        [calibration]
        observe_s = 7.0
        """
    )
    units = plan(Path("what.toml"))
    assert {(u.decoder, u.person, u.task) for u in units} == {(d, "few", "grid") for d in ("quick", "kalman", "oracle")}
    assert {u.seed for u in units} == {0, 1, 2}
    one = units[0]
    assert (one.seconds, one.calibration["observe_s"], one.stages["channel"][0]) == (5.0, 7.0, "utah96")
    assert one.stages["decoder"][1]["history_ms"] == (100.0,)
    assert one.stages["task"][1]["layout"] == "webgrid"
    assert len(plan(Path("what.toml"), seeds=10)) == 30  # also where the flag says what is usual
    fewer = plan(Path("what.toml"), seeds=1, decoders=("still",), set=("calibration.observe_s=9",), first_seed=4)
    assert {(u.decoder, u.seed, u.calibration["observe_s"]) for u in fewer} == {("still", 4, 9.0), ("oracle", 4, 9.0)}


def test_the_rest_of_the_loop_is_set_for_all():
    units = plan(
        decoders=("still", "random"), seeds=1, set=("task.timeout_s=2", "loop.assist=0.5"), channel="utah96", effector="arm"
    )
    assert {u.stages["task"][1]["timeout_s"] for u in units} == {2.0}
    assert {u.loop["assist"] for u in units} == {0.5}
    assert {u.stages["effector"][0] for u in units} == {"arm"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--decoders", "kalmann"], "unknown decoder 'kalmann'; did you mean 'kalman'?"),
        (["--decoders", "kalman,folds=x"], "folds must be an integer"),
        (["--decoders", "kalman,binz=3"], "unknown key 'binz'"),
        (["--decoders", "kalman", "kalman"], "one is named twice"),
        (["--decoders", ",a=1"], "expected NAME"),
        (["--persons", "nobody"], "nobody"),
        (["--persons", "replay"], "needs one that reacts"),
        (["--tasks", "reech"], "unknown task 'reech'; did you mean 'reach'?"),
        (["--tasks", "webgrid,rows=0"], "reach:"),
        (["--tasks", "reach,select=click", "--channel", "ideal", "--effector", "nothing"], "unknown effector 'nothing'"),
        (["--seeds", "0"], "--seeds must be positive"),
        (["--first-seed", "-1"], "--first-seed not negative"),
        (["--seconds", "0"], "seconds must be positive"),
        (["--seconds", "nan"], "seconds must be positive"),
        (["--workers", "-1"], "--workers must not be negative"),
        (["--measure", "speed"], "--measure speed: task centre_out does not score it, but success"),
        (["--set", "loop.clock=real"], "lockstep"),
        (["--set", "banana=1"], "expected SECTION.FIELD=VALUE"),
        (["--set", "loop.banana=1"], "unknown key 'banana'"),
        (["--output", "file.txt"], "file.txt"),
        (["--cluster", "127.0.0.1:1"], "127.0.0.1:1"),
        (["missing.toml"], "missing.toml: cannot be read"),
        (["bad.toml"], "bad.toml: not valid TOML"),
        (["key.toml"], "key.toml: unknown key 'seedz'"),
        (["type.toml"], "seeds must be an integer"),
        (["table.toml"], "[decoders] holds one table a variant"),
    ],
)
def test_what_cannot_be_is_one_line_exit_2_and_nothing_written(words, message, capsys):
    files = {
        "file.txt": "mine",
        "bad.toml": "seeds = ",
        "key.toml": "seedz = 3",
        "type.toml": 'seeds = "three"',
        "table.toml": "[decoders]\nname = 'kalman'",
    }
    for name, text in files.items():
        Path(name).write_text(text)
    flags = [] if words[0] == "type.toml" else ["--seeds", "1", "--open-seconds", "0"]
    assert cli.main(["compare", *flags, *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert message in said.err
    left = {p.name for p in Path().rglob("*")} - {
        "runs",
        "compare",
        "units",
    }  # the lock's folder, where a cluster is missing
    assert left == set(files)


def test_a_unit_that_cannot_be_done_is_told_and_the_others_count(capsys, tmp_path):
    Path("mine.py").write_text(
        '''"""Fails when it is used."""
from volition.decoder.still import Still, StillConfig


class MineConfig(StillConfig):
    pass


class Mine(Still):
    fitted = False

    def fit(self, X, mask, y, segments=None):
        raise ValueError("singular matrix")
'''
    )
    assert cli.main(["compare", "--decoders", "mine.py", "still", "--seeds", "2", *QUICK, "--output", "out"]) == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "2 units could not be done: mine.py: ValueError: singular matrix" in said.err
    rows = json.loads(Path("out/table.json").read_text())["rows"]
    assert [(r["seeds"], r["failed"]) for r in rows] == [(0, 2), (2, 0)]


def test_the_page_tells_where_open_and_closed_loop_disagree():
    line = {"task": "t", "person": "p", "seeds": 5, "success": 0.5, "success_low": 0.4, "success_high": 0.6}
    measured = [("smooth", 0.8, 1.0, 1, 2, "!"), ("quick", 0.6, 2.0, 2, 1, "!"), ("<b>", None, 3.0, None, None, "")]
    rows = [
        {**line, "decoder": name, "r2": r2, "r2_low": r2, "r2_high": r2, "bits": b, "bits_low": b, "bits_high": b + 0.1,
         "mark": mark, **({} if rank is None else {"rank_r2": rank, "rank": place})}
        for name, r2, b, rank, place, mark in measured
    ]  # fmt: skip
    pair = {"by_r2": "smooth", "by_control": "quick", "r2_gain": 0.2, "control_loss": 1.0, "certain": True}
    agreements = [{"task": "t", "person": "p", "spearman": -1.0, "disagree": [pair]}]
    text = page.page_of(rows, agreements, "bits", {"seeds": 5})
    assert "open loop prefers smooth (R² +0.200), but quick controls better (bits +1.000); certain." in text
    assert text.count('r="9"') == 2  # both are ringed
    assert "stroke-dasharray" in text  # the one without R² is a line across
    assert "<b>&lt;" not in text
    assert "&lt;b&gt;" in text


def test_the_specification_of_the_how_to_is_one():
    text = (Path(__file__).parents[2] / "docs" / "how-to" / "compare.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.S)
    Path("compare.toml").write_text(block)
    units = plan(Path("compare.toml"))
    assert len(units) == 3 * 2 * 1 * 20
    assert {u.stages["brain"][1]["day"] for u in units} == {0, 9}
    assert {u.stages["task"][1]["rows"] for u in units} == {30}
