"""NWB files that others wrote: spike times are binned, behaviour is averaged in the same bins, gaps become borders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.errors import InputError
from volition.signal import NS_PER_S, Float64, Recording

_TARGETS = ("target", "target_dir", "target_direction", "target_id", "condition", "condition_id", "cond_dir", "trial_type")
_LONGEST = 50_000_000  # bins


def binned(nwb: Any, bin_ns: int, name: str, sha256: str) -> Recording:
    """Bin a file with a `Units` table.

    The bins cover the time for which all series of the processing module `behavior` (and series in `acquisition` that
    NWB marks as behaviour) have samples, or, where there are none, from the first to the last spike. A bin holds the
    spikes and the mean of the samples in (end - width, end]; where samples are rarer than bins, they are interpolated
    linearly between neighbours no further apart than 1.5 sample periods. Bins without a sample, and those outside the
    observed intervals of any unit, are left out, and where bins are left out a new segment begins.

    Series keep their names, except that "velocity" and "position" are what the name says it is: the only series with
    "vel" ("pos") in its name, or the only one that has "hand", else "cursor", else "finger" in it too.

    Args:
        nwb: an open pynwb.NWBFile.
        bin_ns: width of a bin, ns.
        name: what to call the recording.
        sha256: hash of the file.

    Raises:
        InputError: zero units, no spikes, or behaviour that leaves no bin.
    """
    if nwb.units is None or len(nwb.units) == 0 or "spike_times" not in nwb.units.colnames:
        raise InputError("zero units: the file has no Units table with spike times; nothing can be decoded from it")
    spikes = [np.asarray(nwb.units["spike_times"][unit], np.float64) for unit in range(len(nwb.units))]
    if any(not np.isfinite(times).all() for times in spikes):
        raise InputError("units: spike times hold NaN or infinity")
    series = _named(dict(_behaviour(nwb)))
    sampled = {label: (_times(one), _values(one)) for label, one in series.items()}
    first, last = _span(sampled, spikes)
    bins = int((last - first) * NS_PER_S / bin_ns + 1e-6)
    if not 0 < bins <= _LONGEST:
        raise InputError(
            f"from {first:g} s to {last:g} s there are {bins} bins of {bin_ns / 1e6:g} ms; choose another width"
        )
    first_ns = round(first * NS_PER_S)
    edges = first_ns + np.arange(bins + 1, dtype=np.int64) * bin_ns
    movement = {label: _in_bins(times, values, edges) for label, (times, values) in sampled.items()}
    keep = _observed(nwb, edges)
    for value in movement.values():
        keep &= np.isfinite(value).all(axis=1)
    if not keep.any():
        raise InputError("no bin has samples of all behavioural series and all units observed")
    trial, target = _trials(nwb, edges[1:])
    spike_ns = tuple(np.sort(np.rint(times * NS_PER_S).astype(np.int64)) for times in spikes)
    index = np.flatnonzero(keep)
    return Recording(
        counts=np.stack([_count(times, edges) for times in spike_ns], axis=1)[keep],
        bin_ns=bin_ns,
        kinematics={label: value[keep] for label, value in movement.items()},
        units={label: str(one.unit) for label, one in series.items()},
        segment=np.concatenate([[0], np.cumsum(np.diff(index) > 1)]).astype(np.int32),
        trial=None if trial is None else trial[keep],
        target=target,
        t_ns=edges[1:][keep],
        spike_t_ns=spike_ns,
        name=name,
        sha256=sha256,
        info=_info(nwb, {label: one.name for label, one in series.items() if one.name != label}),
    )


def _behaviour(nwb: Any) -> Iterator[tuple[str, Any]]:
    """Name and series of all numeric behaviour of one or two dimensions."""
    containers = list(nwb.processing["behavior"].data_interfaces.values()) if "behavior" in nwb.processing else []
    containers += [one for one in nwb.acquisition.values() if type(one).__module__ == "pynwb.behavior"]
    for container in containers:
        inside: Any = getattr(container, "time_series", None) or getattr(container, "spatial_series", None)
        for one in inside.values() if hasattr(inside, "values") else [container]:
            data: Any = getattr(one, "data", None)
            if getattr(data, "ndim", 0) in (1, 2) and data.dtype.kind in "iuf" and len(data) > 1:
                yield one.name, one


def _named(series: dict[str, Any]) -> dict[str, Any]:
    """Give the series that is plainly it the name "velocity", "position"."""
    for part, wanted in (("vel", "velocity"), ("pos", "position")):
        if wanted in series:
            continue
        for which in ("", "hand", "cursor", "finger"):
            found = [name for name in series if part in name.lower() and which in name.lower()]
            if len(found) == 1:
                series = {wanted if name == found[0] else name: one for name, one in series.items()}
                break
    return series


def _times(series: Any) -> Float64:
    """Time of each sample, s."""
    if series.timestamps is not None:
        return np.asarray(series.timestamps[:], np.float64)
    return np.asarray(series.starting_time + np.arange(len(series.data)) / series.rate, np.float64)


def _values(series: Any) -> Float64:
    """`[samples, d]` in the series' unit."""
    values: Float64 = np.asarray(series.data[:], np.float64) * series.conversion + series.offset
    return values[:, None] if values.ndim == 1 else values


