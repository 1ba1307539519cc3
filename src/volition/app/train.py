"""Train a decoder on a recording, or whatever else has a trainer, and save it.

    volition train decoder session.mat --decoder gru
    volition train WHAT --help

A file `app/_train/<what>.py` is what can be trained: a frozen dataclass named as the file in CamelCase, parsed by tyro, and
`main(options) -> int`.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from volition._registry import class_name, first_line
from volition.app._output import emit
from volition.errors import UnknownNameError

_FOLDER = Path(__file__).parent / "_train"


@dataclass(frozen=True)
class Train:
    """Options of `volition train`.

    Attributes:
        what: what is trained; without it, what there is.
        options: of that.
        json: also save the rows as JSON here.
    """

    what: str = ""
    options: Any = None
    json: Path | None = None


def trainers() -> dict[str, Path]:
    """Name -> file of everything that can be trained."""
    return {p.stem: p for p in sorted(_FOLDER.glob("*.py")) if not p.stem.startswith("_")}


def parse(args: Sequence[str]) -> Train:
    """The first word says what, the rest are its options.

    Raises:
        UnknownNameError: nothing of that name can be trained.
        ConfigError: an option is wrong.
    """
    from volition.app._parse import parse as parsed

    if not args:
        return Train()
    what, *rest = args
    if what.startswith("-"):
        shown: Train = parsed(Train, "volition train", __doc__ or "", args)
        return shown
    if what not in trainers():
        raise UnknownNameError("trainer", what, trainers())
    module = importlib.import_module(f"volition.app._train.{what}")
    options = parsed(getattr(module, class_name(what)), f"volition train {what}", module.__doc__ or "", rest)
    return Train(what, options, getattr(options, "json", None))


def main(options: Train) -> int:
    """Train it, or say what there is."""
    if not options.what:
        emit([{"what": name, "is": first_line(path)} for name, path in trainers().items()], json_file=options.json)
        return 0
    return int(importlib.import_module(f"volition.app._train.{options.what}").main(options.options))
