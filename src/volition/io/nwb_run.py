"""A recorded run as NWB (extra [nwb]): spikes and features, what was meant, decoded and done, trials, stimulation.

The file reads back as a recording (`volition decode`, `io.read`): counts, position and velocity of the body, trials with
their goals. Beside that, in the processing module `loop`, one sample a bin:

    intended, decoded, commanded    what was truly meant (simulated: known), decoded, and given to the body
    features, missing               what the decoder saw, and what of it was missing
    joint_position, goal, touch     rad, m, N
    acts                            what was done to the loop: assist, fit, kill ... (JSON)

Delivered stimulation stands under `stimulus`, phases of the run under `epochs`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.errors import InputError
from volition.io import _files
from volition.io.nwb import _assemble, _pynwb
from volition.loop.played import Bin, PlayedRun
from volition.signal import NS_PER_S, Recording

_STIM = (("amplitude_ua", "uA"), ("frequency_hz", "Hz"), ("pulse_width_us", "us"))


class _Columns:
    """The signals of a run, stacked: one row a bin; where nothing came a row of NaN."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Any]] = {}

    def add(self, at: Bin) -> None:
        """Take a bin."""
        body, touch, goal, features = at.get("body"), at.get("touch"), at.get("goal"), at.get("features")
        spikes, intent, delivered = at.get("spikes"), at.get("intent"), at.get("delivered")
        row = {
            "t_ns": at.t_ns,
            "counts": getattr(spikes, "counts", None),
            "segment": getattr(spikes, "segment", None),
            "intended": at.get("intended"),
            "decoded": at.get("decoded"),
            "commanded": intent.values,
            "features": None if features is None else features.x,
            "missing": None if features is None else features.mask,
            "position": None if body is None else body.position,
            "velocity": None if body is None else body.velocity,
            "joint_position": None if body is None else body.joint_position,
            "goal": None if goal is None else goal.position,
            "trial": None if goal is None else goal.trial,
            "touch": None if touch is None else touch.pressure,
            **{name: getattr(delivered, name) for name, _ in _STIM},
        }
        for name, value in row.items():
            self._rows.setdefault(name, []).append(value)

    def held(self, name: str) -> NDArray[Any]:
        """A column in which what did not come is what was before (or came first)."""
        rows = self._rows[name]
        last = next((value for value in rows if value is not None), None)
        if last is None:
            raise InputError(f"the run has no {name}")
        found = []
        for value in rows:
            last = last if value is None else value
            found.append(last)
        return np.array(found)

    def column(self, name: str) -> NDArray[Any]:
        """A column of floats in which what did not come is NaN; no columns where it never came."""
        rows = self._rows[name]
        like = next((np.asarray(value, float) for value in rows if value is not None), np.empty(0))
        nothing = np.full(like.shape, np.nan)
        return np.array([nothing if value is None else value for value in rows], float)

    def counts(self) -> NDArray[np.uint16]:
        """Spike counts; zeros where the brain failed (the segment changes there)."""
        rows = self._rows["counts"]
        like = next((value for value in rows if value is not None), None)
        if like is None:
            raise InputError("this run was fed with voltage, not with spikes: there are no counts to write")
        return np.array([np.zeros_like(like) if value is None else value for value in rows], np.uint16)

    def segment(self) -> NDArray[np.int32]:
        """Number of the unbroken stretch: a new one where the source says so, and after a bin without spikes."""
        given = self.held("segment")
        gone = np.array([value is None for value in self._rows["counts"]])
        breaks = (np.diff(given) != 0) | (np.diff(gone.astype(int)) != 0)
        return np.concatenate([[0], np.cumsum(breaks)]).astype(np.int32)


def _recording(run: PlayedRun, columns: _Columns) -> Recording:
    """The part of a run that is a recording."""
    number, goal = columns.held("trial"), columns.held("goal")
    phase = np.array([begin for begin, _ in run.story.phases])
    block = np.searchsorted(phase, columns.held("t_ns") / NS_PER_S + 1e-9, side="right")
    new = np.concatenate([[True], (np.diff(number) != 0) | (np.diff(block) != 0)])
    trial = np.cumsum(new) - 1
    places, target = np.unique(np.round(goal[new], 6), axis=0, return_inverse=True)
    del places
    info = {
        "task": f"{run.labels['task']} with {run.labels['effector']}, {run.labels['brain']} through {run.labels['channel']}",
        "source": "volition, " + ("recorded" if run.labels["brain"] == "replay" else "simulated"),
        "run": json.dumps(run.run["stages"]),
        "seed": str(run.run["seed"]),
    }
    return Recording(
        counts=columns.counts(),
        bin_ns=run.bin_ns,
        kinematics={name: columns.held(name).astype(float) for name in ("position", "velocity")},
        units={"position": "m", "velocity": "m/s"},
        segment=columns.segment(),
        trial=trial.astype(np.int32),
        target=target.reshape(-1).astype(np.int64),
        t_ns=columns.held("t_ns").astype(np.int64),
        name=run.folder.name or "run",
        info=info,
    )


