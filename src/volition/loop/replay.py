"""A recorded run once more: *replay* re-executes every stage and compares bytes, *play* only shows what was recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from volition import __version__
from volition.errors import LogError
from volition.loop.build import configure
from volition.loop.config import LoopConfig
from volition.loop.log import LogReader
from volition.loop.loop import Loop
from volition.loop.record import DECODER, RUN, SIGNALS, TapeEndError, Verifier, rebuild
from volition.signal import Stim, View
from volition.stage import KINDS, Port, Setup, Spec, find

_SAY: Mapping[type, str] = {dict: "a table", int: "an integer", str: "text"}


@dataclass(frozen=True)
class Verdict:
    """What a replay found.

    Attributes:
        compared: stream -> records compared.
        differing: stream -> records that differ.
        first: where the first difference lies ("" if none).
        seconds: simulated time replayed.
        truncated: the log was torn; what is whole was replayed.
        version: version of volition that recorded it.
        live: the brain was live: what it gave was taken from the record.
    """

    compared: Mapping[str, int]
    differing: Mapping[str, int]
    first: str
    seconds: float
    truncated: bool
    version: str
    live: bool = False

    @property
    def equal(self) -> bool:
        """Whether every byte agreed."""
        return not self.differing and sum(self.compared.values()) > 0

    def __str__(self) -> str:
        n = sum(self.compared.values())
        if not n:
            return "nothing was recorded: the run ended before its first block was written"
        torn = " (the log is torn: its writer was killed)" if self.truncated else ""
        torn += " (the brain was live: what it gave was taken, not computed)" if self.live else ""
        if self.equal:
            return f"{self.seconds:.2f} s replayed, {n} records, every byte equal{torn}"
        rows = ", ".join(f"{name} {self.differing[name]} of {self.compared[name]}" for name in self.differing)
        other = f"; recorded by volition {self.version}, this is {__version__}" if self.version != __version__ else ""
        return f"{self.seconds:.2f} s replayed, {n} records; first difference: {self.first}; differing: {rows}{torn}{other}"


def read_run(folder: Path) -> dict[str, Any]:
    """What a run's folder says of itself.

    Raises:
        LogError: the folder holds no run.
    """
    try:
        content: dict[str, Any] = json.loads((folder / RUN).read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("not a table")
        for key, kind in (("stages", dict), ("config", dict), ("seed", int), ("version", str)):
            if not isinstance(content.get(key), kind):
                raise ValueError(f"no {key}, or not {_SAY[kind]}")
        for stage in KINDS:
            row = content["stages"].get(stage)
            if not (isinstance(row, dict) and isinstance(row.get("class"), str) and isinstance(row.get("config"), dict)):
                raise ValueError(f"stage {stage} is missing or not whole")
    except OSError as error:
        raise LogError(f"{folder} holds no run ({RUN}: {error.strerror})") from error
    except ValueError as error:
        raise LogError(f"{folder / RUN} is damaged: {error}") from error
    return content


class _Given:
    """Stands where a live brain stood, as wide as that was; the tape gives what was recorded of it."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        gives = spec["gives"]
        self.spec = Spec(
            gives=Port(gives["size"], gives["unit"]), period_ns=spec["period_ns"], view_delay_ns=spec["view_delay_ns"]
        )

    def prepare(self, setup: Setup) -> None:
        """Nothing to make."""

    def step(self, view: View, stim: Stim) -> None:
        """Nothing of its own."""

    def intended(self) -> None:
        """Nothing of its own."""


def rebuild_stages(run: Mapping[str, Any], recording: Any = None) -> dict[str, Any]:
    """The stages of a run, made again from their configurations (`recording` for a brain that replays one)."""
    stages: dict[str, Any] = {}
    for kind in KINDS:
        row = run["stages"][kind]
        if "live" in row:
            stages[kind] = _Given(row["live"])
            continue
        cls = find(kind, row["class"])
        config = configure(cls.Config, row["config"], f"{kind} of the run")
        stages[kind] = cls(config, recording=recording) if kind == "brain" and recording is not None else cls(config)
    return stages


def replay(
    folder: str | Path, load: Callable[[str], Any] | None = None, watch: Callable[[Loop], None] | None = None
) -> Verdict:
    """Re-execute every stage of a recorded run on the inputs it had, and compare every output to the byte.

    Args:
        folder: the run.
        load: reads the recording a brain replays (`volition.io.read.read`).
        watch: called once a bin.

    Raises:
        LogError: the folder holds no run, or the run took another course altogether.
    """
    folder = Path(folder)
    run = read_run(folder)
    brain = run["stages"]["brain"]
    file, live = brain["config"].get("file", ""), "live" in brain
    recording = load(file) if file and load is not None else None
    stages = rebuild_stages(run, recording)
    tape = Verifier(folder, ("late", "spikes", "intended") if live else ("late",), stages["effector"])
    if (folder / DECODER).exists():
        with np.load(folder / DECODER, allow_pickle=False) as arrays:
            stages["decoder"].restore(dict(arrays))
    try:
        loop = Loop(**stages, config=configure(LoopConfig, run["config"], "config of the run"), seed=run["seed"], _tape=tape)
        while tape.peek():
            if tape.peek() == "act":
                how = tape.next_act()
                loop.act(how.pop("act"), **how)
            else:
                loop.step()
                if watch is not None:
                    watch(loop)
    except TapeEndError:
        pass  # torn in the middle of a tick: all whole records were compared
    return Verdict(tape.compared, tape.differing, tape.first, tape.t_ns / 1e9, tape.truncated, run["version"], live)


def play(folder: str | Path) -> Iterator[tuple[str, Any]]:
    """The recorded signals in order, executing nothing: (stream, signal)."""
    for name, payload, names in LogReader(Path(folder) / SIGNALS).records():
        yield name, rebuild(name, names, payload)
