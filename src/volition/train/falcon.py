"""The score of the FALCON challenge for continuous decoding (Karpowicz et al. 2024).

    R² of a session      = sum over axes of var(y) R² / sum of var(y), over the bins that count
    R²                   = mean over sessions, held-in and held-out days apart, with the standard deviation over sessions
    normalised latency   = time that the computation took / time that the recording took

A latency below 1 could have run live.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from volition.errors import InputError
from volition.signal import NS_PER_S, Float64
from volition.train import metrics

Session = tuple[Float64, Float64]


@dataclass(frozen=True)
class Score:
    """What came of a set of sessions: R² of each, their mean and standard deviation (population), and the latency."""

    sessions: Mapping[str, float]
    r2: float
    r2_std: float
    normalised_latency: float | None = None


def score(
    recorded: Mapping[str, NDArray[np.floating]],
    decoded: Mapping[str, NDArray[np.floating]],
    counts: Mapping[str, NDArray[np.bool_]] | None = None,
    *,
    compute_s: float | None = None,
    bin_ns: int = 20_000_000,
) -> Score:
    """Score sessions; call it once for the held-in and once for the held-out ones.

    Args:
        recorded: session -> `[bins, k]`.
        decoded: session -> `[bins, k]`; may be NaN where a bin does not count.
        counts: session -> `[bins]`, true where a bin counts; by default all.
        compute_s: time that decoding all bins took, s; None leaves the latency out.
        bin_ns: width of a bin.

    Raises:
        InputError: sessions that differ, shapes that differ, or nothing that counts.
    """
    if not recorded or set(recorded) != set(decoded):
        raise InputError(f"falcon: recorded sessions {sorted(recorded)}, decoded {sorted(decoded)}")
    found, bins = {}, 0
    for name, y in recorded.items():
        guess, bins = np.asarray(decoded[name]), bins + len(y)
        here = np.ones(len(y), bool) if counts is None else np.asarray(counts[name], bool)
        if guess.shape != np.shape(y) or here.shape != (len(y),):
            raise InputError(f"falcon: session {name}: recorded {np.shape(y)}, decoded {guess.shape}, counts {here.shape}")
        if not here.any():
            raise InputError(f"falcon: session {name}: no bin counts")
        found[name] = metrics.r2(np.asarray(y)[here], guess[here])
    each = np.array(list(found.values()))
    latency = None if compute_s is None else compute_s / (bins * bin_ns / NS_PER_S)
    return Score(found, float(each.mean()), float(each.std()), latency)
