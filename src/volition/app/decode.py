"""Fit decoders on a recording and compare them: table, plots, saved models.

The first 80 % of the recording (of its trials, where it has any) are learnt from, every bin of the rest is scored. Whatever
is chosen is chosen inside the first part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from volition.app import _model
from volition.app._output import emit, machine, this_command, writable_parent, write_whole
from volition.errors import ConfigError
from volition.signal import NS_PER_MS, NS_PER_S, Float64, Recording
from volition.stage import Saveable, find
from volition.train.evaluate import SHIFTS, Result, evaluate, target_of

_TRAIN = 0.8
_COLUMNS = ("decoder", "target", "r2", "r2_axes", "r", "fit_s", "step_p50_us", "step_p99_us")


@dataclass(frozen=True)
class Decode:
    """Options of `volition decode`.

    Attributes:
        file: the recording: .mat, .npz, .csv or .nwb.
        decoders: names of components, "module:Class" or files ending in .py.
        target: what to decode: velocity, position, force, ... as the recording has it.
        layout: name of a layout, or a layout file of your own; by default the one that fits the variables.
        bin_ms: width of a bin, ms; by default the recording's own, and 20 for spike times.
        control: also score against kinematics shifted circularly by 20 offsets, by the same procedure.
        output: folder for report and models; by default runs/decode-NAME.
        json: also save the rows as JSON here.
        seed: of decoders that draw random numbers.
    """

    file: Annotated[Path, tyro.conf.Positional]
    decoders: tuple[str, ...] = ("wiener", "kalman")
    target: str = "velocity"
    layout: str | None = None
    bin_ms: float | None = None
    control: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    output: Path | None = None
    json: Path | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not self.decoders:
            raise ConfigError("--decoders: name at least one, as in --decoders wiener kalman")
        if len(set(self.decoders)) < len(self.decoders):
            raise ConfigError(f"--decoders: one is named twice: {' '.join(self.decoders)}")
        if self.seed < 0:
            raise ConfigError(f"--seed must not be negative, got {self.seed}")


def main(options: Decode) -> int:
    """Read, fit, score, write, print.

    Raises:
        VolitionError: the recording is unusable, a name is unknown, a place cannot be written.
    """
    from volition.io.read import read
    from volition.view.decoding import page_of

    recording = read(options.file, options.layout, options.bin_ms)
    target_of(recording, options.target)  # names first, then places, then the work
    for name in options.decoders:
        find("decoder", name)
    folder = options.output or Path("runs") / f"decode-{recording.name}"
    report = folder / "report.html"
    writable_parent(report, "--output")
    if options.json is not None:
        writable_parent(options.json, "--json")
    results = evaluate(
        recording,
        options.decoders,
        options.target,
        shifts=SHIFTS if options.control else 0,
        share=_TRAIN,
        seed=options.seed,
    )
    rows = [row(r) for r in results]
    command = this_command()
    models = [folder / m for r in results if (m := _save(folder, r, recording, options.seed, command))]
    title = f"{recording.name}: {options.target}"
    columns = (*_COLUMNS, *(("control_median", "control_max") if options.control else ()))
    seen = [{c: r[c] for c in columns} for r in rows]
    write_whole(report, page_of(title, _facts(recording, results, command), seen, results, recording.bin_ns / NS_PER_S))
    emit(rows, columns, options.json, command, title)
    print(f"report: {report}" + (f"; models: {', '.join(map(str, models))}" if models else ""))
    return 0


def row(result: Result) -> dict[str, Any]:
    """One line of the table, with everything that JSON keeps of it."""
    r = result
    found = {
        "decoder": r.decoder,
        "target": r.target.name,
        "unit": r.target.unit,
        "axes": list(r.target.axes),
        "r2": round(r.r2, 4),
        "r2_axes": _rounded(r.r2_axes),
        "r": _rounded(r.r_axes),
        "fit_s": round(r.fit_s, 2),
        "step_p50_us": round(r.latency["p50_us"], 1),
        "step_p99_us": round(r.latency["p99_us"], 1),
        "bins": len(r.recorded),
        "chosen": dict(r.chosen),
    }
    if len(r.control):
        control = {"control_median": float(np.median(r.control)), "control_max": float(r.control.max())}
        found |= {**{k: round(v, 4) for k, v in control.items()}, "control": _rounded(r.control)}
    return found


def _rounded(values: Float64) -> list[float]:
    return [round(float(v), 4) for v in values]


def _save(folder: Path, result: Result, recording: Recording, seed: int, command: str) -> str:
    """Keep a decoder that has learnt something; the name of its folder, or ""."""
    model = result.model
    if not (isinstance(model, Saveable) and model.arrays()):
        return ""
    name = Path(result.decoder).stem.replace(":", "-")
    trained = {
        "data": recording.name,
        "data_sha256": recording.sha256,
        "share": _TRAIN,
        "train_bins": recording.bins - len(result.recorded),
        "target": result.target.name,
        "unit": result.target.unit,
        "r2": result.r2,
        "seed": seed,
        "command": command,
    }
    _model.save(folder / name, result.decoder, model, recording.channels, result.target.axes, recording.bin_ns, trained)
    return name


def _facts(recording: Recording, results: Sequence[Result], command: str) -> dict[str, Any]:
    """What a reader must know to judge the figures."""
    tested = len(results[0].recorded)
    where = machine()
    chosen = {f"{r.decoder} chose": ", ".join(f"{k} {v:g}" for k, v in r.chosen.items()) for r in results if r.chosen}
    return {
        "data": f"{recording.name}, SHA-256 {recording.sha256[:16] or 'unknown'}…",
        "size": f"{recording.channels} units, {recording.bins} bins of {recording.bin_ns / NS_PER_MS:g} ms",
        "borders": int((np.diff(recording.segment) != 0).sum()),
        "split": f"chronological: {recording.bins - tested} bins to learn from, {tested} scored",
        "history": "missing before a border, in bins that are scored all the same",
        **chosen,
        "machine": f"{where['cpu']}, {where['date']}",
        "command": command,
    }
