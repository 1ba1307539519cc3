"""Shared memory between processes of one host: one producer writes chunks into a ring, any number of consumers read them.

    segment = header slot*                        1,024 channels x 30 kHz int16 in 1 ms chunks: 61 kB a slot
    header  = magic, shape, rate, producer, head  `head` counts the chunks written, `closed` says that no more come
    slot    = sequence, t_ns, sent_ns, rows, data sequence 2k + 1 while chunk k is being written, 2k + 2 once it is whole

No locks between processes (a sequence lock, Lameter 2005): the producer never waits for anybody; a consumer copies a
slot and takes the copy only if its sequence was the same before and after. What it could not read in time is counted as
lost. Consumers write nothing into the segment, so that one that crashes harms nobody. The segment belongs to its owner
alone (mode 0600) and is removed on `close`; one that a killed producer left behind is replaced by the next producer of
that name.
"""

from __future__ import annotations

import os
import struct
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.errors import ConfigError, InputError

_MAGIC = b"VOLRING1"
_HEADER = struct.Struct("<8sIII4xdqqq4s")  # magic, slots, rows, columns, rate, created, pid, born, dtype
_HEADER_BYTES, _HEAD_AT, _CLOSED_AT, _LINE = 4096, 128, 192, 64
_DTYPES = ("int16", "uint16", "int32", "float32")
_CHECK_NS = 50_000_000  # how long nothing may come before the producer is looked for
_SILENCE = threading.Lock()
_ORDER = threading.Lock()


@contextmanager
def _untracked() -> Iterator[None]:
    """Keep Python's resource tracker out of it.

    Before 3.13 it removes every segment that a process has merely attached to, when that process ends (cpython #82300).
    """
    with _SILENCE:
        kept = resource_tracker.register, resource_tracker.unregister
        resource_tracker.register = resource_tracker.unregister = lambda *_: None
        try:
            yield
        finally:
            resource_tracker.register, resource_tracker.unregister = kept


def _fence() -> None:
    """Keep stores (and loads) before this line before those after it, on processors that would swap them too.

    A release followed by an acquire of one lock is ordered on every architecture that CPython runs on.
    """
    with _ORDER:
        pass
    with _ORDER:
        pass


