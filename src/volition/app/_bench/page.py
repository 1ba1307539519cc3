"""The live page: what it costs the loop and its server, with readers that are quick, slow, stopped, and a browser."""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from volition.app._bench import Found, Measure, SkipError
from volition.brain.person import Person, PersonConfig
from volition.loop.loop import Loop
from volition.view.server import Page

_READER = """
import sys, time
from websockets.sync.client import connect
url, origin, bits = sys.argv[1], sys.argv[2], float(sys.argv[3])
with connect(url, origin=origin, compression=None, max_queue=1) as server:
    got, begin = 0, time.time()
    while True:
        got += len(server.recv())
        if bits:
            time.sleep(max(0, got * 8 / bits - (time.time() - begin)))
"""
_BROWSER = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,720",
]


@dataclass(frozen=True)
class _Window:
    """One stretch of a run in real time: CPU of the loop's bins in µs, and what the server did in that time."""

    p99_us: float
    view_us: float  # of the loop's thread in the view, a bin
    server_share: float  # of a core
    frames_s: float  # to all pages together
    pages: int


def _thread_cpu_s(tid: int) -> float:
    """CPU time of a thread of this process (Linux)."""
    try:
        fields = Path(f"/proc/self/task/{tid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    except OSError as error:
        raise SkipError("the CPU time of a single thread is read from /proc, which is not here") from error
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _readers(page: Page, crowd: bool) -> Iterator[None]:
    """Nobody; or one reader that keeps up, one at 200 kbit/s, one that is stopped, and Chromium at nice 19 if it is here."""
    if not crowd:
        yield
        return
    where = page.url.removeprefix("http://")
    token = page._socket.token if page._socket else ""
    socket = [f"ws://{where}/socket?token={token}", page.url]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        commands = [[sys.executable, "-c", _READER, *socket, bits] for bits in ("0", "200e3", "0")]
        if chromium := shutil.which("chromium"):
            commands.append(["nice", "-n", "19", chromium, *_BROWSER, f"--user-data-dir={home}", page.url])
        started: list[subprocess.Popen[bytes]] = [
            subprocess.Popen(command, env={**os.environ, "HOME": home}, start_new_session=True, **quiet)  # type: ignore[call-overload]
            for command in commands
        ]
        end = time.monotonic() + 15
        while page._socket and page._socket.pages < len(commands) and time.monotonic() < end:
            time.sleep(0.05)
        started[0].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in started:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _window(crowd: bool, seconds: float) -> _Window:
    loop = Loop(Person(PersonConfig(channels=1024)), "thread1024", "random", "arm", "linear", seed=1)
    bins: list[int] = []
    view: list[int] = []
    left = 0

    def watch(loop: Loop) -> None:
        nonlocal left
        begin = time.thread_time_ns()
        bins.append(begin - left)
        page(loop)
        left = time.thread_time_ns()
        view.append(left - begin)

    with Page() as page, _readers(page, crowd):
        server = page._socket
        assert server is not None
        tid = server._thread.native_id or 0
        loop.run(1.0, watch)
        bins.clear()
        view.clear()
        cpu, sent, begin = _thread_cpu_s(tid), server.sent, time.perf_counter()
        loop.advance(seconds, watch)
        took = time.perf_counter() - begin
        return _Window(
            p99_us=float(np.percentile(bins, 99)) / 1e3,
            view_us=float(np.mean(view)) / 1e3,
            server_share=(_thread_cpu_s(tid) - cpu) / took,
            frames_s=(server.sent - sent) / took,
            pages=server.pages,
        )


class _Windows:
    """Stretches without and with readers by turns, made once for all measures."""

    def __init__(self, pairs: int, seconds: float) -> None:
        self._pairs, self._seconds = pairs, seconds
        self._found: list[tuple[_Window, _Window]] = []

    def pairs(self) -> list[tuple[_Window, _Window]]:
        while len(self._found) < self._pairs:
            self._found.append((_window(False, self._seconds), _window(True, self._seconds)))
        return self._found

    def median(self, name: str, scale: float = 1.0) -> Found:
        """Of a figure with readers."""
        values = [scale * getattr(crowd, name) for _, crowd in self.pairs()]
        return Found(statistics.median(values), self._extra(values))

    def _extra(self, values: list[float]) -> dict[str, Any]:
        pages = min(crowd.pages for _, crowd in self.pairs())
        return {"runs": len(values), "low": min(values), "high": max(values), "pages": pages}

    def server(self) -> Found:
        """CPU of the server's thread and of the view in the loop's thread, % of a core."""
        values = [100 * (w.server_share + w.view_us * 1e-6 * 50) for _, w in self.pairs()]
        return Found(statistics.median(values), self._extra(values))

    def change(self) -> Found:
        """How far the 99th percentile of the loop's CPU time a bin moves, in %."""
        alone, crowd = ([pair[i].p99_us for pair in self.pairs()] for i in (0, 1))
        base = statistics.median(alone)
        values = [100 * (b / base - 1) for b in crowd]
        noise = 100 * (max(alone) - min(alone)) / base
        found = 100 * (statistics.median(crowd) / base - 1)
        return Found(found, {**self._extra(values), "note": f"without readers the windows differ by {noise:.0f} %"})


def measures(quick: bool) -> Iterator[Measure]:
    """1,024 channels and the arm in real time."""
    windows = _Windows(1 if quick else 5, 2.0 if quick else 10.0)
    how = {
        "channels": 1024,
        "readers": "one quick, one at 200 kbit/s, one stopped" + (", chromium" * bool(shutil.which("chromium"))),
    }
    yield Measure("server and view", "% of a core", windows.server, at_most=10.0, parameters=how)
    yield Measure("view, of the loop's thread", "µs/bin", lambda: windows.median("view_us"), parameters=how)
    yield Measure("p99 of the loop's CPU time a bin, change", "%", windows.change, at_most=10.0, parameters=how)
    yield Measure("frames sent to all", "1/s", lambda: windows.median("frames_s"), parameters=how)
