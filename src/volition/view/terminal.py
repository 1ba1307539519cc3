"""A live view of the loop in a terminal of 80 x 24 characters; plain lines of progress where there is none.

    with Terminal() as view:
        view.expect(60.0)
        loop.run(60.0, watch=view)

It is a `watch` callback: called once a bin, it draws at most ten times a second and never takes more than a twentieth of the
loop's time, however slow the terminal is.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TextIO

import numpy as np

from volition.loop.latency import Latency
from volition.signal import NS_PER_S
from volition.view._canvas import Canvas
from volition.view._frame import HEIGHT, Pace, draw, number, score_line
from volition.view._gather import Gather

_MIN_WIDTH = 60
_MIN_BINS = 100  # below, preferred directions are noise, and are estimated anew for each picture


@dataclass(frozen=True)
class TerminalConfig:
    """How often and how much.

    Attributes:
        frame_s: shortest time between two pictures, s.
        share: largest part of the wall time that drawing may take.
        line_s: shortest time between two plain lines of progress, s.
        sort_s: time between two estimates of the preferred directions that the channels are sorted by, s.
    """

    frame_s: float = 0.1
    share: float = 0.04
    line_s: float = 2.0
    sort_s: float = 3.0


class Terminal:
    """Draws the loop it watches.

    Attributes:
        gather: what was kept of the run (a report is made of it).
        cost_s: time spent drawing, and waiting for the eye.
        drawn_s: time spent drawing alone.
        live: whether pictures are drawn (otherwise lines).
        note: what stands in the last line.
        paced: whether the speed given to `expect` is kept; another viewer may see to it.
    """

    def __init__(self, config: TerminalConfig | None = None, stream: TextIO | None = None) -> None:
        self.config = config or TerminalConfig()
        self.gather = Gather()
        self.cost_s = self.drawn_s = 0.0
        self.note, self.paced = "Ctrl-C ends", True
        self._stream = sys.stdout if stream is None else stream
        self._screen: Any = None
        self.live = False
        self._width = 80
        self._latency = Latency()
        self._preferred = np.zeros(0)
        self._drawn = self._sorted = float("-inf")
        self._last_cost_s = 0.0
        self._phase = ""
        self._loop: Any = None
        self.expect(float("nan"))

    def __enter__(self) -> Terminal:
        """Take the terminal, if there is one."""
        if self._stream.isatty() and "utf" in (getattr(self._stream, "encoding", "") or "").lower():
            self._open_screen()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Give the terminal back as it was; without one, say where it ended."""
        if not self.live and self._loop is not None and kind is None:
            self._line(self._loop)
        if self._screen is not None:
            self._screen.stop()
            self._screen = None
            self.live = False

    def _open_screen(self) -> None:
        try:
            from rich.console import Console
            from rich.live import Live
        except ImportError:
            return
        console = Console(file=self._stream)
        self._width = min(console.width, 110)
        if not console.is_terminal or console.is_dumb_terminal or self._width < _MIN_WIDTH or console.height < HEIGHT:
            return
        self._screen = Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._screen.start()
        self.live = True

    def expect(self, seconds: float, speed: float = 0.0) -> None:
        """Announce how many simulated seconds follow: what the progress bar is measured against.

        Args:
            seconds: of simulated time.
            speed: most simulated seconds per second while pictures are drawn, so that an eye can follow; 0: no limit.
        """
        self._total_s, self._begin_s, self._speed = seconds, float("nan"), speed
        self._busy_s, self._sim_s, self._left, self._from = 0.0, 0.0, float("-inf"), (float("-inf"), 0.0)

    def anew(self, note: str = "") -> None:
        """Another loop follows: what was kept of the one before is no part of it."""
        self.gather, self._latency, self._loop = Gather(), Latency(), None

    def skip(self, seconds: float) -> None:
        """So much time since the last call was somebody else's, not the loop's."""
        self._left += seconds

    def __call__(self, loop: Any) -> None:
        """Keep the bin, and draw if it is time."""
        now = time.perf_counter()
        new_phase = loop.phase != self._phase
        if self._left > 0 and not new_phase:  # between two phases the decoder was fitted: no time of the loop
            self._latency.add(int((now - self._left) * 1e9))
            self._busy_s += now - self._left
        self.gather(loop)
        self._loop = loop
        t_s = loop.t_ns / NS_PER_S
        self._sim_s += loop.setup.bin_ns / NS_PER_S
        if self._begin_s != self._begin_s:
            self._begin_s = t_s
        wait = max(self.config.frame_s if self.live else self.config.line_s, self._last_cost_s / self.config.share)
        fits_next = loop.progress >= 1 and loop.phase != "run"
        if now - self._drawn >= wait or fits_next or (new_phase and not self.live):
            self._show(loop, now)
        self._phase = loop.phase
        self._keep_pace(now)
        self._left = time.perf_counter()
        self.cost_s += self._left - now

    def _keep_pace(self, now: float) -> None:
        """Sleep where the loop is faster than an eye can follow."""
        if not (self.live and self.paced and self._speed > 0):
            return
        wall, sim = self._from
        due = wall + (self._sim_s - sim) / self._speed
        if due > now:
            time.sleep(due - now)
        elif due < now - 0.1:
            self._from = (now, self._sim_s)

    def _pace(self, loop: Any) -> Pace:
        return Pace(
            speed=self._sim_s / self._busy_s if self._busy_s > 0 else float("nan"),
            p50_us=self._latency.percentile_ns(50) / 1e3,
            p99_us=self._latency.percentile_ns(99) / 1e3,
            progress=min(1.0, (loop.t_ns / NS_PER_S - self._begin_s) / self._total_s) if self._total_s > 0 else float("nan"),
            total_s=self._total_s,
            note=self.note,
        )

    def _show(self, loop: Any, now: float) -> None:
        if self.live:
            if now - self._sorted >= self.config.sort_s:
                self._preferred = self.gather.preferred()
                self._sorted = now if self.gather.bins > _MIN_BINS else self._sorted
            self._refresh(draw(loop, self.gather, self._pace(loop), self._preferred, self._width))
        else:
            self._line(loop)
        self._drawn = time.perf_counter()
        self._last_cost_s = self._drawn - now
        self.drawn_s += self._last_cost_s

    def _refresh(self, canvas: Canvas) -> None:
        from rich.text import Text

        text = Text(no_wrap=True, overflow="crop")
        for line in canvas.runs():
            for chars, style in line:
                text.append(chars, style or None)
            text.append("\n")
        self._screen.update(text, refresh=True)

    def _line(self, loop: Any) -> None:
        """One plain line of progress."""
        pace = self._pace(loop)
        trials = len(loop.task.trials())
        score = f"   {score_line(loop.task.score(), trials)}" if trials else ""
        at = f"{pace.progress:4.0%}" if pace.progress == pace.progress else f"{loop.t_ns / 1e9:6.1f} s"
        speed = f"   {number(pace.speed)}x real time" if pace.speed == pace.speed else ""
        self._stream.write(f"{loop.phase:<12}{at}{score}{speed}\n")
        self._stream.flush()
