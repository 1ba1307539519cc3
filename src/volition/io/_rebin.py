"""Wider bins from narrow ones: counts add up, movement is averaged, nothing crosses a border."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from volition.errors import InputError
from volition.signal import Recording


def rebin(recording: Recording, bin_ns: int) -> Recording:
    """Join `bin_ns / recording.bin_ns` bins into one, counted from the start of each segment; the rest of it is dropped.

    A new bin belongs to the trial of its last old one and carries its time. Bins never get narrower.

    Raises:
        InputError: the new width is not a whole multiple of the old one, or no segment is long enough.
    """
    factor, rest = divmod(bin_ns, recording.bin_ns)
    if rest or factor < 1:
        old, new = recording.bin_ns / 1e6, bin_ns / 1e6
        raise InputError(f"{recording.name}: bins of {old:g} ms cannot be joined to {new:g} ms: not a whole multiple")
    if factor == 1:
        return recording
    _, first, length = np.unique(recording.segment, return_index=True, return_counts=True)
    starts = np.concatenate([f + factor * np.arange(n // factor) for f, n in zip(first, length, strict=True)])
    if starts.size == 0:
        raise InputError(f"{recording.name}: no unbroken stretch is as long as a bin of {bin_ns / 1e6:g} ms")
    group = starts[:, None] + np.arange(factor)
    last = group[:, -1]
    return replace(
        recording,
        counts=recording.counts.astype(np.int64)[group].sum(axis=1),
        bin_ns=bin_ns,
        kinematics={name: value[group].mean(axis=1) for name, value in recording.kinematics.items()},
        segment=recording.segment[last],
        trial=None if recording.trial is None else recording.trial[last],
        t_ns=recording.t_ns[last],
    )
