"""The MATLAB level 5 MAT-file format (save -v6, -v7), read with every length checked.

Why not `scipy.io.loadmat`: it takes the types and lengths in a file on trust, and a single wrong byte can end the
process with a segmentation fault (scipy 1.17). The format is described in MathWorks, "MAT-File Format" (2019).

A file is a 128-byte header and then elements: a tag (type, bytes) and data, padded to 8 bytes; type 15 is a zlib-compressed
element, type 14 a matrix, whose parts (flags, dimensions, name, values) are elements again.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_MATRIX, _COMPRESSED = 14, 15
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXT = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _STRUCT, _CHAR, _SPARSE = 1, 2, 4, 5
_NUMERIC = range(6, 16)
_COMPLEX = 0x0800
_DEEPEST = 20
_LARGEST = 2**31  # elements of a sparse matrix made full


class Cell(NamedTuple):
    """A cell array, its elements in MATLAB's (column) order."""

    items: list[Any]


class Struct(NamedTuple):
    """A structure array: for every element its fields."""

    items: list[dict[str, Any]]


class DamagedError(ValueError):
    """What stands in the file contradicts itself."""


def load(data: bytes) -> dict[str, Any]:
    """Variables of a file.

    Args:
        data: the whole file.

    Returns:
        Name -> array (numbers in the type they were stored in; text as an array of strings), `Cell`, `Struct`, or None
        for what has no array form: complex numbers, objects, function handles.

    Raises:
        DamagedError: the file is truncated or not of this format.
    """
    if len(data) < 128 or data[126:128] not in (b"IM", b"MI"):
        raise DamagedError("no header of MATLAB level 5")
    order = "<" if data[126:128] == b"IM" else ">"
    found = {}
    for kind, payload in _elements(memoryview(data)[128:], order):
        if kind == _COMPRESSED:
            payload = memoryview(_inflate(payload))
            inner = next(_elements(payload, order), None)
            if inner is None:
                raise DamagedError("an empty compressed variable")
            kind, payload = inner
        if kind != _MATRIX:
            raise DamagedError(f"an element of type {kind} where a variable should be")
        name, value = _matrix(payload, order, 0)
        if name:
            found[name] = value
    return found


