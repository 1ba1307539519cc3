"""MATLAB files (.mat, save -v6 or -v7): every array of a file under a dotted name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from volition.errors import InputError
from volition.io._files import content
from volition.io._layout import Value
from volition.io._mat5 import Cell, DamagedError, Struct, load


def variables(path: Path) -> dict[str, Value]:
    """All arrays of a MATLAB file.

    A field of a structure is called `structure.field`; a cell array, and a field of a structure array, is a list of arrays.

    Args:
        path: a file written with `save` in format v6 or v7 (MATLAB's default).

    Raises:
        InputError: the file is truncated, not MATLAB, or of version 7.3 (HDF5) or 4.
    """
    if content(path) == "an HDF5 file":
        raise InputError(f"{path}: MATLAB version 7.3 is not read; save it again in MATLAB with save(..., '-v7')")
    try:
        raw = load(path.read_bytes())
    except (DamagedError, OSError, MemoryError) as error:
        raise InputError(f"{path}: not a readable MATLAB file, truncated or foreign ({error or 'too large'})") from error
    found: dict[str, Value] = {}
    for name, value in raw.items():
        _flatten(name, value, found)
    return found


def _flatten(name: str, value: Any, found: dict[str, Value]) -> None:
    """Put `value` and all that is inside it into `found`."""
    if isinstance(value, Struct):
        for field in value.items[0] if value.items else ():
            elements = [element[field] for element in value.items]
            _flatten(f"{name}.{field}", elements[0] if len(elements) == 1 else Cell(elements), found)
    elif isinstance(value, Cell):
        if value.items and all(isinstance(item, np.ndarray) for item in value.items):
            found[name] = value.items
    elif isinstance(value, np.ndarray):
        found[name] = value
