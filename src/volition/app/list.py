"""The components that can be named: one line each, or one of them with its configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from volition._registry import KINDS, entries
from volition.app._output import cell, emit
from volition.errors import ConfigError, UnknownNameError

_USAGE = """usage: volition list [KIND] [NAME] [--json FILE]

Every component that a name may stand for: of all kinds, or of one.

  KIND         {kinds}
  NAME         show this one in full: its description, and the fields of its configuration with their defaults
  --json FILE  also save the rows as JSON
"""


@dataclass(frozen=True)
class List:
    """Options of `volition list`."""

    kind: str | None = None
    name: str | None = None
    json: Path | None = None


def parse(args: Sequence[str]) -> List:
    """The options, read by hand: importing a parser would cost more than the whole command.

    Raises:
        ConfigError: an unknown option, or too many words.
    """
    words: list[str] = []
    json_file: Path | None = None
    rest = iter(args)
    for arg in rest:
        option, _, value = arg.partition("=")
        if option in ("-h", "--help"):
            print(_USAGE.format(kinds=" | ".join(KINDS)), end="")
            raise SystemExit(0)
        if option == "--json":
            value = value or next(rest, "")
            if not value:
                raise ConfigError("--json needs the name of a file; see volition list --help")
            json_file = Path(value)
        elif arg.startswith("-"):
            raise ConfigError(f"unknown option {arg!r}; see volition list --help")
        else:
            words.append(arg)
    if len(words) > 2:
        raise ConfigError(f"too many words ({' '.join(words)!r}): volition list [KIND] [NAME]")
    if words and words[0] not in KINDS:
        raise UnknownNameError("kind", words[0], KINDS)
    return List(words[0] if words else None, words[1] if words[1:] else None, json_file)


def _fields(config: Any) -> list[dict[str, Any]]:
    """One row per field of a configuration class."""
    import dataclasses

    rows = []
    for field in dataclasses.fields(config):
        if field.default is not dataclasses.MISSING:
            default = field.default
        elif field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        else:
            default = "(must be given)"
        kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
        rows.append(
            {"field": field.name, "type": kind, "default": repr(default) if isinstance(default, str) else cell(default)}
        )
    return rows


def _show(kind: str, name: str, json_file: Path | None) -> None:
    """Everything about one component; this imports it."""
    import inspect
    import sys

    from volition._registry import find

    found = find(kind, name)
    module = inspect.getdoc(sys.modules.get(found.__module__)) or ""
    print(f"{kind} {name}\n\n{module}\n\n{inspect.getdoc(found) or ''}\n")
    config = getattr(found, "Config", None)
    if config is None:
        return
    print(f"{inspect.getdoc(config) or ''}\n")
    title = f"[{kind}] of a run.toml, or --set {kind}.FIELD=VALUE"
    emit(_fields(config), ("field", "type", "default"), json_file, title=title)


def main(options: List) -> int:
    """Print the table."""
    if options.kind and options.name:
        _show(options.kind, options.name, options.json)
        return 0
    kinds = (options.kind,) if options.kind else KINDS
    rows = [{"kind": e.kind, "name": e.name, "what it is": e.summary} for kind in kinds for e in entries(kind)]
    emit(rows, ("kind", "name", "what it is"), options.json)
    return 0
