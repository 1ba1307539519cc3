"""The wheel, used from another folder: nothing of the checkout may be needed."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling")
ROOT = Path(__file__).parents[1]


def run(*args: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *map(str, args)],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run("-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (path,) = folder.glob("volition-*.whl")
    return path


@pytest.fixture(scope="module")
def site(wheel) -> Path:
    """The wheel unpacked, as an installer lays it out."""
    folder = wheel.parent / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_holds_the_package_whole(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = ROOT / "src"
    expected = {
        p.relative_to(package).as_posix()
        for p in (package / "volition").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert expected <= names
    assert {"volition/py.typed", "volition/io/layouts/stevenson2011.toml"} <= names
    assert any(n.endswith("licenses/LICENSE") for n in names)
    assert not [n for n in names if n.startswith("tests") or "__pycache__" in n]


def test_it_runs_from_an_empty_folder(site, tmp_path):
    env = {"PYTHONPATH": str(site)}
    where = run("-c", "import volition; print(volition.__file__)", cwd=tmp_path, **env).stdout.strip()
    assert Path(where).is_relative_to(site)
    assert "kalman" in run("-m", "volition", "list", cwd=tmp_path, **env).stdout
    short = ("--set", "calibration.observe_s=10", "--set", "calibration.assist=[]")
    done = run("-m", "volition", "run", "--seconds", "2", "--output", "r", *short, cwd=tmp_path, **env)
    assert "success" in done.stdout
    assert {p.name for p in tmp_path.iterdir()} == {"r"}
    assert "loop" in run("-m", "volition", "bench", cwd=tmp_path, **env).stdout


def test_the_entry_point_is_the_command(site):
    (entry,) = site.glob("volition-*.dist-info/entry_points.txt")
    assert "volition = volition.cli:main" in entry.read_text(encoding="utf-8")
