"""Compare decoders in closed loop: units of work, each a person, a decoder, a task and a seed, from calibration to score.

A unit is plain data (names and numbers), so that it can be worked on in this process, in another one, or on another machine,
and gives the same figures to the digit; `compare` runs many of them (`_compare_run.py`) and `_compare_table.py` sums up.

In a unit the decoder is calibrated in the loop, then used (the closed-loop figures are those that `Loop.calibrate` and
`Loop.run` give for the same seed), and afterwards, frozen, judged as open-loop studies do: in an assisted block that it
never saw, while the computer moves the body, its output is compared with what the person meant.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from volition.errors import ConfigError, InputError
from volition.loop.build import configure
from volition.loop.calibrate import Calibration
from volition.loop.config import LoopConfig
from volition.loop.loop import Loop
from volition.signal import Float64
from volition.stage import KINDS, find
from volition.train import metrics
from volition.train._compare_table import agreement, table

__all__ = ["Choice", "Unit", "agreement", "choice", "compare", "fingerprint", "plan", "table", "work"]

ORACLE = "oracle"  # in the place of a decoder's name: the true intent
_PACKAGE = Path(__file__).parents[1]
_ROOMS = ("brain", "channel", "decoder", "effector", "feedback", "loop", "task", "train")
_DECIDE = {".py", ".json", ".toml", ".npz", ".onnx", ".xml"}  # files that a figure can depend on

Choice = str | tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Unit:
    """One calibrated loop and its run.

    Attributes:
        decoder, person, task: what the table calls them.
        seed: of the run: another seed is another person, another noise, another order of targets.
        stages: kind -> (name, fields of its configuration).
        loop: fields of `LoopConfig`; with its `oracle` no decoder is used.
        calibration: fields of `Calibration`.
        seconds: length of the closed-loop run, s.
        open_s: length of the assisted block in which the decoder is judged in open loop, s; 0 leaves it out.
        code: fingerprint of the code that decides the figures.
    """

    decoder: str
    person: str
    task: str
    seed: int
    stages: Mapping[str, tuple[str, Mapping[str, Any]]]
    loop: Mapping[str, Any]
    calibration: Mapping[str, Any]
    seconds: float
    open_s: float
    code: str = ""

    @property
    def key(self) -> str:
        """Hash of everything that decides the figures: what it is called is no part of it."""
        content = {k: v for k, v in asdict(self).items() if k not in ("decoder", "person", "task")}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Unit:
        """From what `dataclasses.asdict` and JSON made of it."""
        stages = {kind: (name, config) for kind, (name, config) in content["stages"].items()}
        return cls(**{f.name: content[f.name] for f in fields(cls) if f.name != "stages"}, stages=stages)


@cache
def fingerprint() -> str:
    """Hash of the files of this installation that decide a figure, so that figures of different code are never mixed."""
    whole = hashlib.sha256()
    files = [p for room in _ROOMS for p in (_PACKAGE / room).rglob("*") if p.suffix in _DECIDE]
    for path in sorted([*files, *_PACKAGE.glob("*.py")]):
        whole.update(str(path.relative_to(_PACKAGE)).encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()[:16]


@cache
def _own_file(kind: str, name: str) -> str:
    """Hash of the file of a component that is not ours, else ""."""
    import inspect

    path = Path(name) if name.endswith(".py") else Path(inspect.getfile(find(kind, name)))
    return "" if path.is_relative_to(_PACKAGE) else hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _code(stages: Mapping[str, tuple[str, Mapping[str, Any]]]) -> str:
    """What decides figures but stands in no configuration: our code, somebody's own, files that a configuration names."""
    own = [h for kind, (name, _) in stages.items() if (h := _own_file(kind, name))]
    values = [value for _, config in stages.values() for value in config.values() if isinstance(value, str)]
    named = [Path(value) for value in values if Path(value).suffix in _DECIDE]
    own += [hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in named if path.is_file()]
    return "+".join([fingerprint(), *own])


