"""Measure what volition promises: speed, memory, success, decoding."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from volition._registry import first_line
from volition.app._bench import Measure, SkipError
from volition.app._output import emit, plain, writable_parent, write_whole
from volition.errors import ConfigError, UnknownNameError

_FOLDER = Path(__file__).parent / "_bench"
_COLUMNS = ("what", "value", "unit", "goal", "ok", "low", "high", "note")


@dataclass(frozen=True)
class Bench:
    """Options of `volition bench`.

    Attributes:
        name: which bench; without one, what there is.
        quick: a short version that shows that it works; its figures are no result.
        fresh: measure again what is stored.
        output: folder in which each row is stored as soon as it is measured; a bench that was stopped goes on from there.
        json: also save the rows as JSON here.
    """

    name: Annotated[str, tyro.conf.Positional] = ""
    quick: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    fresh: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    output: Path = Path(".bench")
    json: Path | None = None


def benches() -> dict[str, Path]:
    """Name -> file of every bench."""
    return {p.stem: p for p in sorted(_FOLDER.glob("*.py")) if not p.stem.startswith("_")}


def code_hash() -> str:
    """Hash of the package's source: a stored figure speaks of the code that was measured."""
    import hashlib

    package, whole = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        whole.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()[:16]


class Store:
    """Rows already measured, in one JSON file; each new one makes the file anew, whole.

    Raises:
        ConfigError: the folder cannot be written, or the file is not such a store.
    """

    def __init__(self, path: Path, fresh: bool = False) -> None:
        self.path = path
        writable_parent(path, "--output")
        self._rows: dict[str, dict[str, Any]] = {}
        if path.exists() and not fresh:
            try:
                self._rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
            except (OSError, ValueError, KeyError, TypeError):
                raise ConfigError(f"{path}: not a store of a bench; remove it, or give --fresh") from None

    def get(self, key: str) -> dict[str, Any] | None:
        """The row stored under a key."""
        return self._rows.get(key)

    def put(self, key: str, row: Mapping[str, Any]) -> None:
        """Store a row at once."""
        self._rows[key] = plain(row)
        write_whole(self.path, json.dumps({"rows": self._rows}, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def measure(item: Measure) -> dict[str, Any]:
    """The row of a measure."""
    row: dict[str, Any] = {"what": item.what, "value": None, "unit": item.unit, "goal": item.goal, "ok": None}
    try:
        found = item.run()
    except SkipError as why:
        return {**row, "note": f"skipped: {why}"}
    return {**row, "value": found.value, "ok": item.holds(found.value), **found.extra, **item.parameters}


def rows(name: str, items: Iterator[Measure], store: Store, code: str, quick: bool) -> Iterator[dict[str, Any]]:
    """Each measure's row, from the store where it is there; what was skipped is tried again."""
    from volition import __version__

    for item in items:
        key = json.dumps([name, item.what, __version__, code, quick, plain(item.parameters)], ensure_ascii=False)
        row = store.get(key)
        if row is None:
            row = measure(item)
            if row["value"] is not None:
                store.put(key, row)
        yield row


def main(options: Bench) -> int:
    """Print the rows; 1 if a goal was missed."""
    if not options.name:
        emit([{"bench": name, "what it measures": first_line(path)} for name, path in benches().items()])
        return 0
    if options.name not in benches():
        raise UnknownNameError("bench", options.name, benches())
    if options.json is not None:
        writable_parent(options.json, "--json")
    store = Store(options.output / f"{options.name}.json", options.fresh)
    module = importlib.import_module(f"volition.app._bench.{options.name}")
    found = list(rows(options.name, module.measures(options.quick), store, code_hash(), options.quick))
    shown = [c for c in _COLUMNS if any(c in row for row in found)]
    command = f"volition bench {options.name}{' --quick' if options.quick else ''}"
    emit(found, shown, options.json, command, title=f"bench {options.name}{' (quick: no result)' if options.quick else ''}")
    return 0 if all(row["ok"] in (True, None) for row in found) else 1
