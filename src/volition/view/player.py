"""Plays recorded runs in the page: any moment at once, two runs side by side; nothing of them is executed.

    with Player([PlayedRun("runs/demo")]) as player:
        print(player.url)
        player.wait()

The page fetches pieces of five seconds as it needs them; what it shows is in its own hands, and it has no way to change
a run.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import TracebackType

from volition.errors import ConfigError, LogError
from volition.loop.played import PlayedRun
from volition.view._socket import PageSocket
from volition.view._tape import Tape
from volition.view.server import page_files

_PORT = 8700
_IDLE_S = 0.1
_KEPT = 128  # pieces


class Player:
    """Serves the page with recorded runs in it.

    Attributes:
        url: where the page is (once opened).

    Args:
        runs: one or two.
        host, port: where to listen; port 0 takes 8700, or any free one.

    Raises:
        ConfigError: no run, or more than two.
    """

    def __init__(self, runs: Sequence[PlayedRun], host: str = "127.0.0.1", port: int = 0) -> None:
        if not 1 <= len(runs) <= 2:
            raise ConfigError(f"one run or two can be shown, not {len(runs)}")
        self._tapes = [Tape(run) for run in runs]
        self._host, self._port = host, port
        self.url = ""
        self._socket: PageSocket | None = None
        self._piece = lru_cache(maxsize=_KEPT)(lambda run, number: self._tapes[run].piece(number))
        self._reading = threading.Thread(target=self._read, name="volition-player", daemon=True)

    def __enter__(self) -> Player:
        """Listen.

        Raises:
            ConfigError: the port cannot be had.
        """
        files = page_files("play")
        try:
            self._socket = PageSocket(self._host, self._port or _PORT, files, lambda act: None, self._find)
        except ConfigError:
            if self._port:
                raise
            self._socket = PageSocket(self._host, 0, files, lambda act: None, self._find)
        self.url = self._socket.url
        self._reading.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop listening."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def wait(self, check: Callable[[], None] | None = None, seconds: float = float("inf")) -> None:
        """Serve for so long, or until `check` raises."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if check is not None:
                check()
            time.sleep(_IDLE_S)

    def _read(self) -> None:
        for tape in self._tapes:
            try:
                tape.prepare()
            except (LogError, OSError):  # what the log's whole part holds can still be played
                tape.run.story.whole = True

    def _find(self, path: str) -> tuple[str, bytes] | None:
        """`/runs` (how many), `/run/0/contents`, `/run/0/piece/12`."""
        match path.split("/")[1:]:
            case ["runs"]:
                return "application/json", json.dumps(len(self._tapes)).encode()
            case ["run", run, "contents"] if _below(run, len(self._tapes)):
                return "application/json", json.dumps(self._tapes[int(run)].contents(), allow_nan=False).encode()
            case ["run", run, "piece", number] if _below(run, len(self._tapes)):
                if _below(number, self._tapes[int(run)].pieces):
                    return "application/octet-stream", self._piece(int(run), int(number))
        return None


def _below(text: str, n: int) -> bool:
    """Whether a text is one of the numbers 0 to n - 1."""
    return text.isascii() and text.isdigit() and len(text) < 10 and int(text) < n
