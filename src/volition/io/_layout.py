"""Layouts: small TOML files that say where in a lab's file the counts, the movement and the trials are.

The format is explained, with an example, in `docs/how-to/my-recording.md`.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from volition.errors import ConfigError, InputError, UnknownNameError

Value = NDArray[Any] | list[NDArray[Any]]
"""A variable of a file: an array, or a list of arrays (cell array) of which each is an unbroken stretch."""

SHIPPED = Path(__file__).parent / "layouts"
_ORDERS = {"bins x units": False, "bins x dims": False, "units x bins": True, "dims x bins": True}


@dataclass(frozen=True)
class Source:
    """Where one quantity comes from.

    Attributes:
        names: variables; `*` stands for any characters.
        joined: whether several variables follow each other in time (else they lie side by side as columns).
        across: whether time runs along the second axis.
        columns: which columns (dimensions) to take; empty takes all.
        scale: factor from the file's numbers to `unit` (for counts: to counts).
        unit: unit after scaling.
    """

    names: tuple[str, ...]
    joined: bool = False
    across: bool = False
    columns: tuple[int, ...] = ()
    scale: float = 1.0
    unit: str = ""


@dataclass(frozen=True)
class Trials:
    """How trials are told apart: by a number per bin, by cell of a cell array, or the file is one trial."""

    variable: str = ""
    cells: bool = False
    whole_file: bool = False
    target: Source | None = None


@dataclass(frozen=True)
class Borders:
    """Where history breaks.

    Attributes:
        trial: at every change of trial.
        skip: name of a variable that counts bins inside a trial: where it does not go up by one.
        jump: (position, velocity, threshold): where |change of position / bin width - velocity| > threshold.
        every_bin: everywhere: the bins of the file do not follow each other in time.
    """

    trial: bool = False
    skip: str = ""
    jump: tuple[str, str, float] | None = None
    every_bin: bool = False


@dataclass(frozen=True)
class Layout:
    """A parsed layout file; `no_units` says what the file holds instead where it holds no spikes."""

    name: str
    about: str
    match: tuple[str, ...]
    counts: Source | None = None
    no_units: str = ""
    bin_s: float | Source = 0.0
    time: Source | None = None
    cut_nan: bool = False
    kinematics: Mapping[str, Source] = field(default_factory=dict)
    trials: Trials | None = None
    borders: Borders = Borders()
    info: Mapping[str, str | Source] = field(default_factory=dict)
    decoders: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def fits(self, names: Iterable[str]) -> bool:
        """Whether every variable in `match` is among `names`."""
        names = list(names)
        return all(any(fnmatchcase(name, pattern) for name in names) for pattern in self.match)


class _Table:
    """A TOML table of which every key must be known and of the right type."""

    def __init__(self, raw: Any, where: str) -> None:
        if not isinstance(raw, dict):
            raise ConfigError(f"{where}: must be a table")
        self.raw, self.where, self.asked = raw, where, set[str]()

    def get(self, key: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
        self.asked.add(key)
        if key not in self.raw:
            return default
        value = self.raw[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ConfigError(f"{self.where}: {key} = {value!r} is of the wrong type")
        return value

    def table(self, key: str) -> _Table | None:
        raw = self.get(key, dict)
        return None if raw is None else _Table(raw, f"{self.where} [{key}]")

    def close(self) -> None:
        for key in self.raw:
            if key not in self.asked:
                near = difflib.get_close_matches(key, self.asked, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(self.asked))}"
                raise ConfigError(f"{self.where}: unknown key {key!r}; {hint}")


def _source(table: _Table, *, required: bool = True) -> Source:
    variable = table.get("variable", (str, list), [])
    parts = table.get("parts", list, [])
    if bool(variable) == bool(parts) and required:
        raise ConfigError(f"{table.where}: give either `variable` or `parts`")
    names = tuple(parts or ([variable] if isinstance(variable, str) else variable))
    order = table.get("order", str, "bins x units")
    if order not in _ORDERS:
        raise ConfigError(f"{table.where}: order = {order!r}; known: {', '.join(map(repr, _ORDERS))}")
    columns = tuple(table.get("columns", list, []))
    if not all(isinstance(name, str) for name in names) or not all(isinstance(column, int) for column in columns):
        raise ConfigError(f"{table.where}: variables are names, columns are whole numbers counted from 0")
    scale, unit = float(table.get("scale", (int, float), 1.0)), table.get("unit", str, "")
    table.close()
    return Source(names, bool(parts), _ORDERS[order], columns, scale, unit)


def _bin(table: _Table | None, where: str) -> float | Source:
    if table is None:
        raise ConfigError(f"{where}: [bin] is missing: give s, ms, or the name of a variable")
    given = [key for key in ("s", "ms", "variable") if key in table.raw]
    if len(given) != 1:
        raise ConfigError(f"{table.where}: give one of s, ms, variable")
    value = table.get(given[0], str if given[0] == "variable" else (int, float))
    unit = table.get("unit", str, "s")
    for key in ("s", "ms", "variable"):
        table.asked.add(key)
    table.close()
    if given[0] == "variable":
        return Source((value,), scale=_seconds(unit, table.where))
    if not 0 < value < math.inf:
        raise ConfigError(f"{table.where}: the bin width must be positive, got {value}")
    return value / 1000 if given[0] == "ms" else float(value)


def _seconds(unit: str, where: str) -> float:
    if unit not in ("s", "ms", "us", "ns"):
        raise ConfigError(f"{where}: unit = {unit!r}; known: s, ms, us, ns")
    return {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[unit]


def _trials(table: _Table | None) -> Trials | None:
    if table is None:
        return None
    target = table.get("target", (str, list))
    if isinstance(target, str):
        target = [target]
    ways = (table.get("variable", str, ""), table.get("cells", bool, False), table.get("whole_file", bool, False))
    table.close()
    if sum(map(bool, ways)) != 1:
        raise ConfigError(f"{table.where}: give one of variable, cells, whole_file")
    return Trials(*ways, target=Source(tuple(target), joined=True) if target else None)


def _borders(table: _Table | None) -> Borders:
    if table is None:
        return Borders()
    jump = table.table("jump")
    rule = None
    if jump is not None:
        rule = (
            jump.get("position", str, "position"),
            jump.get("velocity", str, "velocity"),
            float(jump.get("threshold", (int, float), 0)),
        )
        jump.close()
        if rule[2] <= 0:
            raise ConfigError(f"{jump.where}: threshold must be positive, in the unit of the velocity")
    borders = Borders(table.get("trial", bool, False), table.get("skip", str, ""), rule, table.get("every_bin", bool, False))
    table.close()
    return borders


def _info(raw: dict[str, Any], where: str) -> dict[str, str | Source]:
    return {
        key: _source(_Table(value, f"{where} [info] {key}")) if isinstance(value, dict) else str(value)
        for key, value in raw.items()
    }


def _decoders(table: _Table | None) -> dict[str, dict[str, str]]:
    found = {}
    for name in table.raw if table else ():
        section = table.table(name)  # type: ignore[union-attr]
        assert section is not None
        found[name] = {key: section.get(key, str, "") for key in ("M1", "M2", "m0", "mean", "unit")}
        section.close()
        if not all(found[name][key] for key in ("M1", "M2", "m0")):
            raise ConfigError(f"{section.where}: M1, M2 and m0 must each name a variable")
    return found


def parse(path: Path) -> Layout:
    """Read one layout file.

    Raises:
        InputError: the file is not there.
        ConfigError: it is not TOML, or a key is unknown, missing or of the wrong type.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: the layout cannot be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from None
    top = _Table(raw, str(path))
    counts, trials, borders, bin_, time, decoders = map(
        top.table, ("counts", "trials", "borders", "bin", "time", "decoders")
    )
    match, no_units, nan = top.get("match", list, []), top.get("no_units", str, ""), top.get("nan", str, "refuse")
    if not match or not all(isinstance(name, str) for name in match):
        raise ConfigError(f"{path}: match must list the variables that tell these files from others")
    if (counts is None) == (not no_units):
        raise ConfigError(f"{path}: [counts] is missing (or, for files without spikes, `no_units`)")
    if nan not in ("refuse", "cut"):
        raise ConfigError(f"{path}: nan = {nan!r}; known: 'refuse', 'cut'")
    movement = top.get("kinematics", dict, {})
    layout = Layout(
        name=path.stem,
        about=top.get("about", str, ""),
        match=tuple(match),
        counts=None if counts is None else _source(counts),
        no_units=no_units,
        bin_s=0.0 if no_units else _bin(bin_, str(path)),
        time=None if time is None else _time(time),
        cut_nan=nan == "cut",
        kinematics={name: _source(_Table(value, f"{path} [kinematics.{name}]")) for name, value in movement.items()},
        trials=_trials(trials),
        borders=_borders(borders),
        info=_info(top.get("info", dict, {}), str(path)),
        decoders=_decoders(decoders),
    )
    top.close()
    if layout.borders.jump and not {*layout.borders.jump[:2]} <= {*layout.kinematics}:
        raise ConfigError(f"{path} [borders] jump: {layout.borders.jump[:2]} must both be in [kinematics]")
    return layout


