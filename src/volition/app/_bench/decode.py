"""Decoding of real recordings: R² on the last fifth of each session, against what a linear decoder is known to reach."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from volition.app._bench import Found, Measure, SkipError
from volition.app._parse import parse

DATA = "VOLITION_DATA"
# Session, file below VOLITION_DATA, and the least R² of the velocity's x and y that `wiener` must reach on it.
SETS = (
    ("M1 Stevenson 2011", "motor/m1_stevenson_2011.mat", (0.82, 0.69)),
    ("S1", "motor/s1_data.mat", (0.70, 0.69)),
    ("Chewie 2013-10-03 (50 ms)", "motor/chewie_20131003_bin50ms_moving.npz", (0.76, 0.62)),
    ("Chewie 2013-12-19 (100 ms)", "motor/chewie_20131219_bin100ms_moving.npz", (0.79, 0.76)),
)
_DECODERS = ("wiener", "kalman")


@cache
def rows(file: Path) -> list[dict[str, Any]]:
    """What `volition decode FILE --json` says of a file; each file is decoded once."""
    try:
        module = importlib.import_module("volition.app.decode")
    except ModuleNotFoundError:
        raise SkipError("this volition has no command decode") from None
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        found = Path(folder) / "rows.json"
        args = [str(file), "--json", str(found), "--output", str(Path(folder) / "out"), "--control"]
        module.main(parse(module.Decode, "volition decode", "", args))
        content: list[dict[str, Any]] = json.loads(found.read_text(encoding="utf-8"))["rows"]
        return content


def figure(found: list[dict[str, Any]], decoder: str, key: str) -> Any:
    """A figure of a decoder of the velocity, or None."""
    return next((row.get(key) for row in found if (row["decoder"], row["target"]) == (decoder, "velocity")), None)


def _measured(file: str, decoder: str, key: str, axis: int | None = None) -> Found:
    root = os.environ.get(DATA)
    if not root:
        raise SkipError(f"{DATA} is not set: real recordings are not here")
    path = Path(root) / file
    if not path.exists():
        raise SkipError(f"{file} is not below {DATA}")
    found = figure(rows(path), decoder, key)
    if found is None:
        raise SkipError(f"decode says nothing of {decoder} and velocity on {path.name}")
    return Found(found if axis is None else found[axis])


def measures(quick: bool) -> Iterator[Measure]:
    """All rows; `quick` takes the first session."""
    for name, file, goals in SETS[: 1 if quick else None]:
        for decoder in _DECODERS:
            how = {"file": Path(file).name, "decoder": decoder}
            for axis, goal in enumerate(goals):
                yield Measure(
                    f"R² of velocity {'xy'[axis]}, {name}, {decoder}",
                    "1",
                    lambda f=file, d=decoder, a=axis: _measured(f, d, "r2_axes", a),  # type: ignore[misc]
                    at_least=goal if decoder == "wiener" else None,
                    parameters=how,
                )
            for which, most in (("median", 0.02), ("max", 0.10)):
                yield Measure(
                    f"R² against shifted movement, {which} of 20, {name}, {decoder}",
                    "1",
                    lambda f=file, d=decoder, w=which: _measured(f, d, f"control_{w}"),  # type: ignore[misc]
                    at_most=most,
                    parameters=how,
                )
