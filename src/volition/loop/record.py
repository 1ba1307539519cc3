"""Where the signals of a run go: to a folder (`Recorder`), or against one (`Verifier`), through one call, `put`.

A run's folder:

    run.json      stages with their configuration, seed, versions: enough to build the same loop again
    signals.vlog  every signal and every act on the loop, in order (`loop/log.py`); byte-equal for a seed
    wall.bin      int64 nanoseconds per bin and stage: wall-clock time, kept apart because no two runs agree on it
    decoder.npz   what the decoder had learnt before the run, if it came fitted
    report.json   the figures, once the run ends
    shown.json    what a view needs to show it without making a stage: names, sizes, shapes of the body
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from volition.errors import InputError, LogError
from volition.loop.log import LogReader, LogWriter, decode, encode, field_names
from volition.loop.report import write_json
from volition.signal import BodyState, Broadband, Features, Goal, Intent, Spikes, Stim, Touch
from volition.stage import Setup

SIGNALS, WALL, RUN, DECODER, REPORT = "signals.vlog", "wall.bin", "run.json", "decoder.npz", "report.json"
SHOWN, POSES = "shown.json", "poses"

_TYPES: Mapping[str, type] = {
    "goal": Goal,
    "spikes": Spikes,
    "features": Features,
    "intent": Intent,
    "body": BodyState,
    "touch": Touch,
    "stim": Stim,
    "delivered": Stim,
}


class Tape(Protocol):
    """What the loop writes to."""

    def put(self, name: str, signal: Any) -> Any:
        """Take a signal; returns the one to go on with."""
        ...

    def act(self, name: str, **how: Any) -> None:
        """Take an act on the loop that is not a step (assist, fit, arm)."""
        ...

    def tick(self, t_ns: int, wall_ns: list[int]) -> None:
        """A bin is complete; `wall_ns` is what each stage took."""
        ...

    def close(self) -> None:
        """Nothing more comes."""
        ...


def act_bytes(name: str, how: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """An act as it stands in the log: JSON in a byte array."""
    return np.frombuffer(json.dumps({"act": name, **how}, sort_keys=True).encode(), np.uint8)


def rebuild(name: str, names: list[str], payload: bytes) -> Any:
    """A signal from its record; None where nothing came."""
    arrays = decode(payload)
    if not arrays:
        return None
    kind = Broadband if "samples" in names else _TYPES.get(name)
    if kind is None:
        return arrays[0]
    values = [a.item() if a.ndim == 0 else a for a in arrays]
    return kind(**dict(zip(names, values, strict=True)))


def appearance(setup: Setup, stages: Mapping[str, Any]) -> dict[str, Any]:
    """What a view has to know of a run beside its signals: names, sizes, and the body's shapes if it has any."""
    effector, gives = stages["effector"], stages["channel"].spec.gives
    scene = None
    if hasattr(effector, "scene"):
        with contextlib.suppress(Exception):  # somebody's own picture must not keep a run from being recorded
            scene = effector.scene()
    return {
        "bin_ns": setup.bin_ns,
        "channels": setup.channels,
        "features": setup.features,
        "features_unit": gives.unit,
        "intent": setup.intent,
        "intent_unit": effector.spec.takes.unit,
        "max_speed": setup.max_speed,
        "workspace": np.asarray(setup.workspace, float).tolist(),
        "taxels": [*effector.spec.gives.names[: setup.taxels]] or [str(i) for i in range(setup.taxels)],
        "electrodes": setup.electrodes,
        "scene": scene,
    }


def poses_now(effector: Any) -> NDArray[np.float32] | None:
    """Where the bodies of an effector are: `[bodies, 7]`, m and quaternion (w, x, y, z); None where it cannot say."""
    try:
        position, quaternion = effector.poses()
        return np.concatenate([position, quaternion], axis=1, dtype=np.float32)
    except Exception:
        return None


