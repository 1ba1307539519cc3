"""Days in the life of a decoder: the same person on later days, one calibration, no label afterwards.

Day 0 is calibrated in the loop. Every later day is a loop of its own, with the same seed, `PersonConfig.day` one more,
and the same decoder: what it adapted by itself it takes along, as the person does what it learnt of its cursor. With the
loop's `adapt` "off" the decoder stays as calibrated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from volition.loop.build import configure, make
from volition.loop.calibrate import Calibration
from volition.loop.config import LoopConfig
from volition.loop.loop import Loop
from volition.stage import find


@dataclass(frozen=True)
class Days:
    """What came of it, one entry a day.

    Attributes:
        bit_rate: of the measured block, bit/s.
        early: of the use before it, bit/s.
        success: share of its trials.
        drift: the decoder's drift score at the end of the day, nats (0 where it has none).
        asked: whether it asked for calibration then.
        warm_share: share of a day that was the use before the measured block.
    """

    bit_rate: tuple[float, ...]
    early: tuple[float, ...]
    success: tuple[float, ...]
    drift: tuple[float, ...]
    asked: tuple[bool, ...]
    warm_share: float = 0.5

    @property
    def kept(self) -> float:
        """Mean bit rate of the later days over that of the first; 0 where the first had none."""
        return _share(self.bit_rate)

    @property
    def kept_at_last(self) -> float:
        """The same of the last three days: block by block the bit rate scatters."""
        return _share((self.bit_rate[0], *self.bit_rate[1:][-3:]))

    @property
    def kept_early(self) -> float:
        """The same of the use before the measured block, over that of the first day."""
        return _share(self.early)

    @property
    def kept_whole(self) -> float:
        """The same of whole days, over the whole of the first."""
        parts = zip(self.early, self.bit_rate, strict=True)
        return _share([self.warm_share * e + (1 - self.warm_share) * b for e, b in parts])

    @property
    def correlation(self) -> float:
        """Of the drift score with the bit rate, over the days; 0 where one of them does not vary."""
        if min(np.std(self.drift), np.std(self.bit_rate)) < 1e-12:
            return 0.0
        return float(np.corrcoef(self.drift, self.bit_rate)[0, 1])


def _share(days: Sequence[float]) -> float:
    """Mean of the later days over the first; 0 where the first has nothing or is the only one."""
    return float(np.mean(days[1:])) / days[0] if len(days) > 1 and days[0] > 0 else 0.0


def live_through(
    decoder: Any,
    *,
    brain: tuple[str, Mapping[str, Any]] = ("person", {}),
    channel: Any = "utah96",
    effector: Any = "cursor",
    task: Any = "reach",
    adapt: str = "unsupervised",
    seed: int = 0,
    days: int = 10,
    warm_s: float = 60.0,
    run_s: float = 60.0,
    calibration: Calibration | None = None,
    overnight: bool = True,
) -> Days:
    """Calibrate on day 0, then use the decoder day after day.

    Args:
        decoder: name, (name, configuration) or an instance.
        brain: name of a person that has a `day`, and its configuration.
        channel: as `Loop` takes it; so for the next two.
        effector: the body.
        task: what is to be done.
        adapt: the loop's `adapt`, on every day.
        seed: of the person; equal seeds are the same person.
        days: how many.
        warm_s: use before the measured block, s (the person has to get used to the decoder, too).
        run_s: length of the measured block, s.
        calibration: of day 0.
        overnight: whether the person still knows in the morning how its cursor answers (`Person.remember`).

    Raises:
        ConfigError: the brain has no days, or the stages do not fit together.
    """
    instance = make("decoder", decoder)
    name, values = brain
    cls = find("brain", name)
    config = configure(cls.Config, {**values, "day": 0}, f"brain {name}")
    rows = []
    memory = None
    for day in range(days):
        person = cls(replace(config, day=day))
        if overnight and memory is not None:
            person.remember(memory)
        with Loop(person, channel, instance, effector, "silent", task, config=LoopConfig(), seed=seed) as loop:
            if day == 0:
                loop.calibrate(calibration)
            loop.act("adapt", how=adapt)
            before = loop.run(warm_s).score["bit_rate_bit_s"]
            score = loop.run(run_s).score
        memory = getattr(person, "memory", None)
        asked = bool(getattr(instance, "asks_for_calibration", False))
        rows.append((score["bit_rate_bit_s"], before, score["success"], float(getattr(instance, "drift", 0.0)), asked))
    bit_rate, early, success, drift, asks = zip(*rows, strict=True)
    return Days(bit_rate, early, success, drift, asks, warm_s / (warm_s + run_s))
