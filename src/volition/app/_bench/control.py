"""Whether the simulated person controls and learns like a recorded animal: angular errors of Golub et al. 2018."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from volition.app._bench import Found, Measure, SkipError
from volition.train.control import ControlConfig, Prediction, predict

DATA = "VOLITION_DATA"
FILE = "motor/golub2018_bci_learning_exampleData.mat"
_ROWS = (
    ("intuitive", "decoder that it knows (the motor noise is fitted here)"),
    ("before", "perturbed decoder, before learning"),
    ("after", "perturbed decoder, after learning"),
)
_AT_MOST = 1.5


@cache
def _prediction(quick: bool) -> Prediction:
    from volition.io.read import read, read_decoder

    root = os.environ.get(DATA)
    if not root:
        raise SkipError(f"{DATA} is not set: real recordings are not here")
    path = Path(root) / FILE
    if not path.exists():
        raise SkipError(f"{FILE} is not below {DATA}")
    task = ControlConfig(seeds=(0,), practice=100) if quick else ControlConfig(seeds=tuple(range(5)))
    return predict(read(path), read_decoder(path, "intuitive"), read_decoder(path, "perturbed"), task)


def _error(condition: str, quick: bool) -> Found:
    p = _prediction(quick)
    extra = {"recorded": p.recorded[condition], "sd": p.spread[condition], "seeds": 1 if quick else 5}
    if condition == "intuitive":
        extra |= {"motor_noise": p.motor_noise, "depth": p.depth}
    return Found(p.predicted[condition], extra)


def measures(quick: bool) -> Iterator[Measure]:
    """All rows."""
    how = {"file": Path(FILE).name, "quick": quick}
    for condition, words in _ROWS:
        yield Measure(
            f"median angular error, {words}",
            "degrees",
            lambda c=condition: _error(c, quick),  # type: ignore[misc]
            parameters=how,
        )
    for condition, words in _ROWS:
        yield Measure(
            f"predicted to recorded error, or the reverse, {words}",
            "x",
            lambda c=condition: Found(_prediction(quick).ratio(c)),  # type: ignore[misc]
            at_most=_AT_MOST,
            parameters=how,
        )
    yield Measure(
        "how much learning lowers the error under the perturbed decoder",
        "degrees",
        lambda: Found(
            _prediction(quick).predicted["before"] - _prediction(quick).predicted["after"],
            {"recorded": _prediction(quick).recorded["before"] - _prediction(quick).recorded["after"]},
        ),
        at_least=0.0,
        parameters=how,
    )
    yield Measure(
        "median angular error of a person that cannot learn, perturbed decoder, in closed loop",
        "degrees",
        lambda: Found(_prediction(quick).unlearnt),
        parameters=how,
    )
