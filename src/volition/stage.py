"""What a stage is: a Protocol each, `Spec` (shapes, periods, units), `Setup` (what it is told), `find` and `check`.

A stage is built from its configuration (a frozen dataclass, the class attribute `Config`), costs nothing until `prepare`
makes its state, and then does one thing when asked. Life of a stage inside a loop:

    stage = find("decoder", "kalman")(config)     # reads nothing, opens nothing
    stage.prepare(setup)                          # sizes, seed; makes all state anew (what was learnt stays)
    stage.step(...)                               # once per `spec.period_ns`
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from volition._registry import KINDS, STAGES, Entry, entries, find
from volition.errors import VolitionError
from volition.signal import BodyState, Bool, Broadband, Features, Float32, Float64, Goal, Intent, Spikes, Stim, Touch, View

__all__ = [
    "GROUNDS",
    "KINDS",
    "STAGES",
    "Adaptive",
    "Brain",
    "Calibrated",
    "Channel",
    "Decoder",
    "Effector",
    "Entry",
    "Feedback",
    "Placed",
    "Port",
    "Retrospective",
    "Saveable",
    "Setup",
    "Spec",
    "Stage",
    "Task",
    "Trainable",
    "check",
    "entries",
    "find",
]

GROUNDS = ("flat", "slopes", "steps", "slippery", "mixed")
"""What a body can be asked to go over: slippery places have friction 0.5 to 1, "mixed" has everything."""


@dataclass(frozen=True)
class Port:
    """One side of a stage: how wide, in which unit, and what each element is called.

    `size` 0 means "not known yet" before `prepare`, and "whatever comes" in `takes`.
    """

    size: int = 0
    unit: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Spec:
    """What does not change while a stage runs.

    Attributes:
        takes: what goes in (channels, features, intent dimensions, taxels).
        gives: what comes out.
        period_ns: how often it is stepped; 0 follows the bin of the brain.
        view_delay_ns: brain only: how late the person sees; the loop delays the `View` by it.
        requires: packages, files or devices the default configuration needs ("package:numba", "file:...", "device:...").
        live: brain only: what comes in cannot come again: it wants the real clock, and a replay of the run is given what was
            recorded of it.
    """

    takes: Port = Port()
    gives: Port = Port()
    period_ns: int = 0
    view_delay_ns: int = 0
    requires: tuple[str, ...] = ()
    live: bool = False


@dataclass(frozen=True)
class Setup:
    """What the loop tells every stage before it runs; later stages see what the earlier ones decided.

    Attributes:
        seed: seed of the run.
        bin_ns: width of a bin: the period of brain, channel, decoder and feedback.
        channels: recording electrodes.
        features: width of the decoder's input (known once the channel is prepared).
        intent: names of the intent dimensions, in the effector's order.
        workspace: `[2, d]` lower and upper corner of where the controlled point can go, m.
        max_speed: fastest the controlled point moves, m/s.
        taxels: touch sensors of the effector.
        electrodes: stimulation electrodes of the channel.
        pace_m_s: how fast the task asks a body to go, m/s (infinity: as fast as it can); 0: as fast as one likes. A task
            tells it by an attribute of that name, known before `prepare`.
        ground: what the task asks a body to go over, one of `GROUNDS`, told in the same way.
    """

    seed: int = 0
    bin_ns: int = 20_000_000
    channels: int = 96
    features: int = 96
    intent: tuple[str, ...] = ("reach.x", "reach.y")
    workspace: Float64 = field(default_factory=lambda: np.array([[-0.1, -0.1], [0.1, 0.1]]))
    max_speed: float = 0.5
    taxels: int = 0
    electrodes: int = 0
    pace_m_s: float = 0.0
    ground: str = "flat"

    def rng(self, who: str) -> np.random.Generator:
        """A generator of its own for each stage: adding one stage changes no other's numbers."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(zlib.crc32(who.encode()),)))


class Stage(Protocol):
    """What all five have in common; `Config` is the class's frozen configuration dataclass."""

    Config: Any

    @property
    def spec(self) -> Spec:
        """Sizes, units, period; complete after `prepare`."""
        ...

    def prepare(self, setup: Setup) -> None:
        """Make all state anew for this run; what a decoder has learnt stays, if it fits."""
        ...


@runtime_checkable
class Brain(Stage, Protocol):
    """1: who thinks."""

    def step(self, view: View, stim: Stim) -> Spikes | Broadband:
        """Activity of the next bin, from what is seen and from what stimulation was delivered."""
        ...

    def intended(self) -> Float32:
        """What was truly meant in the bin just given, `[k]` in `Setup.intent` order: for oracle and evaluation only.

        A recording returns its recorded movement; a source that cannot know returns zeros.
        """
        ...


@runtime_checkable
class Channel(Stage, Protocol):
    """2: the implant, both ways. `electrodes` is the number of stimulation electrodes (0: none)."""

    electrodes: int

    def read(self, signal: Spikes | Broadband) -> Features:
        """What the decoder gets of one bin; what was lost is masked, never zero."""
        ...

    def write(self, stim: Stim) -> Stim:
        """What of a command is delivered: every command passes the gate of `channel/_stimulate.py`."""
        ...


