import json
import signal
import subprocess
import sys
import time

import pytest

from volition.app import run, stream
from volition.cli import main
from volition.errors import ConfigError
from volition.loop.replay import replay

needs_pylsl = pytest.mark.usefixtures("_pylsl")


@pytest.fixture
def _pylsl():
    pytest.importorskip("pylsl", reason="pylsl (extra [lsl]) is not installed", exc_type=ImportError)


@needs_pylsl
@pytest.mark.parametrize("what", ["events", "voltage"])
def test_it_streams_for_so_long_and_says_what_it_sent(what, tmp_path, capsys):
    name = f"test-{what}-{time.monotonic_ns()}"
    args = ["stream", "--what", what, "--name", name, "--seconds", "0.4", "--channels", "8", "--rate-hz", "15000"]
    assert main([*args, "--json", str(tmp_path / "s.json")]) == 0
    assert f"{what} of 8 electrodes as LSL stream" in capsys.readouterr().out
    rows = {row["what"]: row["value"] for row in json.loads((tmp_path / "s.json").read_text())["rows"]}
    assert rows["seconds"] == pytest.approx(0.4)
    if what == "voltage":
        assert rows["samples"] == 0.4 * 15_000
    else:
        assert rows["samples"] > 0


@needs_pylsl
def test_a_run_listens_to_it_its_intent_goes_out_and_ctrl_c_ends_it(tmp_path, capsys):
    name = f"test-{time.monotonic_ns()}"
    child = subprocess.Popen(
        [sys.executable, "-m", "volition", "stream", "--name", name, "--channels", "16"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert "Ctrl-C ends it" in child.stdout.readline()
        args = ["run", "--brain", "lsl", "--set", f"brain.name_of_stream={name}", "--decoder", "random"]
        assert main([*args, "--output", str(tmp_path / "no")]) == 2  # a misspelt field, in one line
        assert "unknown key" in capsys.readouterr().err
        args[4] = f"brain.source_id=volition-{name}"
        assert main([*args, "--seconds", "2", "--lsl-out", f"{name}-me", "--output", str(tmp_path / "run")]) == 0
        assert "stream: streaming" in capsys.readouterr().out
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=10)
        assert child.returncode == 0, err
        assert "samples" in out
        assert err == ""
    finally:
        child.kill()
        child.wait()
    assert replay(tmp_path / "run").equal


def test_a_live_brain_runs_on_the_real_clock_without_being_told():
    assert run.configuration(run.Run(brain="lsl")).loop.clock == "real"
    assert run.configuration(run.Run(brain="person")).loop.clock == "lockstep"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seconds": 0.0}, "--seconds"),
        ({"channels": 0}, "--channels"),
        ({"what": "voltage", "rate_hz": 100.0}, "--rate-hz"),
        ({"what": "voltage", "rate_hz": 19_531.0}, "--rate-hz"),
    ],
)
def test_what_cannot_be_streamed_is_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        stream.main(stream.Stream(**options))
