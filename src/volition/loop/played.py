"""A recorded run to be looked at: any bin of it at once, nothing executed, as far as its log is whole."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.errors import LogError
from volition.loop.log import BlockFile, decode
from volition.loop.record import REPORT, SHOWN, SIGNALS, WALL, rebuild
from volition.loop.replay import read_run
from volition.signal import NS_PER_S
from volition.stage import KINDS

WALL_ROWS = (*KINDS, "gate", "step")  # what each bin's row of wall-clock times is of
_Kept = tuple[bytes, list[str]]


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin of a recorded run.

    Attributes:
        number: counted from 0 at the start of the run.
        t_ns: end of the bin.
        signals: stream -> what was recorded (None where nothing came): "spikes", "intended", "features", "decoded",
            "intent", "touch", "body", "goal", "stim", "delivered", "poses".
        acts: what was done to the loop just before it.
    """

    number: int
    t_ns: int
    signals: Mapping[str, Any]
    acts: Sequence[Mapping[str, Any]] = ()

    def get(self, name: str) -> Any:
        """A signal, None where it did not come."""
        return self.signals.get(name)


@dataclass
class Story:
    """What happened when, read in one pass over the log; times in s of the run.

    Attributes:
        phases: (begin, name): "observe", "assist 0.5", "run".
        acts: (time, what was done).
        trials: (begin, number) of each goal.
        whole: whether the pass is complete.
    """

    phases: list[tuple[float, str]] = field(default_factory=lambda: [(0.0, "run")])
    acts: list[tuple[float, str]] = field(default_factory=list)
    trials: list[tuple[float, int]] = field(default_factory=list)
    whole: bool = False

    def phase(self, t_s: float) -> str:
        """The phase at a time."""
        return next((name for begin, name in reversed(self.phases) if begin <= t_s), "run")