@runtime_checkable
class Decoder(Stage, Protocol):
    """3: features to intent. `confidence` (0..1) speaks of the last step."""

    confidence: float

    def step(self, x: Float32, mask: Bool) -> Float32:
        """One bin, `[features]` and its mask (True = missing) -> `[k]`; never looks ahead."""
        ...

    def predict(self, X: NDArray[Any], mask: Bool | None = None, segments: NDArray[Any] | None = None) -> Float32:
        """`[bins, features]` -> `[bins, k]`, equal to repeated `step` with `reset` where `segments` changes."""
        ...

    def reset(self) -> None:
        """Forget history, keep what was learnt."""
        ...


@runtime_checkable
class Trainable(Protocol):
    """A decoder that learns. `fitted` tells whether it has."""

    fitted: bool

    def fit(
        self,
        X: NDArray[Any],
        mask: Bool | None,
        y: NDArray[Any],
        segments: NDArray[Any] | None = None,
    ) -> Any:
        """Learn `y` `[bins, k]` from `X` `[bins, features]`; everything is chosen inside these data. Returns self."""
        ...


@runtime_checkable
class Calibrated(Protocol):
    """A decoder that learns otherwise for control in the loop than from a recording, where open-loop R² is what counts."""

    def calibrate(
        self,
        X: NDArray[Any],
        mask: Bool | None,
        y: NDArray[Any],
        segments: NDArray[Any] | None = None,
    ) -> Any:
        """As `Trainable.fit`, of data that a calibration in the loop has collected. Returns self."""
        ...


@runtime_checkable
class Placed(Protocol):
    """A decoder that is told where the body is, whatever else it may know: a clinic knows where its own cursor is.

    A bin before which nothing was told counts as in the centre, so that `predict` still equals repeated `step`.
    """

    def fit(
        self,
        X: NDArray[Any],
        mask: Bool | None,
        y: NDArray[Any],
        segments: NDArray[Any] | None = None,
        places: NDArray[Any] | None = None,
    ) -> Any:
        """As `Trainable.fit`; `places` `[bins, d]` is where the body was in each bin, m."""
        ...

    def place(self, body: BodyState) -> None:
        """Called once a bin, just before `step` (and before `Adaptive.observe`): the body as it is now."""
        ...


@runtime_checkable
class Adaptive(Protocol):
    """A decoder that stays good while it is used, if `LoopConfig.adapt` lets it.

    It adapts through `observe` alone: a bin that nothing was observed before changes nothing that is learnt, so that
    `predict` still equals repeated `step`. What was adapted belongs to `Saveable.arrays`.
    """

    def observe(self, body: BodyState, aim: Float32 | None) -> None:
        """Called once a bin, just before `step`.

        Args:
            body: the body as it is now; a clinic knows where its own cursor is.
            aim: `[k]` what an ideal user would command towards the goal as the person sees it, where the loop adapts
                "supervised"; None where the goal is not to be known.
        """
        ...


@runtime_checkable
class Retrospective(Adaptive, Protocol):
    """One that also learns from what was selected, once it was."""

    def selected(self, position: Float64 | None) -> None:
        """Called when an attempt has ended, after the bin in which it did.

        Args:
            position: of what was selected, `[d]` m; None where it ended without a selection.
        """
        ...


@runtime_checkable
class Saveable(Protocol):
    """A stage whose learnt state is a few named arrays."""

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Everything learnt."""
        ...

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take it back; raises `InputError` where something is missing or has the wrong shape."""
        ...


@runtime_checkable
class Effector(Stage, Protocol):
    """4: the body. Known before `prepare`: `spec.takes.names` (its intents), `workspace` `[2, d]` m, `max_speed` m/s."""

    workspace: Float64
    max_speed: float

    def step(self, intent: Intent, dt: float) -> tuple[Touch, BodyState]:
        """Move for `dt` s with this intent held; motor sensors never leave the effector."""
        ...

    def state(self) -> BodyState:
        """Where it is now (after `prepare`: its starting pose)."""
        ...


@runtime_checkable
class Feedback(Stage, Protocol):
    """5: touch to stimulation."""

    def step(self, touch: Touch) -> Stim:
        """The command for the coming bin, `[Setup.electrodes]` wide."""
        ...


@runtime_checkable
class Task(Stage, Protocol):
    """What the person tries to do, and how it is scored."""

    def step(self, t_ns: int, body: BodyState) -> Goal:
        """Judge the body's new state; returns what is asked from now on."""
        ...

    def aim(self, body: BodyState, goal: Goal | None = None) -> Float32:
        """What an ideal user would command now, `[k]`: the computer's help in assist, the label in calibration.

        Towards the present goal, or towards `goal` (in calibration the one that the person has had time to see).
        """
        ...

    def restart(self, t_ns: int) -> Goal:
        """Begin anew at trial 0: a new block."""
        ...

    def score(self) -> Mapping[str, float]:
        """The block's figures by the field's formulas; the key carries the unit (`bit_rate_bit_s`)."""
        ...

    def trials(self) -> Sequence[Mapping[str, Any]]:
        """The finished trials, raw (distance, radius, time, outcome), so that any other score can be computed."""
        ...


def check(obj: Any, setup: Setup | None = None) -> list[str]:
    """Run a stage through its contract; what was found wrong, one line each (empty: it holds).

    Args:
        obj: an instance of a stage or task, in its default or any other configuration.
        setup: sizes to try it with; small ones by default.
    """
    from volition._check import run

    try:
        return run(obj, setup or Setup())
    except VolitionError as error:
        return [str(error)]
    except Exception as error:
        return [f"{type(obj).__name__} raised {type(error).__name__}: {error}"]
