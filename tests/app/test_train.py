import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from volition import cli
from volition.app import _model

if os.environ.get("VOLITION_TORCH") == "required":
    import onnx  # noqa: F401
    import torch  # noqa: F401


pytestmark = pytest.mark.usefixtures("session")


def train(*args):
    return cli.main(["train", "decoder", "session.mat", *args])


FIELDS = ("units=16", "members=1", "least_steps=60", "dropout=0.1", "rate=0.01", "batch_bins=300")
SMALL = tuple(word for field in FIELDS for word in ("--set", field))


def test_a_network_is_trained_scored_and_saved_as_onnx(session, tmp_path, capsys):
    pytest.importorskip("torch", reason="networks learn with PyTorch (extra [train])")
    pytest.importorskip("onnx", reason="networks are written with onnx (extra [train])")
    assert train("--decoder", "gru", "--seed", "4", "--output", "m", "--json", "row.json", *SMALL) == 0
    said = capsys.readouterr()
    assert "training 100%" in said.err
    assert "model: m" in said.out
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == ["model.json", "model.npz", "model.onnx"]
    model, decoder = _model.load(tmp_path / "m")
    assert (model.decoder, model.trained["seed"], decoder.config.units) == ("gru", 4, 16)
    (row,) = json.loads((tmp_path / "row.json").read_text())["rows"]
    guess = decoder.predict(session.counts[720:])
    truth = session.kinematics["velocity"][720:] / 100
    r2 = 1 - ((truth - guess) ** 2).sum() / ((truth - truth.mean(0)) ** 2).sum()
    assert row["r2"] == pytest.approx(r2, abs=1e-3)
    assert row["r2"] > 0.5
    network = tmp_path / "m" / "model.onnx"
    network.write_bytes(network.read_bytes()[:-10])
    with pytest.raises(Exception, match="truncated or exchanged"):
        _model.load(tmp_path / "m")


KILLED = """
import os, signal, sys
import numpy as np
from volition import cli
from volition.io import read
from volition.signal import Recording
from volition.app._train import decoder
from volition.decoder import _checkpoint

_checkpoint.EVERY_S, told = 0.0, []

def tell(self, share, what):
    told.append(share)
    if len(told) == 5:
        os.kill(os.getpid(), signal.SIGKILL)

counts, velocity = np.load("counts.npy"), np.load("velocity.npy")
segment = np.zeros(900, np.int32)
made = Recording(counts, 50_000_000, {"velocity": velocity}, {"velocity": "cm/s"}, segment, name="session", sha256="ab" * 32)
read.read = lambda *ignored: made
decoder.Line.__call__ = tell
cli.main(["train", "decoder", "session.mat", *sys.argv[1:]])
"""


def test_a_killed_training_goes_on_with_the_same_command(session, tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="networks learn with PyTorch (extra [train])")
    pytest.importorskip("onnx", reason="networks are written with onnx (extra [train])")
    np.save("counts.npy", session.counts)
    np.save("velocity.npy", session.kinematics["velocity"])
    args = ["--set", "most_steps=9", "--set", "noise=0.1", *SMALL, "--set", "least_steps=9", "--output"]
    assert train(*args, "whole") == 0
    killed = subprocess.run([sys.executable, "-c", KILLED, *args, "m"], capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not (tmp_path / "m").exists()
    assert (tmp_path / "m.training.npz").exists()
    told = []
    monkeypatch.setattr("volition.app._train.decoder.Line.__call__", lambda self, share, what: told.append(what))
    assert train(*args, "m") == 0
    assert told[0].startswith("epoch 2,")  # of the second of three descents of four epochs
    assert (tmp_path / "m" / "model.onnx").read_bytes() == (tmp_path / "whole" / "model.onnx").read_bytes()
    assert not (tmp_path / "m.training.npz").exists()


def test_any_decoder_that_learns_can_be_trained(tmp_path, capsys):
    assert train("--decoder", "kalman", "--output", "k", "--share", "0.5") == 0
    assert _model.load(tmp_path / "k")[0].trained["train_bins"] == 450
    assert "kalman" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--decoder", "stil"), "did you mean 'still'"),
        (("--decoder", "still"), "learns nothing"),
        (("--set", "unit=3"), "did you mean 'units'"),
        (("--set", "units=many"), "an integer"),
        (("--set", "units=0"), "units must be positive"),
        (("--share", "1"), "--share"),
        (("--threads", "0"), "--threads"),
        (("--target", "velocty"), "did you mean 'velocity'"),
        (("--output", "/proc/nowhere"), "cannot be written"),
    ],
)
def test_what_cannot_be_ends_in_one_line_and_writes_nothing(args, said, tmp_path, capsys):
    assert train(*args) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_stopped_training_writes_nothing(monkeypatch, tmp_path, capsys):
    pytest.importorskip("torch", reason="networks learn with PyTorch (extra [train])")

    def stop(self, share, what):
        raise KeyboardInterrupt

    monkeypatch.setattr("volition.app._train.decoder.Line.__call__", stop)
    assert train(*SMALL) == 130
    assert not list(tmp_path.iterdir())


def test_it_says_what_can_be_trained(capsys):
    assert cli.main(["train"]) == 0
    assert "decoder" in capsys.readouterr().out
    assert cli.main(["train", "decodr"]) == 2
    assert "did you mean 'decoder'" in capsys.readouterr().err
