"""One HTML file that plays a recorded run, or two, without Python and without a network: the page with the frames inside.

    save("run.html", [PlayedRun("runs/demo")])

Frames are left out, evenly, until the file is as small as it was asked to be.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from volition._whole import write_whole
from volition.errors import InputError
from volition.loop.played import PlayedRun
from volition.view._tape import Tape
from volition.view.server import page_files

_IMPORT = re.compile(r'^import \{ (.+?) \} from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:function|class|const) (\w+))", re.MULTILINE)
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    + "form-action 'none'"
)
_EVERY = (1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128)
_MB = 1_000_000
_TAG = 50  # bytes around a piece


def _bundle(files: dict[str, tuple[str, bytes]]) -> str:
    """The page's modules as one script: each a function of its own, those it imports before it."""
    parts: dict[str, str] = {}

    def add(name: str) -> None:
        if name in parts:
            return
        text = files[f"/{name}.js"][1].decode()
        found = _IMPORT.findall(text)
        for _, other in found:
            add(other)
        names = [name for _, name in _EXPORT.findall(text)]
        taken = "".join(f"const {{ {what} }} = module_{other};\n" for what, other in found)
        body = _EXPORT.sub(r"\1", _IMPORT.sub("", text))
        parts[name] = f"const module_{name} = (() => {{\n{taken}{body}\nreturn {{ {', '.join(names)} }};\n}})();"

    add("main")
    return "\n".join(parts.values())


def _data(kind: str, name: str, text: str) -> str:
    return f'<script type="{kind}" id="{name}">{text}</script>\n'


def _contents(tape: Tape, number: int) -> str:
    text = json.dumps(tape.contents(), allow_nan=False).replace("<", "\\u003c")  # nothing in it may end the script
    return _data("application/json", f"run-{number}", text)


def _packed(piece: bytes) -> str:
    return base64.b64encode(zlib.compress(piece, 9)).decode("ascii")


def _page(data: str) -> str:
    files = page_files("play")
    text = files["/"][1].decode().replace("{token}", "")
    style, script = files["/style.css"][1].decode(), _bundle(files)
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    text = text.replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n{policy}')
    text = text.replace('<link rel="stylesheet" href="style.css">', f"<style>\n{style}</style>")
    text = text.replace('<script type="module" src="main.js"></script>\n', "")
    return text.replace("</body>", f'{data}<script type="module">\n{script}\n</script>\n</body>')


def _estimate(tape: Tape, every: int) -> float:
    """Bytes of a run's pieces with a frame for so many bins, from those at the beginning, in the middle and at the end."""
    tape.every = every
    some = sorted({0, tape.pieces // 2, tape.pieces - 1})
    return sum(len(_packed(tape.piece(number))) + _TAG for number in some) / len(some) * tape.pieces


def render(
    runs: Sequence[PlayedRun],
    begin_s: float = 0.0,
    end_s: float = float("inf"),
    most_mb: float = 12.0,
    progress: Callable[[float], None] = lambda share: None,
) -> str:
    """The file as text.

    Args:
        runs: one or two.
        begin_s: where to begin, s of the run.
        end_s: where to end.
        most_mb: how large it may become.
        progress: told the share that is done.

    Raises:
        InputError: nothing lies between `begin_s` and `end_s`, or not even few frames are small enough.
    """
    tapes = []
    for run in runs:
        per_s = 1e9 / run.bin_ns
        begin, end = round(begin_s * per_s), min(run.bins, round(min(end_s, run.seconds) * per_s))
        if not 0 <= begin < end:
            span = f"{begin_s:g} and {end_s:g} s"
            raise InputError(f"{run.folder}: nothing lies between {span}, the run is {run.seconds:.1f} s long")
        tapes.append(Tape(run, 1, begin, end))
        tapes[-1].prepare()
    room = most_mb * _MB - len(_page("".join(_contents(tape, 0) for tape in tapes)))
    every = next((n for n in _EVERY if sum(_estimate(tape, n) for tape in tapes) < 0.95 * room), 0)
    if not every:
        raise InputError(f"{most_mb:g} MB are too few for so long a run; give a shorter stretch, or more of them")
    pieces, done, parts = sum(tape.pieces for tape in tapes), 0, []
    for i, tape in enumerate(tapes):
        tape.every = every
        parts.append(_contents(tape, i))
        for number in range(tape.pieces):
            parts.append(_data("text/plain", f"run-{i}-{number}", _packed(tape.piece(number))))
            done += 1
            progress(done / pieces)
    return _page("".join(parts))


def save(
    path: str | Path,
    runs: Sequence[PlayedRun],
    begin_s: float = 0.0,
    end_s: float = float("inf"),
    most_mb: float = 12.0,
    progress: Callable[[float], None] = lambda share: None,
) -> None:
    """Write the file, whole or not at all; arguments as in `render`.

    Raises:
        InputError: the place cannot be written, or see `render`.
    """
    text = render(runs, begin_s, end_s, most_mb, progress)
    try:
        write_whole(Path(path), text.encode())
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
