"""How commands print: a table, and with `--json FILE` the same rows as JSON, written whole or not at all."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from volition import _whole
from volition.errors import ConfigError

Row = Mapping[str, Any]


def plain(value: Any) -> Any:
    """A value as JSON can hold it: numbers of NumPy become Python's, what is not finite becomes None.

    >>> plain({"a": float("nan"), "b": (1, True), 3: None})
    {'a': None, 'b': [1, True], '3': None}
    """
    if hasattr(value, "tolist"):  # NumPy, without importing it
        value = value.tolist()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, Path):
        return value.name  # never where it lay on this machine
    if isinstance(value, Iterable):
        return [plain(v) for v in value]
    return str(value)


def _cpu() -> str:
    import platform

    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.split(":", 1)[1].split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


def _ram_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def machine() -> dict[str, Any]:
    """What a measured number depends on; no host name, no user, no path."""
    import platform
    from datetime import date

    return {
        "cpu": _cpu(),
        "cores": cores(),
        "ram_gib": _ram_gib(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "date": date.today().isoformat(),
    }


def writable_parent(path: Path, what: str) -> None:
    """See that `path` could be written, before any work is done; nothing is made, so nothing is left if the work fails.

    Raises:
        ConfigError: it could not.
    """
    import tempfile

    try:
        if path.is_dir():
            raise IsADirectoryError(21, "is a folder")
        above = next(p for p in path.absolute().parents if p.exists())
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise ConfigError(f"{what} {path}: cannot be written: {error.strerror or error}; choose another place") from None


def write_whole(path: Path, content: str | bytes, what: str = "output") -> None:
    """Write a file so that it is complete or not there.

    Raises:
        ConfigError: the place cannot be written.
    """
    writable_parent(path, what)
    try:
        _whole.write_whole(path, content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise ConfigError(f"{what} {path}: cannot be written: {error.strerror or error}") from None


def cell(value: Any) -> str:
    """A value as a table shows it.

    >>> cell(0.123456), cell(None), cell(True), cell(12)
    ('0.1235', '-', 'yes', '12')
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 or not math.isfinite(value) else f"{value:.0f}"
    return " ".join(str(value).split())


def _numeric(rows: Sequence[Row], key: str) -> bool:
    values = [r.get(key) for r in rows if r.get(key) is not None]
    return bool(values) and all(hasattr(v, "__float__") and not isinstance(v, bool | str) for v in values)


def _plain_table(rows: Sequence[Row], columns: Sequence[str], title: str) -> str:
    text = [list(columns), *([cell(r.get(c)) for c in columns] for r in rows)]
    widths = [max(len(line[i]) for line in text) for i in range(len(columns))]
    right = [_numeric(rows, c) for c in columns]
    lines = [
        "  ".join(v.rjust(w) if r else v.ljust(w) for v, w, r in zip(line, widths, right, strict=True)).rstrip()
        for line in text
    ]
    return "\n".join(([title] if title else []) + lines) + "\n"


def _rich_table(rows: Sequence[Row], columns: Sequence[str], title: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title) if title else None, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(Text(column), justify="right" if _numeric(rows, column) else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(row.get(c))) for c in columns))
    Console().print(table)


def emit(
    rows: Iterable[Row],
    columns: Sequence[str] | None = None,
    json_file: Path | None = None,
    command: str = "",
    title: str = "",
) -> None:
    """Print rows as a table and, where a file is given, save them as JSON.

    Args:
        rows: one mapping a row; in the JSON with all their keys, in the table with those of `columns`.
        columns: keys to show, in order; by default those of the first row.
        json_file: where `{"rows", "machine", "version", "command"}` goes; None: nowhere. What is not finite is null in it.
        command: the command that made the rows, as a reader would type it; by default this process's.
        title: a line over the table.

    Raises:
        ConfigError: the file cannot be written.
    """
    rows = [dict(r) for r in rows]
    shown = list(columns) if columns is not None else list(rows[0]) if rows else []
    if json_file is not None:
        save(rows, json_file, command)
    if sys.stdout.isatty():
        _rich_table(rows, shown, title)
    else:
        sys.stdout.write(_plain_table(rows, shown, title))


def save(rows: Iterable[Row], json_file: Path, command: str = "") -> None:
    """The JSON half of `emit`."""
    import json

    from volition import __version__

    document = {"rows": list(rows), "machine": machine(), "version": __version__, "command": command or this_command()}
    write_whole(json_file, json.dumps(plain(document), indent=1, ensure_ascii=False, allow_nan=False) + "\n", "--json")


def this_command() -> str:
    """The command line of this process; of an absolute path only its last part is told."""
    import shlex

    return shlex.join(["volition", *(Path(a).name if Path(a).is_absolute() else a for a in sys.argv[1:])])
