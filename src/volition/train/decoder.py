"""Trains one decoder on the first part of a recording and scores it on the rest, as `evaluate` does for several."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from volition.signal import Float64, Recording
from volition.train import metrics
from volition.train.evaluate import Target, setup_of, target_of
from volition.train.split import Split, chronological


@dataclass(frozen=True, eq=False)
class Outcome:
    """A trained decoder's figures.

    Attributes:
        decoder: it.
        target: what it decodes.
        split: bins it learnt from, and those it was scored on.
        r2: over the latter, variance-weighted.
        r2_axes: of each axis.
        fit_s: wall time of the training, s.
        data: name of the recording.
    """

    decoder: Any
    target: Target
    split: Split
    r2: float
    r2_axes: Float64
    fit_s: float
    data: str

    def said(self, name: str) -> dict[str, Any]:
        """The same as a row of a table."""
        d, chosen = self.decoder, dict(getattr(self.decoder, "chosen", {}))
        validation = getattr(d, "validation", float("nan"))
        return {
            "decoder": name,
            "data": self.data,
            "target": self.target.name,
            "unit": self.target.unit,
            "r2": round(self.r2, 4),
            "r2_axes": [round(float(v), 4) for v in self.r2_axes],
            "fit_s": round(self.fit_s, 1),
            "train_bins": self.split.train.stop,
            "test_bins": self.split.test.stop - self.split.test.start,
            **chosen,
            **({"validation": round(float(validation), 4)} if np.isfinite(validation) else {}),
        }


@contextlib.contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    """PyTorch, if it is used at all, on so many threads."""
    try:
        import torch
    except ModuleNotFoundError:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train(
    recording: Recording,
    decoder: Any,
    target: str = "velocity",
    share: float = 0.8,
    seed: int = 0,
    progress: Callable[[float, str], None] | None = None,
    threads: int = 1,
    checkpoint: Path | None = None,
) -> Outcome:
    """Fit `decoder` in place and score it.

    Args:
        recording: counts and kinematics.
        decoder: one that learns; where it has an attribute `progress`, that is told how far it is.
        target: name of the quantity to decode.
        share: of the recording to learn from.
        seed: of all random numbers.
        progress: called with the share done and a word on it.
        threads: for networks. How a sum is split over threads shows in its last digit, so equal results want equal numbers.
        checkpoint: file in which a network's training is kept, and from which it goes on if it is the same one. Whoever
            calls removes it.

    Raises:
        InputError: the recording cannot be split or fitted on.
        UnknownNameError: it has no such quantity.
    """
    wanted, split = target_of(recording, target), chronological(recording, share)
    decoder.prepare(setup_of(recording, wanted, split, seed))
    X, y, segments = recording.counts, wanted.y, recording.segment
    if hasattr(decoder, "progress"):
        decoder.progress = progress
    if hasattr(decoder, "checkpoint"):
        decoder.checkpoint = checkpoint
    began = time.perf_counter()
    with _torch_threads(threads) if "torch" in sys.modules or hasattr(decoder, "progress") else contextlib.nullcontext():
        decoder.fit(X[split.train], None, y[split.train], segments[split.train])
    fit_s = time.perf_counter() - began
    guess = np.asarray(decoder.predict(X[split.test], None, segments[split.test]), np.float64)
    truth = y[split.test]
    return Outcome(decoder, wanted, split, metrics.r2(truth, guess), metrics.r2_axes(truth, guess), fit_s, recording.name)
