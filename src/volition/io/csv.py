"""Comma-separated text (.csv, .csv.gz) with one line of names and then numbers: every column under its name."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

import numpy as np

from volition.errors import InputError
from volition.io._files import content
from volition.io._layout import Value


def variables(path: Path) -> dict[str, Value]:
    """All columns of a table, float64; an empty field is NaN.

    Args:
        path: text in UTF-8, plain or gzip-compressed, separated by commas; the first line names the columns.

    Raises:
        InputError: damaged compression, no text, doubled names, ragged lines, fields that are no numbers.
    """
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if content(path) == "a gzip file" else raw).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: the gzip compression is damaged or truncated ({error})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file") from None
    head, _, body = text.partition("\n")
    names = [name.strip().strip('"') for name in head.split(",")]
    if len(set(names)) < len(names) or not all(names):
        raise InputError(f"{path}: line 1 must name every column once")
    if not body.strip():
        raise InputError(f"{path}: no numbers below the line of names")
    table = _numbers(path, body, len(names))
    return {name: table[:, i] for i, name in enumerate(names)}


def _numbers(path: Path, body: str, columns: int) -> np.ndarray:
    """`[lines, columns]` float64."""
    try:
        table = np.loadtxt(io.StringIO(body), delimiter=",", ndmin=2)
    except ValueError:
        table = _patiently(path, body, columns)  # empty fields, or an error that is worth its line number
    if table.shape[1] != columns:
        raise InputError(f"{path}: {columns} names in line 1, but {table.shape[1]} fields in line 2")
    return table


def _patiently(path: Path, body: str, columns: int) -> np.ndarray:
    """The same, field by field."""
    rows = []
    for number, line in enumerate(body.splitlines(), start=2):
        if not line.strip():
            continue
        fields = line.split(",")
        if len(fields) != columns:
            raise InputError(f"{path}: line {number} has {len(fields)} fields, line 1 names {columns}")
        try:
            rows.append([float(field) if field.strip() else np.nan for field in fields])
        except ValueError as error:
            raise InputError(f"{path}: line {number}: {error}") from None
    return np.array(rows)
