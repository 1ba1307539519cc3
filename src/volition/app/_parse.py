"""Options from the command line: a frozen dataclass through tyro, with errors of one line."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Sequence
from typing import Any

from volition.errors import ConfigError

_SIDE = re.compile(r"^[|\u2502\s]+|[|\u2502\s]+$")  # of the box that tyro draws, in ASCII or Unicode
_RULE = re.compile(r"^[-\u2500]{3,}$|^[+\u2500-\u257f].*")  # a rule in it, its top with the title, its bottom
_UNION = re.compile(r"no type matching \{None\}\|(\w+) could be instantiated from \[(.*?)\].*")
_ASSIGNED = re.compile(r"^[\w.-]+=")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def _one_line(box: str, prog: str) -> str:
    """What tyro draws in a box, as one sentence: its first paragraph, and the option it thinks was meant."""
    lines = [_SIDE.sub("", line) for line in _COLOUR.sub("", box).splitlines()]
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        if _RULE.match(line):
            paragraphs.append([])
        elif line:
            paragraphs[-1].append(line)
    said = [p for p in paragraphs if p]
    if "\u2502" not in box and not re.search(r"^\s*\|", box, re.MULTILINE):
        said = said[1:]  # without a frame the title stands alone in the first
    if not said:
        return f"the options cannot be read; see {prog} --help"
    words = _UNION.sub(r"expected \1, got \2", " ".join(" ".join(said[0]).split()))
    for paragraph in said[1:]:
        if paragraph[0].startswith("Perhaps you meant") and len(paragraph) > 1:
            words += f"; did you mean {paragraph[1].split()[0]}?"
    return f"{words.rstrip('.')}; see {prog} --help"


def _spread(args: Sequence[str]) -> list[str]:
    """`--set a=1 b=2` as `--set a=1 --set b=2`.

    >>> _spread(["x", "--set", "a=1", "b.c=2", "--seed", "3"])
    ['x', '--set', 'a=1', '--set', 'b.c=2', '--seed', '3']
    """
    out: list[str] = []
    for word in args:
        if len(out) > 1 and out[-2] == "--set" and _ASSIGNED.match(word) and not word.startswith("-"):
            out.append("--set")
        out.append(word)
    return out


def parse(options: Any, prog: str, description: str, args: Sequence[str]) -> Any:
    """An instance of `options` from the command line.

    Args:
        options: a frozen dataclass.
        prog: how the command is called.
        description: its text of help.
        args: the arguments after the command's name.

    Raises:
        ConfigError: an option is unknown, misses its value or has one of the wrong type.
    """
    import tyro

    caught = io.StringIO()
    try:
        with contextlib.redirect_stderr(caught):
            return tyro.cli(options, prog=prog, description=description, args=_spread(args))
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise ConfigError(_one_line(caught.getvalue(), prog)) from None
