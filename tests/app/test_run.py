import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from volition import cli
from volition.app import run as app
from volition.loop.log import LogReader
from volition.loop.record import SIGNALS
from volition.signal import Recording

QUICK = ["run", "--oracle", "--seconds", "2", "--seed", "3"]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def files() -> list[str]:
    return sorted(str(p) for p in Path().rglob("*"))


def test_a_run_is_kept_with_all_that_made_it(capsys):
    assert cli.main([*QUICK, "--output", "r", "--json", "figures.json"]) == 0
    assert {p.name for p in Path("r").iterdir()} >= {"run.toml", "run.json", "report.json", SIGNALS, "wall.bin"}
    out = capsys.readouterr().out
    assert "success" in out
    assert out.endswith("kept in r\n")
    rows = {row["what"]: row["value"] for row in json.loads(Path("figures.json").read_text(encoding="utf-8"))["rows"]}
    assert rows["seconds"] == 2.0
    assert rows["score.n_trials"] >= 1
    assert rows["latency.brain.n"] == 100


def test_its_own_configuration_repeats_it_to_the_byte():
    assert (
        cli.main([*QUICK, "--task", "reach", "--set", "task.layout=webgrid", "--set", "task.rows=4", "--output", "a"]) == 0
    )
    assert cli.main(["run", "--config", "a/run.toml", "--output", "b"]) == 0
    assert Path("a", SIGNALS).read_bytes() == Path("b", SIGNALS).read_bytes()
    assert Path("a/run.toml").read_text(encoding="utf-8") == Path("b/run.toml").read_text(encoding="utf-8")
    assert cli.main(["run", "--config", "a/run.toml", "--seed", "4", "--output", "c"]) == 0
    assert Path("a", SIGNALS).read_bytes() != Path("c", SIGNALS).read_bytes()


def test_options_go_before_the_file():
    Path("my.toml").write_text("seconds = 5.0\n[channel]\nname = 'utah96'\n[loop]\nassist = 0.2\n", encoding="utf-8")
    options = app.Run(config=Path("my.toml"), channel="ideal", assist=0.4, clock="real", set=("seconds=7",), seconds=6.0)
    config = app.configuration(options)
    assert config.stages["channel"][0] == "ideal"
    assert (config.loop.assist, config.loop.clock, config.seconds) == (0.4, "real", 7.0)


def test_a_decoder_that_learns_is_calibrated_first(capsys):
    short = ["--set", "calibration.observe_s=10", "--set", "calibration.assist=[]"]
    assert cli.main(["run", "--seconds", "1", "--output", "r", *short]) == 0
    spikes = LogReader(Path("r", SIGNALS)).read("spikes")
    assert len(spikes["t_ns"]) == 550


def test_new_folders_do_not_meet():
    first = app.new_folder()
    first.mkdir(parents=True)
    assert app.new_folder() != first


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--brain", "persn"], "did you mean 'person'?"),
        (["--channel", "idel"], "did you mean 'ideal'?"),
        (["--decoder", "kalmn"], "did you mean 'kalman'?"),
        (["--effector", "curser"], "did you mean 'cursor'?"),
        (["--feedback", "silnt"], "did you mean 'silent'?"),
        (["--task", "reech"], "did you mean 'reach'?"),
        (["--decoder", "missing.py"], "no such file"),
        (["--decoder", "no.such:Thing"], "no module"),
        (["--decoder", "math:pi"], "no class 'pi'"),
        (["--decoder", "sys:exit"], "no class 'exit'"),
        (["--set", "decoder.penalty=nan"], "penalty must be positive"),
        (["--set", "decoder.noises=[nan]"], "noises must be positive"),
        (["--decoder", "wiener", "--set", "decoder.penalties=[nan]"], "penalties must be positive"),
        (["--decoder", "wiener", "--set", "decoder.history_ms=[inf]"], "history_ms must be positive"),
        (["--no-calibrate"], "has learnt nothing"),
        (["--config", "missing.toml"], "cannot be read"),
        (["--set", "task.layuot=webgrid"], "did you mean 'layout'?"),
        (["--set", "nonsense"], "SECTION.FIELD=VALUE"),
        (["--seconds", "-1"], "must be positive"),
        (["--assist", "3"], "0..1"),
        (["--brain", "replay"], "which"),
        (["--brain", "replay", "--set", "brain.file=missing.mat"], "missing.mat"),
        (["--set", "brain.channels=96", "--channel", "thread1024"], "1024"),
        (["--json", "file/rows.json"], "cannot be written"),
        (["--output", "file"], "File exists"),
        (["--output", "file/run"], "Not a directory"),
        (["--output", "full"], "not empty"),
        (["--model", "missing"], "missing"),
    ],
)
def test_bad_input_is_one_line_exit_2_and_nothing_written(args, said, capsys):
    Path("file").write_text("", encoding="utf-8")
    Path("full").mkdir()
    Path("full", "precious").write_text("", encoding="utf-8")
    before = files()
    assert cli.main(["run", *args]) == 2
    seen = capsys.readouterr()
    assert seen.err.startswith("volition: ")
    assert seen.err.count("\n") == 1
    assert said in seen.err
    assert seen.out == ""
    assert files() == before


