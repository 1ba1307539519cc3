import os
import subprocess
import sys

import pytest

from volition import __version__, cli
from volition.errors import VolitionError


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "volition", *args], capture_output=True, text=True, check=False)


def test_help_names_every_command(capsys):
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    for name in cli.commands():
        assert f"\n  {name}" in out


def test_no_command_shows_the_help_and_is_an_error(capsys):
    assert cli.main([]) == 2
    assert "usage: volition" in capsys.readouterr().out


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"volition {__version__}\n"


def test_unknown_command_names_the_nearest(capsys):
    assert cli.main(["lst"]) == 2
    assert capsys.readouterr().err == "volition: unknown command 'lst'; did you mean 'list'?\n"


def test_python_m_volition_is_the_command():
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"volition {__version__}\n")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["run", "--secods", "3"], "--seconds"),
        (["run", "--seconds", "long"], "'long'"),
        (["run", "--clock", "sundial"], "sundial"),
        (["replay"], "Missing"),
        (["play", "a", "b"], "b"),
        (["list", "decodr"], "did you mean 'decoder'?"),
        (["list", "--jsn", "x"], "--jsn"),
        (["list", "--json"], "name of a file"),
        (["list", "decoder", "kalman", "more"], "too many"),
        (["list", "decoder", "kalmann"], "did you mean 'kalman'?"),
        (["bench", "loops"], "did you mean 'loop'?"),
    ],
)
def test_wrong_options_end_in_one_line(args, said, capsys):
    assert cli.main(args) == 2
    seen = capsys.readouterr()
    assert seen.out == ""
    assert seen.err.startswith("volition: ")
    assert seen.err.count("\n") == 1
    assert said in seen.err


def test_help_of_a_command_ends_well():
    done = run("run", "--help")
    assert done.returncode == 0
    assert "--decoder" in done.stdout


def test_an_error_of_many_lines_is_said_in_one(monkeypatch, capsys):
    def fails(argv):
        raise VolitionError("first\n  second")

    monkeypatch.setattr(cli, "_run", fails)
    assert cli.main(["x"]) == 2
    assert capsys.readouterr().err == "volition: first second\n"


def test_interruption_exits_with_130(monkeypatch, capsys):
    def stopped(argv):
        raise KeyboardInterrupt("kept in runs/1")

    monkeypatch.setattr(cli, "_run", stopped)
    assert cli.main(["x"]) == 130
    assert capsys.readouterr().err == "volition: interrupted: kept in runs/1\n"


@pytest.mark.skipif(os.name != "posix", reason="pipes of a POSIX shell")
def test_a_reader_that_leaves_early_is_no_traceback():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        done = subprocess.run(
            [sys.executable, "-m", "volition", "list"], stdout=gone, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 141
    assert done.stderr == ""


def closed(*args, **how):
    return subprocess.run([sys.executable, "-m", "volition", *args], stderr=subprocess.PIPE, text=True, **how)


def test_a_terminal_that_lacks_characters_shows_others():
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = closed("list", "decoder", "kalman", env=env, stdout=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "")
    assert "?" in done.stdout


def test_without_any_stdout_a_command_works():
    done = closed("list", preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_is_one_line():
    with open("/dev/full", "w") as full:
        done = closed("list", stdout=full)
    assert done.returncode == 2
    assert done.stderr == "volition: cannot write: No space left on device\n"
