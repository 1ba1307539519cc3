"""When a recording thinks: its movement is known and the loop is open, so the decoder is fitted and scored on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from volition.errors import ConfigError
from volition.loop.config import LoopConfig
from volition.loop.loop import Loop

TRAIN = 0.8
TO_THE_END_S = 1e6
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
    """Decoded against recorded movement, over the bins that nothing was fitted on.

    Args:
        brain: a brain that replays its `recording`.
        learnt: bins at its beginning that the decoder was fitted on; they are left out.
    """

    def __init__(self, brain: Any, learnt: int) -> None:
        recording = brain.recording
        self._learnt, self._share = learnt, learnt / recording.bins
        self._start_ns = learnt * recording.bin_ns
        self._end_ns = recording.bins * recording.bin_ns
        self._repeats = brain.config.at_end == "repeat"
        self._decoded: list[Any] = []
        self._recorded: list[Any] = []

    def seconds(self, asked: float) -> float:
        """How long the run will be: no longer than the recording."""
        return asked if self._repeats else min(asked, self._end_ns / 1e9)

    def watch(self, loop: Loop) -> None:
        """Note one bin."""
        if self._start_ns < loop.t_ns <= self._end_ns:
            self._decoded.append(loop.last.decoded)
            self._recorded.append(loop.last.intended)

    def figures(self, names: tuple[str, ...]) -> dict[str, float]:
        """R² = 1 - sum (y - y')² / sum (y - mean y)² of each intent that the recording moves; over how many bins; and the
        share of the recording before them that was learnt from.
        """  # noqa: D205
        if not self._decoded:
            return {"bins": 0.0, "learnt": self._share}
        decoded, recorded = np.stack(self._decoded), np.stack(self._recorded)
        found = {"bins": float(len(decoded)), "learnt": self._share}
        for k, name in enumerate(names):
            y = recorded[:, k].astype(float)
            total = ((y - y.mean()) ** 2).sum()
            if total > 0:
                found[f"r2.{name}"] = float(1 - ((y - decoded[:, k]) ** 2).sum() / total)
        return found


def learnt_bins(trained: Mapping[str, Any], recording: Any) -> int:
    """How many bins at the beginning of a recording a saved decoder was fitted on: 0 for another recording's."""
    if not recording.sha256 or recording.sha256 not in (trained.get("sha256"), trained.get("data_sha256")):
        return 0
    said = trained.get("train_bins")
    return said if isinstance(said, int) and 0 <= said <= recording.bins else round(TRAIN * recording.bins)


def sentence(figures: Mapping[str, float]) -> str:
    """What `Score.figures` found, in words."""
    first = f"the first {figures['learnt']:.0%}, on which it was fitted"
    if not figures["bins"]:
        return f"decoded against recorded movement: the run ended within {first}; give it more --seconds"
    where = f", after {first}" if figures["learnt"] else ""
    scores = ", ".join(f"{name} {value:.3f}" for name, value in figures.items() if name not in ("bins", "learnt"))
    return f"decoded against recorded movement, {figures['bins']:.0f} bins{where}: {scores or 'nothing moved'}"
