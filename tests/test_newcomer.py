"""A newcomer's path: an empty folder, `make demo` without a browser, a decoder out of the tutorial, run."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TUTORIAL = ROOT / "docs" / "tutorial.md"
REQUIRED = os.environ.get("VOLITION_NEWCOMER") == "required"
pytestmark = pytest.mark.skipif(not REQUIRED, reason="installs 300 MB anew: set VOLITION_NEWCOMER=required, as .ci/run does")


def done(folder: Path, *command: str) -> str:
    """What a command prints; nothing of this process's environment shows a display or a virtual environment."""
    hidden = ("MAKE", "TORCH", "VIRTUAL_ENV", "DISPLAY", "WAYLAND", "VOLITION")
    env = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    ran = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=400, check=False)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    return ran.stdout


def test_from_an_empty_folder_to_a_decoder_of_ones_own(tmp_path):
    clone = tmp_path / "volition"
    clone.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)

    shown = done(clone, "make", "demo", "ARGS=--seconds 30 --no-controls")
    assert int(re.search(r"^kalman +(\d+)%", shown, re.MULTILINE)[1]) >= 60
    assert (clone / "runs" / "demo" / "report.html").stat().st_size > 10_000

    code = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL)[-1]
    (clone / "mine.py").write_text(code, encoding="utf-8")
    command = next(line for line in TUTORIAL.read_text(encoding="utf-8").splitlines() if "run --decoder ./mine.py" in line)
    _, *args = command.split()
    out = done(clone, ".venv/bin/volition", *args)
    assert float(re.search(r"^ +success +([\d.]+)", out, re.MULTILINE)[1]) > 0.6
