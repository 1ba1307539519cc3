"""How the loop is closed (`LoopConfig`), and the newest signals in it (`Signals`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from volition.errors import ConfigError
from volition.signal import BodyState, Features, Float32, Goal, Intent, Stim, Touch, View

ADAPT = ("off", "unsupervised", "selections", "supervised")


@dataclass(frozen=True)
class LoopConfig:
    """How the loop is closed.

    Attributes:
        clock: "lockstep" (as fast as it goes, deterministic) or "real" (the machine's clock).
        assist: share of the command that the computer gives, 0..1 (Velliste et al. 2008).
        oracle: the true intent goes straight to the body: an upper bound, never a result.
        adapt: whether a decoder that can (`stage.Adaptive`) adapts while it is used: "off", "unsupervised" (it is shown the
            body, never the goal), "selections" (the same, and what was selected, once it was: `stage.Retrospective`) or
            "supervised" (it is told what an ideal user would command).
        hold_ms: how long an intent is held when no fresh one comes.
        decay_ms: time constant with which it then decays.
        stop_ms: age at which it is zero.
        max_lag_ms: real clock: lateness beyond which time is given up instead of being run after.
    """

    clock: str = "lockstep"
    assist: float = 0.0
    oracle: bool = False
    adapt: str = "off"
    hold_ms: float = 100.0
    decay_ms: float = 120.0
    stop_ms: float = 250.0
    max_lag_ms: float = 250.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.clock not in ("lockstep", "real"):
            raise ConfigError(f"clock must be 'lockstep' or 'real', got {self.clock!r}")
        if self.adapt not in ADAPT:
            raise ConfigError(f"adapt must be one of {', '.join(map(repr, ADAPT))}, got {self.adapt!r}")
        if not 0 <= self.assist <= 1:
            raise ConfigError(f"assist must lie in 0..1, got {self.assist}")
        if not 0 <= self.hold_ms <= self.stop_ms:
            raise ConfigError(f"hold_ms must lie in 0..stop_ms, got {self.hold_ms} and {self.stop_ms}")
        times = ("hold_ms", "decay_ms", "stop_ms", "max_lag_ms")
        if not all(math.isfinite(getattr(self, name)) for name in times):
            raise ConfigError(f"{', '.join(times)} must be finite")
        if self.decay_ms <= 0 or self.max_lag_ms <= 0:
            raise ConfigError("decay_ms and max_lag_ms must be positive")


class Signals:
    """The newest signal of every kind; `features` and `spikes` are None where a stage failed."""

    __slots__ = ("body", "decoded", "delivered", "features", "goal", "intended", "intent", "spikes", "stim", "touch", "view")

    view: View
    spikes: Any
    features: Features | None
    decoded: Float32
    intended: Float32
    intent: Intent
    touch: Touch
    body: BodyState
    stim: Stim
    delivered: Stim
    goal: Goal
