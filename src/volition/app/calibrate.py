"""Calibrate a simulated person's neurons to a recording, and set the two side by side.

Half of the recording, in alternating blocks, is fitted; populations are drawn from what was found, driven by the movement of
the other half, and compared with its spikes. The preset that is saved is fitted to all of it: distributions, no units.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from volition.app._output import emit, machine, this_command, writable_parent, write_whole
from volition.errors import ConfigError

if TYPE_CHECKING:
    from volition.signal import Recording

BLOCKS = 40  # of about 20 s in recordings of a quarter of an hour: longer ones make halves that differ among themselves
_COLUMNS = ("what", "recorded", "simulated", "fitted part", "limit", "holds")


@dataclass(frozen=True)
class Calibrate:
    """Options of `volition calibrate`.

    Attributes:
        file: the recording: .mat, .npz, .csv or .nwb.
        against: another recording to compare with, as of another day; by default the half that was not fitted.
        output: the preset; by default NAME.json. Use it with --set brain.preset=NAME.json.
        report: also write an HTML page here.
        populations: how many are drawn to be compared; 0 only fits.
        layout: name of a layout, or a layout file of your own; by default the one that fits the variables.
        bin_ms: width of a bin, ms; by default the recording's own, and 20 for spike times.
        json: also save the rows as JSON here.
        seed: of everything that is drawn.
        exponent: of the speed in the tuning, above 0 and at most 1 (linear); chosen by default.
    """

    file: Annotated[Path, tyro.conf.Positional]
    against: Path | None = None
    output: Path | None = None
    report: Path | None = None
    populations: int = 10
    layout: str | None = None
    bin_ms: float | None = None
    json: Path | None = None
    seed: int = 0
    exponent: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not 0 <= self.populations <= 1000:
            raise ConfigError(f"--populations must be 0..1000, got {self.populations}")
        if self.output is not None and self.output.suffix != ".json":
            raise ConfigError(f"--output {self.output}: a preset's name ends in .json")
        if self.exponent is not None and not 0 < self.exponent <= 1:
            raise ConfigError(f"--exponent must lie above 0 and not above 1, got {self.exponent}")
        if self.seed < 0:
            raise ConfigError(f"--seed must not be negative, got {self.seed}")
        if self.populations == 0 and (self.report or self.json or self.against):
            raise ConfigError("--populations 0 compares nothing; leave out --report, --json and --against")


def main(options: Calibrate) -> int:
    """Read, fit, compare, write, print.

    Raises:
        VolitionError: a recording is unusable, a place cannot be written.
    """
    from volition.io.read import read
    from volition.train.person_compare import calibrated

    recording = read(options.file, options.layout, options.bin_ms)
    other = None if options.against is None else read(options.against, options.layout, options.bin_ms)
    output = options.output or Path(f"{recording.name}.json")
    for place, what in ((output, "--output"), (options.report, "--report"), (options.json, "--json")):
        if place is not None:
            writable_parent(place, what)
    preset = calibrated(recording, exponent=options.exponent)
    if options.populations:
        _compared(options, recording, other)
    write_whole(output, preset.as_json())
    print(f"{output}: a preset from {preset.about}; use it with --set brain.preset={shlex.quote(str(output))}")
    return 0


def _compared(options: Calibrate, recording: Recording, other: Recording | None) -> None:
    """Table and report of the comparison."""
    from volition.train.person import halves
    from volition.train.person_compare import calibrated, compare
    from volition.view.person import page_of

    learn, rest = (recording, other) if other is not None else halves(recording, BLOCKS)
    found = compare(
        rest,
        calibrated(learn, exponent=options.exponent),
        learn,
        populations=options.populations,
        seed=options.seed,
        other_day=other is not None,
    )
    command = this_command()
    title = f"{recording.name}: recorded and simulated"
    if options.report is not None:
        write_whole(options.report, page_of(title, found, _facts(options, learn, rest, command)))
        print(f"report: {options.report}")
    emit(found.rows(), _COLUMNS, options.json, command, title)


def _facts(options: Calibrate, learn: Recording, rest: Recording, command: str) -> Mapping[str, Any]:
    """What a reader must know to judge the figures."""
    where = machine()
    apart = "another recording" if options.against else f"every other of {BLOCKS} blocks of the recording"
    return {
        "fitted": f"{learn.name}, SHA-256 {learn.sha256[:16] or 'unknown'}…: {learn.channels} units, {learn.bins} bins",
        "compared with": f"{rest.name}: {rest.channels} units, {rest.bins} bins of {rest.bin_ns / 1e6:g} ms, {apart}",
        "tuning": "log-linear in velocity, speed and position; what it leaves counts as noise",
        "R²": "wiener, three stretches, each decoded by a fit on the others; as many random subsets as populations",
        "machine": f"{where['cpu']}, {where['date']}",
        "command": command,
    }
