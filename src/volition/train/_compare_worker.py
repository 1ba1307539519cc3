"""A worker process of a comparison: units come in as lines of JSON, results go out as lines of JSON.

    python -m volition.train._compare_worker

It ends when its input ends: when the process that started it is gone, however that went, the worker is gone too. What a
component prints goes to the standard error, never among the results.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from typing import Any, TextIO

from volition.errors import VolitionError
from volition.train.compare import Unit, fingerprint, work


def answer(content: dict[str, Any]) -> dict[str, Any]:
    """The result of a unit, or why there is none.

    Args:
        content: of a `Unit`.

    Returns:
        {"row": what `work` returned} or {"error": one line}.
    """
    unit = Unit.of(content)
    if unit.code.split("+")[0] != fingerprint():
        return {"error": "the worker runs another version of volition than the process that asks: install the same on both"}
    try:
        return {"row": work(unit)}
    except VolitionError as error:
        return {"error": " ".join(str(error).split())}
    except Exception as error:  # a component of somebody's own
        return {"error": " ".join(f"{type(error).__name__}: {error}".split())}


def _read(lines: TextIO, units: queue.SimpleQueue[str]) -> None:
    """Hand lines on; at the end of the input leave at once, also from the middle of a unit."""
    for line in lines:
        units.put(line)
    os._exit(0)


def main() -> None:
    """Work until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    results = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    units: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin, units), daemon=True).start()
    while True:
        content = json.loads(units.get())
        results.write(json.dumps(answer(content)) + "\n")
        results.flush()


if __name__ == "__main__":
    main()
