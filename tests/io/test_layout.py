import re
import tomllib
from pathlib import Path

import pytest

from volition.errors import ConfigError, InputError, UnknownNameError
from volition.io import _layout
from volition.io.read import read

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "my-recording.md"
GOOD = """
match = ["spikes"]
[counts]
variable = "spikes"
[bin]
ms = 20
"""


def parse(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return _layout.parse(path)


def test_the_example_in_the_manual_runs(tmp_path, monkeypatch):
    blocks = re.findall(r"```(\w+)\n(.*?)```", HOW_TO.read_text(encoding="utf-8"), re.S)
    assert [language for language, _ in blocks] == ["python", "toml", "python"]
    monkeypatch.chdir(tmp_path)
    Path("mylab.toml").write_text(blocks[1][1], encoding="utf-8")
    scope = {}
    exec(blocks[0][1], scope)
    exec(blocks[2][1], scope)
    assert scope["recording"].info == {"layout": "mylab", "area": "M1", "subject": "J"}


def test_every_key_the_parser_knows_is_in_the_manual():
    text = HOW_TO.read_text(encoding="utf-8")
    for path in _layout.shipped().values():
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        for table, value in raw.items():
            assert table in text
            if table in ("counts", "bin", "time", "trials", "borders"):
                assert all(f"`{key}" in text for key in value), (path.name, table)


@pytest.mark.parametrize("name", sorted(_layout.shipped()))
def test_shipped_layouts_are_faultless_and_say_what_they_are_for(name):
    layout = _layout.parse(_layout.shipped()[name])
    assert len(layout.about) > 20
    assert layout.name == name


def test_no_two_shipped_layouts_fit_the_same_file():
    layouts = [_layout.parse(path) for path in _layout.shipped().values()]
    for layout in layouts:
        assert [other.name for other in layouts if other.fits(layout.match)] == [layout.name]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "[kinematix]\n", "unknown key 'kinematix'; did you mean 'kinematics'"),
        (GOOD.replace("variable", "varable"), "`variable` or `parts`"),
        (GOOD.replace("ms = 20", "ms = -1"), "must be positive"),
        (GOOD.replace("ms = 20", 'ms = "20"'), "wrong type"),
        (GOOD.replace("ms = 20", ""), "one of s, ms, variable"),
        (GOOD.replace("[bin]\nms = 20", ""), r"\[bin\] is missing"),
        (GOOD.replace('match = ["spikes"]', ""), "match must list"),
        (GOOD.replace("[counts]", "[counts"), "not a TOML file"),
        ('match = ["a"]', r"\[counts\] is missing"),
        (GOOD + 'order = "x"', "unknown key 'order'"),
        (GOOD.replace('variable = "spikes"', 'variable = "spikes"\norder = "bins"'), "order = 'bins'; known"),
        (GOOD + "[trials]\n", "one of variable, cells, whole_file"),
        (GOOD + "[borders.jump]\nthreshold = 2.0", "must both be in"),
        (GOOD + "[borders.jump]\nthreshold = 0", "threshold must be positive"),
        (GOOD + '[decoders.mine]\nM1 = "a"', "M1, M2 and m0"),
        (GOOD + "[time]\n", "give variable"),
        ("nan = 'drop'" + GOOD, "nan = 'drop'"),
        (GOOD + "[kinematics]\nposition = 3", "must be a table"),
    ],
)
def test_a_faulty_layout_is_refused_in_one_line_that_names_it(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse(tmp_path, text)
    assert "mine.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_layout_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"gone.toml: the layout cannot be read"):
        _layout.choose(Path("x.npz"), ["a"], tmp_path / "gone.toml")
    with pytest.raises(UnknownNameError, match="did you mean 'chewie'"):
        _layout.choose(Path("x.npz"), ["a"], "chewy")


def test_no_layout_fits():
    with pytest.raises(InputError, match="no layout fits; the file holds volts, gain; layouts: chewie"):
        _layout.choose(Path("x.npz"), ["volts", "gain"], None)


def test_two_layouts_fit():
    names = ["spikes", "pos", "vel", "handVel", "handPos", "time"]
    with pytest.raises(InputError, match=r"more than one layout fits \(spykesml_s1, stevenson2011\)") as caught:
        _layout.choose(Path("x.npz"), names, None)
    assert "the file holds spikes, pos" in str(caught.value)
    assert _layout.choose(Path("x.npz"), names, "stevenson2011").name == "stevenson2011"


def test_the_chosen_layout_does_not_fit():
    with pytest.raises(InputError, match="layout chewie wants pos, vel, force"):
        _layout.choose(Path("x.npz"), ["spike_counts"], "chewie")


def test_a_layout_of_the_users_own_is_found_by_its_path(tmp_path):
    import numpy as np

    (tmp_path / "mine.toml").write_text(GOOD, encoding="utf-8")
    np.savez(tmp_path / "a.npz", spikes=np.ones((5, 2), np.uint8))
    recording = read(tmp_path / "a.npz", tmp_path / "mine.toml")
    assert recording.counts.shape == (5, 2)
    assert recording.kinematics == {}
    assert recording.info["layout"] == "mine"
