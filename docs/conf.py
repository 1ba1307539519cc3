"""The documentation site: Markdown pages, and a reference out of the docstrings. Nothing is fetched from anywhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
from volition import __version__

project, author, release = "volition", "The volition founders", __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {
    "description": "From motor cortex to a robot body, and back",
    "fixed_sidebar": True,
    "page_width": "1240px",
}
html_title = f"volition {release}"
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
napoleon_google_docstring, napoleon_numpy_docstring, napoleon_use_ivar = True, False, True

_HEADING = re.compile(r"^(Args|Returns|Raises|Attributes|Yields|Example|Examples|Note):$")
_SHOWN = re.compile(r"^\s+\S")


def readable(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Our docstrings are plain text with `names` and indented equations; make reStructuredText of them.

    `name` becomes literal, bars and stars (|v|, X*) lose their meaning, and an indented block stays as it stands.
    """
    shown, section = False, False
    for i, line in enumerate(lines):
        heading = bool(_HEADING.match(line.strip()))
        section = heading or (section and (not line or line.startswith(" ")))
        if not section and line.strip() and not shown and _SHOWN.match(line) and i and not lines[i - 1].strip():
            # The first line of an indented block: what came before it ends in a colon or stands alone.
            shown = True
            lines[i - 1] = "\n::\n\n" if i else line
        elif shown and line.strip() and not _SHOWN.match(line):
            shown = False
        if not shown and not line.lstrip().startswith(">>>"):
            line = re.sub(r"(?<!`)`([^`\n]+)`(?!`)", r"``\1``", line)
            parts = re.split(r"(``[^`]+``)", line)
            lines[i] = "".join(p if p.startswith("``") else re.sub(r"([|*])", r"\\\1", p) for p in parts)
    lines[:] = "\n".join(lines).split("\n")


def setup(app: Any) -> None:
    """Read by Sphinx. The hook runs before napoleon's, which wants the docstring as it will be read."""
    app.connect("autodoc-process-docstring", readable, priority=400)
