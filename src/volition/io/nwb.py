"""Neurodata Without Borders (.nwb, extra [nwb]): write a `Recording` so that it comes back exactly; read ours and others'.

A file written here holds, besides the standard objects (trials, units, behaviour), one processing module `volition`:

    counts  TimeSeries [bins, channels] uint16, timestamps = end of each bin, s
    bins    DynamicTable: t_ns, segment, trial of each bin
    about   DynamicTable: key and value (text): name, sha256, bin_ns, kinematics, info (JSON)

Times in NWB are float64 seconds. They are counted from `origin_ns`, which is 0 unless the clock has run so long that a
nanosecond would be lost.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.errors import InputError, MissingExtraError
from volition.io import _files
from volition.signal import NS_PER_S, Recording

_MODULE = "volition"
_SAFE_NS = 2**50  # below it a float64 in s keeps every ns (about 13 days)


def _pynwb() -> Any:
    try:
        import pynwb
    except ImportError:
        raise MissingExtraError("NWB needs pynwb, which is not installed: pip install 'volition[nwb]'") from None
    return pynwb


def write_nwb(recording: Recording, path: str | Path) -> Path:
    """Write a recording; `read` gives back the same counts, times, movement, trials, name and info, bit by bit.

    The file appears under its name only when it is complete; an older one is replaced.

    Args:
        recording: what to write.
        path: where to, ending in .nwb.

    Returns:
        The path.

    Raises:
        InputError: the folder is missing or cannot be written to, or the name does not end in .nwb.
        MissingExtraError: pynwb is not installed.
    """
    path = Path(path)
    pynwb = _pynwb()
    if path.suffix != ".nwb":
        raise InputError(f"{path}: the name must end in .nwb")
    with _files.replacing(path) as temporary, pynwb.NWBHDF5IO(str(temporary), mode="w") as io:
        io.write(_assemble(recording, pynwb))
    return path


def _assemble(recording: Recording, pynwb: Any) -> Any:
    """The NWBFile object."""
    info = recording.info
    nwb = pynwb.NWBFile(
        session_description=info.get("task") or f"recording {recording.name}",
        identifier=recording.sha256 or recording.name,
        session_start_time=_start(info),
        experiment_description=info.get("source") or None,
    )
    if "subject" in info:
        nwb.subject = pynwb.file.Subject(subject_id=info["subject"], species=info.get("species"))
    origin = 0 if np.abs(recording.t_ns).max() < _SAFE_NS else int(recording.t_ns[0]) - recording.bin_ns
    seconds = (recording.t_ns - origin) / NS_PER_S
    module = nwb.create_processing_module(name=_MODULE, description="binned recording, as volition reads it back")
    counts = pynwb.TimeSeries(
        name="counts",
        data=pynwb.H5DataIO(recording.counts, compression="gzip"),
        unit="spikes",
        timestamps=seconds,
        description=f"spike counts in bins of {recording.bin_ns / 1e6:g} ms, [bins, channels]; time is the end of the bin",
    )
    module.add(counts)
    _add_tables(module, recording, origin, pynwb)
    _add_behaviour(nwb, recording, counts, pynwb)
    _add_trials(nwb, recording, seconds)
    if recording.spike_t_ns is not None:
        for unit, times in enumerate(recording.spike_t_ns):
            nwb.add_unit(id=unit, spike_times=(np.asarray(times) - origin) / NS_PER_S)
    return nwb


def _start(info: Any) -> datetime:
    """Start of the session; NWB insists on one, so the epoch stands where it is not known."""
    for form in ("%Y%m%d", "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z"):
        try:
            when = datetime.strptime(info.get("date", ""), form)
        except ValueError:
            continue
        return when if when.tzinfo else when.replace(tzinfo=UTC)
    return datetime(1970, 1, 1, tzinfo=UTC)


def _add_tables(module: Any, recording: Recording, origin: int, pynwb: Any) -> None:
    table, column = pynwb.core.DynamicTable, pynwb.core.VectorData
    columns = [
        column(name="t_ns", description="end of the bin, ns", data=recording.t_ns),
        column(name="segment", description="number of the unbroken stretch", data=recording.segment),
    ]
    if recording.trial is not None:
        columns.append(column(name="trial", description="number of the trial, -1 outside", data=recording.trial))
    module.add(table(name="bins", description="what is known of each bin", columns=columns))
    about = {
        "name": recording.name,
        "sha256": recording.sha256,
        "bin_ns": recording.bin_ns,
        "origin_ns": origin,
        "units": dict(recording.units),
        "kinematics": list(recording.kinematics),
        "info": dict(recording.info),
        "target": None if recording.target is None else np.asarray(recording.target).dtype.str,
        "spike_times": recording.spike_t_ns is not None,
    }
    keys = column(name="key", description="name of the entry", data=list(about))
    values = column(name="value", description="the entry, JSON", data=[json.dumps(value) for value in about.values()])
    module.add(table(name="about", description="what is known of the recording", columns=[keys, values]))


def _add_behaviour(nwb: Any, recording: Recording, counts: Any, pynwb: Any) -> None:
    """Movement, as a reader who knows nothing of this package looks for it."""
    if not recording.kinematics:
        return
    behaviour = nwb.create_processing_module(name="behavior", description="movement, one sample a bin")
    series = pynwb.behavior.BehavioralTimeSeries(name="BehavioralTimeSeries")
    for name, value in recording.kinematics.items():
        if not name or "/" in name or ":" in name:
            raise InputError(f"{recording.name}: NWB allows no series called {name!r}")
        series.create_timeseries(
            name=name,
            data=pynwb.H5DataIO(value, compression="gzip"),
            unit=recording.units.get(name) or "unknown",
            timestamps=counts,
            description=f"{name}, [bins, {value.shape[1]}]",
        )
    behaviour.add(series)


def _add_trials(nwb: Any, recording: Recording, seconds: NDArray[np.float64]) -> None:
    """One row a trial: its first bin's start, its last bin's end, its target."""
    target = recording.target
    last = -1 if recording.trial is None else int(recording.trial.max())
    rows = max(last + 1, 0 if target is None else len(target))
    if rows == 0:
        return
    start, stop = np.full(rows, np.nan), np.full(rows, np.nan)
    if recording.trial is not None:
        inside = recording.trial >= 0
        first_bin, last_bin = np.full(rows, np.iinfo(np.int64).max), np.full(rows, -1)
        np.minimum.at(first_bin, recording.trial[inside], np.flatnonzero(inside))
        np.maximum.at(last_bin, recording.trial[inside], np.flatnonzero(inside))
        seen = last_bin >= 0
        start[seen] = seconds[first_bin[seen]] - recording.bin_ns / NS_PER_S
        stop[seen] = seconds[last_bin[seen]]
    for row in range(rows):
        nwb.add_trial(start_time=start[row], stop_time=stop[row])
    if target is not None:
        if len(target) < rows:
            raise InputError(f"{recording.name}: {len(target)} targets for {rows} trials")
        numeric = target.dtype.kind in "buif"
        data = target if numeric else [str(value) for value in target]
        nwb.add_trial_column(name="target", description="condition of the trial", data=data)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The NWBFile in `path`; whatever a damaged file raises becomes one line."""
    pynwb = _pynwb()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # versions of the schema, deprecated objects: nothing a reader can change
            with pynwb.NWBHDF5IO(str(path), mode="r") as io:
                yield io.read()
    except InputError as error:
        raise InputError(f"{path}: {str(error).removeprefix(f'{path.stem}: ')}") from error
    except Exception as error:
        reason = str(error).split("\n", 1)[0][:120] or type(error).__name__
        raise InputError(f"{path}: not a readable NWB file, truncated or foreign ({reason})") from error


