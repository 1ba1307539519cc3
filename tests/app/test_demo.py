import json
import subprocess
import sys
from pathlib import Path

import pytest

from volition.app.demo import _SHORT, Demo, _loop, _shown, folder_of, main
from volition.errors import ConfigError

FAST = {"channel": "utah96", "effector": "cursor", "task": "reach", "viewer": "none"}


def run(folder, *args):
    command = [sys.executable, "-m", "volition", "demo", *args]
    return subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


def test_the_demo_ends_by_itself_with_a_scoreboard_and_its_files(tmp_path):
    done = run(tmp_path, "--seconds", "3", "--effector", "arm", "--task", "reach", "--json", "board.json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    folder = tmp_path / "runs" / "demo"
    for name in ("report.html", "report.json", "signals.vlog", "run.json"):
        assert (folder / name).stat().st_size > 0
        assert name == "run.json" or f"{Path('runs') / 'demo' / name}" in done.stdout
    for word in ("watch it at http://127.0.0.1:", "observe", "kalman", "random", "oracle", "bit/s", "real time"):
        assert word in done.stdout
    assert "\x1b" not in done.stdout
    report = json.loads((folder / "report.json").read_text())
    chain = ("person", "thread1024", "kalman", "arm", "linear", "reach")
    assert tuple(report["stages"].values()) == chain
    assert abs(report["seconds"] - 3) < 0.05
    document = json.loads((tmp_path / "board.json").read_text())
    assert [row["decoder"] for row in document["rows"]] == ["kalman", "random", "oracle"]
    assert document["command"] == "volition demo --seconds 3 --effector arm --task reach --json board.json"
    assert str(tmp_path) not in (folder / "report.html").read_text()


def test_what_a_task_does_not_score_has_no_column():
    rows = [{"decoder": "kalman", "trials": 4, "success": 1.0, "success_low": 0.5, "success_high": 1.0}]
    rows[0] |= dict.fromkeys(_SHORT.values(), float("nan")) | {"speed_m_s": 0.654, "fell": 0.0}
    assert list(_shown(rows)) == [
        {"decoder": "kalman", "success": "100%", "95 %": "50-100", "of": 4, "m/s": 0.65, "falls": 0.0}
    ]


def test_the_demo_is_of_legs_that_walk():
    options = Demo()
    with _loop(options, "random", oracle=True) as loop:
        report = loop.run(2)
    assert (report.stages["effector"], report.stages["task"]) == ("legs", "walk")
    assert report.score["fell"] == 0


def test_the_next_demo_does_not_touch_the_last(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert folder_of(Demo()) == Path("runs/demo")
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    assert folder_of(Demo()) == Path("runs/demo-2")


def test_a_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(ConfigError, match="not empty"):
        main(Demo(output=tmp_path, **FAST))
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused_before_anything_is_written(tmp_path, seconds):
    with pytest.raises(ConfigError, match="--seconds"):
        main(Demo(seconds=seconds, output=tmp_path / "new", **FAST))
    assert not (tmp_path / "new").exists()


def test_a_name_with_a_typo_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ConfigError, match="thread1024"):
        main(Demo(output=tmp_path / "new", channel="thread1042", viewer="none"))
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    done = run(tmp_path, "--output", "file/new", "--channel", "utah96", "--effector", "cursor")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "file/new" in done.stderr


def test_a_place_for_json_that_cannot_be_written_is_refused_first(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="--json"):
        main(Demo(json=tmp_path / "file" / "x.json", output=tmp_path / "new", **FAST))


def test_ctrl_c_in_the_middle_keeps_the_run(tmp_path, monkeypatch):
    from volition.app._interrupt import Interrupt
    from volition.loop.log import LogReader

    left = iter([False] * 200)
    check = Interrupt.check

    def after_a_while(self):
        self.asked = next(left, True)
        check(self)

    monkeypatch.setattr(Interrupt, "check", after_a_while)
    with pytest.raises(KeyboardInterrupt, match="kept in"):
        main(Demo(output=tmp_path / "new", **FAST))
    assert len(LogReader(tmp_path / "new" / "signals.vlog").read("spikes")["t_ns"]) == 201
    assert not (tmp_path / "new" / "report.html").exists()


def test_an_equal_seed_gives_an_equal_run(tmp_path, capsys):
    for name in "ab":
        assert main(Demo(seconds=2, output=tmp_path / name, controls=False, decoder="random", **FAST)) == 0
    logs = [(tmp_path / name / "signals.vlog").read_bytes() for name in "ab"]
    assert logs[0] == logs[1]
