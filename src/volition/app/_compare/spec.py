"""What is to be compared, from flags and a TOML file.

seeds = 10                 # persons of each kind; any option of the command, by its name
seconds = 60.0
[decoders.kalman]          # one table a variant: `name`, and any field of that component's configuration
[decoders."long wiener"]
name = "wiener"
history_ms = [600.0]
[persons.aged]             # a table without `name`: the person, a decoder or task of the table's name
preset = "utah_m1"
day = 9
[tasks.webgrid]
[calibration]              # and [channel], [effector], [feedback], [loop], as in a run.toml
observe_s = 60.0
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from volition._registry import builtin, entries
from volition.app import _config
from volition.app._toml import typed
from volition.errors import ConfigError
from volition.train.compare import ORACLE, Choice, Unit, built, choice, plan

_KINDS = {"decoders": "decoder", "persons": "brain", "tasks": "task"}
_FIELD = re.compile(r",(?=[A-Za-z_]\w*=)")
_LAYOUTS = ("centre_out", "webgrid")  # of reaching: what people call the task
_REST = ("channel", "effector", "feedback")
_BASE = (*_REST, "loop", "calibration")

Fields = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Asked:
    """Everything about a comparison that is one value; as in the options of the command."""

    seeds: int = 10
    first_seed: int = 0
    seconds: float = 60.0
    open_seconds: float = 30.0
    oracle: bool = False
    measure: str = "bit_rate_bit_s"
    workers: int = 0
    cluster: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.seeds < 1 or self.first_seed < 0:
            raise ConfigError(f"--seeds must be positive, --first-seed not negative; got {self.seeds}, {self.first_seed}")
        if self.workers < 0:
            raise ConfigError(f"--workers must not be negative, got {self.workers}")


def _known(kind: str, name: str) -> bool:
    return name in builtin(kind) or ":" in name or name.endswith(".py") or any(e.name == name for e in entries(kind))


def named(kind: str, name: str) -> Fields:
    """A component by what people call it: its name, a layout of reaching, a preset of the person.

    >>> named("task", "webgrid"), named("brain", "n1"), named("decoder", "kalman")
    ({'name': 'reach', 'layout': 'webgrid'}, {'name': 'person', 'preset': 'n1'}, {'name': 'kalman'})
    """
    if kind == "task" and name in _LAYOUTS:
        return {"name": "reach", "layout": name}
    if kind == "brain" and not _known(kind, name):
        return {"name": "person", "preset": name}
    return {"name": name}


def variant(kind: str, text: str) -> Fields:
    """A component and fields of its configuration, as a flag gives them.

    >>> variant("brain", "n1,day=3"), variant("decoder", "wiener,history_ms=[200, 300],folds=3")
    ({'name': 'person', 'preset': 'n1', 'day': 3}, {'name': 'wiener', 'history_ms': [200, 300], 'folds': 3})

    Raises:
        ConfigError: not of the form name,field=value,...
    """
    name, *assignments = _FIELD.split(text)
    if not name.strip() or "=" in name:
        raise ConfigError(f"{text!r}: expected NAME or NAME,FIELD=VALUE,..., as in utah_m1,day=3")
    found = named(kind, name.strip())
    for assignment in assignments:
        _config.override(found, assignment)
    return found


def document(path: Path | None) -> Fields:
    """The tables of a specification, none without a file.

    Raises:
        ConfigError: it cannot be read, or holds what is unknown.
    """
    if path is None:
        return {}
    content = _config.load(path)
    known = [f.name for f in dataclasses.fields(Asked)]
    for key, value in content.items():
        if key not in (*_KINDS, *_BASE, *known):
            raise ConfigError(f"{path}: unknown key {key!r}; known: {', '.join((*_KINDS, *_BASE, *known))}")
        if key in _KINDS and not (isinstance(value, dict) and all(isinstance(v, dict) for v in value.values())):
            raise ConfigError(f"{path}: [{key}] holds one table a variant, as in [{key}.mine]")
    return content


def variants(content: Mapping[str, Any], plural: str, flags: Sequence[str], default: str) -> dict[str, Fields]:
    """Label -> component and fields; flags go before the file, the file before the default.

    Raises:
        ConfigError: one is named twice, or a flag is malformed.
    """
    kind = _KINDS[plural]
    if flags:
        if len(set(flags)) < len(flags):
            raise ConfigError(f"--{plural}: one is named twice: {' '.join(flags)}")
        return {text: variant(kind, text) for text in flags}
    tables: Mapping[str, Fields] = content.get(plural, {})
    if not tables:
        return {default: named(kind, default)}
    return {
        label: dict(table) if "name" in table else {**_like(kind, label, table), **table} for label, table in tables.items()
    }


def _like(kind: str, label: str, table: Mapping[str, Any]) -> Fields:
    """What a table without a name means: by its label, but a person whose preset is given is just a person."""
    if kind == "brain" and ("preset" in table or not _known(kind, label)):
        return {"name": "person"} if "preset" in table else named(kind, label)
    return named(kind, label)


def units(
    content: Mapping[str, Any],
    wanted: Mapping[str, Mapping[str, Fields]],
    base: Mapping[str, Any],
    how: Asked,
) -> list[Unit]:
    """All units of work, every configuration resolved and each combination tried on.

    Args:
        content: of the specification.
        wanted: "decoders", "persons", "tasks" -> label -> component and fields.
        base: sections as `--channel` and `--set` give them, over those of the specification.
        how: everything that is one value.

    Raises:
        VolitionError: a name or field is unknown, or stages do not fit together.
    """
    common = {key: {**_table(content, key), **_table(base, key)} for key in _BASE}
    resolved: dict[str, dict[str, Choice]] = {}
    for plural, kind in _KINDS.items():
        resolved[plural] = {}
        for label, given in wanted[plural].items():
            fields = {**_table(base, kind), **given}
            resolved[plural][label] = ORACLE if fields["name"] == ORACLE else _choice(kind, fields, f"--{plural} {label}")
    whole = _config.resolve({k: v for k, v in common.items() if v})
    rest = {kind: _plain(whole.stages[kind]) for kind in _REST}
    made = plan(
        resolved["decoders"],
        resolved["persons"],
        resolved["tasks"],
        range(how.first_seed, how.first_seed + how.seeds),
        seconds=how.seconds,
        open_s=how.open_seconds,
        loop=whole.loop,
        calibration=whole.calibration,
        **rest,
    )
    for unit in made:
        if unit.seed == how.first_seed:
            with built(unit) as loop:
                scored = loop.task.score()
            if how.measure not in scored:
                raise ConfigError(f"--measure {how.measure}: task {unit.task} does not score it, but {', '.join(scored)}")
    return made


def _table(content: Mapping[str, Any], key: str) -> Fields:
    value = content.get(key, {})
    if isinstance(value, str):
        return {"name": value}
    if not isinstance(value, dict):
        raise ConfigError(f"[{key}]: expected a section, got {value!r}")
    return value


def _choice(kind: str, fields: Fields, where: str) -> Choice:
    return _plain(_config.resolve({kind: fields}, where).stages[kind])


def _plain(stage: tuple[str, Any]) -> Choice:
    name, config = stage
    return choice(name) if config is None else (name, dataclasses.asdict(config))


def asked(content: Mapping[str, Any], path: Path | None, options: Any) -> Asked:
    """How it is to be compared: flags before the specification, the specification before the defaults.

    Raises:
        ConfigError: a value has the wrong type or is out of range.
    """
    names = [f.name for f in dataclasses.fields(Asked)]
    told = {key: typed(Asked, key, content[key], str(path)) for key in names if key in content}
    flags = {key: value for key in names if (value := getattr(options, key)) is not None and value is not False}
    return Asked(**{**told, **flags})


def parse_sets(assignments: Sequence[str]) -> Fields:
    """The sections that `--set` gives.

    Raises:
        ConfigError: malformed, or of something that is no section.
    """
    found: Fields = {}
    for assignment in assignments:
        section = assignment.partition("=")[0].partition(".")[0]
        if section not in (*_BASE, *_KINDS.values()) or "." not in assignment.partition("=")[0]:
            raise ConfigError(
                f"--set {assignment}: expected SECTION.FIELD=VALUE with one of {', '.join((*_BASE, *_KINDS.values()))}"
            )
        _config.override(found, assignment)
    return found
