import numpy as np
import pytest

from volition.signal import Recording


@pytest.fixture
def session(monkeypatch, tmp_path):
    """A recording that any file is read as, and an empty folder to work in."""
    rng = np.random.default_rng(0)
    v = np.zeros((900, 2))
    for t in range(1, 900):
        v[t] = 0.9 * v[t - 1] + rng.normal(size=2)
    counts = rng.poisson(np.exp(1 + 0.15 * v @ rng.normal(size=(2, 15))))
    made = Recording(
        counts, 50_000_000, {"velocity": v}, {"velocity": "cm/s"}, np.zeros(900, np.int32), name="session", sha256="ab" * 32
    )
    monkeypatch.setattr("volition.io.read.read", lambda path, layout=None, bin_ms=None: made)
    monkeypatch.chdir(tmp_path)
    return made
