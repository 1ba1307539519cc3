"""Gaits by speed, found by CMA-ES on many bodies at once: a ladder of speeds, each rung begun from its neighbour."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from volition._whole import write_whole
from volition.effector._gait import HIGH, INDEX, LOW, NAMES, SCALE, START
from volition.errors import ConfigError
from volition.signal import Float64
from volition.train._gait_herd import World
from volition.train._gait_trial import SCENARIOS, Person, attempt
from volition.train.cma import Cma

_SINE = INDEX["Fh1c"]
_NEAR = 0.005  # price of a squared step (in units of the scale) away from where the rung began
_DONE_AFTER = 4
WALKING = {"f": (0.8, 1.08), "d": (0.56, 0.70)}
"""A person's strides a second and duty factor at 1.3 m/s (about .93 and .63), within 15 % and .08."""

Watch = Callable[[float, str], None]
"""Told the share done (0..1) and a line of text."""


@dataclass(frozen=True)
class Search:
    """How long and on what is searched.

    Attributes:
        generations: at most, per rung.
        population: candidates a generation, each on four scenarios.
        seconds: length of a run.
        sigma: first step, in units of the parameters' scales.
        enough: median fitness, over four generations, at which a rung is done.
        kick_m_s: greatest kick in each direction.
        fourier: whether the Fourier terms are searched, too.
        like: a person's strides, duty factor and greatest force, which it costs to differ from.
        bounds: of parameters, narrower than their own: name -> (low, high).
        seed: of all chance.
        world: bodies and floor.
    """

    generations: int = 40
    population: int = 16
    seconds: float = 6.0
    sigma: float = 0.3
    enough: float = 3.7
    kick_m_s: float = 0.5
    fourier: bool = False
    like: Person | None = None
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    seed: int = 0
    world: World = field(default_factory=World)

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.generations < 1 or self.population < 4 or not self.seconds > 0 or not self.sigma > 0:
            raise ConfigError("gait search: at least 1 generation and 4 candidates, and positive seconds and sigma")
        strange = sorted(set(self.bounds) - set(NAMES))
        if strange:
            raise ConfigError(f"gait search: no gait parameter: {', '.join(strange)}")


def climb(start: Float64, speed: float, search: Search, state: Path | None = None, watch: Watch | None = None) -> Float64:
    """One rung: the parameters `[len(NAMES)]` found for a speed, from `start`.

    With `state` every generation is saved, and a search that was interrupted goes on from there.
    """
    rng = np.random.default_rng(np.random.SeedSequence((search.seed, round(1000 * speed))))
    low, high = _box(search.bounds)
    free = np.arange(len(NAMES) if search.fourier else _SINE)
    cma = Cma(np.zeros(len(free)), search.sigma, search.population, rng)
    history: list[float] = []
    if state is not None and state.exists():
        with np.load(state, allow_pickle=False) as saved:
            cma.restore(saved)
            start, history = saved["start"], saved["history"].tolist()
            rng.bit_generator.state = json.loads(str(saved["chance"]))
    while len(history) < search.generations and not _enough(history, search.enough):
        steps = cma.ask()
        tried = np.tile(start, (search.population, 1))
        tried[:, free] += steps * SCALE[free]
        p = np.repeat(np.clip(tried, low, high), SCENARIOS, axis=0)
        seed = int(rng.integers(2**31))
        outcome = attempt(p, speed, search.world, seed, search.seconds, search.kick_m_s, search.like)
        runs = outcome.fitness.reshape(-1, SCENARIOS)
        fitness = 0.5 * runs.mean(axis=1) + 0.5 * runs.min(axis=1) - _NEAR * (steps**2).mean(axis=1)
        cma.tell(fitness)
        history.append(float(np.median(fitness)))
        if state is not None:
            kept = io.BytesIO()
            chance = np.array(json.dumps(rng.bit_generator.state))
            np.savez(kept, start=start, history=np.array(history), chance=chance, **cma.arrays())
            write_whole(state, kept.getvalue())
        if watch is not None:
            text = f"{speed:g} m/s: fitness {history[-1]:.2f}, best {fitness.max():.2f}, upright {outcome.alive.mean():.0%}"
            if search.like is not None:
                text += f", {np.median(outcome.strides_per_s):.2f} strides/s, duty {np.median(outcome.duty):.2f}"
            watch(len(history) / search.generations, text)
    found = start.copy()
    found[free] += cma.mean * SCALE[free]
    result: Float64 = np.clip(found, low, high)
    return result


def _box(bounds: Mapping[str, tuple[float, float]]) -> tuple[Float64, Float64]:
    """Lower and upper ends of all parameters."""
    low, high = LOW.copy(), HIGH.copy()
    for name, (a, b) in bounds.items():
        low[INDEX[name]], high[INDEX[name]] = a, b
    return low, high


def _enough(history: Sequence[float], enough: float) -> bool:
    return len(history) >= _DONE_AFTER and float(np.median(history[-_DONE_AFTER:])) > enough


def ladder(
    speeds: Sequence[float],
    search: Search,
    known: Mapping[float, Float64] | None = None,
    folder: Path | None = None,
    watch: Watch | None = None,
) -> dict[float, Float64]:
    """Gaits for these speeds, in this order; each begins from the nearest speed that is known, the first from `START`.

    Returns:
        speed -> parameters: what was known and what was found.
    """
    found = dict(known or {})
    for i, speed in enumerate(speeds):
        start = found[min(found, key=lambda v, s=speed: abs(v - s))] if found else START  # type: ignore[misc]
        state = None if folder is None else folder / f"rung-{speed:g}.npz"

        def tell(share: float, text: str, i: int = i) -> None:
            if watch is not None:
                watch((i + share) / len(speeds), text)

        found[speed] = climb(start, speed, search, state, tell)
    return found


def library(gaits: Mapping[float, Float64], search: Search, command: str) -> str:
    """The file that the legs read: gaits, and how they were made."""
    rows = [
        {"speed": v, "values": {n: round(float(x), 4) for n, x in zip(NAMES, gaits[v], strict=True) if x or n[0] != "F"}}
        for v in sorted(gaits)
    ]
    how: dict[str, Any] = asdict(search)
    world = how.pop("world")
    return json.dumps({**world, "search": how, "command": command, "gaits": rows}, indent=1) + "\n"


def bounded(p: Float64) -> list[str]:
    """Names of the parameters that lie on a bound: the search would go further if it were let."""
    near = 0.01 * (HIGH - LOW)
    return [n for n, x, a, b, m in zip(NAMES, p, LOW, HIGH, near, strict=True) if n[0] != "F" and (x < a + m or x > b - m)]
