"""Show what a recorded run did, executing nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from volition.app._output import emit
from volition.errors import ConfigError


@dataclass(frozen=True)
class Play:
    """Options of `volition play`.

    Attributes:
        folder: the run, as `volition run` saved it.
        every_s: one row for so many simulated seconds.
        json: also save the rows as JSON here.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    every_s: float = 1.0
    json: Path | None = None


def _vector(values: Any) -> str:
    return " ".join(f"{v:+.3f}" for v in values)


def _rows(folder: Path, every_s: float) -> Iterator[dict[str, Any]]:
    """One row for each `every_s` of the run: the newest signal of each kind, and the spikes of the time between."""
    from volition.loop.replay import play

    step_ns = round(every_s * 1e9)
    due_ns, spikes = step_ns, 0
    newest: dict[str, Any] = {}
    for name, signal in play(folder):
        if signal is None:
            continue
        newest[name] = signal
        if name == "spikes" and hasattr(signal, "counts"):
            spikes += int(signal.counts.sum())
        if name != "delivered":  # the last signal of a bin
            continue
        goal, body, intent = newest.get("goal"), newest.get("body"), newest.get("intent")
        now_ns = signal.t_ns if body is None else body.t_ns  # how far the body has come
        if now_ns < due_ns:
            continue
        yield {
            "t_s": now_ns / 1e9,
            "trial": None if goal is None else goal.trial,
            "goal_m": None if goal is None else _vector(goal.position),
            "position_m": None if body is None else _vector(body.position),
            "intent": None if intent is None else _vector(intent.values),
            "spikes": spikes,
            "stim_ua": float(signal.amplitude_ua.sum()),
        }
        due_ns, spikes = due_ns + step_ns, 0


def main(options: Play) -> int:
    """Print the rows."""
    from volition.loop.replay import read_run

    if not 0 < options.every_s < math.inf:
        raise ConfigError(f"--every-s must be positive, got {options.every_s}")
    run = read_run(options.folder)
    names = [run["stages"][kind]["class"].split(":")[0].rsplit(".", 1)[-1] for kind in run["stages"]]
    rows = list(_rows(options.folder, options.every_s))
    emit(rows, None, options.json, title=f"{' -> '.join(names)}, seed {run['seed']}")
    return 0
