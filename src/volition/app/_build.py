"""From a run's configuration to a loop: recordings are read, fitted decoders restored."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from volition.app._config import RunConfig
from volition.errors import ConfigError
from volition.loop.build import label
from volition.loop.loop import Loop
from volition.stage import Trainable, find


def read_recording(file: str) -> Any:
    """A recording, for a brain that replays one."""
    from volition.io.read import read

    return read(file)


def _brain(name: str, config: Any) -> Any:
    """A brain; one that replays a recording is handed what its `file` holds, because only `io` knows formats."""
    cls = find("brain", name)
    if "recording" not in inspect.signature(cls).parameters:
        return cls(config)
    if not config.file:
        raise ConfigError(f"brain {name} replays a recording: say which, as in --set brain.file=session.mat")
    return cls(config, recording=read_recording(config.file))


def _decoder(name: str, config: Any, model: str) -> Any:
    """A decoder, fitted if a folder is given."""
    if not model:
        return find("decoder", name)(config)
    raise NotImplementedError


def needs_fit(loop: Loop, config: RunConfig) -> bool:
    """Whether the decoder learns and has not learnt yet."""
    return isinstance(loop.decoder, Trainable) and not config.model and not config.loop.oracle


def build(config: RunConfig, record: Path | None = None) -> Loop:
    """The loop of a configuration; nothing is written before all stages are known to fit together.

    Args:
        config: what to build.
        record: folder for the run's log, or None.

    Raises:
        VolitionError: a file cannot be read, stages do not fit together, or a decoder would have to run unfitted.
    """
    stages = {kind: find(kind, name)(c) for kind, (name, c) in config.stages.items() if kind not in ("brain", "decoder")}
    brain = _brain(*config.stages["brain"])
    decoder = _decoder(*config.stages["decoder"], config.model)
    learns = isinstance(decoder, Trainable)
    if learns and not (config.calibrate or config.model or config.loop.oracle):
        raise ConfigError(f"decoder {label(decoder)} has learnt nothing: calibrate it, or give a --model")
    return Loop(brain=brain, decoder=decoder, **stages, config=config.loop, seed=config.seed, record=record)
