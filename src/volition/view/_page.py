"""The shell of a self-contained HTML page: style for light and dark, cards, tables, pictures as data; an atomic write."""

from __future__ import annotations

import base64
import html
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition._whole import write_whole
from volition.errors import InputError

STYLE = """
:root{color-scheme:light dark;--bg:#fff;--card:#f6f7f9;--fg:#1b1f24;--muted:#5c6672;--line:#d5dae1;
--intended:#b26a00;--decoded:#1767b5;--hit:#1b7f4b;--miss:#c5303a;--ink:#5b4bc4;--shade:#00000010}
@media (prefers-color-scheme:dark){:root{--bg:#14171b;--card:#1d2127;--fg:#e6e9ed;--muted:#9aa5b1;--line:#363d46;
--intended:#f0b357;--decoded:#6cb6ff;--hit:#5fd49a;--miss:#ff8a8f;--ink:#a99cff;--shade:#ffffff12}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.45 system-ui,sans-serif}
main{max-width:1120px;margin:0 auto;padding:20px 20px 48px}
h1{font-size:1.5rem;margin:0 0 2px}h2{font-size:1.05rem;margin:28px 0 8px}
p{margin:4px 0;max-width:78ch}.muted,figcaption,th{color:var(--muted)}figcaption{font-size:.85rem;margin-bottom:4px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(128px,1fr));gap:10px;margin:16px 0}
.card{background:var(--card);border-radius:8px;padding:10px 14px}
.card b{display:block;font-size:1.45rem;line-height:1.25;font-variant-numeric:tabular-nums}
.card span{display:block;color:var(--muted);font-size:.82rem}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:22px 26px;margin-top:16px}
figure{margin:0;min-width:0}figcaption b{color:var(--fg);font-size:1rem}
svg{display:block;width:100%;height:auto;font:12px system-ui,sans-serif}
svg text{fill:var(--muted)}svg text.over{fill:var(--fg);font-weight:600;stroke:var(--bg);stroke-width:3px;paint-order:stroke}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}
th,td{padding:3px 16px 3px 0;text-align:left;border-bottom:1px solid var(--line);white-space:nowrap}
th.n,td.n{text-align:right}th{font-weight:500}thead th{white-space:normal;vertical-align:bottom}
.columns{display:flex;flex-wrap:wrap;gap:0 48px}.columns section{min-width:0;max-width:100%}
.wrap td{white-space:normal;overflow-wrap:anywhere}.wrap th{vertical-align:top}
"""


def escape(value: Any) -> str:
    """Text as it may stand in HTML."""
    return html.escape(str(value))


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; columns whose cells begin with a digit, a sign or a dash stand to the right."""
    lines = [[str(c) for c in row] for row in rows]
    right = [
        bool(lines) and all(line[i][:1].isdigit() or line[i][:1] in "-–−+" for line in lines) for i in range(len(header))
    ]
    mark = [' class="n"' if r else "" for r in right]
    head = "".join(f"<th{m}>{escape(h)}</th>" for h, m in zip(header, mark, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{m}>{escape(c)}</td>' for c, m in zip(line, mark, strict=True))}</tr>" for line in lines
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def pairs(items: Mapping[str, Any]) -> str:
    """A table of two columns without a head."""
    body = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in items.items())
    return f'<div class="scroll"><table><tbody>{body}</tbody></table></div>'


def cards(items: Iterable[tuple[str, str, str]]) -> str:
    """The scoreboard: (name, value, a few words below)."""
    return (
        '<div class="cards">'
        + "".join(
            f'<div class="card"><span>{escape(name)}</span><b>{escape(value)}</b><span>{escape(below)}</span></div>'
            for name, value, below in items
        )
        + "</div>"
    )


def figure(title: str, caption: str, svg: str) -> str:
    """One picture with its words."""
    return f"<figure><figcaption><b>{escape(title)}</b><br>{escape(caption)}</figcaption>{svg}</figure>"


def page(title: str, body: str) -> str:
    """The whole document."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body><main>\n{body}\n</main></body></html>\n"
    )


def write(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Raises:
        InputError: the place cannot be written.
    """
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def png(index: NDArray[np.uint8], palette: Sequence[tuple[int, int, int, int]]) -> str:
    """A small indexed picture (PNG, ISO/IEC 15948) as a data address.

    Args:
        index: `[rows, columns]`, numbers of the palette's colours.
        palette: red, green, blue, opacity of each, 0..255.
    """

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows, columns = index.shape
    lines = np.zeros((rows, columns + 1), np.uint8)  # each line begins with its filter: 0, none
    lines[:, 1:] = index
    content = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0))
        + chunk(b"PLTE", bytes(v for colour in palette for v in colour[:3]))
        + chunk(b"tRNS", bytes(colour[3] for colour in palette))
        + chunk(b"IDAT", zlib.compress(lines.tobytes(), 9))
        + chunk(b"IEND", b"")
    )
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")
