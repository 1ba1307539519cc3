"""Write docs/benchmarks.md from what `volition bench NAME --json docs/benchmarks/NAME.json` and the like have left."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from volition.app._output import cell

ROOT = Path(__file__).parents[1]
SOURCE, TARGET = ROOT / "docs" / "benchmarks", ROOT / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Made by `make docs` from the files in `docs/benchmarks/`, each of which a command wrote; do not edit. Closed-loop
figures are of a *simulated* person, R² is on *recorded* sessions, speeds are CPU time on the machine named.
"""
_FIRST = ("what", "value", "unit", "goal", "ok")
_PLAIN = (str, int, float, bool, type(None))


def columns(rows: Iterable[dict[str, Any]]) -> list[str]:
    """All keys that hold plain values, the usual ones first."""
    keys = dict.fromkeys(k for row in rows for k, v in row.items() if isinstance(v, _PLAIN))
    return [*(k for k in _FIRST if k in keys), *(k for k in keys if k not in _FIRST)]


def table(rows: list[dict[str, Any]]) -> list[str]:
    """A Markdown table."""
    shown = columns(rows)
    cells = [[("" if row.get(c) is None else cell(row[c])).replace("|", "\\|") for c in shown] for row in rows]
    return [f"| {' | '.join(line)} |" for line in (shown, ["---"] * len(shown), *cells)]


def section(path: Path) -> str:
    """One file: its rows, how they were made, where and when."""
    document = json.loads(path.read_text(encoding="utf-8"))
    machine = document["machine"]
    made = f"`{document['command']}` · volition {document['version']} · {machine['date']}"
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['ram_gib']} GiB, {machine['platform']}"
    lines = [
        f"## {path.stem}",
        "",
        f"{made} · {where}, Python {machine['python']}",
        "",
        *table(document["rows"]),
    ]
    return "\n".join(lines) + "\n"


def page(source: Path = SOURCE) -> str:
    """The whole page."""
    return "\n".join([HEAD, *(section(path) for path in sorted(source.glob("*.json")))])


def main() -> int:
    """Write the page."""
    TARGET.write_text(page(), encoding="utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {len(list(SOURCE.glob('*.json')))} benches")
    return 0


if __name__ == "__main__":
    sys.exit(main())
