r"""The log of a run: append-only blocks that survive a kill at any moment.

    file   = "volition-log 1\n" block*
    block  = "VLOG" raw_size:u32 packed_size:u32 number:u32 crc32(packed):u32 packed          (packed = zlib level 1)
    raw    = record*
    record = stream:u16 size:u32 payload
    payload= array*                     one per field of the signal, in the order of its dataclass
    array  = dtype:u8 ndim:u8 dim:u32* bytes

Stream 0 names the others: JSON `{"id": 3, "name": "features", "fields": ["t_ns", "x", ...]}`, written before their first
record of each block, so that any block can be read alone. Little endian throughout. Blocks are cut by simulated time and
size, never by wall time, so equal runs give equal bytes. A block reaches the kernel in one write: after `kill -9` the file
holds every block but the one being filled.
"""

from __future__ import annotations

import json
import math
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.errors import LogError

MAGIC = b"volition-log 1\n"
_BLOCK = struct.Struct("<4sIIII")
_RECORD = struct.Struct("<HI")
_DTYPES = ("<u1", "<u2", "<u4", "<u8", "<i1", "<i2", "<i4", "<i8", "<f2", "<f4", "<f8", "|b1")
_CODE = {np.dtype(name): code for code, name in enumerate(_DTYPES)}
_MAX_BLOCK = 1 << 28

Record = tuple[str, dict[str, NDArray[Any]]]


def field_names(signal: Any) -> list[str]:
    """Names under which a signal's arrays are stored."""
    return [f.name for f in fields(signal)] if is_dataclass(signal) else ["value"]


def encode(signal: Any) -> bytes:
    """Payload of one record: a dataclass of arrays and numbers, an array, or None (nothing came: no fields)."""
    if signal is None:
        return b""
    values = [getattr(signal, f) for f in signal.__dataclass_fields__] if is_dataclass(signal) else [signal]
    parts = []
    for value in values:
        array = np.asarray(value)
        code = _CODE.get(array.dtype)
        if code is None:
            raise LogError(f"cannot log a value of type {array.dtype}")
        parts.append(struct.pack(f"<BB{array.ndim}I", code, array.ndim, *array.shape))
        parts.append(array.tobytes())
    return b"".join(parts)


def decode(payload: bytes) -> list[NDArray[Any]]:
    """The arrays of a payload, in order.

    Raises:
        LogError: the payload is not well formed.
    """
    arrays, at = [], 0
    try:
        while at < len(payload):
            code, ndim = payload[at], payload[at + 1]
            shape = struct.unpack_from(f"<{ndim}I", payload, at + 2)
            at += 2 + 4 * ndim
            dtype = np.dtype(_DTYPES[code])
            count = math.prod(shape)
            arrays.append(np.frombuffer(payload, dtype, count, at).reshape(shape))
            at += count * dtype.itemsize
    except (IndexError, struct.error, ValueError, OverflowError) as error:
        raise LogError(f"a record of the log is not well formed: {error}") from error
    return arrays


class LogWriter:
    """Appends signals to a new file.

    Args:
        path: file to create; it must not exist.
        block_ns: simulated time after which a block is written out.
        block_bytes: size after which it is written out earlier.

    Raises:
        LogError: the file exists or cannot be made.
    """

    def __init__(self, path: Path, block_ns: int = 1_000_000_000, block_bytes: int = 1 << 18) -> None:
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except OSError as error:
            raise LogError(f"cannot write the log {path}: {error.strerror}") from error
        os.write(self._file, MAGIC)
        self._block_ns, self._block_bytes = block_ns, block_bytes
        self._ids: dict[str, int] = {}
        self._named: dict[int, bool] = {}  # of this block: stream -> whether its fields are known
        self._buffer = bytearray()
        self._number = 0
        self._due_ns = block_ns

    def write(self, name: str, signal: Any) -> bytes:
        """Append one signal to a stream; returns its payload."""
        payload = encode(signal)
        stream = self._ids.setdefault(name, len(self._ids) + 1)
        known = self._named.get(stream)
        if known is None or (signal is not None and not known):
            self._name(stream, name, signal)
        self._buffer += _RECORD.pack(stream, len(payload))
        self._buffer += payload
        return payload

    def _name(self, stream: int, name: str, signal: Any) -> None:
        """Announce a stream; one whose first signals never came is announced again when its fields are known."""
        names = [] if signal is None else field_names(signal)
        self._named[stream] = signal is not None
        text = json.dumps({"id": stream, "name": name, "fields": names}).encode()
        self._buffer += _RECORD.pack(0, len(text)) + text

    def tick(self, t_ns: int) -> None:
        """Write the block out if its time or size is reached."""
        if t_ns >= self._due_ns or len(self._buffer) >= self._block_bytes:
            self.flush()
            self._due_ns = t_ns + self._block_ns

    def flush(self) -> None:
        """Hand the block to the kernel."""
        if not self._buffer:
            return
        packed = zlib.compress(bytes(self._buffer), 1)
        head = _BLOCK.pack(b"VLOG", len(self._buffer), len(packed), self._number, zlib.crc32(packed))
        view = memoryview(head + packed)
        while view:
            try:
                view = view[os.write(self._file, view) :]
            except OSError as error:
                raise LogError(f"the log cannot be written: {error.strerror}") from error
        self._buffer.clear()
        self._named.clear()
        self._number += 1

    def close(self) -> None:
        """Write what is left, make it durable, close."""
        if self._file >= 0:
            self.flush()
            os.fsync(self._file)
            os.close(self._file)
            self._file = -1