def foreign(kind: str) -> Path:
    """A recording file that is none."""
    path = Path("session.npz")
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "foreign":
        path.write_bytes(b"\x7fELF" + bytes(200))
    elif kind == "truncated":
        np.savez(path, spike_counts=np.ones((500, 20)))
        path.write_bytes(path.read_bytes()[:500])
    return path


@pytest.mark.parametrize("kind", ["empty", "foreign", "truncated"])
def test_a_recording_that_is_none_is_one_line(kind, capsys):
    path = foreign(kind)
    assert cli.main(["run", "--brain", "replay", "--set", f"brain.file={path}"]) == 2
    seen = capsys.readouterr()
    assert seen.err.count("\n") == 1
    assert "session.npz" in seen.err
    assert files() == ["session.npz"]


def start(*args: str) -> subprocess.Popen[str]:
    """A long run in a process of its own, once it has written some blocks."""
    command = [sys.executable, "-m", "volition", "run", "--oracle", "--seconds", "1000000", "--output", "r", *args]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log, end = Path("r", SIGNALS), time.monotonic() + 60
    while not (log.exists() and log.stat().st_size > 20_000):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    return process


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_ends_the_run_between_two_bins_and_keeps_it():
    process = start()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.startswith("volition: interrupted: ")
    assert err.count("\n") == 1
    assert out == ""
    reader = LogReader(Path("r", SIGNALS))
    counted = [name for name, _ in reader]
    assert not reader.truncated
    assert counted.count("spikes") == counted.count("delivered") > 100
    assert not Path("r", "report.json").exists()
    # what is kept is a run like any other, only shorter
    assert cli.main(["replay", "r"]) == 0


def recorded_session(bins: int = 1000, bin_ns: int = 20_000_000) -> Recording:
    """Thirty units, linear in a smooth velocity."""
    rng = np.random.default_rng(0)
    t = np.arange(bins) * bin_ns / 1e9
    velocity = np.stack([np.sin(2 * t), np.cos(1.3 * t)], 1)
    rate = 3 + velocity @ rng.normal(size=(2, 30))
    counts = rng.poisson(np.clip(rate, 0, None)).astype(np.uint16)
    return Recording(counts, bin_ns, {"velocity": 10 * velocity}, {"velocity": "cm/s"}, np.zeros(bins, np.int32))


def test_a_recording_that_thinks_is_fitted_and_scored_apart(monkeypatch, capsys):
    monkeypatch.setattr("volition.app._build.read_recording", lambda file: recorded_session())
    args = ["run", "--brain", "replay", "--set", "brain.file=s.npz", "--output", "r", "--json", "f.json"]
    assert cli.main(args) == 0
    rows = {row["what"]: row["value"] for row in json.loads(Path("f.json").read_text(encoding="utf-8"))["rows"]}
    assert rows["seconds"] == 20.0  # the whole recording
    assert rows["decoded.bins"] == 200
    assert 0.7 < rows["decoded.r2.reach.x"] < 1
    assert "200 bins, after the first 80%" in capsys.readouterr().out
    monkeypatch.setattr("volition.app.replay._load", lambda file: recorded_session())
    assert cli.main(["replay", "r"]) == 0
    assert cli.main([*args[:5], "--output", "s", "--model", "r/model"]) == 0
    assert "movement, 1000 bins: " in capsys.readouterr().out
    same = replace(recorded_session(), sha256="abc")
    monkeypatch.setattr("volition.app._build.read_recording", lambda file: same)
    assert cli.main([*args[:5], "--output", "u"]) == 0
    assert cli.main([*args[:5], "--output", "v", "--model", "u/model"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if line.startswith("decoded")][1].startswith(  # what it learnt from is not scored
        "decoded against recorded movement, 200 bins, after the first 80%, on which it was fitted"
    )
    assert cli.main([*args[:5], "--output", "w", "--decoder", "still"]) == 0
    assert "movement, 1000 bins: " in capsys.readouterr().out  # and where nothing was learnt from, nothing is said of it
    assert cli.main([*args[:5], "--output", "t", "--seconds", "1"]) == 0
    assert "give it more --seconds" in capsys.readouterr().out


def test_too_short_a_recording_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr("volition.app._build.read_recording", lambda file: recorded_session(20))
    assert cli.main(["run", "--brain", "replay", "--set", "brain.file=s.npz"]) == 2
    assert "too few" in capsys.readouterr().err
    assert files() == []


def test_a_file_that_leaves_or_has_no_class_is_one_line(capsys):
    Path("leaves.py").write_text("raise SystemExit(5)", encoding="utf-8")
    Path("number.py").write_text("Number = 5", encoding="utf-8")
    for name, said in (("leaves", "cannot be imported"), ("number", "no class 'Number'")):
        assert cli.main(["run", "--decoder", f"{name}.py"]) == 2
        assert said in capsys.readouterr().err


def test_a_file_may_be_named_with_a_hyphen():
    text = "from volition.decoder.still import Still\n\n\nclass MyStill(Still):\n    pass\n"
    Path("my-still.py").write_text(text, encoding="utf-8")
    assert cli.main(["run", "--decoder", "my-still.py", "--seconds", "0.1"]) == 0
