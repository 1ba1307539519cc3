"""Close the loop with any combination of stages, and keep the run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from volition.app import _config, _model, _recorded
from volition.app._build import needs_fit, stages
from volition.app._config import RunConfig
from volition.app._interrupt import Interrupt
from volition.app._output import save, this_command, writable_parent, write_whole
from volition.app._viewer import CALIBRATION_SPEED, Viewer, announce, opened
from volition.errors import ConfigError
from volition.stage import KINDS, Adaptive, Saveable

TOML, MODEL, ADAPTED = "run.toml", "model", "adapted"


@dataclass(frozen=True)
class Run:
    """Options of `volition run`; what is not given here comes from the configuration, and then from the defaults.

    Attributes:
        config: a run.toml (every run saves its own).
        brain: name of a component, "module:Class" or a file ending in .py; so for the five that follow.
        channel: the implant.
        decoder: what reads intent.
        effector: the body.
        feedback: how touch becomes stimulation.
        task: what the person tries to do.
        set: fields of the configuration, as in `--set task.layout=webgrid task.rows=8`; may be given again.
        seconds: length of the run after calibration, s; by default 30, or to the end of a recording that thinks.
        seed: of all random numbers.
        oracle: the true intent goes straight to the body: an upper bound, never a result.
        assist: share of the command that the computer gives, 0..1.
        calibrate: fit the decoder in the loop before the run.
        model: folder of a fitted decoder, as `volition decode` saves it.
        clock: as fast as it goes, or the machine's clock (always for a live stream).
        viewer: "page" serves the live loop to a browser on this machine, in real time; "terminal" shows it here; "none"
            only how far it is.
        port: of the page; 0 takes 8700, or any free one.
        lsl_out: publish the decoded intent, and what stimulation was delivered, as LSL streams of this name on this machine.
        output: folder for the run; by default a new one below runs/.
        json: also save the figures as JSON here.
    """

    config: Path | None = None
    brain: str | None = None
    channel: str | None = None
    decoder: str | None = None
    effector: str | None = None
    feedback: str | None = None
    task: str | None = None
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    seconds: float | None = None
    seed: int | None = None
    oracle: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    assist: float | None = None
    calibrate: bool = True
    model: Path | None = None
    clock: Literal["lockstep", "real"] | None = None
    viewer: Viewer = "none"
    port: int = 0
    lsl_out: str | None = None
    output: Path | None = None
    json: Path | None = None


def configuration(options: Run) -> RunConfig:
    """The resolved configuration: file, then the named options, then `--set`.

    Raises:
        ConfigError: something in it is unknown, of the wrong type or out of range.
    """
    document = _config.load(options.config) if options.config else {}
    for kind in KINDS:
        _config.choose(document, kind, getattr(options, kind))
    for key in ("seconds", "seed"):
        if getattr(options, key) is not None:
            document[key] = getattr(options, key)
    if not options.calibrate:
        document["calibrate"] = False
    if options.model is not None:
        document["model"] = str(options.model)
        if options.decoder is None:  # the model knows what it is
            model = _model.describe(options.model)
            document["decoder"] = {"name": model.decoder, **model.config}
    loop = {"oracle": options.oracle or None, "assist": options.assist, "clock": options.clock}
    for key, value in loop.items():
        if value is not None:
            _config.override(document, f"loop.{key}={str(value).lower()}")
    for assignment in options.set:
        _config.override(document, assignment)
    brain = document.get("brain")
    if brain == "lsl" or (isinstance(brain, dict) and brain.get("name") == "lsl"):
        loop_section = document.setdefault("loop", {})
        if isinstance(loop_section, dict):
            loop_section.setdefault("clock", "real")
    if isinstance(brain, dict) and brain.get("name") == "replay" and brain.get("at_end") != "repeat":
        document.setdefault("seconds", _recorded.TO_THE_END_S)
    return _config.resolve(document, str(options.config) if options.config else "options")


def new_folder(root: Path = Path("runs")) -> Path:
    """A folder that does not exist yet, named by the time of day."""
    stem = datetime.now().strftime("%Y%m%d-%H%M%S")
    names = (root / (stem if i == 0 else f"{stem}-{i}") for i in range(1000))
    return next(path for path in names if not path.exists())


def figures(report: Any) -> Iterator[dict[str, Any]]:
    """The report as rows of what and value."""
    whole = report.to_dict()
    for part in ("score", "gate"):
        yield from ({"what": f"{part}.{name}", "value": value} for name, value in whole[part].items())
    told = whole["effector"]
    yield from ({"what": f"effector.{name}", "value": value} for name, value in told.items() if name != "joints")
    for joint, row in told.get("joints", {}).items():
        yield from ({"what": f"effector.{joint}.{name}", "value": value} for name, value in row.items())
    for part in ("latency", "faults"):
        for stage, row in whole[part].items():
            yield from ({"what": f"{part}.{stage}.{name}", "value": value} for name, value in row.items())
    for name in ("seconds", "wall_s", "speed", "held", "stops", "misses", "dropped_ms", "seed"):
        yield {"what": name, "value": whole[name]}


def _watcher(interrupt: Interrupt) -> Callable[[Any], None]:
    """Looks for Ctrl-C once a bin, and on a terminal shows how far it is."""
    shown = ""

    def watch(loop: Any) -> None:
        nonlocal shown
        interrupt.check()
        if sys.stderr.isatty():
            line = f"\r{loop.phase:<12}{loop.progress:>5.0%}"
            if line != shown:
                sys.stderr.write(line)
                shown = line

    return watch


def _loop(config: RunConfig, folder: Path, watch: Callable[[Any], None]) -> tuple[Any, _recorded.Score | None]:
    """The loop, recording into a new folder; where a recording thinks, its decoder is fitted beforehand.

    Nothing is written before all stages are known to fit together.
    """
    from volition.loop.loop import Loop

    made = stages(config)
    score = None
    recording = getattr(made["brain"], "recording", None)
    if recording is not None:
        fitted_here = needs_fit(made["decoder"], config)
        if fitted_here:
            _recorded.fit(made, config.loop, config.seed, watch)
        learnt = round(_recorded.TRAIN * recording.bins) if fitted_here else 0
        if config.model:
            learnt = _recorded.learnt_bins(_model.describe(Path(config.model)).trained, recording)
        score = _recorded.Score(made["brain"], learnt)
    loop = Loop(**made, config=config.loop, seed=config.seed, record=folder)
    write_whole(folder / TOML, config.to_toml())
    return loop, score


def _sender(loop: Any, name: str | None) -> Callable[[Any], None]:
    """What publishes a bin as LSL, if that is asked for."""
    if name is None:
        return lambda loop: None
    from volition.io.lsl import LoopOut

    return LoopOut(loop.setup, name)


def _save_model(loop: Any, config: RunConfig, folder: Path) -> None:
    """Keep what was learnt or adapted in this run, for `--model`."""
    if isinstance(loop.decoder, Saveable):
        setup, (name, _) = loop.setup, config.stages["decoder"]
        brain, brain_config = config.stages["brain"]
        recording = getattr(loop.brain, "recording", None)
        trained = {
            "brain": brain,
            "file": Path(getattr(brain_config, "file", "")),
            "sha256": getattr(recording, "sha256", ""),
            "seed": config.seed,
            "command": this_command(),
        }
        _model.save(folder, name, loop.decoder, setup.features, setup.intent, setup.bin_ns, trained)


def _said_of_stream(brain: Any) -> None:
    """Print what a live stream came to."""
    if hasattr(brain, "losses"):
        lost = ", ".join(f"{kind} {n}" for kind, n in brain.losses.items()) or "nothing"
        print(f"stream: {brain.state}{f' ({brain.note})' if brain.note else ''}; lost: {lost}")


def _both(view: Any, interrupt: Interrupt) -> Callable[[Any], None]:
    """Shows the loop, and looks for Ctrl-C once a bin."""

    def watch(loop: Any) -> None:
        interrupt.check()
        view(loop)

    return watch


def _expect(view: Any, seconds: float, speed: float) -> None:
    """Announce what follows to whatever shows it."""
    if view is not None:
        view.expect(seconds, speed)


def execute(
    config: RunConfig, folder: Path, lsl_out: str | None = None, viewer: Viewer = "none", port: int = 0
) -> tuple[Any, dict[str, float]]:
    """Calibrate and run; returns the report, and what a recorded brain allows to score.

    The run is kept in `folder`, also when it is interrupted; a decoder that has adapted also as it was at the end, in
    `folder/adapted`.

    Raises:
        KeyboardInterrupt: it was; the message says what was kept.
        VolitionError: the stages do not fit together, or the folder cannot be written.
    """
    with Interrupt() as interrupt, opened(viewer, port, interrupt.check) as view:
        progress = _watcher(interrupt)
        loop, score = _loop(config, folder, progress)
        show = progress if view is None else _both(view, interrupt)
        send = _sender(loop, lsl_out)

        def watch(loop: Any) -> None:
            show(loop)
            send(loop)
            if score is not None:
                score.watch(loop)

        try:
            learns = needs_fit(loop.decoder, config)
            seconds = config.seconds if score is None else score.seconds(config.seconds)
            announce(view)
            with view or nullcontext():
                if learns and score is None:
                    _expect(view, config.calibration.seconds, CALIBRATION_SPEED)
                    loop.calibrate(config.calibration, show)
                if learns:
                    _save_model(loop, config, folder / MODEL)
                _expect(view, seconds, 1.0)
                spent = view.cost_s if view else 0.0
                report = loop.run(seconds, watch)
                if loop.config.adapt != "off" and isinstance(loop.decoder, Adaptive):
                    _save_model(loop, config, folder / ADAPTED)
            if view:  # the loop did not wait for the eye: what the viewer took is none of its time
                report = replace(report, wall_s=report.wall_s - (view.cost_s - spent))
            _said_of_stream(loop.brain)
            loop.close(report)
            return report, {} if score is None else score.figures(loop.setup.intent)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"{loop.t_ns / 1e9:.2f} s of the run are kept in {folder}") from None
        finally:
            loop.close()
            if sys.stderr.isatty():
                sys.stderr.write("\r\x1b[K")


def main(options: Run) -> int:
    """Run, print the report, say where it is kept."""
    config = configuration(options)
    if options.json is not None:
        writable_parent(options.json, "--json")
    folder = options.output or new_folder()
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"--output {folder}: is not empty; choose another folder")
    report, recorded = execute(config, folder, options.lsl_out, options.viewer, options.port)
    if options.json is not None:
        rows = [*figures(report), *({"what": f"decoded.{name}", "value": value} for name, value in recorded.items())]
        save(rows, options.json)
    print(report)
    if recorded:
        print(_recorded.sentence(recorded))
    print(f"kept in {folder}")
    return 0
