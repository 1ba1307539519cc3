"""Convert a recording (.mat, .npz, .csv, .nwb) to NWB.

The result holds the counts, bins, unbroken stretches, trials and movement of the original, and reads back exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from volition.errors import InputError


@dataclass(frozen=True)
class Convert:
    """Options of `volition convert`.

    Attributes:
        input: the recording.
        output: the NWB file to write, or a folder for it; by default beside the input.
        layout: name of a layout, or a layout file of your own; by default the one that fits the variables.
        bin_ms: width of a bin, ms; by default the recording's own, and 20 for spike times.
        force: replace an older file.
    """

    input: Annotated[Path, tyro.conf.Positional]
    output: Annotated[Path | None, tyro.conf.Positional] = None
    layout: str | None = None
    bin_ms: float | None = None
    force: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


def main(options: Convert) -> int:
    """Write the NWB file and say in one line what is in it.

    Raises:
        InputError: the input is unusable, the output exists (without `force`) or cannot be written.
        MissingExtraError: pynwb is not installed.
    """
    from volition.io.nwb import write_nwb
    from volition.io.read import read

    output = _output(options)
    if output.exists() and output.resolve() == options.input.resolve():
        raise InputError(f"{output}: input and output are the same file; name another output")
    if output.exists() and not options.force:
        raise InputError(f"{output}: exists already; name another output or give --force")
    recording = read(options.input, options.layout, options.bin_ms)
    write_nwb(recording, output)
    stretches = int(recording.segment[-1] - recording.segment[0]) + 1
    trials = "" if recording.trial is None else f", {int(recording.trial.max()) + 1} trials"
    print(
        f"{output}: {recording.channels} units, {recording.bins} bins of {recording.bin_ns / 1e6:g} ms, "
        f"{stretches} unbroken {'stretch' if stretches == 1 else 'stretches'}{trials}, {', '.join(recording.kinematics)}"
    )
    return 0


def _output(options: Convert) -> Path:
    """Where to write to."""
    name = options.input.name
    stem = name[: -len(".csv.gz")] if name.lower().endswith(".csv.gz") else Path(name).stem
    if options.output is None:
        return options.input.with_name(f"{stem}.nwb")
    return options.output / f"{stem}.nwb" if options.output.is_dir() else options.output
