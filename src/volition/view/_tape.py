"""A recorded run as the page plays it: a table of contents, and pieces of five seconds made when they are asked for.

    contents   JSON: the greeting of `_wire.py`, how many bins and pieces, phases, what was done by hand, trials, figures
    piece      u32 length, JSON (latency and lost signals of the piece), then for each frame u32 length, frame

The same pieces are served by `player.py` and written into the file that `export.py` makes.
"""

from __future__ import annotations

import json
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from volition.loop.config import Signals
from volition.loop.played import WALL_ROWS, Bin, PlayedRun
from volition.signal import NS_PER_S, Intent, Stim, Touch
from volition.stage import STAGES
from volition.view._gather import Gather
from volition.view._wire import Frames, order, plain

PIECE = 250  # bins
_SORT_BINS = 3000  # a minute tells the preferred directions well enough for a picture
_SIZE = struct.Struct("<I")


class Held:
    """The newest signal of every kind while a recorded run goes by: where nothing came, what was before stays."""

    def __init__(self, run: PlayedRun) -> None:
        width, electrodes = len(run.shown["intent"]), run.shown["electrodes"]
        last = self.last = Signals()
        last.features = last.spikes = None
        last.decoded = last.intended = np.zeros(width, np.float32)
        last.intent = Intent(0, last.decoded, 0.0)
        last.touch = Touch(0, np.zeros(len(run.shown["taxels"])))
        last.stim = last.delivered = Stim.zero(0, electrodes)
        first = next(at for at in run.read() if at.get("body") is not None and at.get("goal") is not None)
        last.body, last.goal = first.get("body"), first.get("goal")
        self.poses: Any = None

    def take(self, at: Bin) -> None:
        """One bin further."""
        last = self.last
        last.spikes, last.features = at.get("spikes"), at.get("features")
        for name in ("decoded", "intended", "intent", "touch", "body", "goal", "stim", "delivered"):
            signal = at.get(name)
            if signal is not None:
                setattr(last, name, signal)
        poses = at.get("poses")
        self.poses = None if poses is None else (poses[:, :3], poses[:, 3:])


class Tape:
    """Makes contents and pieces of one run.

    Args:
        run: the run.
        every: a frame for so many bins.
        begin, end: bins to show.
    """

    def __init__(self, run: PlayedRun, every: int = 1, begin: int = 0, end: int | None = None) -> None:
        self.run, self.every = run, every
        self.begin, self.end = begin, run.bins if end is None else min(end, run.bins)
        self.pieces = -(-(self.end - self.begin) // PIECE)
        about = {
            "stages": [[kind, run.labels[kind]] for kind in (*STAGES, "task")],
            "seed": run.run["seed"],
            "clock": run.run["config"].get("clock", "lockstep"),
        }
        self._held = Held(run)
        self._frames = Frames(run.shown, {**about, "dims": len(self._held.last.body.position), "push": 0, "choices": {}})
        self._lock = threading.Lock()
        self._order: dict[str, Any] | None = None

    def contents(self) -> dict[str, Any]:
        """What the page must know to play; `whole` once the log has been read through (`prepare`)."""
        run, report = self.run, self.run.report
        content: dict[str, Any] = plain(
            {
                "hello": self._frames.greeting(),
                "name": run.folder.name,
                "begin": self.begin,
                "bins": self.end - self.begin,
                "piece": PIECE,
                "pieces": self.pieces,
                "every": self.every,
                "torn": run.truncated,
                "phases": list(run.story.phases),
                "acts": list(run.story.acts),
                "trials": list(run.story.trials),
                "outcomes": [bool(t.get("success", t.get("outcome") == "reached")) for t in report.get("trials", [])],
                "score": report.get("score", {}),
                "whole": run.story.whole,
                "order": self._order,
            }
        )
        return content

    def prepare(self) -> None:
        """Read the log through for phases and acts, and sort the channels; takes as long as it takes."""
        self.run.tell()
        self._order = json.loads(order(self._preferred()))

    def _preferred(self) -> Any:
        run, gather, held = self.run, Gather(), Held(self.run)
        setup = SimpleNamespace(bin_ns=run.bin_ns, intent=run.shown["intent"], features=run.shown["features"])
        for at in run.read(self.begin, min(self.end, self.begin + _SORT_BINS)):
            held.take(at)
            gather(SimpleNamespace(last=held.last, setup=setup, t_ns=at.t_ns, phase="run"))
        return gather.preferred()

    def piece(self, number: int) -> bytes:
        """One stretch of at most `PIECE` bins."""
        begin = self.begin + number * PIECE
        end = min(begin + PIECE, self.end)
        parts = list[bytes]()
        lost: Counter[str] = Counter()
        with self._lock:
            for at, frame in self._packed(begin, end):
                lost.update(name for name, signal in at.signals.items() if signal is None)
                if frame:
                    parts += [_SIZE.pack(len(frame)), frame]
        head = json.dumps(plain({"latency": self._latency(begin, end), "lost": dict(lost)}), allow_nan=False).encode()
        return b"".join([_SIZE.pack(len(head)), head, *parts])

    def _packed(self, begin: int, end: int) -> Iterator[tuple[Bin, bytes]]:
        """Each bin, and the frame that it completes (empty for none)."""
        frames, held = self._frames, self._held
        for at in self.run.read(begin, end):
            held.take(at)
            frames.bins = at.number
            frames.add(held.last.features)
            shown = (at.number - begin) % self.every == self.every - 1 or at.number == end - 1
            t_s = (at.t_ns + self.run.bin_ns) / NS_PER_S
            yield at, frames.pack(held.last, held.poses, t_s, (at.number + 1) / self.run.bins) if shown else b""

    def _latency(self, begin: int, end: int) -> list[list[Any]]:
        """Rows of name, p50, p99, max in µs of these bins; stages that took no time did not run."""
        wall = self.run.wall_us(begin, end)
        if not len(wall):
            return []
        p50, p99 = np.percentile(wall, (50, 99), axis=0)
        top = wall.max(axis=0)
        rows = zip(WALL_ROWS, p50, p99, top, strict=True)
        return [[name, *map(float, (a, b, c))] for name, a, b, c in rows if c > 0]