class Recorder:
    """Writes a run into a new or empty folder.

    Args:
        folder: where to.
        run: enough to build the same loop again.
        shown: enough to show it (`appearance`), or None.
        effector: whose poses are kept, once a bin, if it has a method `poses`.

    Raises:
        InputError: the folder cannot be made, or it holds a run already.
    """

    def __init__(
        self, folder: Path, run: Mapping[str, Any], shown: Mapping[str, Any] | None = None, effector: Any = None
    ) -> None:
        self.folder = folder
        self._effector = effector if hasattr(effector, "poses") else None
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {folder}: {error.strerror}") from error
        if (folder / SIGNALS).exists():
            raise InputError(f"{folder} holds a run already; choose another folder or remove it")
        self._log = LogWriter(folder / SIGNALS)  # from here on the folder is ours: the file is made by one process only
        self._wall = (folder / WALL).open("ab", buffering=1 << 16)
        try:
            write_json(folder / RUN, run)
            if shown is not None:
                write_json(folder / SHOWN, shown)
        except BaseException:  # Ctrl-C too: a log without what made it could not be replayed
            self.close()
            for name in (SIGNALS, WALL, SHOWN):
                (folder / name).unlink(missing_ok=True)
            raise

    def put(self, name: str, signal: Any) -> Any:
        """Append a signal."""
        self._log.write(name, signal)
        return signal

    def act(self, name: str, **how: Any) -> None:
        """Append an act."""
        self._log.write("act", act_bytes(name, how))

    def tick(self, t_ns: int, wall_ns: list[int]) -> None:
        """Keep the poses; let the log cut a block if it is time."""
        if self._effector is not None:
            self._log.write(POSES, poses_now(self._effector))
        self._wall.write(np.array(wall_ns, np.int64).tobytes())
        self._log.tick(t_ns)

    def close(self) -> None:
        """Write what is left."""
        self._log.close()
        self._wall.close()


class TapeEndError(Exception):
    """The recorded run holds nothing more."""


class Verifier:
    """Compares each signal with the recorded one and goes on with the recorded one, so that every stage is judged on the
    inputs it had.

    Attributes:
        compared: stream -> records compared.
        differing: stream -> records whose bytes differ.
        first: where the first difference lies, "" if there is none.
        truncated: whether the log was torn (its writer was killed).

    Args:
        folder: the run.
        given: streams that no stage computes again (lateness on a real clock, what a live brain gave): taken, not judged.
        effector: whose poses are compared with the recorded ones.
    """  # noqa: D205

    def __init__(self, folder: Path, given: Collection[str] = (), effector: Any = None) -> None:
        self._given, self._effector = frozenset(given), effector
        self._reader = LogReader(folder / SIGNALS)
        self._records: Iterator[tuple[str, bytes, list[str]]] = self._reader.records()
        self._next: tuple[str, bytes, list[str]] | None = next(self._records, None)
        self.compared: Counter[str] = Counter()
        self.differing: Counter[str] = Counter()
        self.first = ""
        self.t_ns = 0

    @property
    def truncated(self) -> bool:
        """Whether the log ends inside a block."""
        return self._reader.truncated

    def peek(self) -> str:
        """Name of the next record's stream, "" at the end."""
        return self._next[0] if self._next else ""

    def _take(self, name: str) -> tuple[bytes, list[str]]:
        if self._next is None:
            raise TapeEndError
        stream, payload, names = self._next
        if stream != name:
            raise LogError(f"the run went another way at {self.t_ns / 1e9:.3f} s: {name!r} came, {stream!r} is recorded")
        self._next = next(self._records, None)
        return payload, names

    def _judge(self, name: str, same: bool) -> None:
        self.compared[name] += 1
        if not same:
            self.differing[name] += 1
            self.first = self.first or f"{name} at {self.t_ns / 1e9:.3f} s"

    def put(self, name: str, signal: Any) -> Any:
        """Compare a signal; returns the recorded one where they differ."""
        payload, names = self._take(name)
        if name in self._given:
            return rebuild(name, names, payload)
        same = encode(signal) == payload and (signal is None or field_names(signal) == names)
        self._judge(name, same)
        return signal if same else rebuild(name, names, payload)

    def next_act(self) -> dict[str, Any]:
        """The recorded act that comes next (without taking it)."""
        if self._next is None:
            raise TapeEndError
        found: dict[str, Any] = json.loads(decode(self._next[1])[0].tobytes())
        return found

    def act(self, name: str, **how: Any) -> None:
        """Compare an act."""
        payload, _ = self._take("act")
        self._judge("act", encode(act_bytes(name, how)) == payload)

    def tick(self, t_ns: int, wall_ns: list[int]) -> None:
        """Note the time; compare the poses, where they were recorded."""
        self.t_ns = t_ns
        if self.peek() == POSES:
            self.put(POSES, poses_now(self._effector))

    def close(self) -> None:
        """Nothing to do."""