def read_nwb(path: Path, bin_ns: int | None = None) -> Recording:
    """Read an NWB file, ours or another's.

    Another's is binned (see `_nwb_foreign`); ours keeps its bins, or has whole multiples of them joined.

    Args:
        path: the file.
        bin_ns: width of a bin, ns; None: 20 ms where the file has none.

    Raises:
        InputError: the file is truncated, foreign, has no units, or a bin width was asked for that its bins do not fit.
        MissingExtraError: pynwb is not installed.
    """
    from volition.io._nwb_foreign import binned
    from volition.io._rebin import rebin

    digest = _files.sha256(path)
    with _opened(path) as nwb:
        module = nwb.processing.get(_MODULE)
        if module is None or not {"counts", "bins", "about"} <= {*module.data_interfaces}:
            return binned(nwb, bin_ns or 20_000_000, path.name.removesuffix(".nwb"), digest)
        recording = _ours(nwb, module)
        return recording if bin_ns is None else rebin(recording, bin_ns)


def _ours(nwb: Any, module: Any) -> Recording:
    """A recording that `write_nwb` wrote."""
    table = module["about"]
    about = {key: json.loads(value) for key, value in zip(table["key"][:], table["value"][:], strict=True)}
    bins = module["bins"]
    target = None
    if about["target"] is not None:
        target = np.asarray(nwb.trials["target"][:]).astype(about["target"])
    times = None
    if about["spike_times"]:
        spikes = [nwb.units["spike_times"][unit] for unit in range(len(nwb.units))]
        times = tuple(np.rint(np.asarray(t) * NS_PER_S).astype(np.int64) + about["origin_ns"] for t in spikes)
    series = nwb.processing["behavior"]["BehavioralTimeSeries"].time_series if about["kinematics"] else {}
    return Recording(
        counts=module["counts"].data[:],
        bin_ns=about["bin_ns"],
        kinematics={name: series[name].data[:] for name in about["kinematics"]},
        units=about["units"],
        segment=bins["segment"][:],
        trial=bins["trial"][:] if "trial" in bins.colnames else None,
        target=target,
        t_ns=bins["t_ns"][:],
        spike_t_ns=times,
        name=about["name"],
        sha256=about["sha256"],
        info=about["info"],
    )
