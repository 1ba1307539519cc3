"""Training that is broken off anywhere and goes on gives what an unbroken one gives, to the last digit."""

import numpy as np
import pytest

from volition.decoder import _checkpoint
from volition.decoder.gru import Gru, GruConfig
from volition.decoder.transformer import Transformer, TransformerConfig
from volition.errors import InputError
from volition.stage import Setup

torch = pytest.importorskip("torch", reason="networks learn with PyTorch (extra [train])")
pytest.importorskip("onnx", reason="networks are written with onnx (extra [train])")

EASY = {"members": 2, "most_steps": 6, "least_steps": 6, "batch_bins": 500, "bent": 0.3, "noise": 0.1}
BOTH = [
    pytest.param(Gru, GruConfig(units=8, **EASY), id="gru"),
    pytest.param(
        Transformer, TransformerConfig(units=8, layers=1, heads=2, feedforward=8, context=4, **EASY), id="transformer"
    ),
]


class BrokenOffError(Exception):
    pass


@pytest.fixture(autouse=True)
def at_every_epoch(monkeypatch):
    monkeypatch.setattr(_checkpoint, "EVERY_S", 0.0)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def fit(cls, config, checkpoint=None, epochs=np.inf, seed=3):
    """The model's bytes, and how many epochs were trained; broken off after so many."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(1200, 2)).astype(np.float32)
    X = rng.poisson(np.exp(0.5 * y @ rng.normal(size=(2, 6)))).astype(np.float32)
    decoder, trained = cls(config), 0

    def count(share, what):
        nonlocal trained
        trained += 1
        if trained >= epochs:
            raise BrokenOffError

    decoder.prepare(Setup(features=6, intent=("reach.x", "reach.y"), seed=seed))
    decoder.progress, decoder.checkpoint = count, checkpoint
    decoder.fit(X, None, y, np.repeat([0, 1], 600))
    return decoder.arrays()["onnx"].tobytes(), trained, decoder.chosen, decoder.validation


@pytest.mark.parametrize(("cls", "config"), BOTH)
def test_broken_off_after_every_epoch_it_ends_where_an_unbroken_one_does(cls, config, tmp_path):
    whole, trained, *said = fit(cls, config)
    path, broken = tmp_path / "a.npz", 0
    while broken <= trained:
        torch.rand(3)  # what others draw meanwhile does not matter
        try:
            found, left, *again = fit(cls, config, path, epochs=1)
        except BrokenOffError:
            broken += 1
        else:
            break
    assert (broken, left) == (trained, 0)
    assert found == whole
    assert again == said
    descents = 3 if config.mixup == "held" else 2  # judged (with mixup and without), and on everything
    assert trained == 2 * descents


def test_only_the_same_training_goes_on(tmp_path):
    cls, config = BOTH[0].values
    path = tmp_path / "a.npz"
    with pytest.raises(BrokenOffError):
        fit(cls, config, path, epochs=3)
    whole, trained, *_ = fit(cls, config, seed=4)
    found, again, *_ = fit(cls, config, path, seed=4)
    assert (found, again) == (whole, trained)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04"])
def test_another_file_there_is_one_clear_line_and_stays(content, tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a saved training"):
        fit(*BOTH[0].values, path)
    assert path.read_bytes() == content
