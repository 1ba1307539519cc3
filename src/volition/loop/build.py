"""From names to five prepared stages that fit together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from difflib import get_close_matches
from math import gcd
from numbers import Integral
from typing import Any

from volition.errors import ConfigError, VolitionError
from volition.signal import INTENT_UNITS
from volition.stage import Setup, find

_VERBS: Mapping[str, tuple[str, ...]] = {
    "brain": ("prepare", "spec", "step", "intended"),
    "channel": ("prepare", "spec", "read", "write", "electrodes"),
    "decoder": ("prepare", "spec", "step", "reset", "confidence"),
    "effector": ("prepare", "spec", "step", "state", "workspace", "max_speed"),
    "feedback": ("prepare", "spec", "step"),
    "task": ("prepare", "step", "aim", "restart", "score", "trials"),
}


def make(kind: str, what: Any) -> Any:
    """A stage from a name, a (name, configuration) pair or an instance.

    Raises:
        UnknownNameError: no such component.
        ConfigError: the configuration has an unknown key or a value out of range.
    """
    if isinstance(what, str):
        return construct(find(kind, what), f"{kind} {what}")
    if isinstance(what, tuple):
        name, config = what
        cls = find(kind, name) if isinstance(name, str) else name
        if isinstance(config, Mapping):
            config = configure(cls.Config, config, f"{kind} {name}")
        return construct(cls, f"{kind} {name}", config)
    return what


def construct(cls: Any, what: str, *config: Any, **more: Any) -> Any:
    """`cls(*config, **more)`; what somebody's own class raises there is one clear line, too.

    Raises:
        ConfigError: it cannot be made.
    """
    try:
        return cls(*config, **more)
    except (VolitionError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise ConfigError(f"{what} cannot be made: {type(error).__name__}: {error}") from error


def configure(cls: type, values: Mapping[str, Any], where: str) -> Any:
    """A configuration dataclass from a mapping; lists become tuples, unknown keys name the nearest.

    Raises:
        ConfigError: unknown key, or a value of the wrong type or out of range.
    """
    known = {f.name: f for f in fields(cls)}
    for key in values:
        if key not in known:
            near = get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known)) or 'none'}"
            raise ConfigError(f"unknown key {key!r} in {where}; {hint}")
    try:
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error


def complete(kind: str, stage: Any) -> None:
    """Refuse a stage that lacks a method before the loop starts, not in its first step.

    Raises:
        ConfigError: names what is missing.
    """
    lacking = [verb for verb in _VERBS[kind] if not hasattr(stage, verb)]
    if lacking:
        raise ConfigError(f"{kind} {type(stage).__name__} has no {', '.join(lacking)}; try volition.check on it")


def describe(stage: Any) -> dict[str, Any]:
    """Enough to make the same stage again: its class and its configuration; of a live one, what it turned out to be."""
    cls = type(stage)
    config: Any = getattr(stage, "config", None)
    known = is_dataclass(config) and not isinstance(config, type)
    where = getattr(cls, "found_in", f"{cls.__module__}:{cls.__qualname__}")
    spec: Any = getattr(stage, "spec", None)
    live = {"live": asdict(spec)} if getattr(spec, "live", False) else {}
    return {"class": where, "config": asdict(config) if known else {}, **live}


def label(stage: Any) -> str:
    """What to call it in a table."""
    return type(stage).__module__.rsplit(".", 1)[-1]


def _width(brain: Any, channel: Any) -> int:
    """Channels that the brain gives, 0 where it does not know yet; refuses a number that the implant has not."""
    given: int = brain.spec.gives.size
    taken = channel.spec.takes.size
    if given and taken and given != taken:
        raise ConfigError(
            f"brain {label(brain)} has {given} channels, but channel {label(channel)} has {taken} electrodes; "
            "channel ideal takes any number"
        )
    return given


def _prepare(kind: str, stage: Any, setup: Setup) -> None:
    """Prepare a stage; what somebody's own raises there is one clear line, too."""
    try:
        stage.prepare(setup)
    except (VolitionError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise ConfigError(f"{kind} {label(stage)} cannot be prepared: {type(error).__name__}: {error}") from error


def fit_together(stages: Mapping[str, Any], seed: int) -> Setup:
    """Prepare all stages in order; what one decides, the next ones are told.

    Raises:
        ConfigError: no seed, numbers of channels differ, or the effector takes an intent that has no meaning.
    """
    if not isinstance(seed, Integral) or seed < 0:
        raise ConfigError(f"seed must be an integer, not negative, got {seed!r}")
    for kind, stage in stages.items():
        complete(kind, stage)
    brain, channel, effector = stages["brain"], stages["channel"], stages["effector"]
    names = effector.spec.takes.names
    for name in names:
        if name not in INTENT_UNITS and not name.startswith(("finger.", "phone.")):
            raise ConfigError(f"effector {label(effector)} takes the intent {name!r}, which nothing can mean")
    given, taken = _width(brain, channel), channel.spec.takes.size
    setup = Setup(
        seed=seed,
        bin_ns=brain.spec.period_ns or Setup().bin_ns,
        channels=given or taken or Setup().channels,
        intent=names,
        workspace=effector.workspace,
        max_speed=effector.max_speed,
        taxels=effector.spec.gives.size,
        electrodes=channel.electrodes,
        pace_m_s=getattr(stages["task"], "pace_m_s", 0.0),
        ground=getattr(stages["task"], "ground", "flat"),
    )
    _prepare("brain", brain, setup)
    # A live brain learns how wide it is only when it has found its source.
    setup = replace(setup, channels=_width(brain, channel) or setup.channels)
    _prepare("channel", channel, setup)
    setup = replace(setup, features=channel.spec.gives.size, electrodes=channel.electrodes)
    for kind in ("decoder", "effector", "feedback", "task"):
        _prepare(kind, stages[kind], setup)
    return setup


def periods(effector_ns: int, bin_ns: int) -> tuple[int, int, int]:
    """The tick, and after how many ticks a bin and a body step are due: (tick_ns, ticks a bin, ticks a body step).

    Raises:
        ConfigError: the two are so far from a common measure that the tick would be below 100 µs.
    """
    body_ns = effector_ns or bin_ns
    tick_ns = gcd(body_ns, bin_ns)
    if tick_ns < 100_000:
        raise ConfigError(
            f"bin of {bin_ns / 1e6} ms and body step of {body_ns / 1e6} ms have no common measure above 0.1 ms"
        )
    return tick_ns, bin_ns // tick_ns, body_ns // tick_ns