class LogReader:
    """Reads a log, whole or torn.

    Attributes:
        truncated: after iteration: the file ended inside a block (the writer was killed), or a block is damaged.
        blocks: after iteration: whole blocks read.

    Raises:
        LogError: the file is not a log.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.truncated, self.blocks = path, False, 0
        try:
            with path.open("rb") as file:
                head = file.read(len(MAGIC))
        except OSError as error:
            raise LogError(f"cannot read the log {path}: {error.strerror}") from error
        if head != MAGIC:
            raise LogError(f"{path} is not a volition log")

    def _blocks(self) -> Iterator[bytes]:
        self.truncated, self.blocks = False, 0
        with self.path.open("rb") as file:
            file.seek(len(MAGIC))
            while head := file.read(_BLOCK.size):
                self.truncated = True
                if len(head) < _BLOCK.size:
                    return
                magic, raw_size, packed_size, number, crc = _BLOCK.unpack(head)
                if magic != b"VLOG" or number != self.blocks or max(raw_size, packed_size) > _MAX_BLOCK:
                    return
                packed = file.read(packed_size)
                if len(packed) < packed_size or zlib.crc32(packed) != crc:
                    return
                try:
                    raw = zlib.decompress(packed)
                except zlib.error:
                    return
                if len(raw) != raw_size:
                    return
                self.truncated = False
                self.blocks += 1
                yield raw

    def records(self) -> Iterator[tuple[str, bytes, list[str]]]:
        """Every record in order: stream name, payload, field names."""
        names: dict[int, tuple[str, list[str]]] = {}
        for raw in self._blocks():
            for stream, payload in self._cut(raw):
                try:
                    if stream == 0:
                        row = json.loads(payload)
                        names[row["id"]] = (row["name"], row["fields"])
                        continue
                    name, field_list = names[stream]
                except (ValueError, KeyError, TypeError) as error:
                    raise LogError(f"{self.path}: block {self.blocks - 1} is not well formed") from error
                yield name, payload, field_list

    def _cut(self, raw: bytes) -> Iterator[tuple[int, bytes]]:
        """Stream and payload of every record of a block."""
        at = 0
        while at < len(raw):
            if at + _RECORD.size > len(raw):
                raise LogError(f"{self.path}: block {self.blocks - 1} ends inside a record")
            stream, size = _RECORD.unpack_from(raw, at)
            at += _RECORD.size + size
            if at > len(raw):
                raise LogError(f"{self.path}: block {self.blocks - 1} ends inside a record")
            yield stream, raw[at - size : at]

    def __iter__(self) -> Iterator[Record]:
        for name, payload, names in self.records():
            yield name, dict(zip(names, decode(payload), strict=False))

    def read(self, name: str) -> dict[str, NDArray[Any]]:
        """All records of one stream stacked: field -> `[records, ...]` (records in which nothing came are left out)."""
        rows = [record for stream, record in self if stream == name and record]
        if not rows:
            raise LogError(f"{self.path} has no stream {name!r}")
        return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


class BlockFile:
    """The blocks of a log by number, for whoever does not read from the start: opening reads their heads only.

    Attributes:
        truncated: the file ends inside a block, or in one that is damaged; what stands before is here.

    Raises:
        LogError: the file is not a log.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.truncated = path, False
        self._reader = LogReader(path)
        self._at: list[int] = []
        with path.open("rb") as file:
            at, end = len(MAGIC), os.fstat(file.fileno()).st_size
            while at < end:
                file.seek(at)
                head = file.read(_BLOCK.size)
                if len(head) < _BLOCK.size:
                    break
                magic, raw_size, packed_size, number, _ = _BLOCK.unpack(head)
                whole = at + _BLOCK.size + packed_size <= end
                if magic != b"VLOG" or number != len(self._at) or max(raw_size, packed_size) > _MAX_BLOCK or not whole:
                    break
                self._at.append(at)
                at += _BLOCK.size + packed_size
        self.truncated = at < end
        self._names: dict[int, tuple[str, list[str]]] = {}

    def __len__(self) -> int:
        return len(self._at)

    def records(self, number: int) -> list[tuple[str, bytes, list[str]]]:
        """The records of one block: stream name, payload, field names; none where it is damaged."""
        if number >= len(self._at):
            return []
        try:
            raw = self._raw(number)
        except (OSError, zlib.error):
            self.truncated = True
            del self._at[number:]
            return []
        found = []
        for stream, payload in self._reader._cut(raw):
            if stream == 0:
                self._learn(payload)
                continue
            if stream not in self._names or (payload and not self._names[stream][1]):
                self._learn_all()  # a log from before each block named its streams
            name, fields_ = self._names[stream]
            found.append((name, payload, fields_))
        return found

    def _raw(self, number: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self._at[number])
            _, raw_size, packed_size, _, crc = _BLOCK.unpack(file.read(_BLOCK.size))
            packed = file.read(packed_size)
        if zlib.crc32(packed) != crc:
            raise zlib.error("checksum")
        raw = zlib.decompress(packed)
        if len(raw) != raw_size:
            raise zlib.error("size")
        return raw

    def _learn(self, payload: bytes) -> None:
        try:
            row = json.loads(payload)
            if row["fields"] or row["id"] not in self._names:
                self._names[row["id"]] = (row["name"], row["fields"])
        except (ValueError, KeyError, TypeError) as error:
            raise LogError(f"{self.path}: a block is not well formed") from error

    def _learn_all(self) -> None:
        """The names of all streams, from the start of the file."""
        for raw in self._reader._blocks():
            for stream, payload in self._reader._cut(raw):
                if stream == 0:
                    self._learn(payload)
