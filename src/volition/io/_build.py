"""From a file's variables and a layout to a `Recording`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.errors import InputError
from volition.io._layout import Borders, Layout, Source, Trials, Value
from volition.signal import NS_PER_S, Float64, Recording

Variables = Mapping[str, Value]


def recording(variables: Variables, layout: Layout, name: str, sha256: str) -> Recording:
    """Apply a layout.

    Args:
        variables: everything the file holds.
        layout: where things are in it.
        name: what to call the recording.
        sha256: hash of the file.

    Raises:
        InputError: a variable is missing, of the wrong shape, or holds what no decoder could use.
    """
    if layout.counts is None:
        raise InputError(f"{name}: zero units: layout {layout.name} says: {layout.no_units}")
    counts, lengths = gather(variables, layout.counts, "counts")
    bins = len(counts)
    if bins == 0 or counts.shape[1] == 0:
        raise InputError(f"counts have shape {counts.shape} (bins x units): zero {'units' if bins else 'bins'}")
    if layout.counts.scale != 1.0:
        counts = _whole(counts)
    bin_ns = _bin_ns(variables, layout)
    movement: dict[str, Float64] = {}
    for quantity, source in layout.kinematics.items():
        values, pieces = gather(variables, source, quantity)
        movement[quantity] = np.ascontiguousarray(values, np.float64)
        if len(movement[quantity]) != bins or (len(lengths) > 1 and pieces != lengths):
            raise InputError(f"{quantity} has shape {movement[quantity].shape}, but counts have {bins} bins")
    cell = np.repeat(np.arange(len(lengths)), lengths)
    trial, target = trials(variables, layout.trials, cell)
    clock = _clock(variables, layout, bins, bin_ns, trial)
    breaks = borders(variables, layout.borders, movement, bins, bin_ns, trial) | (np.diff(cell) != 0)
    if layout.time is not None:
        breaks |= np.abs(np.diff(clock) - bin_ns) > bin_ns // 2
    segment = np.concatenate([[0], np.cumsum(breaks)]).astype(np.int32)
    keep = np.ones(bins, bool)
    if layout.cut_nan:
        keep = np.all([np.isfinite(value).all(axis=1) for value in movement.values()], axis=0)
        segment = cut(segment, keep)
    return Recording(
        counts=np.ascontiguousarray(counts[keep]),
        bin_ns=bin_ns,
        kinematics={quantity: value[keep] for quantity, value in movement.items()},
        units={quantity: source.unit for quantity, source in layout.kinematics.items()},
        segment=segment,
        trial=None if trial is None else trial[keep],
        target=target,
        t_ns=clock[keep],
        name=name,
        sha256=sha256,
        info={"layout": layout.name, **{key: _text(variables, entry) for key, entry in layout.info.items()}},
    )


@dataclass(frozen=True)
class _Piece:
    """One array of a source and the name it came under."""

    name: str
    values: NDArray[Any]


def gather(variables: Variables, source: Source, what: str) -> tuple[NDArray[Any], list[int]]:
    """The array `[bins, columns]` a source names, and the lengths of the unbroken stretches it consists of.

    Raises:
        InputError: a variable is missing, not numeric, of more than two dimensions, or does not fit the others.
    """
    pieces = [piece for pattern in source.names for piece in _matching(variables, pattern, what)]
    arrays = [_oriented(piece, source) for piece in pieces]
    joined = source.joined or any(isinstance(variables[piece.name], list) for piece in pieces)
    axis = 0 if joined else 1
    if len({array.shape[1 - axis] for array in arrays}) > 1:
        shapes = ", ".join(f"{piece.name} {piece.values.shape}" for piece in pieces[:4])
        raise InputError(f"{what}: these do not fit together: {shapes}")
    table = arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=axis)
    if source.columns:
        if max(source.columns) >= table.shape[1] or min(source.columns) < 0:
            raise InputError(f"{what}: column {max(source.columns)} is asked for, but there are {table.shape[1]} (from 0)")
        table = table[:, list(source.columns)]
    if source.scale != 1.0:
        table = table * source.scale
    return table, [len(array) for array in arrays] if joined else [len(table)]


def _matching(variables: Variables, pattern: str, what: str) -> list[_Piece]:
    names = [name for name in variables if fnmatchcase(name, pattern)]
    if not names:
        raise InputError(f"{what}: there is no variable {pattern!r}")
    found: list[_Piece] = []
    for name in names:
        value = variables[name]
        found += [_Piece(name, array) for array in (value if isinstance(value, list) else [value])]
    return found


def _oriented(piece: _Piece, source: Source) -> NDArray[Any]:
    """`[bins, columns]`."""
    values = piece.values
    if values.dtype.kind not in "buif":
        raise InputError(f"{piece.name}: must be numbers, is of type {values.dtype}")
    if values.ndim < 2:
        return values.reshape(-1, 1)
    if values.ndim != 2:
        raise InputError(f"{piece.name}: must have at most two dimensions, has shape {values.shape}")
    return values.T if source.across else values


def vector(variables: Variables, name: str, bins: int, what: str) -> NDArray[Any]:
    """A variable with one value a bin, however it lies in the file."""
    found = _matching(variables, name, what)
    values = np.concatenate([piece.values.ravel() for piece in found])
    if values.dtype.kind not in "buif" or values.shape != (bins,):
        raise InputError(f"{what}: {name} must be {bins} numbers, one a bin, has shape {found[0].values.shape}")
    return np.asarray(values)


def _whole(counts: NDArray[Any]) -> NDArray[Any]:
    """Counts that went through a factor: back to whole numbers, if that is what they are."""
    nearest = np.rint(counts)
    with np.errstate(invalid="ignore"):
        if (np.abs(counts - nearest) > 1e-3).any():
            raise InputError("counts are not whole numbers after `scale`; is it the bin width for rates in Hz?")
    return np.asarray(nearest)


def _bin_ns(variables: Variables, layout: Layout) -> int:
    seconds = layout.bin_s
    if isinstance(seconds, Source):
        values, _ = gather(variables, seconds, "bin width")
        if values.size != 1 or not np.isfinite(values).all() or values.item() <= 0:
            raise InputError(f"bin width: {seconds.names[0]} must be one positive number")
        seconds = float(values.item())
    return round(seconds * NS_PER_S)


def trials(
    variables: Variables, rule: Trials | None, cell: NDArray[np.int_]
) -> tuple[NDArray[np.int32] | None, NDArray[Any] | None]:
    """Number of the trial of each bin, counted from 0 in order of appearance, and the target of each trial."""
    if rule is None:
        return None, None
    bins = len(cell)
    number = cell if rule.cells else np.zeros(bins)
    if rule.variable:
        number = vector(variables, rule.variable, bins, "trials")
    inside = np.isfinite(number) & (number >= 0)
    values, first, index = np.unique(number[inside], return_index=True, return_inverse=True)
    rank = np.empty(len(values), np.int32)
    rank[np.argsort(first)] = np.arange(len(values))
    trial = np.full(bins, -1, np.int32)
    trial[inside] = rank[index]
    if rule.target is None:
        return trial, None
    given = [piece for name in rule.target.names for piece in _matching(variables, name, "target")]
    target = np.concatenate([piece.values.ravel() for piece in given])
    if len(target) == bins:
        starts = np.array([np.flatnonzero(trial == k)[0] for k in range(len(values))], np.int64)
        if (target[inside] != target[starts][trial[inside]]).any():
            raise InputError(f"target: {rule.target.names[0]} changes inside a trial")
        target = target[starts]
    elif len(target) != len(values):
        raise InputError(f"target: {len(target)} values for {len(values)} trials and {bins} bins")
    return trial, target


def borders(
    variables: Variables,
    rule: Borders,
    movement: Mapping[str, Float64],
    bins: int,
    bin_ns: int,
    trial: NDArray[np.int32] | None,
) -> NDArray[np.bool_]:
    """`[bins - 1]`, True where a bin does not follow the one before it.

    The rule "jump" compares what the position did with what the velocity says, Euclidean norm over the dimensions:
    |(p_t - p_{t-1}) / bin - v_t| > threshold.
    """
    breaks = np.full(bins - 1, rule.every_bin)
    if rule.trial:
        if trial is None:
            raise InputError("borders: trial = true, but the layout has no [trials]")
        breaks = breaks | (np.diff(trial) != 0)
    if rule.skip:
        breaks = breaks | (np.diff(vector(variables, rule.skip, bins, "borders").astype(np.int64)) != 1)
    if rule.jump:
        position, velocity = movement[rule.jump[0]], movement[rule.jump[1]]
        if position.shape != velocity.shape:
            raise InputError(f"borders: {rule.jump[0]} has shape {position.shape}, {rule.jump[1]} {velocity.shape}")
        excess = np.diff(position, axis=0) * (NS_PER_S / bin_ns) - velocity[1:]
        with np.errstate(invalid="ignore"):
            breaks = breaks | (np.linalg.norm(excess, axis=1) > rule.jump[2])
    return breaks


def _clock(
    variables: Variables, layout: Layout, bins: int, bin_ns: int, trial: NDArray[np.int32] | None
) -> NDArray[np.int64]:
    """`[bins]` end of each bin, ns: from the file's own time where there is one, else counted, skipped bins included."""
    if layout.time is not None:
        seconds = vector(variables, layout.time.names[0], bins, "time") * layout.time.scale
        if not np.isfinite(seconds).all() or (np.diff(seconds) <= 0).any():
            raise InputError(f"time: {layout.time.names[0]} must go up from bin to bin")
        return np.rint(seconds * NS_PER_S).astype(np.int64) + (bin_ns if layout.time.unit == "start" else 0)
    steps = np.ones(bins, np.int64)
    if layout.borders.skip:
        number = vector(variables, layout.borders.skip, bins, "borders").astype(np.int64)
        within = np.ones(bins - 1, bool) if trial is None else np.diff(trial) == 0
        steps[1:][within] = np.maximum(np.diff(number)[within], 1)
    return np.cumsum(steps) * bin_ns


def cut(segment: NDArray[np.int32], keep: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Segments after bins have been taken out: where some are missing between two bins, history breaks."""
    index = np.flatnonzero(keep)
    breaks = (np.diff(index) > 1) | (np.diff(segment[index]) != 0)
    return np.concatenate([[0], np.cumsum(breaks)]).astype(np.int32)[: len(index)]


def _text(variables: Variables, entry: str | Source) -> str:
    if isinstance(entry, str):
        return entry
    found = variables.get(entry.names[0])
    if not isinstance(found, np.ndarray) or found.size != 1:
        raise InputError(f"info: there is no single value {entry.names[0]!r}")
    return str(found.reshape(-1)[0])
