"""The configuration of a run: TOML to frozen dataclasses and back, with errors that name the section and the nearest key.

seed = 1
seconds = 30.0
[brain]            # one section a stage and one for the task: `name`, and any field of that component's configuration
name = "person"
[decoder]
name = "kalman"
bins = 5
[loop]             # fields of `LoopConfig`
[calibration]      # fields of `Calibration`
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from volition._registry import KINDS, find
from volition.app._toml import dump, typed
from volition.errors import ConfigError
from volition.loop.calibrate import Calibration
from volition.loop.config import LoopConfig

DEFAULTS = {
    "brain": "person",
    "channel": "ideal",
    "decoder": "kalman",
    "effector": "cursor",
    "feedback": "silent",
    "task": "reach",
}
_SECTIONS = (*KINDS, "loop", "calibration")
_TOP = ("seed", "seconds", "calibrate", "model")


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run.

    Attributes:
        stages: kind -> (name, configuration); the configuration is None for a component that has none.
        loop: options of the loop.
        calibration: how a decoder that learns is calibrated.
        seed: of all random numbers.
        seconds: length of the run after calibration, s.
        calibrate: whether a decoder that learns is calibrated before the run, if no model is given.
        model: folder of a fitted decoder, or "".
    """

    stages: Mapping[str, tuple[str, Any]]
    loop: LoopConfig = dataclasses.field(default_factory=LoopConfig)
    calibration: Calibration = dataclasses.field(default_factory=Calibration)
    seed: int = 0
    seconds: float = 30.0
    calibrate: bool = True
    model: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.seed < 0:
            raise ConfigError(f"seed must not be negative, got {self.seed}")
        if not 0 < self.seconds < 1e7:
            raise ConfigError(f"seconds must be positive and below 1e7, got {self.seconds}")

    def to_toml(self) -> str:
        """The same as TOML, every field written out."""
        sections = {
            kind: {"name": name, **({} if config is None else dataclasses.asdict(config))}
            for kind, (name, config) in self.stages.items()
        }
        return dump(
            {
                "seed": self.seed,
                "seconds": self.seconds,
                "calibrate": self.calibrate,
                "model": self.model,
                **sections,
                "loop": dataclasses.asdict(self.loop),
                "calibration": dataclasses.asdict(self.calibration),
            }
        )


def _nearest(word: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"


def load(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        ConfigError: it cannot be read, or is not TOML; the message names the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a text file in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def override(document: dict[str, Any], assignment: str) -> None:
    """Set one value of a document in place: "task.layout=webgrid", "seed=3"; a value that is not TOML is taken as text.

    Raises:
        ConfigError: it has no "=", or goes through something that is not a section.
    """
    path, equals, text = assignment.partition("=")
    keys = [k.strip() for k in path.split(".")]
    if not equals or not all(keys):
        raise ConfigError(f"--set {assignment}: expected SECTION.FIELD=VALUE, as in --set task.layout=webgrid")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    table = document
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {assignment}: {key!r} is a value, not a section")
    table[keys[-1]] = value


def choose(document: dict[str, Any], kind: str, name: str | None) -> None:
    """Take another component for a stage; fields that were given for the one before do not apply to it."""
    if name is None:
        return
    section = document.get(kind)
    if not isinstance(section, dict) or section.get("name", DEFAULTS[kind]) != name:
        document[kind] = {"name": name}


def _section(cls: Any, given: Mapping[str, Any], where: str) -> Any:
    """An instance of a configuration class from a table."""
    fields = [f.name for f in dataclasses.fields(cls)]
    for key in given:
        if key not in fields:
            raise ConfigError(f"{where}: unknown key {key!r}; {_nearest(key, fields)}")
    try:
        return cls(**{key: typed(cls, key, value, where) for key, value in given.items()})
    except ConfigError as error:
        raise error if str(error).startswith(where) else ConfigError(f"{where}: {error}") from None
    except TypeError as error:  # a field without a default
        raise ConfigError(f"{where}: {error}") from None


def _component(kind: str, given: Any, source: str) -> tuple[str, Any]:
    """Name and configuration of one stage."""
    where = f"{source}, [{kind}]"
    if isinstance(given, str):  # brain = "person"
        given = {"name": given}
    if not isinstance(given, dict):
        raise ConfigError(f"{where}: expected a section with a name, got {given!r}")
    fields = dict(given)
    name = fields.pop("name", DEFAULTS[kind])
    if not isinstance(name, str):
        raise ConfigError(f"{where}: name must be text, got {name!r}")
    cls = getattr(find(kind, name), "Config", None)
    if cls is None:
        if fields:
            raise ConfigError(f"{where}: {name} has no configuration, but {next(iter(fields))!r} is given")
        return name, None
    return name, _section(cls, fields, where)


def resolve(document: Mapping[str, Any], source: str = "configuration") -> RunConfig:
    """Check a document and fill in every default.

    Args:
        document: tables as TOML gives them.
        source: what to call it in messages (the file's name).

    Raises:
        ConfigError: an unknown section, key or component, or a value of the wrong type; the message names the nearest.
    """
    for key, value in document.items():
        if key not in _SECTIONS and key not in _TOP:
            what = "section" if isinstance(value, dict) else "key"
            raise ConfigError(f"{source}: unknown {what} {key!r}; {_nearest(key, [*_SECTIONS, *_TOP])}")
    top = {key: typed(RunConfig, key, document[key], source) for key in _TOP if key in document}
    for key, cls in (("loop", LoopConfig), ("calibration", Calibration)):
        table = document.get(key, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{source}, [{key}]: expected a section, got {table!r}")
        top[key] = _section(cls, table, f"{source}, [{key}]")
    stages = {kind: _component(kind, document.get(kind, {}), source) for kind in KINDS}
    try:
        return RunConfig(stages=stages, **top)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
