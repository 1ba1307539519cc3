"""How sure a difference in R² is: both decoders are judged on the same redrawn trials, over and over.

Bins of a trial share a movement, so trials are drawn, not bins (Efron & Tibshirani 1993, ch. 8 and 16). Of each trial only
its squared error, its sum and its sum of squares are needed:

    R² = 1 - sum of e_i / (sum of q_i - |sum of s_i|² / sum of n_i),    i over the drawn trials

With several runs of a decoder (seeds, or draws of training trials) R² is their median or mean within each redraw, and the
runs can be redrawn too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from volition.errors import InputError
from volition.signal import Float64

_FEWEST = 5  # trials: the quantiles of fewer say nothing


@dataclass(frozen=True)
class Gain:
    """R² of two decoders and the difference between them.

    Attributes:
        ours, theirs: R² on the trials as they were.
        gain: their difference.
        low, high: 95 % interval of the difference.
    """

    ours: float
    theirs: float
    gain: float
    low: float
    high: float

    def __str__(self) -> str:
        """As a table shows it."""
        return f"{self.ours:.3f} against {self.theirs:.3f}: {self.gain:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def gain(
    y: NDArray[Any],
    ours: NDArray[Any],
    theirs: NDArray[Any],
    trial: NDArray[Any],
    *,
    over: Literal["median", "mean"] = "median",
    redraw_runs: bool = False,
    resamples: int = 4000,
    seed: int = 0,
) -> Gain:
    """R² (variance-weighted) of ours minus theirs, paired by trial.

    Args:
        y: recorded, `[bins, k]`.
        ours: decoded by the one, `[bins, k]`, or `[runs, bins, k]`.
        theirs: decoded by the other, the same.
        trial: `[bins]`, any number for each trial (or block of a recording without trials).
        over: what is made of the runs.
        redraw_runs: draw the runs as well; where both have as many, the same of each: run by run they belong together.
        resamples: how often.
        seed: of the draws.

    Raises:
        InputError: shapes that do not fit, fewer than 5 trials.
    """
    y = np.asarray(y, np.float64)
    a, b = (_runs(y, p) for p in (ours, theirs))
    names, of = np.unique(np.asarray(trial), return_inverse=True)
    if of.shape != (len(y),):
        raise InputError(f"trial must have shape ({len(y)},), got {of.shape}")
    if len(names) < _FEWEST:
        raise InputError(f"{len(names)} trials are too few to redraw; it takes at least {_FEWEST}")
    rng = np.random.default_rng(seed)
    drawn_trials = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), resamples)
    weights = np.vstack((np.ones(len(names)), drawn_trials)).astype(np.float64)
    scores = [_scores(y, p, of, weights) for p in (a, b)]
    value = np.median if over == "median" else np.mean
    drawn = []
    for score in scores:
        runs = np.tile(np.arange(score.shape[1]), (len(weights), 1))
        if redraw_runs:
            runs[1:] = np.random.default_rng(seed + 1).integers(0, score.shape[1], (resamples, score.shape[1]))
        drawn.append(value(np.take_along_axis(score, runs, axis=1), axis=1))
    low, high = np.percentile(drawn[0][1:] - drawn[1][1:], (2.5, 97.5))
    first, second = float(drawn[0][0]), float(drawn[1][0])
    return Gain(first, second, first - second, float(low), float(high))


def _runs(y: Float64, guess: NDArray[Any]) -> Float64:
    p = np.asarray(guess, np.float64)
    p = p[None] if p.ndim == 2 else p
    if y.ndim != 2 or p.ndim != 3 or p.shape[1:] != y.shape or not len(p):
        raise InputError(f"decoded values must have shape {y.shape} or [runs, bins, k], got {np.shape(guess)}")
    if not (np.isfinite(y).all() and np.isfinite(p).all()):
        raise InputError("a score cannot be computed from NaN or infinity")
    return p


def _scores(y: Float64, guesses: Float64, of: NDArray[np.intp], weights: Float64) -> Float64:
    """R² of every run `[draws, runs]` with every trial counted `weights` `[draws, trials]` times."""
    errors = np.stack([np.bincount(of, ((y - p) ** 2).sum(1)) for p in guesses], axis=1)
    sums = np.stack([np.bincount(of, column) for column in y.T], axis=1)
    squares = weights @ np.bincount(of, (y**2).sum(1))
    total = squares - ((weights @ sums) ** 2).sum(1) / (weights @ np.bincount(of))
    scores: Float64 = 1 - weights @ errors / total[:, None]
    return scores