def _inflate(payload: memoryview) -> bytes:
    try:
        return zlib.decompress(payload)
    except zlib.error as error:
        raise DamagedError(f"the compression of a variable is damaged: {error}") from None


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Type and data of each element."""
    at = 0
    while at < len(data):
        if len(data) - at < 8:
            raise DamagedError("the file ends inside an element")
        kind, size = struct.unpack_from(f"{order}II", data, at)
        if kind >> 16:  # up to 4 bytes stand in the tag itself
            kind, size, start, following = kind & 0xFFFF, kind >> 16, at + 4, at + 8
            if size > 4:
                raise DamagedError(f"a small element of {size} bytes")
        else:
            start = at + 8
            following = start + size + (0 if kind == _COMPRESSED else -size % 8)
        if start + size > len(data):
            raise DamagedError("the file ends inside an element")
        yield kind, data[start : start + size]
        at = following


def _matrix(payload: memoryview, order: str, depth: int) -> tuple[str, Any]:
    """Name and value of a variable."""
    if depth > _DEEPEST:
        raise DamagedError(f"variables nested more than {_DEEPEST} deep")
    if not len(payload):
        return "", np.empty((0, 0))
    parts = _elements(payload, order)
    flags = _numbers(*_next(parts), order)
    if len(flags) < 2:
        raise DamagedError("flags of a variable are cut short")
    kind, is_complex = int(flags[0]) & 0xFF, bool(int(flags[0]) & _COMPLEX)
    if kind > 15:
        return "", None  # function handles and opaque objects are laid out otherwise
    shape = tuple(int(n) for n in _numbers(*_next(parts), order))
    if len(shape) < 2 or min(shape) < 0:
        raise DamagedError(f"dimensions {shape}")
    name = bytes(_next(parts)[1]).decode("latin-1")
    if is_complex:
        return name, None
    if kind in _NUMERIC:
        return name, _shaped(_numbers(*_next(parts), order), shape)
    if kind == _CHAR:
        return name, _text(*_next(parts), order, shape)
    if kind == _SPARSE:
        return name, _full([_numbers(*part, order) for part in parts], shape)
    if kind == _CELL:
        return name, Cell([_sub(parts, order, depth) for _ in range(_bounded(shape, payload))])
    if kind == _STRUCT:
        return name, _struct(parts, order, depth, _bounded(shape, payload))
    return name, None


def _next(parts: Iterator[tuple[int, memoryview]]) -> tuple[int, memoryview]:
    part = next(parts, None)
    if part is None:
        raise DamagedError("a part of a variable is missing")
    return part


def _sub(parts: Iterator[tuple[int, memoryview]], order: str, depth: int) -> Any:
    kind, payload = _next(parts)
    if kind != _MATRIX:
        raise DamagedError(f"an element of type {kind} where a variable should be")
    return _matrix(payload, order, depth + 1)[1]


def _bounded(shape: tuple[int, ...], payload: memoryview) -> int:
    """Number of elements of a cell or structure array; each takes 8 bytes at least."""
    number = prod(shape)
    if number * 8 > len(payload):
        raise DamagedError(f"{number} elements in {len(payload)} bytes")
    return number


def _numbers(kind: int, payload: memoryview, order: str) -> NDArray[Any]:
    if kind not in _TYPES:
        raise DamagedError(f"unknown type of numbers {kind}")
    dtype = np.dtype(order + _TYPES[kind])
    if len(payload) % dtype.itemsize:
        raise DamagedError("numbers are cut short")
    return np.frombuffer(payload, dtype).astype(dtype.newbyteorder("="), copy=False)


def _shaped(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if values.size != prod(shape):
        raise DamagedError(f"{values.size} numbers for the shape {shape}")
    return values.reshape(shape, order="F")


def _text(kind: int, payload: memoryview, order: str, shape: tuple[int, ...]) -> NDArray[np.str_]:
    """One string a row."""
    codec = _TEXT.get(kind)
    if codec is None:
        raise DamagedError(f"unknown type of text {kind}")
    wide = codec + ("-le" if order == "<" else "-be") if codec in ("utf-16", "utf-32") else codec
    letters = bytes(payload).decode(wide, errors="replace")
    if shape[0] == 1 or len(letters) != prod(shape):
        return np.array([letters])
    return np.array(["".join(letters[row :: shape[0]]) for row in range(shape[0])])


def _full(parts: list[NDArray[Any]], shape: tuple[int, ...]) -> NDArray[Any]:
    """A sparse matrix (row of each value, start of each column, values) made full."""
    if len(parts) != 3 or len(shape) != 2 or prod(shape) > _LARGEST:
        raise DamagedError(f"a sparse matrix of shape {shape} that cannot be made full")
    rows, starts, values = parts
    number = int(starts[-1]) if len(starts) == shape[1] + 1 else -1
    if not 0 <= number <= min(len(rows), len(values)) or starts[0] != 0 or (np.diff(starts) < 0).any():
        raise DamagedError("columns of a sparse matrix contradict each other")
    rows = rows[:number]
    if number and not 0 <= rows.min() <= rows.max() < shape[0]:
        raise DamagedError("rows of a sparse matrix lie outside it")
    full = np.zeros(shape, values.dtype)
    full[rows, np.repeat(np.arange(shape[1]), np.diff(starts))] = values[:number]
    return full


def _struct(parts: Iterator[tuple[int, memoryview]], order: str, depth: int, number: int) -> Struct:
    width = _numbers(*_next(parts), order)
    names = bytes(_next(parts)[1])
    if width.size != 1 or width[0] <= 0 or len(names) % int(width[0]):
        raise DamagedError("field names of a structure")
    step = int(width[0])
    fields = [names[at : at + step].split(b"\0", 1)[0].decode("latin-1") for at in range(0, len(names), step)]
    return Struct([{field: _sub(parts, order, depth) for field in fields} for _ in range(number)])
