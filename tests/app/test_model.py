import json
from pathlib import Path

import numpy as np
import pytest

from volition import cli
from volition.app import _model
from volition.errors import ConfigError, InputError
from volition.stage import Setup, find

SETUP = Setup(features=12, channels=12)


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    y = np.cumsum(rng.normal(size=(600, 2)), 0).astype(np.float32)
    y -= y.mean(0)
    X = rng.poisson(np.clip(2 + y @ rng.normal(size=(2, 12)) * 0.1, 0, None)).astype(np.float32)
    decoder = find("decoder", "kalman")()
    decoder.prepare(SETUP)
    return decoder.fit(X, None, y), X


@pytest.fixture
def folder(fitted, tmp_path) -> Path:
    decoder, _ = fitted
    _model.save(tmp_path / "m", "kalman", decoder, 12, SETUP.intent, SETUP.bin_ns, {"seed": 3, "file": Path("/a/b/c.mat")})
    return tmp_path / "m"


def test_a_saved_decoder_decodes_the_same(fitted, folder):
    decoder, X = fitted
    model, again = _model.load(folder)
    again.prepare(SETUP)
    assert np.array_equal(decoder.predict(X), again.predict(X))
    assert again.config == decoder.config
    assert (model.features, model.intent, model.bin_ns) == (12, SETUP.intent, SETUP.bin_ns)
    assert model.trained == {"seed": 3, "file": "c.mat"}


def test_what_has_learnt_nothing_is_not_saved(tmp_path):
    with pytest.raises(ConfigError, match="nothing to save"):
        _model.save(tmp_path / "m", "still", find("decoder", "still")(), 1, ("reach.x",), 1, {})
    assert not (tmp_path / "m").exists()


def change(folder: Path, **fields: object) -> None:
    spec = json.loads((folder / _model.SPEC).read_text(encoding="utf-8"))
    (folder / _model.SPEC).write_text(json.dumps({**spec, **fields}), encoding="utf-8")


def test_damage_is_noticed(folder):
    arrays = folder / _model.ARRAYS
    whole = arrays.read_bytes()
    arrays.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="truncated or exchanged"):
        _model.load(folder)
    arrays.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        _model.load(folder)


def test_no_pickle_is_loaded(folder):
    import hashlib

    np.savez(folder / _model.ARRAYS, mean=np.array([{"evil": 1}], object))
    change(folder, sha256=hashlib.sha256((folder / _model.ARRAYS).read_bytes()).hexdigest())
    with pytest.raises(InputError, match="objects instead of numbers"):
        _model.load(folder)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"format": "other"}, "not the spec of a model"),
        ({"decoder": 3}, "'decoder' is missing or not text"),
        ({"features": "many"}, "'features' is missing or not an integer"),
        ({"config": {"ordres": [1]}}, "unknown key 'ordres'"),
        ({"config": {"orders": "three"}}, "orders must be"),
    ],
)
def test_a_faulty_spec_is_refused(folder, fields, said):
    change(folder, **fields)
    with pytest.raises((InputError, ConfigError), match=said):
        _model.load(folder)


def test_a_spec_that_is_no_json_is_refused(folder):
    (folder / _model.SPEC).write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="damaged"):
        _model.describe(folder)


def test_a_run_keeps_what_it_learnt_and_another_uses_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    short = ["--set", "calibration.observe_s=20", "calibration.assist=[]"]
    assert cli.main(["run", "--seconds", "2", "--output", "a", *short]) == 0
    assert not Path("a/adapted").exists()  # nothing was
    assert cli.main(["run", "--seconds", "2", "--output", "b", "--model", "a/model"]) == 0
    assert not Path("b/model").exists()
    assert cli.main(["replay", "b"]) == 0
    assert cli.main(["run", "--config", "b/run.toml", "--output", "c"]) == 0
    assert Path("b/signals.vlog").read_bytes() == Path("c/signals.vlog").read_bytes()
    capsys.readouterr()
    for args, said in (
        (["--decoder", "linear"], "holds kalman"),
        (["--channel", "thread1024"], "1024"),
        (["--model", "b"], "no model is here"),
        (["--effector", "arm"], "decodes reach.x, reach.y, select, but the effector takes reach.x, reach.y; try another"),
    ):
        assert cli.main(["run", "--model", "a/model", *args, "--output", "d"]) == 2
        assert said in capsys.readouterr().err
    assert not Path("d").exists()


def test_what_was_adapted_in_a_run_is_kept_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    how = ["--channel", "utah96", "--decoder", "refit", "--set", "calibration.observe_s=8", "calibration.assist=[]"]
    adapting = ["loop.adapt=supervised", "decoder.refit_s=1"]
    assert cli.main(["run", "--seconds", "3", "--output", "a", *how, *adapting]) == 0
    fitted, adapted = (_model.load(Path("a") / name)[1].arrays() for name in ("model", "adapted"))
    assert int(fitted["refits"]) == 0
    assert int(adapted["refits"]) == 3  # one a second
    assert cli.main(["run", "--seconds", "1", "--model", "a/adapted", "--output", "b"]) == 0
