"""What make says where it cannot work, before it has installed anything."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(shutil.which("make") is None or os.name != "posix", reason="no make here")


@pytest.fixture
def checkout(tmp_path) -> Path:
    """What make reads of a checkout."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "TORCH"))}
    return subprocess.run(["make", *args], cwd=folder, env=env, capture_output=True, text=True, check=False)


def python(folder: Path, *lines: str) -> str:
    """A stand-in for an interpreter."""
    path = folder / "python-stand-in"
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]), encoding="utf-8")
    path.chmod(0o755)
    return f"PYTHON={path}"


def test_help_names_the_targets(checkout):
    done = make(checkout)
    assert done.returncode == 0
    for target in ("make demo", "make test", "lint", "format", "bench", "soak", "docs", "clean"):
        assert target in done.stdout


def test_no_python_is_one_clear_line(checkout):
    done = make(checkout, "demo", "PYTHON=surely-no-python")
    assert done.returncode == 2
    assert "no surely-no-python here; set PYTHON=" in done.stderr
    assert not (checkout / ".venv").exists()


def test_an_old_python_is_one_clear_line(checkout):
    done = make(checkout, "test", python(checkout, 'if [ "$1" = -V ]; then echo Python 3.9.1; else exit 1; fi'))
    assert done.returncode == 2
    assert "needs Python 3.11 or newer" in done.stderr
    assert "is Python 3.9.1" in done.stderr
    assert not (checkout / ".venv").exists()


def test_a_python_without_venv_is_one_clear_line(checkout):
    done = make(checkout, "demo", python(checkout, 'case "$2" in *ensurepip*) exit 1;; esac', "exit 0"))
    assert done.returncode == 2
    assert "has no venv" in done.stderr
    assert "apt install python3-venv" in done.stderr


def test_an_environment_that_is_up_to_date_is_not_made_again(checkout):
    (checkout / ".venv").mkdir()
    for stamp in ("core.stamp", "dev.stamp"):
        (checkout / ".venv" / stamp).touch()
    assert "-m pip" not in make(checkout, "-n", "test").stdout
    os.utime(checkout / "pyproject.toml", (2**31 - 1, 2**31 - 1))
    assert "-m pip" in make(checkout, "-n", "test").stdout


def test_the_gate_is_a_script_that_ends_with_the_tests():
    gate = ROOT / ".ci" / "run"
    assert os.access(gate, os.X_OK)
    assert subprocess.run(["bash", "-n", gate], check=False).returncode == 0
    assert gate.read_text(encoding="utf-8").rstrip().endswith('exec make test TORCH="${TORCH:-torch==2.13.0}"')
