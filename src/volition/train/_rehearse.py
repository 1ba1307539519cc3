"""Learning to learn from a few trials: read-ins fitted on some trials of a day say what they say of the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.errors import InputError
from volition.signal import Float64
from volition.train._read_in import PENALTY, ReadIn, Session, Tuning

AHEAD = 3  # bins that the teacher sees
TOWARDS = 100.0  # bins: how strongly a read-in is drawn to the tuning of paired units
_APART = 10_000_000  # between the numbers of stretches of different rehearsals


def rehearsals(
    day: Session, trials: int, seed: int, count: int, like: Tuning | None = None, towards: Float64 | None = None
) -> Session:
    """Estimates (as `counts`) of read-ins that learnt from some trials of a day and say what they say of the others."""
    names, parts = np.unique(day.trial), []
    like = ReadIn.fit(day, day.counts).tuning if like is None else like
    penalty = PENALTY if towards is None else TOWARDS
    for i in range(count):
        learnt = np.random.default_rng([seed, i]).choice(names, trials, replace=False)
        rest = day.where(~np.isin(day.trial, learnt))
        estimate = ReadIn.fit(day.only(learnt), day.counts, like, towards, penalty).apply(rest.counts)
        parts.append(Session(estimate, rest.velocity, rest.segment, rest.trial))
    return joined(parts)


def rehearsed(day: Session, labelled: int, repeats: int, seed: int) -> Session:
    """The same of a day that must have enough of them.

    Raises:
        InputError: it has not.
    """
    if (trials := len(np.unique(day.trial))) < labelled + 2:
        raise InputError(f"{trials} trials are too few to rehearse learning from {labelled}")
    return rehearsals(day, labelled, seed, repeats)


def joined(parts: Sequence[Session]) -> Session:
    """One after the other; their stretches stay apart."""
    segments = [p.segment + i * _APART for i, p in enumerate(parts)]
    counts, velocity, trial = (np.concatenate([getattr(p, name) for p in parts]) for name in ("counts", "velocity", "trial"))
    broken = np.diff(np.concatenate(segments)) != 0
    return Session(counts, velocity, np.concatenate(([0], np.cumsum(broken))), trial)


def ahead(estimates: Float64, segment: NDArray[Any]) -> Float64:
    """With those of the next bins beside them, 0 (the mean) where a stretch has ended."""
    parts = [estimates]
    for k in range(1, AHEAD + 1):
        later = np.zeros_like(estimates)
        same = segment[k:] == segment[:-k]
        later[:-k][same] = estimates[k:][same]
        parts.append(later)
    return np.hstack(parts)