def choice(what: Choice) -> tuple[str, dict[str, Any]]:
    """Name and configuration of a component, from either form.

    >>> choice("kalman"), choice(("reach", {"layout": "webgrid"}))
    (('kalman', {}), ('reach', {'layout': 'webgrid'}))
    """
    return (what, {}) if isinstance(what, str) else (what[0], dict(what[1]))


def plan(
    decoders: Mapping[str, Choice],
    persons: Mapping[str, Choice] | None = None,
    tasks: Mapping[str, Choice] | None = None,
    seeds: Iterable[int] = range(10),
    *,
    seconds: float = 60.0,
    open_s: float = 30.0,
    channel: Choice = "ideal",
    effector: Choice = "cursor",
    feedback: Choice = "silent",
    loop: LoopConfig | None = None,
    calibration: Calibration | None = None,
) -> list[Unit]:
    """Every decoder with every person, task and seed.

    Args:
        decoders: what the table calls it -> a name, or (name, fields of its configuration); "oracle" as a name is the true
            intent in the decoder's place.
        persons: brains, in the same way; by default the person as it is.
        tasks: in the same way; by default reaching as it is.
        seeds: of the runs.
        seconds: length of a closed-loop run, s.
        open_s: length of the block for the open-loop score, s.
        channel: the implant.
        effector: the body.
        feedback: how touch becomes stimulation.
        loop: how it is closed.
        calibration: how decoders that learn are calibrated.

    Raises:
        ConfigError: there is nothing to compare, a time that is none, or a loop on the real clock.
    """
    persons, tasks = persons or {"person": "person"}, tasks or {"reach": "reach"}
    seeds, how = list(seeds), loop or LoopConfig()
    if not (decoders and seeds):
        raise ConfigError("nothing to compare: name decoders and seeds")
    if not (0 < seconds < 1e7 and 0 <= open_s < 1e7):
        raise ConfigError(f"seconds must be positive and open_s not negative, got {seconds} and {open_s}")
    if how.clock != "lockstep":
        raise ConfigError("a comparison runs in lockstep, as fast as it goes: leave loop.clock as it is")
    rest = {"channel": choice(channel), "effector": choice(effector), "feedback": choice(feedback)}
    taught = asdict(calibration or Calibration())
    units = []
    for (task, asked), (person, brain), (label, decoder) in product(tasks.items(), persons.items(), decoders.items()):
        name, config = choice(decoder)
        oracle = name == ORACLE
        used = ("still", {}) if oracle else (name, config)
        made = {**rest, "brain": choice(brain), "decoder": used, "task": choice(asked)}
        stages = {kind: made[kind] for kind in KINDS}
        closed, code = asdict(replace(how, oracle=oracle or how.oracle)), _code(stages)
        units += [
            Unit(label, person, task, int(seed), stages, closed, taught, float(seconds), float(open_s), code)
            for seed in seeds
        ]
    return units


def _tupled(value: Any) -> Any:
    """Lists, which is what JSON makes of tuples, as tuples again."""
    return tuple(_tupled(v) for v in value) if isinstance(value, list | tuple) else value


def built(unit: Unit) -> Loop:
    """The unit's loop.

    Raises:
        VolitionError: something in it is unknown, or the stages do not fit together.
    """
    stages: dict[str, Any] = {
        kind: (name, {key: _tupled(value) for key, value in config.items()}) for kind, (name, config) in unit.stages.items()
    }
    brain, _ = stages["brain"]
    if "recording" in find("brain", brain).__init__.__annotations__:
        raise ConfigError(f"brain {brain} replays what was recorded: a comparison in closed loop needs one that reacts")
    return Loop(**stages, config=configure(LoopConfig, unit.loop, "loop"), seed=unit.seed)


