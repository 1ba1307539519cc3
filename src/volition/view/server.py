"""The live page: the loop in a browser, served by the process itself on loopback.

    with Page() as page:
        print(page.url)
        page.expect(60.0)
        loop.run(60.0, watch=page)

It is a `watch` callback: called once a bin in the loop's thread, it does what the page asked for (between two ticks, from a
closed list), hands the newest state to the server's thread, and keeps the pace: real time unless told otherwise. The loop
never waits for a browser.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePath
from types import TracebackType
from typing import Any

from volition.errors import ConfigError
from volition.signal import NS_PER_S
from volition.view._gather import Gather
from volition.view._socket import TYPES, PageSocket
from volition.view._wire import Act, Encoder, order, status

_PORT = 8700
_IDLE_S = 0.05
_WAITING_ACTS = 64
_MIN_BINS = 100  # below, preferred directions are noise


@dataclass(frozen=True)
class PageConfig:
    """Where the page is, and how often it is told something.

    Attributes:
        host: address to listen on; anything but loopback wants the token that is then part of the address.
        port: 0 takes 8700, or any free port where that is taken.
        speed: simulated seconds a second, 0 without limit, until the page or `expect` says otherwise.
        frame_s: shortest time between two frames, s (18 ms: every bin of 20 ms in real time).
        status_s: time between two statuses, s.
        unseen: whether the pace is kept while no page is open; otherwise the loop runs as fast as it can until one is.
        order_s: time between two estimates of the preferred directions by which the raster is sorted, s.
    """

    host: str = "127.0.0.1"
    port: int = 0
    speed: float = 1.0
    frame_s: float = 0.018
    status_s: float = 0.4
    unseen: bool = True
    order_s: float = 10.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not 0 <= self.port < 65536:
            raise ConfigError(f"the page's port must lie in 0..65535, got {self.port}")
        if not 0 <= self.speed < float("inf"):
            raise ConfigError(f"the page's speed must be 0 or more, got {self.speed}")
        if min(self.frame_s, self.status_s, self.order_s) <= 0:
            raise ConfigError("frame_s, status_s and order_s must be positive")


class Chosen(Exception):  # noqa: N818 (like StopIteration, not an error)
    """The page asks for another component: the program that offered it is to make its loop anew.

    Attributes:
        kind, name: of the component.
    """

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name}")
        self.kind, self.name = kind, name


class Page:
    """Shows the loop it watches, and does to it what the page may ask: nothing that the API may not, and no stimulation.

    Attributes:
        gather: what was kept of the run (a report is made of it).
        cost_s: time spent here, waiting for the eye included.
        busy_s: time spent here without the waiting.
        url: where the page is (once opened).
        note: a line that the page shows.

    Args:
        config: where it listens.
        check: called often while the page is waiting; may raise `KeyboardInterrupt`.
        choices: kind of stage -> names that the page may choose from; a choice raises `Chosen` out of the call. Who offers
            none is never asked.
    """

    def __init__(
        self,
        config: PageConfig | None = None,
        check: Callable[[], None] | None = None,
        choices: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.config = config or PageConfig()
        self._choices, self.note = dict(choices or {}), ""
        self.gather = Gather()
        self.cost_s = self.busy_s = 0.0
        self.url = ""
        self._check = check or (lambda: None)
        self._socket: PageSocket | None = None
        self._acts: queue.Queue[Act] = queue.Queue(_WAITING_ACTS)
        self._loop: Any = None
        self._encoder: Encoder | None = None
        self._chosen: float | None = None  # the speed that the page asked for
        self._paused, self._steps = False, 0
        self._framed = self._told = self._sorted = float("-inf")
        self._rate = (float("-inf"), 0.0, 0.0)
        self.expect(float("nan"), self.config.speed)

    @property
    def open(self) -> bool:
        """Whether somebody looks on."""
        return self._socket is not None and self._socket.pages > 0

    # --- opening and closing ----------------------------------------------------------------------------------------

    def __enter__(self) -> Page:
        """Listen, if it does not yet.

        Raises:
            ConfigError: the port cannot be had.
        """
        if self._socket is not None:
            return self
        host, port = self.config.host, self.config.port
        try:
            self._socket = PageSocket(host, port or _PORT, page_files("live"), self._receive)
        except ConfigError:
            if port:
                raise
            self._socket = PageSocket(host, 0, page_files("live"), self._receive)
        self.url = self._socket.url
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Tell the pages that it is over; they keep the last picture."""
        if self._socket is not None:
            if self._loop is not None:
                self._tell(self._loop, ended=True)
            self._socket.close()
            self._socket = None

    # --- the server's thread ----------------------------------------------------------------------------------------

    def _receive(self, act: Act) -> None:
        with contextlib.suppress(queue.Full):  # a loop that hangs: the page's wishes are not piled up
            self._acts.put_nowait(act)

    # --- the loop's thread ------------------------------------------------------------------------------------------

    def expect(self, seconds: float, speed: float | None = None) -> None:
        """Announce how many simulated seconds follow, and how fast they are to be shown.

        Args:
            seconds: of simulated time.
            speed: simulated seconds a second, 0 without limit; a speed chosen in the page stays.
        """
        self._total_s = seconds
        self._speed = self.config.speed if speed is None else speed
        self._from: tuple[float, float] | None = None

    def anew(self, note: str = "") -> None:
        """Another loop follows: what was kept of the one before is no part of it.

        Args:
            note: a line that the page shows from now on.
        """
        self.gather, self.note, self._paused = Gather(), note, False

    def __call__(self, loop: Any) -> None:
        """Keep the bin, show it, do what was asked for, keep the pace."""
        begin = time.perf_counter()
        self.gather(loop)
        if loop is not self._loop:
            self._begin(loop)
        assert self._encoder is not None
        shown = self.open
        self._encoder.add(loop.last.features)
        self._obey(loop)
        if shown:
            self._show(loop, begin)
        self.busy_s += time.perf_counter() - begin
        self._wait(loop)
        self.cost_s += time.perf_counter() - begin

    def _begin(self, loop: Any) -> None:
        self._loop, self._encoder = loop, Encoder(loop, self._choices)
        if self._socket is not None:
            self._socket.publish("hello", self._encoder.hello())

    def _show(self, loop: Any, now: float) -> None:
        """A frame, a status, an order, each when it is time."""
        assert self._encoder is not None
        assert self._socket is not None
        if now - self._framed >= self.config.frame_s or loop.progress >= 1:  # the last picture before a decoder is fitted
            self._framed = now
            self._socket.publish("frame", self._encoder.frame(loop, self._paused))
        if now - self._told >= self.config.status_s:
            self._tell(loop)
        if now - self._sorted >= self.config.order_s and self.gather.bins >= _MIN_BINS:
            self._sorted = now
            self._socket.publish("order", order(self.gather.preferred()))

    def _tell(self, loop: Any, ended: bool = False) -> None:
        assert self._socket is not None
        now, t_s = time.perf_counter(), loop.t_ns / NS_PER_S
        then, before, rate = self._rate
        if now - then > 0.9 * self.config.status_s:
            rate = (t_s - before) / (now - then)
            self._rate = (now, t_s, rate)
        self._told = now
        more = {
            "total_s": self._total_s,
            "paused": self._paused,
            "speed": self._wanted(),
            "rate": 0.0 if self._paused else rate,
            "frames": {"sent": self._socket.sent, "dropped": self._socket.dropped, "pages": self._socket.pages},
            "ended": ended,
            "note": self.note,
        }
        self._socket.publish("status", status(loop, **more))

    # --- what the page may ask --------------------------------------------------------------------------------------

    def _obey(self, loop: Any) -> None:
        """Do all that waits; none of it is done while a tick is under way."""
        while True:
            try:
                act = self._acts.get_nowait()
            except queue.Empty:
                return
            self._do(loop, act)

    def _do(self, loop: Any, act: Act) -> None:
        match act.name:
            case "pause":
                self._paused = True
            case "resume":
                self._paused, self._steps, self._from = False, 0, None
            case "step":
                self._paused, self._steps = True, self._steps + 1
            case "speed" if isinstance(act.value, float):
                self._chosen, self._from = act.value, None
            case "push" if isinstance(act.value, tuple):
                loop.act("push", impulse=list(act.value))
            case "choose" if isinstance(act.value, tuple):
                kind, name = map(str, act.value)
                if name in self._choices.get(kind, ()):
                    raise Chosen(kind, name)
            case "restart":
                loop.act("restart")
            case "assist" | "drop" | "kill":
                loop.act(act.name, share=act.value)
            case "oracle" | "touch":
                loop.act(act.name, on=act.value)
        self._told = float("-inf")  # show at once what has become of it

    def _wanted(self) -> float:
        return self._speed if self._chosen is None else self._chosen

    def _wait(self, loop: Any) -> None:
        """Until the next bin is due; meanwhile do what the page asks."""
        while True:
            self._check()
            now = time.perf_counter()
            if self._paused:
                if self._steps:
                    self._steps -= 1
                    self._framed = float("-inf")
                    return
                left = _IDLE_S
            else:
                left = self._due(loop, now) - now
                if left <= 0:
                    return
            try:
                act = self._acts.get(timeout=min(left, _IDLE_S))
            except queue.Empty:
                if self._paused and self.open:
                    self._show(loop, time.perf_counter())
                continue
            self._do(loop, act)

    def _due(self, loop: Any, now: float) -> float:
        """When this bin's time has come."""
        speed, t_s = self._wanted(), loop.t_ns / NS_PER_S
        if not (self.config.unseen or self.open):
            self._from = None
            return now
        if speed <= 0 or loop.config.clock == "real":  # a loop on the real clock keeps its own pace
            return now
        if self._from is None:
            self._from = (now, t_s)
        wall, sim = self._from
        due: float = wall + (t_s - sim) / speed
        if due < now - 0.1:  # it cannot follow: what is lost is not run after
            self._from = (now, t_s)
        return due


def page_files(mode: str) -> dict[str, tuple[str, bytes]]:
    """Path -> type and content of everything that is served; `mode` is "live" or "play"."""
    found = {}
    for entry in (files("volition.view") / "page").iterdir():
        kind = TYPES.get(PurePath(entry.name).suffix)
        if kind is not None:
            found["/" if entry.name == "index.html" else f"/{entry.name}"] = (kind, entry.read_bytes())
    kind, page = found["/"]
    found["/"] = (kind, page.replace(b"{mode}", mode.encode()))
    return found
