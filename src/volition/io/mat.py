"""MATLAB files (.mat, up to version 7): every array of a file under a dotted name."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from volition.errors import InputError
from volition.io._files import content
from volition.io._layout import Value


def variables(path: Path) -> dict[str, Value]:
    """All arrays of a MATLAB file.

    A field of a structure is called `structure.field`; a cell array, and a field of a structure array, is a list of arrays.

    Args:
        path: a file written with `save` up to format v7.

    Raises:
        InputError: the file is truncated, not MATLAB, or of version 7.3 (HDF5).
    """
    if content(path) == "an HDF5 file":
        raise InputError(f"{path}: MATLAB version 7.3 is not read; save it again in MATLAB with save(..., '-v7')")
    from scipy.io import loadmat

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # duplicate names and the like: the layout finds what it needs or says so
            raw = loadmat(str(path))
    except Exception as error:  # scipy raises some ten different types on a damaged file
        reason = str(error).split("\n", 1)[0] or type(error).__name__
        raise InputError(f"{path}: not a readable MATLAB file, truncated or foreign ({reason})") from error
    found: dict[str, Value] = {}
    for name, value in raw.items():
        if not name.startswith("__"):
            _flatten(name, value, found)
    return found


def _flatten(name: str, value: Any, found: dict[str, Value]) -> None:
    """Put `value` and all that is inside it into `found`."""
    if not isinstance(value, np.ndarray):
        return
    if value.dtype.names:
        for field in value.dtype.names:
            elements = [element[field] for element in value.ravel()]
            if len(elements) == 1:
                _flatten(f"{name}.{field}", elements[0], found)
            else:
                _put_list(f"{name}.{field}", elements, found)
    elif value.dtype == object:
        _put_list(name, list(value.ravel(order="F")), found)
    else:
        found[name] = value


def _put_list(name: str, elements: list[Any], found: dict[str, Value]) -> None:
    if elements and all(isinstance(e, np.ndarray) and e.dtype != object and not e.dtype.names for e in elements):
        found[name] = elements
