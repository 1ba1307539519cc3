import json
import signal
import subprocess
import sys
import urllib.request

import pytest

from volition.app.view import View, main
from volition.errors import ConfigError, LogError
from volition.loop.loop import Loop


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "one"
    with Loop(channel="ideal", decoder="random", record=folder) as loop:
        loop.run(2)
    return folder


def test_it_serves_until_it_is_interrupted(run):
    command = [sys.executable, "-m", "volition", "view", str(run), str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as view:
        lines = [view.stdout.readline() for _ in range(3)]
        assert "2.0 s, person -> ideal -> random -> cursor" in lines[0]
        with urllib.request.urlopen(lines[2].split()[-1] + "/run/1/contents") as answer:
            assert json.load(answer)["bins"] == 100
        view.send_signal(signal.SIGINT)
        view.stdout.read()
    assert view.returncode == 0


def test_it_ends_by_itself_where_told(run, capsys):
    assert main(View(run, seconds=0.05)) == 0
    assert "watch it at http://127.0.0.1:" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="--seconds"):
        main(View(run, seconds=0.0))


def test_a_folder_without_a_run_is_one_line(run, tmp_path):
    with pytest.raises(LogError, match="holds no run"):
        main(View(run, tmp_path))
