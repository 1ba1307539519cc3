"""What can be done to a loop beside stepping it: each act goes through `Loop.act`, which records it for the replay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from volition.errors import ConfigError
from volition.stage import Calibrated, Placed, Trainable

if TYPE_CHECKING:
    from volition.loop.loop import Loop


def assist(loop: Loop, share: float) -> None:
    """Share of the command that the computer gives, 0..1."""
    loop.assist = share


def oracle(loop: Loop, on: bool) -> None:
    """Whether the true intent goes straight to the body."""
    loop.config = replace(loop.config, oracle=on)


def adapt(loop: Loop, how: str) -> None:
    """Whether the decoder adapts: "off", "unsupervised", "supervised"."""
    loop.config = replace(loop.config, adapt=how)


def kill(loop: Loop, share: float) -> None:
    """Share of the channels that is dead."""
    loop.injector.kill = share


def drop(loop: Loop, share: float) -> None:
    """Share of the packets that is lost."""
    loop.injector.drop = share


def touch(loop: Loop, on: bool) -> None:
    """Whether what is touched is written back."""
    loop.injector.touch = on


def push(loop: Loop, impulse: list[float]) -> None:
    """Push the controlled point, N s [3]; a body without `push` stands firm."""
    if hasattr(loop.effector, "push"):
        loop.guards["effector"].ask(loop.effector.push, np.array(impulse, float))


def collect(loop: Loop, on: bool) -> None:
    """Begin to collect features and labels for a fit, or forget them."""
    loop._collected = [] if on else None


def fit(loop: Loop) -> None:
    """Fit the decoder on all that was collected, for control where it can tell that from accuracy.

    Raises:
        ConfigError: nothing was.
    """
    if not loop._collected:
        raise ConfigError("nothing was collected to fit the decoder on")
    x, mask, y, segments, places = (np.stack(column) for column in zip(*loop._collected, strict=True))
    if isinstance(loop.decoder, Placed):
        loop.decoder.fit(x, mask, y, segments, places)
    elif isinstance(loop.decoder, Calibrated):
        loop.decoder.calibrate(x, mask, y, segments)
    elif isinstance(loop.decoder, Trainable):
        loop.decoder.fit(x, mask, y, segments)
    loop.decoder.reset()


def restart(loop: Loop) -> None:
    """A new block of the task; an effector that keeps accounts opens new ones."""
    if hasattr(loop.effector, "begin_block"):
        loop.guards["effector"].ask(loop.effector.begin_block)
    loop.last.goal = loop.task.restart(loop.t_ns)


def arm(loop: Loop) -> None:
    """Allow motion and stimulation again after a stop."""
    loop._hold.arm()
    gate = getattr(loop.channel, "gate", None)
    if gate is not None:
        gate.arm()


ACTS: Mapping[str, Callable[..., None]] = {
    act.__name__: act for act in (assist, oracle, adapt, kill, drop, touch, push, collect, fit, restart, arm)
}
