"""Ten days, one calibration: a decoder that learns from selections, one that is fixed, one told all; the drift score."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from volition.app._bench import Found, Measure
from volition.train.drift import Days, live_through

_FIXED, _SELECTIONS, _LABELS = "fixed", "learning from selections", "told every bin"


@dataclass(frozen=True)
class _Rig:
    """Who, through what, doing what."""

    label: str
    channel: str
    preset: str
    task: tuple[tuple[str, Any], ...]
    people: int = 3  # of the row that has the goal


_RIGS = (
    _Rig("utah_m1, 96 channels", "utah96", "utah_m1", (("layout", "centre_out"),), people=8),  # they differ much
    _Rig("n1, 1,024 channels", "thread1024", "n1", (("layout", "centre_out"),)),
)
_ADAPT = {_FIXED: "off", _SELECTIONS: "selections", _LABELS: "supervised"}


@cache
def _days(
    rig: _Rig, how: str, seed: int, days: int, seconds: float, decoder: str = "poisson", overnight: bool = True
) -> Days:
    """One person's days with one decoder; each is lived once, however many rows tell of it."""
    return live_through(
        decoder,
        brain=("person", {"preset": rig.preset}),
        channel=rig.channel,
        task=("reach", dict(rig.task)),
        seed=seed,
        days=days,
        warm_s=2 * seconds,
        run_s=seconds,
        adapt=_ADAPT[how],
        overnight=overnight,
    )


def _kept(rig: _Rig, how: str, seeds: int, days: int, seconds: float, overnight: bool = True) -> Found:
    """Mean bit rate of all later days over that of the first, whole days, in %: median over the people, and the worst."""
    lives = [_days(rig, how, seed, days, seconds, overnight=overnight) for seed in range(seeds)]
    kept = [100 * life.kept_whole for life in lives]
    first = statistics.median(life.bit_rate[0] for life in lives)
    by_day = [round(statistics.median(life.bit_rate[d] for life in lives), 2) for d in range(days)]
    parts = {
        "third_minute": statistics.median(100 * life.kept for life in lives),
        "third_minute_of_last_three_days": statistics.median(100 * life.kept_at_last for life in lives),
        "first_two_minutes": statistics.median(100 * life.kept_early for life in lives),
    }
    extra = {"low": min(kept), "high": max(kept), "seeds": seeds, **parts}
    return Found(statistics.median(kept), {**extra, "first_day_bit_s": first, "bit_s_by_day": by_day})


def _told(rig: _Rig, seeds: int, days: int, seconds: float) -> Found:
    """Correlation over days of the drift score with the bit rate of a fixed decoder that has one: median over the people."""
    lives = [_days(rig, _FIXED, seed, days, seconds, "adaptive") for seed in range(seeds)]
    r = [life.correlation for life in lives]
    asked = [sum(life.asked[1:]) / max(1, days - 1) for life in lives]
    extra = {"low": min(r), "high": max(r), "seeds": seeds, "asked_share_of_days": statistics.mean(asked)}
    return Found(statistics.median(r), {**extra, "asked_on_first_day": sum(life.asked[0] for life in lives)})


def measures(quick: bool) -> Iterator[Measure]:
    """All rows."""
    for rig in _RIGS[: 1 if quick else None]:
        seeds, days, seconds = (1, 2, 5.0) if quick else (3, 10, 60.0)
        how = {"rig": rig.label, "seeds": seeds, "days": days, "seconds": seconds, "task": dict(rig.task)}
        for decoder, goal, overnight in (
            (_FIXED, None, True),
            (_SELECTIONS, 90.0, True),
            (_SELECTIONS, None, False),
            (_LABELS, None, True),
        ):
            people = rig.people if goal and not quick else seeds
            who = "" if overnight else ", who wakes up not knowing the cursor"
            yield Measure(
                f"bit rate of later days over the first, poisson, {decoder}, {rig.label}{who}",
                "%",
                lambda r=rig, d=decoder, n=people, k=days, s=seconds, o=overnight: _kept(r, d, n, k, s, o),  # type: ignore[misc]
                at_least=goal,
                parameters={**how, "seeds": people, "overnight": overnight},
            )
    rig, seeds, days, seconds = (_RIGS[0], 1, 2, 5.0) if quick else (_RIGS[0], 3, 10, 60.0)
    yield Measure(
        f"drift score and bit rate of a fixed decoder (adaptive), correlation over days, {rig.label}",
        "r",
        lambda: _told(rig, seeds, days, seconds),
        parameters={"rig": rig.label, "seeds": seeds, "days": days, "seconds": seconds, "task": dict(rig.task)},
    )
