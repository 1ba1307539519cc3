"""Decoding of real recordings: R² on the last fifth of each session, linear decoders beside networks."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from volition.app._bench import Found, Measure, SkipError
from volition.app._parse import parse
from volition.errors import UnknownNameError
from volition.signal import Recording
from volition.stage import find
from volition.train.bootstrap import gain
from volition.train.evaluate import Result, evaluate
from volition.train.split import chronological

DATA = "VOLITION_DATA"
# Session, file below VOLITION_DATA, and the least R² of the velocity's x and y that a decoder must reach on it.
SETS: tuple[tuple[str, str, Mapping[str, tuple[float, float]]], ...] = (
    ("M1 Stevenson 2011", "motor/m1_stevenson_2011.mat", {"wiener": (0.82, 0.69), "gru": (0.92, 0.91)}),
    ("S1", "motor/s1_data.mat", {"wiener": (0.70, 0.69), "gru": (0.83, 0.83)}),
    ("Chewie 2013-10-03 (50 ms)", "motor/chewie_20131003_bin50ms_moving.npz", {"wiener": (0.76, 0.62)}),
    ("Chewie 2013-12-19 (100 ms)", "motor/chewie_20131219_bin100ms_moving.npz", {"wiener": (0.79, 0.76)}),
)
_LINEAR = ("wiener", "kalman", "refit")
_NETWORKS = ("gru", "transformer")
_SEEDS = 10
_NETWORK_SHIFTS = 3  # each is a training of its own


def _path(file: str) -> Path:
    root = os.environ.get(DATA)
    if not root:
        raise SkipError(f"{DATA} is not set: real recordings are not here")
    path = Path(root) / file
    if not path.exists():
        raise SkipError(f"{file} is not below {DATA}")
    return path


def _known(decoder: str) -> None:
    """Skip a decoder that cannot be fitted here."""
    try:
        find("decoder", decoder)
    except UnknownNameError:
        raise SkipError(f"this volition has no decoder {decoder}") from None
    if decoder in _NETWORKS and find_spec("torch") is None:
        raise SkipError("PyTorch is not installed (extra 'train')")


@cache
def rows(file: Path, decoder: str) -> list[dict[str, Any]]:
    """What `volition decode FILE --decoders DECODER --json` says; linear decoders beside their control."""
    try:
        module = importlib.import_module("volition.app.decode")
    except ModuleNotFoundError:
        raise SkipError("this volition has no command decode") from None
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        found = Path(folder) / "rows.json"
        args = [str(file), "--decoders", decoder, "--json", str(found), "--output", str(Path(folder) / "out")]
        args += ["--control"] if decoder in _LINEAR else []
        module.main(parse(module.Decode, "volition decode", "", args))
        content: list[dict[str, Any]] = json.loads(found.read_text(encoding="utf-8"))["rows"]
        return content


def figure(found: list[dict[str, Any]], decoder: str, key: str) -> Any:
    """A figure of a decoder of the velocity, or None."""
    return next((row.get(key) for row in found if (row["decoder"], row["target"]) == (decoder, "velocity")), None)


def _measured(file: str, decoder: str, key: str, axis: int | None = None) -> Found:
    path = _path(file)
    _known(decoder)
    found = rows(path, decoder)
    value = figure(found, decoder, key)
    if value is None:
        raise SkipError(f"decode says nothing of {decoder} and velocity on {path.name}")
    if axis is None:
        return Found(value)
    return Found(value[axis], {key: figure(found, decoder, key) for key in ("fit_s", "step_p50_us", "step_p99_us")})


@cache
def _recording(file: str) -> Recording:
    from volition.io.read import read

    return read(_path(file))


@cache
def _seeds(file: str, decoder: str, count: int) -> tuple[Result, ...]:
    """The same decoder fitted with other random numbers."""
    _known(decoder)
    return tuple(evaluate(_recording(file), (decoder,), seed=seed)[0] for seed in range(count))


def _gained(file: str, decoder: str, count: int) -> Found:
    """Median over seeds of the variance-weighted R², minus that of `wiener`; interval by redrawing trials."""
    recording = _recording(file)
    ours, (ridge,) = _seeds(file, decoder, count), _seeds(file, "wiener", 1)
    trial = recording.trial
    if trial is None:
        raise SkipError(f"{recording.name} has no trials to redraw")
    test = trial[chronological(recording).test]
    found = gain(ridge.recorded, np.stack([r.predicted for r in ours]), ridge.predicted, test)
    each = [r.r2 for r in ours]
    spread = {
        "seeds": count,
        "r2": statistics.median(each),
        "r2_low": min(each),
        "r2_high": max(each),
        "r2_wiener": ridge.r2,
    }
    return Found(found.gain, {"low": found.low, "high": found.high, **spread})


def _shifted(file: str, decoder: str) -> Found:
    """The largest R² of a network against shifted movement."""
    _known(decoder)
    control = evaluate(_recording(file), (decoder,), shifts=_NETWORK_SHIFTS)[0].control
    return Found(float(control.max()), {"runs": len(control)})


def measures(quick: bool) -> Iterator[Measure]:
    """All rows; `quick` takes the linear decoders on the first session."""
    for name, file, goals in SETS[: 1 if quick else None]:
        for decoder in _LINEAR if quick else (*_LINEAR, *_NETWORKS):
            how = {"file": Path(file).name, "decoder": decoder}
            for axis in range(2):
                yield Measure(
                    f"R² of velocity {'xy'[axis]}, {name}, {decoder}",
                    "1",
                    lambda f=file, d=decoder, a=axis: _measured(f, d, "r2_axes", a),  # type: ignore[misc]
                    at_least=goals[decoder][axis] if decoder in goals else None,
                    parameters=how,
                )
            for which, most in (("median", 0.02), ("max", 0.10)) if decoder in _LINEAR else ():
                yield Measure(
                    f"R² against shifted movement, {which} of 20, {name}, {decoder}",
                    "1",
                    lambda f=file, d=decoder, w=which: _measured(f, d, f"control_{w}"),  # type: ignore[misc]
                    at_most=most,
                    parameters=how,
                )
    yield from () if quick else _networks()


def _networks() -> Iterator[Measure]:
    """Where sessions are short, seeds and trials matter: more of them."""
    for name, file, _ in SETS[2:]:
        how = {"file": Path(file).name, "decoder": "gru"}
        yield Measure(
            f"R² gained over wiener, median of {_SEEDS} seeds, {name}, gru",
            "1",
            lambda f=file: _gained(f, "gru", _SEEDS),  # type: ignore[misc]
            at_least=0.02,
            parameters={**how, "seeds": _SEEDS},
        )
    name, file, _ = SETS[-1]
    yield Measure(
        f"R² against shifted movement, max of {_NETWORK_SHIFTS}, {name}, gru",
        "1",
        lambda: _shifted(file, "gru"),
        at_most=0.10,
        parameters={"file": Path(file).name, "decoder": "gru"},
    )