def _series(pynwb: Any, name: str, data: NDArray[Any], unit: str, like: Any, words: str) -> Any:
    packed = pynwb.H5DataIO(data, compression="gzip")
    return pynwb.TimeSeries(name=name, data=packed, unit=unit, timestamps=like, description=words)


def _add_loop(nwb: Any, run: PlayedRun, columns: _Columns, acts: list[tuple[float, str]], pynwb: Any) -> None:
    like, shown = nwb.processing["volition"]["counts"], run.shown
    names = ", ".join(shown["intent"])
    module = nwb.create_processing_module(name="loop", description="what went round the loop, one sample a bin")
    wanted = [
        ("intended", shown["intent_unit"], f"what was meant: {names}"),
        ("decoded", shown["intent_unit"], f"what was decoded; NaN where no answer came: {names}"),
        ("commanded", shown["intent_unit"], f"what the body was given: {names}"),
        ("features", shown["features_unit"] or "counts", "what the decoder saw; undefined where `missing` is set"),
        ("joint_position", "rad", "joints of the body"),
        ("goal", "m", "where the goal was"),
        ("touch", "N", "pressure: " + ", ".join(shown["taxels"])),
    ]
    for name, unit, words in wanted:
        data = columns.column(name)
        if data.ndim == 2 and data.shape[1]:
            module.add(_series(pynwb, name, data.astype(np.float32) if name == "features" else data, unit, like, words))
    missing = np.nan_to_num(columns.column("missing"), nan=1.0).astype(np.uint8)
    module.add(_series(pynwb, "missing", missing, "1 where missing", like, "lost packets, dead channels"))
    if acts:
        times, texts = zip(*acts, strict=True)
        column = pynwb.core.VectorData
        columns_ = [
            column(name="time", description="s of the run", data=list(times)),
            column(name="act", description="what was done, JSON", data=list(texts)),
        ]
        module.add(pynwb.core.DynamicTable(name="acts", description="what was done to the loop", columns=columns_))
    for name, unit in _STIM:
        data = columns.column(name)
        if data.shape[1]:
            words = "of each electrode, as the gate let it pass"
            nwb.add_stimulus(_series(pynwb, f"delivered_{name}", data, unit, like, words))


def _add_outcomes(nwb: Any, run: PlayedRun) -> None:
    """Phase of each trial, and what came of those of the last block (the others' outcomes are not kept)."""
    starts = np.asarray(nwb.trials["start_time"][:]) + 1e-6
    phases = [run.story.phase(t) for t in np.maximum(starts, 0) + run.bin_ns / NS_PER_S]
    kept = [str(t.get("outcome", "")) for t in run.report.get("trials", [])]
    first = int(np.searchsorted(starts, run.story.phases[-1][0] - run.bin_ns / NS_PER_S))
    outcomes = [kept[i - first] if 0 <= i - first < len(kept) else "not kept" for i in range(len(starts))]
    nwb.add_trial_column(name="phase", description="phase of the run", data=phases)
    nwb.add_trial_column(name="outcome", description="as the task judged it", data=outcomes)


def _add_epochs(nwb: Any, run: PlayedRun) -> None:
    starts = [begin for begin, _ in run.story.phases]
    for (begin, name), end in zip(run.story.phases, [*starts[1:], run.seconds], strict=True):
        nwb.add_epoch(start_time=begin, stop_time=end, tags=[name])


def write_nwb_run(run: PlayedRun, path: str | Path, progress: Callable[[float], None] = lambda share: None) -> Path:
    """Write a run; the file appears under its name only when it is complete.

    Args:
        run: the run.
        path: where to, ending in .nwb.
        progress: told the share that is done.

    Raises:
        InputError: the place cannot be written, the name does not end in .nwb, or the run had no spikes.
        MissingExtraError: pynwb is not installed.
    """
    path, pynwb = Path(path), _pynwb()
    if path.suffix != ".nwb":
        raise InputError(f"{path}: the name must end in .nwb")
    run.tell()
    columns, acts = _Columns(), list[tuple[float, str]]()
    for at in run.read():
        columns.add(at)
        acts += [(at.t_ns / NS_PER_S, json.dumps(act, sort_keys=True)) for act in at.acts]
        progress(0.7 * (at.number + 1) / run.bins)
    nwb = _assemble(_recording(run, columns), pynwb)
    _add_loop(nwb, run, columns, acts, pynwb)
    _add_epochs(nwb, run)
    _add_outcomes(nwb, run)
    with _files.replacing(path) as temporary, pynwb.NWBHDF5IO(str(temporary), mode="w") as io:
        io.write(nwb)
    progress(1.0)
    return path