def _span(sampled: dict[str, tuple[Float64, Float64]], spikes: list[Float64]) -> tuple[float, float]:
    if sampled:
        for label, (times, values) in sampled.items():
            if len(times) != len(values) or not np.isfinite(times).all() or (np.diff(times) < 0).any():
                raise InputError(f"{label}: {len(times)} timestamps for {len(values)} samples, or they do not go up")
        periods = [float(np.median(np.diff(times))) for times, _ in sampled.values()]
        starts = [float(times[0]) - period for (times, _), period in zip(sampled.values(), periods, strict=True)]
        return max(starts), min(float(times[-1]) for times, _ in sampled.values())
    together = np.concatenate(spikes)
    if together.size == 0:
        raise InputError("zero spikes and no behaviour: nothing to bin")
    return float(together.min()), float(together.max())


def _in_bins(times: Float64, values: Float64, edges: NDArray[np.int64]) -> Float64:
    """`[bins, d]` mean of the samples of each bin, interpolated where samples are rarer than bins; NaN where nothing is."""
    finite = np.isfinite(values).all(axis=1)
    stamps, values = np.rint(times[finite] * NS_PER_S).astype(np.int64), values[finite]
    bins = len(edges) - 1
    result = np.full((bins, values.shape[1]), np.nan)
    if not len(stamps):
        return result
    place = np.searchsorted(edges, stamps, side="left") - 1
    inside = (place >= 0) & (place < bins)
    number = np.bincount(place[inside], minlength=bins)
    for d in range(values.shape[1]):
        total = np.bincount(place[inside], weights=values[inside, d], minlength=bins)
        np.divide(total, number, out=result[:, d], where=number > 0)
    period = float(np.median(np.diff(np.rint(times * NS_PER_S))))
    if period > (edges[1] - edges[0]) * 0.999:
        ends = edges[1:]
        after = np.clip(np.searchsorted(stamps, ends, side="left"), 1, len(stamps) - 1)
        near = (stamps[after] - stamps[after - 1] <= 1.5 * period) & (ends <= stamps[-1]) & (number == 0)
        for d in range(values.shape[1]):
            result[near, d] = np.interp(ends[near], stamps, values[:, d])
    return result


def _count(times: NDArray[np.int64], edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Spikes in (edge, next edge]."""
    return np.diff(np.searchsorted(times, edges, side="right"))


def _observed(nwb: Any, edges: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Bins that lie in the observed intervals of every unit that has some."""
    keep = np.ones(len(edges) - 1, bool)
    if "obs_intervals" not in nwb.units.colnames:
        return keep
    seen: set[bytes] = set()  # most files give all units the same intervals
    for unit in range(len(nwb.units)):
        intervals = np.rint(np.asarray(nwb.units["obs_intervals"][unit], np.float64).reshape(-1, 2) * NS_PER_S)
        if intervals.tobytes() in seen or not len(intervals):
            continue
        seen.add(intervals.tobytes())
        intervals = intervals[np.argsort(intervals[:, 0])]
        row = np.searchsorted(intervals[:, 0], edges[:-1], side="right") - 1
        keep &= (row >= 0) & (edges[1:] <= intervals[row, 1] + 1)
    return keep


def _trials(nwb: Any, ends: NDArray[np.int64]) -> tuple[NDArray[np.int32] | None, NDArray[Any] | None]:
    """Trial in which each bin ends (the later one where they overlap), and the targets where a column is called so."""
    if nwb.trials is None or len(nwb.trials) == 0:
        return None, None
    start, stop = (np.asarray(nwb.trials[column][:], np.float64) * NS_PER_S for column in ("start_time", "stop_time"))
    trial = np.full(len(ends), -1, np.int32)
    for number, (begin, end) in enumerate(zip(start, stop, strict=True)):
        if np.isfinite(begin) and np.isfinite(end):
            low, high = np.searchsorted(ends, [begin, end], side="right")
            trial[low:high] = number
    for column in _TARGETS:
        if column in nwb.trials.colnames:
            target = np.asarray(nwb.trials[column][:])
            if len(target) == len(start):
                return trial, target
    return trial, None


def _info(nwb: Any, renamed: dict[str, str]) -> dict[str, str]:
    subject = nwb.subject
    entries = {
        "task": nwb.session_description,
        "identifier": nwb.identifier,
        "session_start": nwb.session_start_time.isoformat(),
        "subject": getattr(subject, "subject_id", None),
        "species": getattr(subject, "species", None),
        "institution": nwb.institution,
        "lab": nwb.lab,
        **{f"{label} is": original for label, original in renamed.items()},
    }
    return {key: str(value) for key, value in entries.items() if value}