class PlayedRun:
    """A run's folder, opened for looking.

    Attributes:
        folder: where it is.
        run: what it was made of (`run.json`).
        report: its figures, empty where it did not end by itself.
        shown: names, sizes and shapes (`loop/record.py`, `appearance`); made up from the signals where they were not kept.
        bin_ns: width of a bin.
        bins: how many there are.

    Raises:
        LogError: the folder holds no run, or nothing was recorded.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.run = read_run(self.folder)
        self._blocks = BlockFile(self.folder / SIGNALS)
        self._first = lru_cache(maxsize=None)(self._first_of)
        while len(self._blocks) and self._first(len(self._blocks) - 1) < 0:
            self._blocks._at.pop()  # the last ticks after the last bin, or a damaged end
        if not len(self._blocks):
            raise LogError(f"{self.folder}: nothing was recorded: the run ended before its first block was written")
        begin = next(self._cut(0))
        self.report = _json(self.folder / REPORT)
        self.shown: dict[str, Any] = {**_guess(begin), **_json(self.folder / SHOWN)}
        self.bin_ns = int(self.shown["bin_ns"])
        self.bins = 0
        for at in self._cut(len(self._blocks) - 1):
            self.bins = at.number + 1
        self.story = Story()
        self._lock = threading.Lock()

    @property
    def truncated(self) -> bool:
        """Whether the log is torn or damaged."""
        return self._blocks.truncated

    @property
    def seconds(self) -> float:
        """How long the run is."""
        return self.bins * self.bin_ns / NS_PER_S

    @property
    def labels(self) -> dict[str, str]:
        """Kind -> component."""
        return {kind: _label(self.run["stages"][kind]["class"]) for kind in KINDS}

    def _first_of(self, block: int) -> int:
        """End of the first bin in a block, ns; -1 where it has none."""
        for name, payload, fields in self._blocks.records(block):
            if name == "intent" and payload:
                return int(decode(payload)[fields.index("t_ns")])
        return -1

    def _cut(self, block: int, acts: list[dict[str, Any]] | None = None) -> Iterator[Bin]:
        """The bins of a block: from one "spikes" to the next; of a body's several steps in it the first."""
        bin_ns = int(getattr(self, "bin_ns", 0))
        done: list[dict[str, Any]] = [] if acts is None else acts
        current: dict[str, _Kept] = {}
        before: tuple[dict[str, Any], ...] = ()
        for name, payload, fields in self._blocks.records(block):
            if name == "act":
                done.append(json.loads(decode(payload)[0].tobytes()))
            elif name == "spikes":
                if "delivered" in current:
                    yield _bin(current, bin_ns, before)
                current, before = {name: (payload, fields)}, tuple(done)
                done.clear()
            elif current:
                current.setdefault(name, (payload, fields))
        if "delivered" in current:
            yield _bin(current, bin_ns, before)

    def read(self, begin: int = 0, end: int | None = None) -> Iterator[Bin]:
        """The bins from `begin` to before `end`, in order."""
        last = self.bins if end is None else min(end, self.bins)
        low, high, want = 0, len(self._blocks) - 1, begin * self.bin_ns
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if 0 <= self._first(middle) <= want else (low, middle - 1)
        acts: list[dict[str, Any]] = []
        for block in range(low, len(self._blocks)):
            for at in self._cut(block, acts):
                if at.number >= last:
                    return
                if at.number >= begin:
                    yield at

    def tell(self) -> Story:
        """Read the whole log once for what happened when; the story grows while another thread reads it."""
        with self._lock:
            if self.story.whole:
                return self.story
            teller, acts = _Teller(self.story), list[dict[str, Any]]()
            for block in range(len(self._blocks)):
                t_ns = 0
                for name, payload, fields in self._blocks.records(block):
                    if name == "intent":
                        t_ns = int(decode(payload)[fields.index("t_ns")])
                    elif name == "act":
                        acts.append(json.loads(decode(payload)[0].tobytes()))
                    elif name == "goal" and payload:
                        teller.goal(t_ns, payload, fields)
                    elif name == "features":
                        teller.begin(acts)
            self.story.whole = True
        return self.story

    def wall_us(self, begin: int, end: int) -> NDArray[np.float64]:
        """Wall-clock time of each stage in these bins, µs, `[bins, WALL_ROWS]`; fewer rows where they were not kept."""
        size = 8 * len(WALL_ROWS)
        try:
            raw = np.fromfile(self.folder / WALL, np.int64, max(0, end - begin) * len(WALL_ROWS), offset=begin * size)
        except (OSError, ValueError):
            raw = np.empty(0, np.int64)
        return raw[: raw.size // len(WALL_ROWS) * len(WALL_ROWS)].reshape(-1, len(WALL_ROWS)) / 1e3


class _Teller:
    """Makes a story of acts and goals."""

    def __init__(self, story: Story) -> None:
        self._story, self._collecting = story, False
        self._t_ns, self._pending = 0, list[dict[str, Any]]()
        self._goal, self._before = b"", ""

    def begin(self, acts: list[dict[str, Any]]) -> None:
        """A bin begins; what was done before it waits for the bin's time."""
        self._pending += acts
        acts.clear()

    def goal(self, t_ns: int, payload: bytes, fields: list[str]) -> None:
        """A goal, the first of a bin or the same again."""
        t_s = t_ns / NS_PER_S
        for act in self._pending:
            self._act(t_s, act)
        self._pending.clear()
        if payload != self._goal:
            self._goal = payload
            number = int(decode(payload)[fields.index("trial")])
            if not self._story.trials or self._story.trials[-1][1] != number:
                self._story.trials.append((t_s, number))

    def _act(self, t_s: float, act: Mapping[str, Any]) -> None:
        name = str(act["act"])
        phase = None
        if name == "collect":
            self._collecting = bool(act.get("on"))
            phase = None if self._collecting else "run"
        elif name == "assist" and self._collecting:
            phase = "observe" if act["share"] == 1 else f"assist {act['share']:g}"
        if phase is not None:
            phases = self._story.phases
            if phases[-1][0] == t_s:
                phases.pop()
            phases.append((t_s, phase))
        ends = name == "assist" and self._before == "collect"  # calibration gives the assist back
        self._before = name
        if name not in ("collect", "restart") and not self._collecting and not ends:
            value = " ".join(str(v) for k, v in act.items() if k != "act")
            self._story.acts.append((t_s, f"{name} {value}".strip()))


def _bin(current: Mapping[str, _Kept], bin_ns: int, acts: tuple[Mapping[str, Any], ...]) -> Bin:
    signals = {name: rebuild(name, fields, payload) for name, (payload, fields) in current.items()}
    t_ns = signals["intent"].t_ns
    return Bin(t_ns // bin_ns if bin_ns else 0, t_ns, signals, acts)


def _json(path: Path) -> dict[str, Any]:
    """A table in a file, empty where there is none or it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _label(where: str) -> str:
    """What a class is called in a table: "volition.decoder.kalman:Kalman" is kalman, "mine.py" is mine."""
    return where.split(":")[0].removesuffix(".py").replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[-1]


def _guess(first: Bin) -> dict[str, Any]:
    """What a view needs, as far as the signals of a bin tell."""
    body, features = first.signals["body"], first.get("features")
    width = len(first.signals["intent"].values)
    dims = 2 if body is None else len(body.position)
    size = 96 if features is None else len(features.x)
    touch = first.get("touch")
    return {
        "bin_ns": 20_000_000,
        "channels": size,
        "features": size,
        "features_unit": "",
        "intent": [f"intent {i}" for i in range(width)],
        "intent_unit": "m/s",
        "max_speed": 0.3,
        "workspace": [[-0.1] * dims, [0.1] * dims],
        "taxels": [str(i) for i in range(0 if touch is None else len(touch.pressure))],
        "electrodes": len(first.signals["delivered"].amplitude_ua),
        "scene": None,
    }
