import os
import subprocess
import sys

import pytest

from volition.app.export import Export, main
from volition.errors import ConfigError, InputError, LogError, VolitionError
from volition.loop.loop import Loop


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "one"
    with Loop(channel="utah96", decoder="random", effector="arm", feedback="linear", seed=1, record=folder) as loop:
        loop.close(loop.run(4))
    return folder


@pytest.mark.parametrize("kind", ["html", "nwb", "mcap", "gif", "mp4"])
def test_each_kind_is_written_under_the_runs_name_and_only_once(run, kind, tmp_path, monkeypatch, capsys):
    for kind_, name in (("mcap", "mcap"), ("gif", "PIL"), ("mp4", "imageio_ffmpeg")):
        # Where everything is installed, nothing is skipped.
        if kind == kind_ and os.environ.get("VOLITION_TORCH") != "required":
            pytest.importorskip(name, reason=f"{kind} needs {name}")
    monkeypatch.chdir(tmp_path)
    seconds = {"seconds": 1.0} if kind in ("html", "gif", "mp4") else {}
    assert main(Export(run, kind, width=320, **seconds)) == 0
    assert [p.name for p in tmp_path.iterdir()] == [f"one.{kind}"]
    assert (tmp_path / f"one.{kind}").stat().st_size > 5000
    assert f"one.{kind}" in capsys.readouterr().out
    with pytest.raises(InputError, match="exists already"):
        main(Export(run, kind))
    assert main(Export(run, kind, width=320, force=True, **seconds)) == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"to": "nwb", "seconds": 1.0}, "takes the whole run"),
        ({"to": "gif", "other": "x"}, "side by side"),
        ({"to": "gif", "seconds": -1.0}, "positive"),
        ({"to": "html", "most_mb": 0.0}, "positive"),
        ({"to": "gif", "width": 10}, "--width"),
        ({"to": "gif", "output": "a.png"}, "end in .gif"),
        ({"to": "html", "output": "/proc/none/a.html"}, "--output"),
        ({"to": "html", "from_s": 100.0}, "nothing lies"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(run, options, says, tmp_path, monkeypatch):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    options = {k: Path(v) if k in ("output", "other") else v for k, v in options.items()}
    with pytest.raises(VolitionError, match=says):
        main(Export(run, **options))
    assert not list(tmp_path.iterdir())


def test_a_folder_without_a_run_is_one_line(tmp_path):
    with pytest.raises(LogError, match="holds no run"):
        main(Export(tmp_path, "html", output=tmp_path / "a.html"))
    command = [sys.executable, "-m", "volition", "export", str(tmp_path), "--to", "html"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_a_gif_without_pillow_names_the_extra(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(VolitionError, match=r"volition\[film\]"):
        main(Export(run, "gif", output=tmp_path / "a.gif"))
    with pytest.raises(ConfigError):
        main(Export(run, "gif", seconds=0.0))
