"""A sheet of characters with styles, and a fine plot of braille dots for it: what the terminal view is drawn on.

Knows nothing of any terminal library: `text()` gives plain lines, `runs()` gives stretches of one style each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

_DOT = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # Unicode braille: bit of the dot at [row][column]
BARS = " ▁▂▃▄▅▆▇█"
ARROWS = "→↗↑↖←↙↓↘"


def arrow(x: float, y: float) -> str:
    """The arrow nearest to a direction, "·" for none."""
    if not (math.isfinite(x) and math.isfinite(y)) or math.hypot(x, y) < 1e-9:
        return "·"
    return ARROWS[round(math.atan2(y, x) / (math.pi / 4)) % 8]


def bar(value: float, width: int) -> str:
    """A horizontal bar, `value` 0..1 of `width` characters."""
    full = min(width, max(0, round(value * width))) if math.isfinite(value) else 0
    return "█" * full + "░" * (width - full)


class Canvas:
    """`height` lines of `width` characters, each with a style name ("" is plain)."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._char = [[" "] * width for _ in range(height)]
        self._style = [[""] * width for _ in range(height)]

    def put(self, x: int, y: int, text: str, style: str = "") -> int:
        """Write from `(x, y)`, clipped at the edges; the column after the last character."""
        if 0 <= y < self.height:
            for i, char in enumerate(text, start=x):
                if 0 <= i < self.width:
                    self._char[y][i], self._style[y][i] = char, style
        return x + len(text)

    def text(self) -> list[str]:
        """The lines, without styles."""
        return ["".join(line).rstrip() for line in self._char]

    def runs(self) -> Iterator[list[tuple[str, str]]]:
        """For each line: stretches of (text, style)."""
        for chars, styles in zip(self._char, self._style, strict=True):
            line: list[tuple[str, str]] = []
            start = 0
            for i in range(1, self.width + 1):
                if i == self.width or styles[i] != styles[start]:
                    line.append(("".join(chars[start:i]), styles[start]))
                    start = i
            yield line


class Plot:
    """A window of the plane on `columns` x `rows` characters of 2 x 4 dots, equal scale on both axes.

    Args:
        columns, rows: size in characters.
        low, high: corners of what must be visible, m.
    """

    def __init__(self, columns: int, rows: int, low: tuple[float, float], high: tuple[float, float]) -> None:
        self.columns, self.rows = columns, rows
        span_x, span_y = high[0] - low[0], high[1] - low[1]
        self._scale = max(span_x / (2 * columns - 1), span_y / (4 * rows - 1), 1e-12)
        self._left = (low[0] + high[0]) / 2 - self._scale * (2 * columns - 1) / 2
        self._top = (low[1] + high[1]) / 2 + self._scale * (4 * rows - 1) / 2
        self._dots: dict[tuple[int, int], tuple[int, str]] = {}

    def cell(self, x: float, y: float) -> tuple[int, int] | None:
        """Character that a point falls into, or None outside."""
        if not (math.isfinite(x) and math.isfinite(y)):
            return None
        i, j = round((x - self._left) / self._scale), round((self._top - y) / self._scale)
        return (i // 2, j // 4) if 0 <= i < 2 * self.columns and 0 <= j < 4 * self.rows else None

    def dot(self, x: float, y: float, style: str = "") -> None:
        """One dot; the last style given to a character wins."""
        at = self.cell(x, y)
        if at is None:
            return
        i, j = round((x - self._left) / self._scale), round((self._top - y) / self._scale)
        bits, _ = self._dots.get(at, (0, ""))
        self._dots[at] = (bits | _DOT[j % 4][i % 2], style)

    def circle(self, x: float, y: float, radius: float, style: str = "") -> None:
        """A ring of dots, at least one dot wide."""
        n = max(8, min(64, int(2 * math.pi * radius / self._scale)))
        for i in range(n):
            a = 2 * math.pi * i / n
            self.dot(x + radius * math.cos(a), y + radius * math.sin(a), style)

    def line(self, x0: float, y0: float, x1: float, y1: float, style: str = "") -> None:
        """A straight line of dots."""
        if not all(map(math.isfinite, (x0, y0, x1, y1))):
            return
        n = max(1, min(200, int(math.hypot(x1 - x0, y1 - y0) / self._scale)))
        for i in range(n + 1):
            self.dot(x0 + (x1 - x0) * i / n, y0 + (y1 - y0) * i / n, style)

    def draw(self, canvas: Canvas, x: int, y: int) -> None:
        """Put it on the sheet, upper left corner at `(x, y)`."""
        for (i, j), (bits, style) in self._dots.items():
            canvas.put(x + i, y + j, chr(0x2800 + bits), style)
