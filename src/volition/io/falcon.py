"""Decoders as the FALCON challenge calls them, and its decoders as ours.

FALCON (Karpowicz et al. 2024, "Few-shot Algorithms for Consistent Neural Decoding") speaks to a decoder through four calls:
`reset` when recordings change, `predict` for a bin of counts of each of a batch of independent recordings, `observe` for a
bin that needs no answer, `on_done` when trials end. Its score is in `volition.train.falcon`; its package is not needed here.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.errors import ConfigError, InputError
from volition.signal import Bool, Float32
from volition.stage import Port, Setup, Spec

Models = Mapping[str, Any] | Any


class FalconDecoder:
    """Any of our decoders behind FALCON's calls: one independent copy for each recording of the batch.

    A count that is NaN is missing, and masked for the decoder.

    Args:
        model: a fitted decoder, or tag -> fitted decoder where each recording has its own; the tag "" is for all others.
        batch_size: recordings decoded side by side.
        forget: whether a decoder starts anew after each trial; the challenge keeps history across trials.

    Raises:
        ConfigError: a decoder that has learnt nothing, or no recordings.
    """

    def __init__(self, model: Models, batch_size: int = 1, forget: bool = False) -> None:
        self._models: Mapping[str, Any] = model if isinstance(model, Mapping) else {"": model}
        for tag, one in self._models.items():
            if not getattr(one, "fitted", True):
                raise ConfigError(f"falcon: the decoder{f' for {tag}' if tag else ''} has learnt nothing: fit it first")
        self._forget = forget
        self.set_batch_size(batch_size)

    def set_batch_size(self, batch_size: int) -> None:
        """How many recordings follow; all of them begin anew."""
        if batch_size < 1:
            raise ConfigError(f"falcon: batch_size must be positive, got {batch_size}")
        self.batch_size = batch_size
        self.reset([""] * batch_size)

    def _of(self, tag: str) -> Any:
        model = self._models.get(tag, self._models.get(""))
        if model is None:
            raise ConfigError(f"falcon: no decoder for the recording {tag!r}; known: {', '.join(self._models)}")
        fresh = copy.deepcopy(model)
        fresh.reset()
        return fresh

    def reset(self, dataset_tags: Sequence[Any] = ("",)) -> None:
        """New recordings: history is void.

        Args:
            dataset_tags: one for each of the batch.

        Raises:
            ConfigError: their number is not the batch size, or one of them has no decoder.
        """
        tags = [str(tag) for tag in dataset_tags]
        if len(tags) != self.batch_size:
            raise ConfigError(f"falcon: {len(tags)} tags for a batch of {self.batch_size}")
        if "" not in self._models and not any(tags):
            self._decoders: list[Any] = []  # until the recordings are named
            return
        self._decoders = [self._of(tag) for tag in tags]

    def predict(self, neural_observations: NDArray[Any]) -> Float32:
        """One bin of each recording, `[batch, channels]` counts -> `[batch, k]`.

        Raises:
            InputError: another shape.
            ConfigError: `reset` has not said which recordings these are.
        """
        x = np.asarray(neural_observations, np.float32)
        if x.ndim != 2 or len(x) != self.batch_size:
            raise InputError(f"falcon: expected counts of shape [{self.batch_size}, channels], got {x.shape}")
        if not self._decoders:
            raise ConfigError("falcon: say which recordings these are: reset(tags)")
        missing = np.isnan(x)
        return np.stack([d.step(row, gone) for d, row, gone in zip(self._decoders, x, missing, strict=True)])

    def observe(self, neural_observations: NDArray[Any]) -> None:
        """A bin that needs no answer, but is history."""
        self.predict(neural_observations)

    def on_done(self, dones: NDArray[Any]) -> None:
        """Trials ended: `[batch]`, true where."""
        done = np.asarray(dones, bool).ravel()
        if done.size != self.batch_size:
            raise InputError(f"falcon: {done.size} dones for a batch of {self.batch_size}")
        if self._forget:
            for decoder, ended in zip(self._decoders, done, strict=True):
                if ended:
                    decoder.reset()


@dataclass(frozen=True)
class FalconConfig:
    """How a decoder written for FALCON is asked.

    Attributes:
        tag: which recording it is told to expect.
        fill: count that stands for a missing one, because FALCON has no mask.
        scale: factor from its output to the intent's unit (50 where it gives m a bin of 20 ms).
    """

    tag: str = ""
    fill: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not (math.isfinite(self.fill) and math.isfinite(self.scale)):
            raise ConfigError(f"falcon: fill and scale must be finite, got {self.fill} and {self.scale}")


class Falcon:
    """A decoder written for FALCON as one of ours: for the loop, for `check`, for an evaluation offline.

    It is asked for a batch of one.

    Args:
        decoder: has `reset`, `predict`, `on_done`, as FALCON's `BCIDecoder`.
        config: how it is asked.
    """

    Config = FalconConfig

    def __init__(self, decoder: Any, config: FalconConfig | None = None) -> None:
        self._decoder = decoder
        self.config = config or FalconConfig()
        self.spec, self.confidence = Spec(), 1.0
        self._outputs = 0

    def prepare(self, setup: Setup) -> None:
        """Take the sizes, and tell it that a recording begins."""
        self._outputs = len(setup.intent)
        self.spec = Spec(Port(setup.features, "1/bin"), Port(self._outputs, "", setup.intent))
        self.reset()

    def reset(self) -> None:
        """A border: to FALCON another recording of the same name."""
        self._decoder.reset([self.config.tag])

    def step(self, x: Float32, mask: Bool) -> Float32:
        """One bin.

        Raises:
            InputError: its answer does not have one value for each intent.
        """
        counts = np.where(mask, self.config.fill, x).astype(np.float32)
        out = np.asarray(self._decoder.predict(counts[None]), np.float32)
        if out.shape != (1, self._outputs):
            raise InputError(f"falcon: the decoder gave shape {out.shape}, expected (1, {self._outputs})")
        self.confidence = float(1 - np.mean(mask))
        answer: Float32 = out[0] * np.float32(self.config.scale)
        return answer

    def predict(self, X: NDArray[Any], mask: Bool | None = None, segments: NDArray[Any] | None = None) -> Float32:
        """Repeated `step`, with `reset` where `segments` changes."""
        missing = np.zeros(np.shape(X), np.bool_) if mask is None else mask
        out = np.empty((len(X), self._outputs), np.float32)
        for t in range(len(X)):
            if t == 0 or (segments is not None and segments[t] != segments[t - 1]):
                self.reset()
            out[t] = self.step(X[t], missing[t])
        return out


def run(
    decoder: Any,
    recordings: Mapping[str, tuple[NDArray[Any], NDArray[Any]]],
    asked: Mapping[str, NDArray[np.bool_]] | None = None,
    clock: Callable[[], float] | None = None,
) -> tuple[dict[str, Float32], float]:
    """Lead a decoder through recordings one after the other, as the challenge's evaluator does.

    Args:
        decoder: has FALCON's four calls, with a batch of one.
        recordings: tag -> (counts `[bins, channels]`, ends of trials `[bins]`, true in the last bin of each).
        asked: tag -> `[bins]`, true where an answer is wanted; by default everywhere. Elsewhere the bin is only shown.
        clock: what measures time, s; by default the processor's.

    Returns:
        tag -> `[bins, k]`, NaN where nothing was asked; and the time that all bins took, s.
    """
    now, spent, answers = clock or time.process_time, 0.0, {}
    for tag, (counts, ends) in recordings.items():
        wanted = np.ones(len(counts), bool) if asked is None else np.asarray(asked[tag], bool)
        rows: list[Any] = []
        began = now()
        decoder.reset([tag])
        for x, end, want in zip(counts, ends, wanted, strict=True):
            if want:
                rows.append(decoder.predict(x[None])[0])
            else:
                decoder.observe(x[None])
                rows.append(None)
            decoder.on_done(np.array([end]))
        spent += now() - began
        width = next((len(row) for row in rows if row is not None), 0)
        answers[tag] = np.array([np.full(width, np.nan) if row is None else row for row in rows], np.float32)
    return answers, spent
