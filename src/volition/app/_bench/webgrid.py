"""Webgrid 30 x 30 in closed loop: bit rates of a person whose constants were fixed before any decoder was tuned."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from volition.app._bench import Found, Measure
from volition.app._bench._knowing import enlighten
from volition.brain.person import PersonConfig
from volition.decoder.kalman import KalmanConfig
from volition.decoder.poisson import PoissonConfig
from volition.effector.cursor import CursorConfig
from volition.loop.calibrate import Calibration
from volition.loop.config import LoopConfig
from volition.loop.loop import Loop
from volition.task.reach import ReachConfig

_SIDE = 30
_HUMAN = (2.0, 5.0)  # bit/s of people with 96 electrodes, as published
_MOUSE = (8.0, 12.0)  # bit/s of able people with a mouse: where the same person with `oracle` must lie
_GOAL = 10.0
_ASSISTED_M = 0.05 / 0.3  # length of the ideal user's slow zone per full speed, s
# Control, not open-loop R2, chose a short state and little smoothing: see docs/decisions/0009.
_KALMAN = ("kalman", KalmanConfig(orders=(1,), leads=(0,), shrinkages=(0.1, 0.3), noises=(1.0, 2.0), control=False))


@dataclass(frozen=True)
class Rig:
    """A person's array and what a laboratory sets for it and a decoder.

    Chosen on seeds 100 and above, which are not counted (a first look at the speeds was on seed 0).

    Attributes:
        channel: the implant.
        speed: full speed of the cursor (its gain), m/s.
        click: threshold of the click.
        decoder: and its configuration.
        learns: whether it goes on learning, from what is selected, while the person practises; what is counted is fixed.
    """

    channel: str
    speed: float
    click: float
    decoder: Any
    learns: bool = False


# A linear decoder is precise enough only where full speed is slow; one with acceleration is slow only near the target.
# Errors of a thousand channels' tuning add up: there a spike is believed less than what its noise leaves it worth.
_WARY = ("poisson", PoissonConfig(worth=0.7))
RIGS: Mapping[str, Mapping[str, Rig]] = {
    "utah_m1": {"poisson": Rig("utah96", 0.1, 0.6, "poisson", learns=True), "kalman": Rig("utah96", 0.05, 0.24, _KALMAN)},
    "n1": {"poisson": Rig("thread1024", 0.1, 0.6, _WARY), "kalman": Rig("thread1024", 0.1, 0.25, _KALMAN)},
}
_PRACTICE_S = 60.0  # use before what is counted, as the person alone gets it: it learns its cursor
PROTOCOL = Calibration(observe_s=60.0, assist=(0.5, 0.2, 0.0), block_s=40.0)
# What binds: the same run with one thing taken away or added, (label, person, calibration); never a result.
ABLATIONS: tuple[tuple[str, Mapping[str, Any], Calibration], ...] = (
    ("no common noise", {"shared_noise": 0.0}, PROTOCOL),
    ("no noise but Poisson", {"shared_noise": 0.0, "own_noise": 0.0, "regular": False}, PROTOCOL),
    ("no motor noise", {"motor_noise": 0.0}, PROTOCOL),
    ("half the visual delay", {"visual_delay_ms": 100.0}, PROTOCOL),
    ("twice the depth of tuning", {"tuning": 2.0}, PROTOCOL),
    ("twice the calibration", {}, Calibration(120.0, PROTOCOL.assist, 80.0)),
)


def task(select: str, speed: float) -> ReachConfig:
    """The grid; the ideal user's slow zone goes with the cursor's speed."""
    return ReachConfig("webgrid", select, rows=_SIDE, columns=_SIDE, hold_s=0.3, timeout_s=10.0, slow_m=_ASSISTED_M * speed)


def run(
    preset: str,
    decoder: str,
    seed: int,
    seconds: float,
    calibration: Calibration = PROTOCOL,
    person: Mapping[str, Any] | None = None,
    *,
    practice_s: float = _PRACTICE_S,
    known: bool = False,
) -> dict[str, float]:
    """Score of one person with a decoder that was calibrated on it, decoded click; `known`: that knows its tuning, too."""
    rig = RIGS[preset][decoder]
    loop = Loop(
        ("person", PersonConfig(preset=preset, **(person or {}))),
        rig.channel,
        rig.decoder,
        ("cursor", CursorConfig(max_speed_m_s=rig.speed, click=rig.click)),
        "silent",
        ("reach", task("click", rig.speed)),
        seed=seed,
    )
    loop.calibrate(calibration)
    if known:
        enlighten(loop)
    loop.act("adapt", how="selections" if rig.learns and not known else "off")
    loop.advance(practice_s)
    loop.act("adapt", how="off")
    return dict(loop.run(seconds).score)


def oracle(select: str, seed: int, seconds: float) -> dict[str, float]:
    """Score of the same person whose intention moves an ordinary cursor."""
    where = ("reach", task(select, CursorConfig().max_speed_m_s))
    loop = Loop("person", "utah96", "still", "cursor", "silent", where, config=LoopConfig(oracle=True), seed=seed)
    loop.advance(_PRACTICE_S)
    return dict(loop.run(seconds).score)


def _rates(scores: list[dict[str, float]]) -> Found:
    rates = [score["bit_rate_bit_s"] for score in scores]
    extra = {"low": min(rates), "high": max(rates), "seeds": len(rates)}
    extra |= {key: statistics.mean(score[key] for score in scores) for key in ("correct", "incorrect")}
    return Found(statistics.median(rates), extra)


def _oracles(seeds: int, seconds: float) -> Iterator[Measure]:
    for select in ("click", "dwell"):
        yield Measure(
            f"bit rate on Webgrid 30x30, oracle (the person alone), {select}",
            "bit/s",
            lambda s=select: _rates([oracle(s, seed, seconds) for seed in range(seeds)]),  # type: ignore[misc]
            at_least=_MOUSE[0],
            at_most=_MOUSE[1],
            parameters={"seeds": seeds, "seconds": seconds},
        )


def measures(quick: bool) -> Iterator[Measure]:
    """All rows."""
    seeds, few, seconds, practice = (1, 1, 10.0, 2.0) if quick else (20, 4, 60.0, _PRACTICE_S)
    calibration = Calibration(8.0, (0.0,), 4.0) if quick else PROTOCOL
    yield from _oracles(seeds, seconds)
    for preset, rigs in RIGS.items():
        goals = {"at_least": _GOAL} if preset == "n1" else {"at_least": _HUMAN[0], "at_most": _HUMAN[1]}
        for name, rig in rigs.items():
            people = seeds if name == "poisson" else few
            yield Measure(
                f"bit rate on Webgrid 30x30, decoded click, {preset}, {name}",
                "bit/s",
                lambda p=preset, d=name, n=people: _rates(  # type: ignore[misc]
                    [run(p, d, k, seconds, calibration, practice_s=practice) for k in range(n)]
                ),
                parameters={"seeds": people, "seconds": seconds, "speed_m_s": rig.speed, "click": rig.click},
                **goals,
            )
    for preset in RIGS:
        yield Measure(
            f"a perfect fit, {preset}: poisson given the person's own tuning, drift and shared noise",
            "bit/s",
            lambda p=preset: _rates(  # type: ignore[misc]
                [run(p, "poisson", k, seconds, calibration, practice_s=practice, known=True) for k in range(few)]
            ),
            parameters={"seeds": few, "seconds": seconds},
        )
    for label, person, protocol in ABLATIONS[: 1 if quick else None]:
        how, people = (calibration, few) if quick else (protocol, seeds if protocol != PROTOCOL else few)
        yield Measure(
            f"what binds n1, poisson: {label}",
            "bit/s",
            lambda w=person, h=how, n=people: _rates(  # type: ignore[misc]
                [run("n1", "poisson", seed, seconds, h, w, practice_s=practice) for seed in range(n)]
            ),
            parameters={"seeds": people, "seconds": seconds},
        )
