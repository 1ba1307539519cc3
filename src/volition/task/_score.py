"""Scores of reaching by the field's formulas; plain numbers in, plain numbers out, never NaN."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import log2, sqrt
from typing import Any

import numpy as np

_Z95 = 1.959963984540054  # 97.5 % point of the standard normal distribution


def wilson(k: int, n: int, z: float = _Z95) -> tuple[float, float]:
    """Confidence interval of a success rate from `k` successes in `n` trials (Wilson 1927).

    `(p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)` with `p = k/n`; z = 1.96 gives 95 %. Without trials nothing is
    known: (0, 1).
    """
    if n == 0:
        return 0.0, 1.0
    p = k / n
    centre, spread = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # At k = 0 and k = n one end is exactly 0 or 1; rounding must not spoil that.
    low = 0.0 if k == 0 else max(0.0, (centre - spread) / scale)
    high = 1.0 if k == n else min(1.0, (centre + spread) / scale)
    return low, high


def index_of_difficulty(distance: float, width: float) -> float:
    """Fitts' index of difficulty in Shannon's form, bit: `ID = log2(D/W + 1)` (MacKenzie 1992).

    Args:
        distance: from the start to the centre of the target, m.
        width: of the target, m: here its diameter, the cursor being a point.
    """
    return log2(distance / width + 1)


def throughput(movements: Iterable[tuple[float, float, float]]) -> float:
    """Fitts throughput, bit/s: the mean over movements of `ID/MT` (ISO 9241-411, nominal width).

    Args:
        movements: (distance m, width m, movement time s) of every reach that succeeded, the time to hold or dwell on the
            target not being part of the movement time. Without movements 0.
    """
    rates = [index_of_difficulty(d, w) / mt for d, w, mt in movements]
    return sum(rates) / len(rates) if rates else 0.0


def bit_rate(targets: int, correct: int, incorrect: int, seconds: float) -> float:
    """Achieved bit rate, bit/s: `B = log2(N - 1) max(Sc - Si, 0) / t` (Nuyujukian et al. 2015).

    One of the N selections is thought of as the delete key that takes back a wrong one.

    Args:
        targets: N, what there is to select from.
        correct: Sc, right selections.
        incorrect: Si, wrong selections.
        seconds: t, time in which they were made, everything included. 0 s give 0.
    """
    if seconds <= 0 or targets < 2:
        return 0.0
    return log2(targets - 1) * max(correct - incorrect, 0) / seconds


def path_efficiency(straight: float, actual: float) -> float:
    """Straight distance between start and end over the length of the path in between, 0..1; 1 where nothing was moved."""
    return min(1.0, straight / actual) if actual > 0 else 1.0


def _quartiles(values: Sequence[float], otherwise: float) -> tuple[float, float, float]:
    """Median, 25 % and 75 % point; `otherwise` three times where there are no values."""
    if not values:
        return otherwise, otherwise, otherwise
    q25, q50, q75 = np.percentile(values, (25, 50, 75))
    return float(q50), float(q25), float(q75)


def summary(
    trials: Sequence[Mapping[str, Any]], *, targets: int, correct: int, incorrect: int, seconds: float, timeout_s: float
) -> dict[str, float]:
    """The figures of a block of reaches.

    Success rate with its Wilson interval; Fitts throughput over the successful reaches that began outside the target, with
    W = 2 R and the hold taken out of MT; achieved bit rate; over the successful reaches the time to target (median and
    quartiles, hold taken out), dial-in time (last minus first entry, mean: 0 for one that stays at once), path efficiency
    (mean) and orthogonal direction changes (mean a reach, MacKenzie et al. 2001).

    Where no reach succeeded, times are the time-out (nothing came sooner) and rates and efficiency 0.

    Args:
        trials: as `Reach.trials` gives them.
        targets: N of the bit rate.
        correct: Sc of the bit rate.
        incorrect: Si of the bit rate.
        seconds: length of the block, s.
        timeout_s: what stands for a time where there is none, s.
    """
    reached = [t for t in trials if t["outcome"] == "reached"]
    n, k = len(trials), len(reached)
    low, high = wilson(k, n)
    median, q25, q75 = _quartiles([t["movement_s"] for t in reached], timeout_s)
    moved = [t for t in reached if t["distance_m"] > t["radius_m"]]
    return {
        "success": k / n if n else 0.0,
        "success_low": low,
        "success_high": high,
        "n_trials": float(n),
        "throughput_bit_s": throughput((t["distance_m"], 2 * t["radius_m"], t["movement_s"]) for t in moved),
        "bit_rate_bit_s": bit_rate(targets, correct, incorrect, seconds),
        "time_to_target_s": median,
        "time_to_target_q25_s": q25,
        "time_to_target_q75_s": q75,
        "dial_in_s": sum(t["dial_in_s"] for t in reached) / k if k else timeout_s,
        "path_efficiency": sum(t["path_efficiency"] for t in reached) / k if k else 0.0,
        "direction_changes": sum(t["direction_changes"] for t in reached) / k if k else 0.0,
        "correct": float(correct),
        "incorrect": float(incorrect),
        "block_s": seconds,
    }
