"""Reading a recording, whatever the format: `read(path)`; and a decoder that a file carries: `read_decoder(path, name)`."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.errors import InputError, UnknownNameError
from volition.io import _build, _files
from volition.io._layout import Value, choose
from volition.io._rebin import rebin
from volition.signal import NS_PER_MS, Recording

_CONTENT = {
    ".mat": ("a MATLAB file", "an HDF5 file"),
    ".npz": ("a zip archive",),
    ".nwb": ("an HDF5 file",),
    ".csv": ("text",),
    ".csv.gz": ("a gzip file",),
}
_TO_SI = {"m/s": 1.0, "cm/s": 1e-2, "mm/s": 1e-3}


def read(path: str | Path, layout: str | Path | None = None, bin_ms: float | None = None) -> Recording:
    """Read a recording.

    Args:
        path: .mat (up to v7), .npz, .csv, .csv.gz or .nwb.
        layout: name of a shipped layout or path of a layout file; None takes the shipped one that fits the variables.
            NWB files describe themselves and take none.
        bin_ms: width of a bin, ms. Files with spike times are binned at it (None: 20 ms); files with counts keep their
            own bins (None) or have whole multiples of them joined.

    Raises:
        InputError: the file is missing, empty, truncated or foreign; no layout fits; what it holds is unusable.
        ConfigError: the layout file is faulty.
        MissingExtraError: the file is NWB and pynwb is not installed.
    """
    path = Path(path)
    kind = _kind(path)
    if bin_ms is not None and not 0 < bin_ms < math.inf:
        raise InputError(f"{path}: bins must be wider than 0 ms, got {bin_ms:g}")
    bin_ns = None if bin_ms is None else round(bin_ms * NS_PER_MS)
    if kind == ".nwb":
        if layout is not None:
            raise InputError(f"{path}: NWB files describe themselves; leave the layout out")
        from volition.io.nwb import read_nwb

        return read_nwb(path, bin_ns)
    variables = _reader(kind)(path)
    chosen = choose(path, variables, layout)
    name = path.name.removesuffix(kind)
    with _naming(path, name):
        recording = _build.recording(variables, chosen, name, _files.sha256(path))
        return recording if bin_ns is None else rebin(recording, bin_ns)


def read_decoder(path: str | Path, name: str, layout: str | Path | None = None) -> dict[str, NDArray[np.float64]]:
    """Read the linear decoder `name` that a recording's file carries, for `volition.decoder.linear.Linear.restore`.

    Args:
        path: .mat, .npz or .csv file.
        name: name of a `[decoders.<name>]` section of the layout.
        layout: as in `read`.

    Returns:
        "M1" `[k, k]`, "M2" `[k, features]`, "m0" `[k]`, "mean" `[features]` where the file has it, all in the file's
        units, and "scale" `[1]`, the factor to m/s, where the layout gives a unit.

    Raises:
        InputError: the file is unusable or the arrays do not fit each other.
        UnknownNameError: the layout has no such decoder.
    """
    path = Path(path)
    kind = _kind(path)
    if kind == ".nwb":
        raise InputError(f"{path}: NWB files carry no decoder; give the file that it was made from")
    variables = _reader(kind)(path)
    sections = choose(path, variables, layout).decoders
    if name not in sections:
        raise UnknownNameError("decoder of this file", name, sections)
    arrays = {}
    with _naming(path, path.stem):
        for key in ("M1", "M2", "m0", "mean"):
            if sections[name].get(key):
                arrays[key] = _parameter(variables, sections[name][key], flat=key in ("m0", "mean"))
        k, features = arrays["M2"].shape
        want = {"M1": (k, k), "M2": (k, features), "m0": (k,), "mean": (features,)}
        for key, value in arrays.items():
            if value.shape != want[key]:
                raise InputError(f"decoder {name}: {key} has shape {value.shape}, M2 {arrays['M2'].shape}")
        unit = sections[name].get("unit")
        if unit:
            if unit not in _TO_SI:
                raise InputError(f"decoder {name}: unit {unit!r}; known: {', '.join(_TO_SI)}")
            arrays["scale"] = np.array([_TO_SI[unit]])
    return arrays


def _parameter(variables: dict[str, Value], name: str, *, flat: bool) -> NDArray[np.float64]:
    value = variables.get(name)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "buif" or value.ndim > 2:
        raise InputError(f"there is no numeric variable {name!r}")
    array = np.asarray(value, np.float64)
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds NaN or infinity")
    return array.ravel() if flat else np.atleast_2d(array)


def _kind(path: Path) -> str:
    """Which reader: by suffix, checked against the content; by content where the suffix says nothing."""
    _files.present(path)
    what = _files.content(path)
    lower = path.name.lower()
    for suffix, contents in _CONTENT.items():
        if lower.endswith(suffix):
            if what not in contents and not (what == "text" and suffix == ".mat"):
                raise InputError(f"{path}: is named {suffix} but holds {what}; truncated, empty or foreign")
            return suffix
    by_content = {"a MATLAB file": ".mat", "a zip archive": ".npz", "an HDF5 file": ".nwb"}
    if what not in by_content:
        raise InputError(f"{path}: holds {what}; readable are {', '.join(_CONTENT)}")
    return by_content[what]


def _reader(kind: str) -> Callable[[Path], dict[str, Value]]:
    if kind == ".mat":
        from volition.io.mat import variables
    elif kind == ".npz":
        from volition.io.npz import variables
    else:
        from volition.io.csv import variables
    return variables


class _naming:  # noqa: N801 - reads as a statement
    """Put the file's path in front of what went wrong inside the block."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, InputError):
            raise InputError(f"{self.path}: {str(error).removeprefix(f'{self.name}: ')}") from error
