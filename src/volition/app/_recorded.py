"""When a recording thinks: its movement is known and the loop is open, so the decoder is fitted and scored on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from volition.errors import ConfigError
from volition.loop.config import LoopConfig
from volition.loop.loop import Loop

TRAIN = 0.8
_LEAST_BINS = 50


def fit(stages: dict[str, Any], config: LoopConfig, seed: int, watch: Callable[[Loop], None] | None = None) -> None:
    """Fit the decoder on the first part of the recording, through the same channel as in the run.

    Args:
        stages: kind -> stage; the brain has a `recording`. The decoder has learnt when this returns.
        config: of the loop.
        seed: of the run: the same channels are dead.
        watch: called once a bin.

    Raises:
        ConfigError: there is too little of the recording to fit anything on.
    """
    loop = Loop(**stages, config=replace(config, clock="lockstep", oracle=True), seed=seed)
    loop.phase = "fit"
    rows: list[tuple[Any, Any, Any, int]] = []

    def collect(loop: Loop) -> None:
        last = loop.last
        if last.features is not None:
            rows.append((last.features.x, last.features.mask, last.intended, last.features.segment))
        if watch is not None:
            watch(loop)

    recording = loop.brain.recording
    loop.advance(TRAIN * recording.bins * recording.bin_ns / 1e9, collect)
    loop.close()
    if len(rows) < _LEAST_BINS:
        raise ConfigError(f"{recording.name}: {len(rows)} bins are too few to fit a decoder on")
    x, mask, y, segments = (np.stack(column) for column in zip(*rows, strict=True))
    loop.decoder.fit(x, mask, y, segments)


class Score:
    """Decoded against recorded movement, over the bins after `start_ns` (those that nothing was fitted on)."""

    def __init__(self, start_ns: int) -> None:
        self.start_ns = start_ns
        self._decoded: list[Any] = []
        self._recorded: list[Any] = []

    def watch(self, loop: Loop) -> None:
        """Note one bin."""
        if loop.t_ns > self.start_ns:
            self._decoded.append(loop.last.decoded)
            self._recorded.append(loop.last.intended)

    def figures(self, names: tuple[str, ...]) -> dict[str, float]:
        """R² = 1 - sum (y - y')² / sum (y - mean y)² of each intent that the recording moves; and over how many bins."""
        if not self._decoded:
            return {"bins": 0.0}
        decoded, recorded = np.stack(self._decoded), np.stack(self._recorded)
        found = {"bins": float(len(decoded))}
        for k, name in enumerate(names):
            y = recorded[:, k].astype(float)
            total = ((y - y.mean()) ** 2).sum()
            if total > 0:
                found[f"r2.{name}"] = float(1 - ((y - decoded[:, k]) ** 2).sum() / total)
        return found
