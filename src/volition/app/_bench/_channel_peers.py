"""The environment in which others' packages are measured beside ours: made once, for the bench only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from volition.app._bench import SkipError

PEERS = "VOLITION_PEERS"
_FOLDER = Path(".bench") / "peers"
_PACKAGES = ("numpy", "scipy", "numba", "ezmsg-sigproc", "ezmsg-simbiophys", "ezmsg-event")
_WAIT_S = 900


def _python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]


@cache
def peers(make: bool) -> tuple[str, str]:
    """A Python that has the others, or ours, and why it is ours ("" where it is not).

    `VOLITION_PEERS` names one; otherwise, if `make`, a virtual environment is made below `.bench`, once.
    """
    given = os.environ.get(PEERS)
    if given:
        return (given, "") if Path(given).is_file() else (sys.executable, f"{PEERS} is not a file")
    if not make:
        return sys.executable, f"no environment with the others: set {PEERS} to its Python, or run without --quick"
    done = _FOLDER / "ready"
    if not done.is_file():
        try:
            subprocess.run(
                [sys.executable, "-m", "venv", "--clear", str(_FOLDER)], check=True, capture_output=True, text=True
            )
            install = [str(_python(_FOLDER)), "-m", "pip", "install", "--quiet", *_PACKAGES]
            subprocess.run(install, check=True, capture_output=True, text=True, timeout=_WAIT_S)
        except subprocess.CalledProcessError as error:
            return sys.executable, f"the environment with the others could not be made: {_last(error.stderr)}"
        except (OSError, subprocess.TimeoutExpired) as error:
            return sys.executable, f"the environment with the others could not be made: {error}"
        done.touch()
    return str(_python(_FOLDER).absolute()), ""


@cache
def _measured(python: str, how: str) -> dict[str, Any]:
    """What `_channel_speed` finds in a process of that Python, which is given this volition and nothing else of ours."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "volition").symlink_to(Path(__file__).parents[2], target_is_directory=True)
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
        done = subprocess.run(
            [python, "-m", "volition.app._bench._channel_speed", how],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **threads, "PYTHONPATH": folder},
        )
    if done.returncode:
        raise SkipError(f"the measuring process failed: {_last(done.stderr)}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def measured(make: bool, alone: bool = False, **how: Any) -> dict[str, Any]:
    """Speeds of all; `alone` measures ours only, here, so that the memory is ours."""
    python = sys.executable if alone else peers(make)[0]
    without = ("scipy", "ezmsg", "regression") if alone else ()
    return _measured(python, json.dumps({**how, "without": without}))


def rates(found: dict[str, Any], name: str, make: bool) -> list[float]:
    """The speeds of one.

    Raises:
        SkipError: it is not there; says why.
    """
    if name in found["missing"]:
        raise SkipError(peers(make)[1] or found["missing"][name])
    values: list[float] = found["speeds"][name]
    return values
