from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
import tyro

from volition.app import _parse
from volition.errors import ConfigError

# What tyro draws for one and the same mistake: framed in Unicode, framed in ASCII, not framed.
UNICODE = """╭─ Unrecognized options ─────────────────────╮
│ Unrecognized options: --secods, 4          │
│ ────────────────────────────────────────── │
│ Perhaps you meant:                         │
│     --seconds FLOAT                        │
│ ────────────────────────────────────────── │
│ For full helptext, run volition run --help │
╰────────────────────────────────────────────╯
"""
BARE = """ Unrecognized options
 -----------------------------
  Unrecognized options: --secods, 4
  ----------------------------
  Perhaps you meant:
      --seconds FLOAT
  ----------------------------
  For full helptext, run volition run --help

"""
ASCII = "\n".join(
    ("+-" + line[2:-1].replace("─", "-") + "+") if line[0] in "╭╰" else line.replace("│", "|").replace("─", "-")
    for line in UNICODE.splitlines()
)
SAID = "Unrecognized options: --secods, 4; did you mean --seconds?; see volition run --help"


@dataclass(frozen=True)
class Options:
    file: Annotated[Path, tyro.conf.Positional]
    seconds: float = 3.0
    seed: int | None = None
    clock: Literal["lockstep", "real"] = "lockstep"


@pytest.mark.parametrize("box", [UNICODE, ASCII, BARE, "\x1b[31m" + UNICODE + "\x1b[0m"])
def test_every_form_of_the_box_becomes_the_same_line(box):
    assert _parse._one_line(box, "volition run") == SAID


def test_silence_is_still_a_line():
    assert _parse._one_line("", "volition x") == "the options cannot be read; see volition x --help"


def test_options_become_the_dataclass():
    assert _parse.parse(Options, "volition x", "", ["a.mat", "--seed", "4"]) == Options(Path("a.mat"), seed=4)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "Missing"),
        (["a", "--seconds", "x"], "'x'"),
        (["a", "--seed", "x"], "expected INT, got 'x'"),
        (["a", "--seed"], "--seed"),
        (["a", "--clock", "sun"], "sun"),
        (["a", "b"], "b"),
    ],
)
def test_mistakes_are_one_line(args, said):
    with pytest.raises(ConfigError) as error:
        _parse.parse(Options, "volition x", "", args)
    assert said in str(error.value)
    assert str(error.value).endswith("see volition x --help")
    assert "\n" not in str(error.value)
