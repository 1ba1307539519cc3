"""From a run's configuration to its stages: recordings are read, fitted decoders restored."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from volition.app import _model
from volition.app._config import RunConfig
from volition.errors import ConfigError
from volition.loop.build import construct, label
from volition.stage import Setup, Trainable, find


def read_recording(file: str) -> Any:
    """A recording, for a brain that replays one."""
    from volition.io.read import read

    return read(file)


def _brain(name: str, config: Any) -> Any:
    """A brain; one that replays a recording is handed what its `file` holds, because only `io` knows formats."""
    cls = find("brain", name)
    if "recording" not in inspect.signature(cls).parameters:
        return construct(cls, f"brain {name}", config)
    if not config.file:
        raise ConfigError(f"brain {name} replays a recording: say which, as in --set brain.file=session.mat")
    return cls(config, recording=read_recording(config.file))


def _decoder(name: str, config: Any, folder: str, bin_ns: int, intent: tuple[str, ...]) -> Any:
    """A decoder, fitted if a folder is given."""
    if not folder:
        return construct(find("decoder", name), f"decoder {name}", config)
    model, decoder = _model.load(Path(folder))
    if model.decoder != name:
        raise ConfigError(f"--model {folder}: holds {model.decoder}, but decoder {name} is asked for")
    if model.intent != intent:
        raise ConfigError(
            f"--model {folder}: decodes {', '.join(model.intent)}, but the effector takes {', '.join(intent)}; "
            "try another --effector (arm takes reach.x, reach.y)"
        )
    _model.check_bin(model, bin_ns)
    return decoder


def needs_fit(decoder: Any, config: RunConfig) -> bool:
    """Whether the decoder learns, has not learnt yet, and is to."""
    return isinstance(decoder, Trainable) and config.calibrate and not config.model and not config.loop.oracle


def stages(config: RunConfig) -> dict[str, Any]:
    """The six parts of a configuration, not yet prepared; files are read.

    Raises:
        VolitionError: a file cannot be read, or a decoder would have to run without having learnt anything.
    """
    others = {kind: stage for kind, stage in config.stages.items() if kind not in ("brain", "decoder")}
    made = {kind: construct(find(kind, name), f"{kind} {name}", c) for kind, (name, c) in others.items()}
    made["brain"] = _brain(*config.stages["brain"])
    bin_ns = made["brain"].spec.period_ns or Setup().bin_ns
    made["decoder"] = decoder = _decoder(*config.stages["decoder"], config.model, bin_ns, made["effector"].spec.takes.names)
    learns = isinstance(decoder, Trainable)
    if learns and not (config.calibrate or config.model or config.loop.oracle):
        raise ConfigError(f"decoder {label(decoder)} has learnt nothing: calibrate it, or give a --model")
    return made