def _born(pid: int) -> int:
    """When a process began (kernel ticks); 0 where the system does not tell, -1 where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            after = file.read().rpartition(b")")[2].split()
        return -1 if after[0] in (b"Z", b"X") else int(after[19])
    except OSError:
        return -1 if os.path.isdir("/proc/self") else 0


def _runs(pid: int, born: int) -> bool:
    """Whether the very process that is meant still runs: numbers of processes are used again."""
    now = _born(pid)
    if now or os.name != "posix":
        return now == born or os.name != "posix"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@dataclass(frozen=True)
class _Layout:
    """Where everything lies; `created_ns` and the producer's process tell one segment from its successor."""

    slots: int
    rows: int
    columns: int
    dtype: str
    rate_hz: float
    created_ns: int
    pid: int
    born: int

    @property
    def slot_bytes(self) -> int:
        raw = self.rows * self.columns * np.dtype(self.dtype).itemsize
        return _LINE + -(-raw // _LINE) * _LINE

    @property
    def size(self) -> int:
        return _HEADER_BYTES + self.slots * self.slot_bytes

    def pack(self) -> bytes:
        code = np.dtype(self.dtype).str.encode()
        sizes = self.slots, self.rows, self.columns, self.rate_hz
        return _HEADER.pack(_MAGIC, *sizes, self.created_ns, self.pid, self.born, code)

    @classmethod
    def unpack(cls, memory: SharedMemory, name: str) -> _Layout:
        buffer: Any = memory.buf
        found = bytes(buffer[: _HEADER.size])
        magic, slots, rows, columns, rate, created, pid, born, code = _HEADER.unpack(found)
        try:
            dtype = np.dtype(code.rstrip(b"\0").decode()).name
        except (TypeError, UnicodeDecodeError):
            dtype = ""
        if magic != _MAGIC or dtype not in _DTYPES or not (slots and rows and columns):
            raise InputError(f"shared memory {name!r} is not a ring of volition")
        layout = cls(slots, rows, columns, dtype, rate, created, pid, born)
        if layout.size > memory.size:
            raise InputError(f"shared memory {name!r} is shorter than its header says")
        return layout


class _Views:
    """NumPy views into a segment."""

    def __init__(self, memory: SharedMemory, layout: _Layout) -> None:
        buffer: Any = memory.buf
        self.head = np.frombuffer(buffer, np.uint64, 1, _HEAD_AT)
        self.closed = np.frombuffer(buffer, np.uint64, 1, _CLOSED_AT)
        count = layout.rows * layout.columns
        starts = [_HEADER_BYTES + k * layout.slot_bytes for k in range(layout.slots)]
        self.words = [np.frombuffer(buffer, np.int64, 4, at) for at in starts]  # sequence, t_ns, sent_ns, rows
        self.data = [
            np.frombuffer(buffer, layout.dtype, count, at + _LINE).reshape(layout.rows, layout.columns) for at in starts
        ]


def _attach(name: str) -> SharedMemory:
    with _untracked():
        return SharedMemory(name)


def _close(memory: SharedMemory, views: _Views) -> None:
    """Let go of the mapping, which cannot be closed while arrays look into it."""
    vars(views).clear()
    memory.close()


def _unlink(memory: SharedMemory) -> None:
    with _untracked(), suppress(FileNotFoundError):
        memory.unlink()


def _end(memory: SharedMemory, views: _Views, owner: int) -> None:
    """What a producer does when it ends, by `close`, by garbage collection or with the interpreter."""
    if os.getpid() == owner:  # a fork of the producer is not the producer
        views.closed[0] = 1
        _unlink(memory)
    _close(memory, views)


class RingWriter:
    """The producer.

    Args:
        name: of the segment.
        columns: channels.
        rows: samples of the longest chunk.
        slots: chunks held; a consumer that lags by more loses some.
        rate_hz: sampling rate, for the consumers to know.
        dtype: "int16", "uint16", "int32" or "float32".

    Raises:
        ConfigError: sizes out of range, or a living process writes under this name already.
    """

    def __init__(
        self, name: str, columns: int, rows: int = 30, slots: int = 256, rate_hz: float = 30_000.0, dtype: str = "int16"
    ) -> None:
        if dtype not in _DTYPES:
            raise ConfigError(f"shared memory: dtype must be one of {', '.join(_DTYPES)}, got {dtype!r}")
        if min(columns, rows) < 1 or slots < 2:
            raise ConfigError("shared memory: columns and rows must be positive, slots at least 2")
        pid = os.getpid()
        layout = _Layout(slots, rows, columns, dtype, rate_hz, time.monotonic_ns(), pid, _born(pid))
        self.name, self.layout, self.written = name, layout, 0
        _replace_stale(name)
        try:
            with _untracked():
                memory = SharedMemory(name, create=True, size=layout.size)
        except (OSError, ValueError) as error:
            raise ConfigError(f"shared memory {name!r} cannot be made: {error}") from error
        self._views = _Views(memory, layout)
        buffer: Any = memory.buf
        buffer[8 : _HEADER.size] = layout.pack()[8:]
        _fence()
        buffer[:8] = _MAGIC  # last: a consumer that sees it sees the rest
        self._finalizer = weakref.finalize(self, _end, memory, self._views, pid)

    def write(self, samples: NDArray[Any], t_ns: int = 0) -> None:
        """Append a chunk `[n <= rows, columns]`; never waits.

        Raises:
            InputError: another shape or type than announced.
        """
        layout, views = self.layout, self._views
        if not self._finalizer.alive:
            raise InputError(f"shared memory {self.name!r} is closed")
        n = len(samples)
        if samples.ndim != 2 or samples.shape[1] != layout.columns or not 0 < n <= layout.rows:
            raise InputError(
                f"shared memory {self.name!r} takes chunks [1..{layout.rows}, {layout.columns}], got {samples.shape}"
            )
        if samples.dtype != layout.dtype:
            raise InputError(f"shared memory {self.name!r} takes {layout.dtype}, got {samples.dtype}")
        k = self.written
        words, data = views.words[k % layout.slots], views.data[k % layout.slots]
        words[0] = 2 * k + 1
        _fence()
        data[:n] = samples
        words[1:] = t_ns, time.monotonic_ns(), n
        _fence()
        words[0] = 2 * k + 2
        views.head[0] = self.written = k + 1

    def close(self) -> None:
        """Say that no more comes, and remove the segment's name; consumers may still read what it holds."""
        self._finalizer()

    def __enter__(self) -> RingWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _replace_stale(name: str) -> None:
    """Remove a segment whose producer is gone."""
    try:
        old = _attach(name)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise ConfigError(f"shared memory {name!r} cannot be opened: {error}") from error
    try:
        layout = _Layout.unpack(old, name)
    except InputError as error:
        old.close()
        raise ConfigError(f"{error}; choose another name") from None
    if _runs(layout.pid, layout.born):
        old.close()
        raise ConfigError(f"shared memory {name!r} is being written by process {layout.pid}; choose another name")
    _unlink(old)
    old.close()


@dataclass(frozen=True, eq=False)
class Chunk:
    """What a consumer gets.

    Attributes:
        number: of the chunk, counted by the producer from 0.
        t_ns: as the producer gave it.
        sent_ns: when it was written, on the host's monotonic clock.
        samples: `[n, columns]`, a copy of its own.
    """

    number: int
    t_ns: int
    sent_ns: int
    samples: NDArray[Any]


class RingReader:
    """A consumer; begins with the next chunk that is written.

    Attributes:
        lost: chunks that were overwritten before they could be read.
        restarts: how often another producer took over the name; its chunks are counted from 0.

    Raises:
        InputError: there is no such segment, or it is no ring.
    """

    def __init__(self, name: str, poll_us: float = 50.0) -> None:
        if poll_us <= 0:
            raise ConfigError(f"shared memory: poll_us must be positive, got {poll_us}")
        self.name, self.lost, self.restarts = name, 0, 0
        self._poll_s = poll_us * 1e-6
        try:
            memory = _attach(name)
        except (OSError, ValueError) as error:
            raise InputError(f"there is no shared memory {name!r}: {error}") from error
        self._open(memory)
        self._next = int(self._views.head[0])

    def _open(self, memory: SharedMemory) -> None:
        try:
            self.layout = _Layout.unpack(memory, self.name)
        except InputError:
            memory.close()
            raise
        self._views = _Views(memory, self.layout)
        self._heard_ns = self._looked_ns = time.monotonic_ns()
        self._finalizer = weakref.finalize(self, _close, memory, self._views)

    @property
    def state(self) -> str:
        """One of "streaming", "idle" (alive, nothing new), "ended" (closed by the producer) or "dead" (producer gone)."""
        if self._next < int(self._views.head[0]):
            return "streaming"
        if self._views.closed[0]:
            return "ended"
        if time.monotonic_ns() - self._heard_ns < _CHECK_NS:
            return "streaming"
        return "idle" if _runs(self.layout.pid, self.layout.born) else "dead"

    def read(self, timeout_s: float = 0.0) -> Chunk | None:
        """The next chunk, or None where none came in time; then `state` tells why."""
        end = time.monotonic_ns() + int(timeout_s * 1e9)
        while True:
            chunk = self._take()
            now = time.monotonic_ns()
            if chunk is not None:
                self._heard_ns = self._looked_ns = now
                return chunk
            if now - self._looked_ns > _CHECK_NS:
                self._looked_ns = now
                self._look()
            if now >= end:
                return None
            time.sleep(min(self._poll_s, (end - now) * 1e-9))

    def _take(self) -> Chunk | None:
        views, slots = self._views, self.layout.slots
        while True:
            k, head = self._next, int(views.head[0])
            if k >= head:
                return None
            if head - k > slots - 1:  # the slot of chunk `head - slots` may be being written: half the ring is given up
                self._next = head - slots // 2
                self.lost += self._next - k
                continue
            words = views.words[k % slots]
            before = int(words[0])
            _fence()
            t_ns, sent_ns, n = (int(word) for word in words[1:])
            samples = views.data[k % slots][: max(0, min(n, self.layout.rows))].copy()
            _fence()
            self._next = k + 1
            if before == int(words[0]) == 2 * k + 2:
                return Chunk(k, t_ns, sent_ns, samples)
            self.lost += 1  # overtaken while copying

    def _look(self) -> None:
        """Nothing has come for a while: if the producer is gone, has another taken over?"""
        if self.state not in ("ended", "dead"):
            return
        try:
            memory = _attach(self.name)
        except (OSError, ValueError):
            return
        try:
            successor = _Layout.unpack(memory, self.name).created_ns != self.layout.created_ns
        except InputError:  # its header is still being written
            successor = False
        if not successor:
            memory.close()
            return
        self.close()
        self._open(memory)
        self._next, self.restarts = 0, self.restarts + 1

    def close(self) -> None:
        """Let go of the segment."""
        self._finalizer()

    def __enter__(self) -> RingReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
