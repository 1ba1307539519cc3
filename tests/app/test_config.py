import tomllib

import pytest

from volition.app import _config
from volition.errors import ConfigError, UnknownNameError


def resolve(text: str) -> _config.RunConfig:
    return _config.resolve(tomllib.loads(text), "run.toml")


def test_nothing_given_is_all_defaults():
    config = resolve("")
    assert {kind: name for kind, (name, _) in config.stages.items()} == _config.DEFAULTS
    assert (config.seed, config.seconds, config.calibrate, config.model) == (0, 30.0, True, "")


def test_what_is_written_reads_back_the_same():
    config = resolve(
        'seed = 7\nseconds = 12\n[brain]\nname = "replay"\nfile = "a \\"b\\" \\\\ µ.mat"\n[task]\nlayout = "webgrid"\n'
        "[loop]\nassist = 1\n[calibration]\nassist = [0.5, 0.25]\n"
    )
    assert config.stages["brain"][1].file == 'a "b" \\ µ.mat'
    assert config.loop.assist == 1.0
    assert isinstance(config.loop.assist, float)
    assert config.calibration.assist == (0.5, 0.25)
    assert resolve(config.to_toml()) == config


def test_a_name_alone_stands_for_a_section():
    assert resolve('channel = "utah96"') == resolve('[channel]\nname = "utah96"')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[decodr]\n", "run.toml: unknown section 'decodr'; did you mean 'decoder'?"),
        ("sede = 1\n", "run.toml: unknown key 'sede'; did you mean 'seed'?"),
        ("[task]\nlayuot = 'webgrid'\n", "run.toml, [task]: unknown key 'layuot'; did you mean 'layout'?"),
        ("[loop]\nasist = 0.5\n", "run.toml, [loop]: unknown key 'asist'; did you mean 'assist'?"),
        ("[calibration]\nobserve = 3\n", "run.toml, [calibration]: unknown key 'observe'; did you mean 'observe_s'?"),
        ("[task]\nrows = 'six'\n", "run.toml, [task]: rows must be an integer, got 'six'"),
        ("[task]\nrows = 6.5\n", "run.toml, [task]: rows must be an integer, got 6.5"),
        ("[task]\nrows = true\n", "run.toml, [task]: rows must be an integer, got True"),
        ("[task]\nhold_s = 'long'\n", "run.toml, [task]: hold_s must be a number, got 'long'"),
        ("[loop]\noracle = 1\n", "run.toml, [loop]: oracle must be true or false, got 1"),
        ("[calibration]\nassist = 0.5\n", "run.toml, [calibration]: assist must be a list, as in [1, 2], got 0.5"),
        ("[calibration]\nassist = ['x']\n", "run.toml, [calibration]: assist must be a list with a number at each place"),
        ("[brain]\nname = 3\n", "run.toml, [brain]: name must be text, got 3"),
        ("brain = 3\n", "run.toml, [brain]: expected a section with a name, got 3"),
        ("loop = 3\n", "run.toml, [loop]: expected a section, got 3"),
        ("seed = 1.5\n", "run.toml: seed must be an integer, got 1.5"),
        ("seed = -1\n", "run.toml: seed must not be negative, got -1"),
        ("seconds = 0\n", "run.toml: seconds must be positive and below 1e7, got 0"),
        ("seconds = nan\n", "run.toml: seconds must be positive"),
        ("[loop]\nassist = 2.0\n", "run.toml, [loop]: assist must lie in 0..1"),
        ("[loop]\nstop_ms = inf\n", "run.toml, [loop]: hold_ms, decay_ms, stop_ms, max_lag_ms must be finite"),
        ("[loop]\ndecay_ms = nan\n", "run.toml, [loop]: hold_ms, decay_ms, stop_ms, max_lag_ms must be finite"),
        ("[calibration]\nobserve_s = nan\n", "run.toml, [calibration]: observe_s and block_s must be positive and finite"),
        ("[calibration]\nblock_s = inf\n", "run.toml, [calibration]: observe_s and block_s must be positive and finite"),
        ("[decoder]\nname = ':'\n", "':': expected the full name of a module and a class"),
        ("[decoder]\nname = '.mine:Mine'\n", "'.mine:Mine': expected the full name of a module and a class"),
        ("[task]\nlayout = 'spiral'\n", "run.toml, [task]: reach: layout must be"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_its_place(text, said):
    with pytest.raises(ConfigError) as error:
        resolve(text)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


def test_an_unknown_component_names_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown decoder 'kalmann'; did you mean 'kalman'"):
        resolve('[decoder]\nname = "kalmann"\n')


def test_broken_toml_names_the_line(tmp_path):
    (tmp_path / "run.toml").write_text("seed = 1\n[loop\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"run\.toml: not valid TOML: .*line 2"):
        _config.load(tmp_path / "run.toml")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x00\x01"])
def test_a_foreign_file_is_refused(tmp_path, content):
    (tmp_path / "run.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"run\.toml: not "):
        _config.load(tmp_path / "run.toml")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        _config.load(tmp_path / "run.toml")


def test_overrides_are_toml_values():
    document: dict = {"task": {"rows": 6}}
    for assignment in ("task.rows=8", "calibration.assist=[0.1, 0.2]", "brain.file=some/file.mat", "seed = 3", 'model="x"'):
        _config.override(document, assignment)
    assert document == {
        "task": {"rows": 8},
        "calibration": {"assist": [0.1, 0.2]},
        "brain": {"file": "some/file.mat"},
        "seed": 3,
        "model": "x",
    }


@pytest.mark.parametrize("assignment", ["task.rows", "=3", "task..rows=3", "seed.x=3"])
def test_faulty_overrides_are_refused(assignment):
    with pytest.raises(ConfigError, match="--set"):
        _config.override({"seed": 1}, assignment)


def test_another_component_drops_the_fields_of_the_one_before():
    document = {"channel": {"name": "utah96", "electrodes": 8}}
    _config.choose(document, "channel", "utah96")
    assert document["channel"]["electrodes"] == 8
    _config.choose(document, "channel", "ideal")
    assert document["channel"] == {"name": "ideal"}
