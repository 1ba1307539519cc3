"""What the networks have in common: learning in PyTorch, running as ONNX, keeping the model.

Features are standardised with the training part's mean and scale; what is missing counts as the mean, and the network is
told how much of the bin is missing. It has learnt what that means from bins and features that were dropped at random. The
memory is empty after `reset`, that is, at every border.

Needs PyTorch and onnx only to learn (extra `[train]`); a network that was saved runs without.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from volition.decoder._onnx import Stepper, int8
from volition.decoder._sequence import Scale, agree, by_steps, history, inputs, training, unfitted
from volition.errors import ConfigError, InputError
from volition.signal import NS_PER_MS, Bool, Float32
from volition.stage import Port, Setup, Spec

_NEEDS = ("package:torch", "package:onnx")
_EXPORT = 1e-5  # of the spread of an output
_TRIED = 200  # bins on which an export is compared


@dataclass(frozen=True)
class NetworkConfig:
    """What both networks know of learning.

    Attributes:
        members: networks trained side by side and averaged; one decoder and one file all the same.
        smooth_ms: time constants of causal averages that are given besides the counts, ms; "auto": what the network takes
            for this number of features.
        dropout: share of activations dropped in training.
        unit_dropout: mean share of features that are missing in a window in training (0 to twice this).
        bin_dropout: share of bins that are missing in training: lost packets.
        noise: of each value in training, in its standard deviations; "ridge": by `ridge_noise`.
        offset: of each feature in a window, the same: drifting rates.
        also: bins around the present one that are to be told as well in training, and
        also_weight: how much they count.
        bent: share of windows whose tempo or order is changed (Deo et al. 2024), and
        warp: by how much tempo may change, a factor.
        mixup: windows are mixed in pairs, in shares from Beta(mixup, mixup); 0: not; "held": not, or with 1, whichever
            the held-out part says.
        window: bins scored in a window, and
        lead: bins before them that only lead in.
        batch_bins: bins in a step of the optimiser, about; fewer where there are few, down to 1000.
        least_steps, most_steps: of the optimiser: 5 for each root of the number of bins, within these, and one for 3 bins.
        rate: learning rate at its highest.
        weight_decay: of AdamW.
        clip: of the gradient's norm.
        averaging: share that averaged weights keep in each step.
        holdout: last share of the data, on which one network alone is stopped.
        patience: epochs without gain after which it is stopped, as a share of all.
        refit: train on everything for as long as was best; otherwise what learnt from the first part is kept.
        warm_start: go on from what was learnt before, where it has the same sizes and is not int8.
        int8: products in 8-bit integers: faster from about 512 units on, and less exact.
        device: "auto" trains on a GPU where there is one, "cpu" does not.
    """

    members: int = 1
    smooth_ms: tuple[float, ...] | str = ()
    dropout: float = 0.3
    unit_dropout: float = 0.2
    bin_dropout: float = 0.02
    noise: float | str = "ridge"
    offset: float = 0.1
    also: tuple[int, ...] = (-2, -1, 1, 2)
    also_weight: float = 0.5
    bent: float = 0.0
    warp: float = 1.5
    mixup: float | str = "held"
    window: int = 100
    lead: int = 25
    batch_bins: int = 2400
    least_steps: int = 200
    most_steps: int = 500
    rate: float = 3e-3
    weight_decay: float = 0.01
    clip: float = 1.0
    averaging: float = 0.98
    holdout: float = 0.2
    patience: float = 0.3
    refit: bool = True
    warm_start: bool = False
    int8: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, float) and not 0 <= value < np.inf:
                raise ConfigError(f"{f.name} must be finite and not negative, got {value}")
            if isinstance(value, int) and not isinstance(value, bool) and value < (f.name not in ("read_in", "lead")):
                raise ConfigError(f"{f.name} must be positive, got {value}")
        for name, most in (
            ("dropout", 0.9),
            ("unit_dropout", 0.45),
            ("bin_dropout", 0.9),
            ("holdout", 0.9),
            ("bent", 1.0),
            ("averaging", 0.9999),
        ):
            if getattr(self, name) > most:
                raise ConfigError(f"{name} must be at most {most:g}, got {getattr(self, name)}")
        if self.holdout <= 0 or self.rate <= 0 or self.warp < 1:
            raise ConfigError("holdout and rate must be positive, warp at least 1")
        if isinstance(self.noise, str) and self.noise != "ridge":
            raise ConfigError(f"noise must be a number or 'ridge', got {self.noise!r}")
        if isinstance(self.mixup, str) and self.mixup != "held":
            raise ConfigError(f"mixup must be a number or 'held', got {self.mixup!r}")
        if 0 in self.also or len(set(self.also)) < len(self.also):
            raise ConfigError(f"also must name other bins than the present one, each once, got {self.also}")
        if isinstance(self.smooth_ms, str):
            if self.smooth_ms != "auto":
                raise ConfigError(f"smooth_ms must be numbers or 'auto', got {self.smooth_ms!r}")
        elif not all(0 < ms < np.inf for ms in self.smooth_ms):
            raise ConfigError(f"smooth_ms must be positive, got {self.smooth_ms}")
        if self.device not in ("auto", "cpu"):
            raise ConfigError(f"device must be 'auto' or 'cpu', got {self.device!r}")


class Network(ABC):
    """A decoder that is a network; `chosen` and `validation` tell how training ended.

    `progress` is told how far training is; with `checkpoint`, training is kept in that file and goes on from there.
    """

    Config: ClassVar[Any]
    who: ClassVar[str]

    def __init__(self, config: Any = None) -> None:
        self.config = config or self.Config()
        self.spec = Spec(requires=_NEEDS)
        self.fitted = False
        self.confidence = 0.0
        self.chosen: dict[str, float] = {}
        self.validation = float("nan")
        self.progress: Callable[[float, str], None] | None = None
        self.checkpoint: Path | None = None
        self._features = self._outputs = self._seed = 0
        self._bin_ns = 20 * NS_PER_MS
        self._content = b""

    @staticmethod
    @abstractmethod
    def module() -> Any:
        """`build(width, outputs, config)` of the PyTorch twin."""

    @staticmethod
    @abstractmethod
    def write(weights: Mapping[str, Any], scale: Mapping[str, Any], decays: tuple[float, ...], config: Any) -> bytes:
        """The ONNX graph of one bin."""

    @staticmethod
    def sized(config: Any, features: int) -> Any:
        """The configuration with what it leaves to the number of features."""
        return replace(config, smooth_ms=()) if isinstance(config.smooth_ms, str) else config

    def prepare(self, setup: Setup) -> None:
        """Sizes and seed; forgets history. What was learnt or restored before stays if it fits.

        Raises:
            ConfigError: it was learnt for other sizes.
        """
        if self.fitted:
            agree(self.who, (self._features, self._outputs), setup)
        self._features, self._outputs, self._bin_ns = setup.features, len(setup.intent), setup.bin_ns
        self._seed = int(setup.rng("decoder").integers(2**31))
        ports = Port(setup.features, ""), Port(len(setup.intent), "", setup.intent)
        self.spec = Spec(*ports, setup.bin_ns, requires=() if self.fitted else _NEEDS)
        if self.fitted:
            self.reset()

    @property
    def _decays(self) -> tuple[float, ...]:
        """Of the causal averages, per bin."""
        times = self.sized(self.config, self._features).smooth_ms
        return tuple(float(np.exp(-self._bin_ns / (ms * NS_PER_MS))) for ms in times)

    # --- learning ---

    def fit(self, X: NDArray[Any], mask: Bool | None, y: NDArray[Any], segments: NDArray[Any] | None = None) -> Any:
        """Learn `y` `[bins, k]` from `X` `[bins, features]`. Until it is done, what was learnt before stays.

        Raises:
            InputError: shapes that do not fit, too few bins, values that are not finite.
            MissingExtraError: PyTorch or onnx is not installed.
        """
        from volition.decoder import _graph, _network_torch

        _graph.onnx()
        x, missing, target, past = training(X, mask, y, segments, self._features, self._outputs)
        xs, ys = Scale.of(x, missing), Scale.of(target)
        z = np.clip(xs.apply(x, missing), -_graph.CLIP, _graph.CLIP).astype(np.float32)
        there = None if missing is None else ~missing
        data = _network_torch.Data(z, there, xs.live, ys.apply(target).astype(np.float32), ys.live, past)
        start = self._weights() if self.config.warm_start and self.fitted else None
        config = self.sized(self.config, self._features)
        trainer = _network_torch.Trainer(self.module(), data, config, self._decays, self._seed, start, self.checkpoint)
        found = trainer.run(data, self.progress)
        weights = dict(found.weights)
        for name in [n for n in weights if ".also." in n]:
            del weights[name]
        for name in [n for n in weights if n.endswith("logvar.bias")]:
            weights[name] = (weights[name] + found.shift).astype(np.float32)
        scale = {"mean": xs.mean, "sd": xs.sd, "live": xs.live, "y_mean": ys.mean, "y_sd": ys.sd, "y_live": ys.live}
        content = self.write(weights, scale, self._decays, config)
        self._compare(content, weights, scale, data, x, missing)
        self._take(int8(content) if self.config.int8 else content)
        self.chosen, self.validation = {"epochs": found.epochs, "mixup": found.mixup}, found.validation
        return self

    def _weights(self) -> dict[str, Float32] | None:
        """The weights of the present model, to go on from."""
        from volition.decoder import _graph

        known = {name: value for name, value in _graph.stored(self._content).items() if name.startswith("m.")}
        return known or None

    def _compare(
        self, content: bytes, weights: dict[str, Float32], scale: Mapping[str, Any], data: Any, x: Any, missing: Bool | None
    ) -> None:
        """Refuse an export that does not do what was trained."""
        from volition.decoder import _network_torch

        part = data.part(0, min(_TRIED, len(data.z)))
        config = self.sized(self.config, self._features)
        mean, _ = _network_torch.sequence(self.module(), weights, part, config, self._decays)
        wanted = mean * (scale["y_sd"] * scale["y_live"]) + scale["y_mean"]
        run = Stepper(content)
        nothing = np.zeros(x.shape[1], bool)
        got = np.stack([run.step(x[k], nothing if missing is None else missing[k])[0] for k in range(len(wanted))])
        off = float((np.abs(got - wanted) / np.maximum(scale["y_sd"], np.abs(scale["y_mean"]))).max())
        if not off <= _EXPORT:
            raise InputError(f"the exported {self.who} differs from the trained one by {off:.1g} of an output's spread")

    # --- running ---

    def step(self, x: Float32, mask: Bool) -> Float32:
        """One bin."""
        if not self.fitted:
            raise unfitted(self.who)
        y, self.confidence = self._run.step(x, mask)
        return y

    def predict(self, X: NDArray[Any], mask: Bool | None = None, segments: NDArray[Any] | None = None) -> Float32:
        """`[bins, features]` -> `[bins, k]` by repeated `step`; afterwards the history is forgotten."""
        if not self.fitted:
            raise unfitted(self.who)
        x, mask = inputs(X, mask, self._features)
        found = by_steps(self, x, mask, history(segments, len(x)), self._outputs)
        self.reset()
        return found

    def reset(self) -> None:
        """Forget history, keep what was learnt."""
        self.confidence = 0.0
        if self.fitted:
            self._run.reset()

    # --- keeping ---

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """The ONNX model's bytes; nothing before `fit`."""
        return {"onnx": np.frombuffer(self._content, np.uint8)} if self.fitted else {}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take it back.

        Raises:
            InputError: there is no model in it, or one for other sizes.
        """
        if "onnx" not in arrays:
            raise InputError(f"the saved {self.who} lacks 'onnx'; is this another decoder's file?")
        content = np.asarray(arrays["onnx"])
        if content.dtype != np.uint8 or content.ndim != 1:
            raise InputError(f"the saved {self.who}'s 'onnx' is no vector of bytes")
        run = Stepper(content.tobytes())
        if self._features and (run.features, run.outputs) != (self._features, self._outputs):
            raise InputError(
                f"the saved {self.who} is for {run.features} features and {run.outputs} intents, "
                f"but here are {self._features} and {self._outputs}"
            )
        self._take(content.tobytes(), run)

    def _take(self, content: bytes, run: Stepper | None = None) -> None:
        self._run = run or Stepper(content)
        self._content, self.fitted = content, True
        self._features, self._outputs = self._run.features, self._run.outputs
        self.spec = Spec(self.spec.takes, self.spec.gives, self.spec.period_ns)
        self.reset()