def work(unit: Unit, watch: Callable[[Loop], None] | None = None) -> dict[str, Any]:
    """Calibrate, run, judge.

    Returns:
        "score": the task's figures; "r2": of the open-loop block against what the person meant, "r2_aim" against what an
        ideal user would want towards the goal, both as the person sees them (what a clinic can know); None where there is
        nothing to score; "faults", "stops", "cpu_s" of calibration, run and block.

    Raises:
        VolitionError: the stages do not fit together or the decoder cannot learn.
    """
    began = [time.process_time()]
    with built(unit) as loop:
        if not loop.config.oracle:
            loop.calibrate(
                configure(Calibration, {k: _tupled(v) for k, v in unit.calibration.items()}, "calibration"), watch
            )
        began.append(time.process_time())
        report = loop.run(unit.seconds, watch)
        began.append(time.process_time())
        r2, r2_aim = _open_loop(loop, unit.open_s) if unit.open_s and not loop.config.oracle else (None, None)
        began.append(time.process_time())
    cpu = dict(zip(("calibrate", "run", "open"), np.diff(began).round(3).tolist(), strict=True))
    faults = {stage: sum(kinds.values()) for stage, kinds in report.faults.items()}
    score = {key: float(value) for key, value in report.score.items()}
    return {"score": score, "r2": r2, "r2_aim": r2_aim, "faults": faults, "stops": report.stops, "cpu_s": cpu}


def _open_loop(loop: Loop, seconds: float) -> tuple[float | None, float | None]:
    """Variance-weighted R² of what is decoded while the computer moves the body and the decoder stays as it is."""
    rows: list[tuple[Any, Any, Any]] = []

    def note(loop: Loop) -> None:
        last = loop.last
        rows.append((last.decoded, last.intended, loop.task.aim(last.view.body, last.view.goal)))

    loop.act("adapt", how="off")
    loop.act("assist", share=1.0)
    loop.act("restart")
    loop.arm()
    loop.phase = "open loop"
    loop.advance(seconds, note)
    decoded, meant, aim = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    moving = [i for i, name in enumerate(loop.setup.intent) if name != "select"]
    return _r2(meant[:, moving], decoded[:, moving]), _r2(aim[:, moving], decoded[:, moving])


def _r2(y: Float64, guess: Float64) -> float | None:
    return metrics.r2(y, guess) if y.size and np.ptp(y, axis=0).any() else None


def compare(
    units: Sequence[Unit],
    folder: str | Path,
    *,
    workers: int = 2,
    cluster: str = "",
    watch: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Work on units in parallel, and keep each result in `folder` as soon as it is there; what is there is not done again.

    Args:
        units: as `plan` gives them.
        folder: where the results are kept, one file a unit.
        workers: processes on this machine; on a cluster the most units in work at a time (0: twice its processors).
        cluster: address of a Ray cluster ("auto", "host:port", "ray://host:port"); "" for this machine.
        watch: called several times a second with how many units are finished, and of how many; may raise to stop.

    Returns:
        One mapping a unit, in their order: "decoder", "person", "task", "seed", and what `work` returned or, where it could
        not be done, "error".

    Raises:
        ConfigError: the folder cannot be used, or the cluster cannot be reached.
        MissingExtraError: a cluster is asked for and Ray is not installed.
    """
    from volition.train._compare_run import Store, run

    if workers < 0 or (workers == 0 and not cluster):
        raise ConfigError(f"workers must be positive, got {workers}")
    if not units:
        raise InputError("there is no unit to work on")

    def pool() -> Any:
        if cluster:
            from volition.train._compare_cluster import Cluster

            return Cluster(cluster, workers)
        from volition.train._compare_local import Local

        return Local(workers)

    with Store(Path(folder)) as store:
        failed = run(units, pool, store, watch or (lambda done, total: None))
        found = []
        for unit in units:
            result = {"error": failed[unit.key]} if unit.key in failed else store.get(unit.key)
            label = {"decoder": unit.decoder, "person": unit.person, "task": unit.task, "seed": unit.seed}
            found.append({**label, **(result or {})})
        return found
