"""Chronological split of a recording: the first part to learn from, the rest to be judged on.

Never shuffled: neighbouring bins share movement and slow drift of the units, so that a shuffled split flatters every decoder
and hides the drift it will meet in use. Where the recording has trials, whole trials are kept together: the first 80 % of
the trials train. Whatever is chosen (lags, penalty) is chosen inside the training part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from volition.errors import InputError
from volition.signal import Recording


@dataclass(frozen=True)
class Split:
    """Bins of the two parts, in order, without a gap."""

    train: slice
    test: slice


def chronological(recording: Recording, share: float = 0.8) -> Split:
    """Cut a recording in two.

    Args:
        recording: what to cut.
        share: of the bins, or of the trials where there are any, that go to the training part.

    Raises:
        InputError: one of the parts would be empty, or the trials are not in order.
    """
    bins, cut = recording.bins, round(share * recording.bins)
    trial = recording.trial
    if trial is not None and (inside := trial[trial >= 0]).size and inside[0] != inside[-1]:
        if (np.diff(inside) < 0).any():
            raise InputError(f"{recording.name}: trials are not in order; they cannot be split by time")
        numbers = np.unique(inside)
        k = min(max(1, round(share * len(numbers))), len(numbers) - 1)
        cut = int(np.argmax(trial == numbers[k]))
    if not 0 < cut < bins:
        raise InputError(f"{recording.name}: {bins} bins cannot be split into a training and a test part")
    return Split(slice(0, cut), slice(cut, bins))