def _time(table: _Table) -> Source:
    unit = table.get("unit", str, "s")
    name = table.get("variable", str, "")
    at = table.get("at", str, "end")
    table.close()
    if not name or at not in ("start", "end"):
        raise ConfigError(f"{table.where}: give variable, and at = 'start' or 'end' of the bin")
    return Source((name,), scale=_seconds(unit, table.where), unit=at)


def shipped() -> dict[str, Path]:
    """Name -> file of every layout that comes with the package."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.toml"))}


def choose(path: Path, names: Iterable[str], layout: str | Path | None) -> Layout:
    """The layout for a file that holds the variables `names`.

    Args:
        path: the file, for messages.
        names: its variables.
        layout: name of a shipped layout, path of a layout file, or None: the one whose `match` fits.

    Raises:
        InputError: none fits, more than one does, or the given one does not.
        ConfigError: the layout itself is faulty.
    """
    names = list(names)
    known = shipped()
    if layout is not None:
        chosen = parse(_locate(layout, known))
        if not chosen.fits(names):
            lacking = [p for p in chosen.match if not any(fnmatchcase(name, p) for name in names)]
            raise InputError(f"{path}: layout {chosen.name} wants {', '.join(lacking)}; the file holds {_listed(names)}")
        return chosen
    fitting = [candidate for candidate in map(parse, known.values()) if candidate.fits(names)]
    if len(fitting) == 1:
        return fitting[0]
    which = ", ".join(candidate.name for candidate in fitting)
    what = f"more than one layout fits ({which}); choose with --layout NAME" if fitting else "no layout fits"
    hint = "" if fitting else f"; layouts: {', '.join(known)}; write your own and give it with --layout FILE"
    raise InputError(f"{path}: {what}; the file holds {_listed(names)}{hint}")


def _locate(layout: str | Path, known: Mapping[str, Path]) -> Path:
    if str(layout) in known:
        return known[str(layout)]
    if Path(layout).suffix == ".toml" or Path(layout).exists():
        return Path(layout)
    raise UnknownNameError("layout", str(layout), known)


def _listed(names: list[str], most: int = 20) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "no variables") + more
