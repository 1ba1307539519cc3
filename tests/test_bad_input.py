"""Recordings that are none, through every command that reads one: one line that names the file, exit 2, nothing written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from volition import cli

BINS, UNITS = 400, 12
READERS = {
    "convert": ["convert", "FILE"],
    "decode": ["decode", "FILE"],
    "run": ["run", "--brain", "replay", "--set", "brain.file=FILE", "--seconds", "1"],
}


def session(**changed: object) -> dict[str, object]:
    """What a small session holds, under the names of a layout that ships."""
    rng = np.random.default_rng(0)
    velocity = np.cumsum(rng.normal(size=(BINS, 2)), 0)
    position = np.cumsum(velocity, 0) * 0.05
    spikes = rng.poisson(1.0, (BINS, UNITS)).astype(float)
    return {"spikes": spikes, "pos": position, "vel": velocity, **changed}


def with_value(value: float) -> np.ndarray:
    spikes = np.ones((BINS, UNITS))
    spikes[7, 3] = value
    return spikes


def as_mat(content: dict[str, object]) -> Callable[[Path], None]:
    return lambda path: savemat(path, content)


def cut(path: Path) -> None:
    savemat(path, session())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


BAD = {
    "empty": lambda path: path.write_bytes(b""),
    "foreign": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500)),
    "text": lambda path: path.write_text("spikes, pos, vel\n1, 2, 3\n", encoding="utf-8"),
    "truncated": cut,
    "missing": lambda path: None,
    "folder": lambda path: path.mkdir(),
    "unknown names": as_mat({"alpha": np.ones((5, 5)), "beta": np.ones(5)}),
    "three dimensions": as_mat(session(spikes=np.ones((BINS, UNITS, 2)))),
    "flat counts": as_mat(session(spikes=np.ones((1, BINS)))),
    "text as counts": as_mat(session(spikes="spikes")),
    "NaN counts": as_mat(session(spikes=with_value(np.nan))),
    "negative counts": as_mat(session(spikes=with_value(-1))),
    "rates as counts": as_mat(session(spikes=with_value(0.5))),
    "NaN movement": as_mat(session(vel=np.full((BINS, 2), np.nan))),
    "kinematics longer than counts": as_mat(session(pos=np.zeros((BINS + 9, 2)), vel=np.zeros((BINS + 9, 2)))),
    "kinematics shorter than counts": as_mat(session(pos=np.zeros((BINS - 9, 2)), vel=np.zeros((BINS - 9, 2)))),
    "zero units": as_mat(session(spikes=np.zeros((BINS, 0)))),
    "zero bins": as_mat(session(spikes=np.zeros((0, UNITS)), pos=np.zeros((0, 2)), vel=np.zeros((0, 2)))),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("what", BAD)
def test_it_is_one_line_exit_2_and_nothing_written(what, reader, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    BAD[what](Path("session.mat"))
    before = sorted(tmp_path.rglob("*"))
    code = cli.main([word.replace("FILE", "session.mat") for word in READERS[reader]])
    seen = capsys.readouterr()
    assert (code, seen.out) == (2, "")
    assert seen.err.startswith("volition: ")
    assert seen.err.count("\n") == 1
    assert "session" in seen.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("reader", READERS)
def test_the_same_session_whole_is_read(reader, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    savemat("session.mat", session())
    assert cli.main([word.replace("FILE", "session.mat") for word in READERS[reader]]) == 0
