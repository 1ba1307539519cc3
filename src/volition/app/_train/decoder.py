"""A decoder, on the first part of a recording; scored on the rest and saved as a model.

The folder can be given to `volition run --model` and `volition play`; a network is in it as ONNX. To train networks it needs
the extra [train]. The training of a network is saved beside the folder every 20 s, as FOLDER.training.npz: after an
interruption the same command goes on from there, and the result is the same.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from volition.app import _model
from volition.app._config import override
from volition.app._output import emit, this_command, writable_parent
from volition.app._toml import typed
from volition.errors import ConfigError
from volition.stage import Trainable, find

_EVERY_S = 1.0  # between two lines of progress where there is no terminal


def check_run(seed: int, threads: int) -> None:
    """Refuse what no trainer takes.

    Raises:
        ConfigError: a negative seed, or no thread.
    """
    if seed < 0:
        raise ConfigError(f"--seed must not be negative, got {seed}")
    if threads < 1:
        raise ConfigError(f"--threads must be positive, got {threads}")


@dataclass(frozen=True)
class Decoder:
    """Options of `volition train decoder`.

    Attributes:
        file: the recording: .mat, .npz, .csv or .nwb.
        decoder: name of a component, "module:Class" or a file ending in .py.
        seed: of all random numbers.
        output: folder for the model; by default models/DECODER-NAME.
        target: what to decode: velocity, position, force, ... as the recording has it.
        share: of the recording (of its trials, where it has any) to learn from; the rest scores.
        set: one field of the decoder's configuration, as in `--set units=128`; may be given again.
        layout: name of a layout, or a layout file of your own.
        bin_ms: width of a bin, ms; by default the recording's own, and 20 for spike times.
        threads: cores to train on. More than one gains little, because batches are small, and changes the last digits.
        json: also save the row as JSON here.
    """

    file: Annotated[Path, tyro.conf.Positional]
    decoder: str = "gru"
    seed: int = 0
    output: Path | None = None
    target: str = "velocity"
    share: float = 0.8
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    layout: str | None = None
    bin_ms: float | None = None
    threads: int = 1
    json: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        check_run(self.seed, self.threads)
        if not 0 < self.share < 1:
            raise ConfigError(f"--share must lie between 0 and 1, got {self.share}")


class Line:
    """Progress on one line of a terminal that is drawn over, or now and then a line where there is none."""

    def __init__(self) -> None:
        self._live, self._said, self._began = sys.stderr.isatty(), 0.0, time.monotonic()

    def __call__(self, share: float, what: str) -> None:
        """Say how far it is: `share` 0..1."""
        now = time.monotonic()
        if share < 1 and now - self._said < (0.1 if self._live else _EVERY_S):
            return
        self._said = now
        spent = now - self._began
        left = f", about {spent * (1 - share) / share:.0f} s more at most" if 0.02 < share < 1 else ""
        text = f"training {share:4.0%}  {what}{left}"
        sys.stderr.write(f"\r\x1b[K{text}" if self._live else f"{text}\n")
        sys.stderr.flush()

    def close(self) -> None:
        """Clear it away."""
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def made(name: str, assignments: tuple[str, ...]) -> Any:
    """The decoder with these fields of its configuration.

    Raises:
        UnknownNameError: no such decoder.
        ConfigError: it learns nothing, has no such field, or a value does not fit.
    """
    from volition.loop.build import configure

    cls = find("decoder", name)
    document: dict[str, Any] = {}
    for assignment in assignments:
        override(document, assignment)
    known = getattr(cls.Config, "__dataclass_fields__", {})
    where = f"decoder {name}"
    values = {key: typed(cls.Config, key, value, where) if key in known else value for key, value in document.items()}
    decoder = cls(configure(cls.Config, values, where))
    if not isinstance(decoder, Trainable):
        raise ConfigError(f"decoder {name} learns nothing; try gru, transformer, kalman or wiener")
    return decoder


def main(options: Decoder) -> int:
    """Read, train, score, save, print. Before training is done nothing is written but how far it is.

    Raises:
        VolitionError: the recording is unusable, a name is unknown, a place cannot be written.
    """
    from volition.io.read import read
    from volition.train.decoder import train

    decoder = made(options.decoder, options.set)
    recording = read(options.file, options.layout, options.bin_ms)
    folder = options.output or Path("models") / f"{Path(options.decoder).stem.replace(':', '-')}-{recording.name}"
    writable_parent(folder / _model.SPEC, "--output")
    if options.json is not None:
        writable_parent(options.json, "--json")
    line, kept = Line(), folder.with_name(f"{folder.name}.training.npz")
    try:
        found = train(recording, decoder, options.target, options.share, options.seed, line, options.threads, kept)
    finally:
        line.close()
    said = found.said(options.decoder)
    trained = {**said, "data_sha256": recording.sha256, "seed": options.seed, "command": this_command()}
    width, bin_ns = recording.channels, recording.bin_ns
    _model.save(folder, options.decoder, decoder, width, found.target.axes, bin_ns, trained)
    if hasattr(decoder, "checkpoint"):
        kept.unlink(missing_ok=True)
    shown = ("decoder", "data", "target", "r2", "r2_axes", "fit_s", "train_bins", "test_bins", "epochs", "validation")
    emit([said], [c for c in shown if c in said], options.json, this_command(), f"trained on {recording.name}")
    print(f"model: {folder}")
    return 0
