"""Worker processes on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from typing import IO, Any

from volition.train._compare_run import Outcome
from volition.train.compare import Unit

# A figure must not depend on how many threads share a sum, so one thread it is, everywhere.
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_CHUNK = 1 << 16


class _Worker:
    """One process, and the unit it is at."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the worker)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "volition.train._compare_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.said,
            env=dict(environment),
            start_new_session=True,  # the terminal's Ctrl-C is for the parent
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in, self.out = self.process.stdin, self.process.stdout
        self.key = ""
        self._text = b""

    def give(self, unit: Unit) -> None:
        """Hand it a unit; that it is dead shows when it is waited for."""
        self.key = unit.key
        with contextlib.suppress(BrokenPipeError):
            self._in.write(json.dumps(asdict(unit)).encode() + b"\n")
            self._in.flush()

    def take(self) -> dict[str, Any] | None:
        """The answer, None while it is incomplete; raises `EOFError` when the process has ended."""
        chunk = os.read(self.out.fileno(), _CHUNK)
        if not chunk:
            raise EOFError
        self._text += chunk
        if not self._text.endswith(b"\n"):
            return None
        text, self._text, self.key = self._text, b"", ""
        found: dict[str, Any] = json.loads(text)
        return found

    def end(self) -> str:
        """Stop it and wait for it; in a few words how it ended."""
        with contextlib.suppress(OSError):
            self.process.kill()
        code = self.process.wait()
        self._in.close()
        self.out.close()
        self.said.seek(0)
        lines = self.said.read().decode(errors="replace").split("\n")
        self.said.close()
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        how = signal.Signals(-code).name if code < 0 else f"exit {code}"
        return f"{how}{f' ({last})' if last else ''}"


class Local:
    """Up to `workers` processes; one that dies is replaced.

    Args:
        workers: how many.
    """

    def __init__(self, workers: int) -> None:
        self._most = workers
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._environment = {**os.environ, **ONE_THREAD}

    @property
    def free(self) -> int:
        """How many more units it takes now."""
        return self._most - sum(bool(w.key) for w in self._workers)

    def submit(self, unit: Unit) -> None:
        """Give a unit to a worker that has none, starting one if need be."""
        worker = next((w for w in self._workers if not w.key), None)
        if worker is None:
            worker = _Worker(self._environment)
            self._workers.append(worker)
            self._selector.register(worker.out, selectors.EVENT_READ, worker)
        worker.give(unit)

    def wait(self, seconds: float) -> list[Outcome]:
        """What has ended, at the latest after so long."""
        found = []
        for event, _ in self._selector.select(seconds):
            worker, key = event.data, event.data.key
            try:
                answer = worker.take()
            except EOFError:
                self._selector.unregister(worker.out)
                self._workers.remove(worker)
                how = worker.end()
                if key:
                    found.append(Outcome(key, error=f"its worker died twice: {how}", died=True))
                continue
            if answer is not None:
                found.append(Outcome(key, answer.get("row"), answer.get("error", "")))
        return found

    def close(self) -> None:
        """Kill what is left, and wait until it is gone."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()
        self._selector.close()
