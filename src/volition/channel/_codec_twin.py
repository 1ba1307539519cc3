"""NumPy twin of `_codec_kernels`: the same arithmetic on whole rows of channels, hence the same bytes, without a compiler.

It is the reference in the tests and what runs where numba (extra `[fast]`) is absent, some twenty times slower.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.channel import _codec_kernels as k

Int64 = NDArray[np.int64]
_MASK = (1 << k.PROBABILITY_BITS) - 1


def _rows(before: NDArray[Any], base: NDArray[Any]) -> Int64:
    near = before.astype(np.int64) - k.FIRST
    return base + np.where((near >= 0) & (near < k.PHASES), near, (near & 127) | 128)


def _rescale(residual: Int64, scale: NDArray[np.int32]) -> None:
    scale += ((np.abs(residual) << 6) - scale + (1 << (k.SCALE_SHIFT - 1)) >> k.SCALE_SHIFT).astype(np.int32)


def model(
    x: NDArray[np.uint16],
    before: NDArray[np.uint16],
    scale: NDArray[np.int32],
    base: NDArray[np.int32],
    class_of: NDArray[np.int32],
    table: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.uint16]]:
    """Table entries of a block `[samples, channels]` and its escaped codes, in order."""
    entry = np.empty(x.shape, np.int32)
    side = []
    for t, now in enumerate(x):
        if t % k.CLASS_EVERY == 0:
            base[:] = class_of[scale >> k.CLASS_SHIFT]
        row = _rows(before, base)
        residual = now.astype(np.int64) - before
        entry[t] = table[row * k.SYMBOLS + np.clip(residual + k.CENTRE, 1, k.SYMBOLS - 1)]
        escaped = (entry[t] & 0xFFFF) == 0
        if escaped.any():
            entry[t, escaped] = table[row[escaped] * k.SYMBOLS]
            side.append(now[escaped])
        _rescale(residual, scale)
        before = now
    return entry, np.concatenate(side) if side else np.empty(0, np.uint16)


def encode_lanes(entry: NDArray[np.int32], state: NDArray[np.int32]) -> NDArray[np.uint16]:
    """Words of a block; `state` is left as the decoder must start."""
    lanes = len(state)
    out = []
    x = state.astype(np.int64)
    for line in entry[::-1].astype(np.int64):
        for first in range((len(line) - 1) // lanes * lanes, -1, -lanes):
            e = line[first : first + lanes]
            n = len(e)
            f = e & 0xFFFF
            full = x[:n] >> 17 >= f
            out.append((x[:n] & 0xFFFF)[full][::-1])
            y = np.where(full, x[:n] >> 16, x[:n])
            x[:n] = (y // f << k.PROBABILITY_BITS) + y % f + (e >> 16)
    state[:] = x
    return np.concatenate(out)[::-1].astype(np.uint16)


def decode_lanes(
    x: NDArray[np.uint16],
    before: NDArray[np.uint16],
    scale: NDArray[np.int32],
    base: NDArray[np.int32],
    class_of: NDArray[np.int32],
    table: NDArray[np.int32],
    state: NDArray[np.int32],
    data: NDArray[np.uint16],
    side: NDArray[np.uint16],
) -> tuple[int, int]:
    """Codes of a block into `x`; returns (words used, escapes used), -1 words if the data are bad."""
    lanes, channels = len(state), x.shape[1]
    start = (table.reshape(-1, k.SYMBOLS) >> 16).astype(np.int64)
    v = state.astype(np.int64)
    p = used = 0
    end = len(data) - lanes
    for t in range(len(x)):
        if t % k.CLASS_EVERY == 0:
            base[:] = class_of[scale >> k.CLASS_SHIFT]
        row = _rows(before, base)
        symbol = np.empty(channels, np.int64)
        for first in range(0, channels, lanes):
            r = row[first : first + lanes]
            y = v[: len(r)]
            slot = y & _MASK
            s = (start[r] <= slot[:, None]).sum(1) - 1
            e = table[r * k.SYMBOLS + s].astype(np.int64)
            y = (y >> k.PROBABILITY_BITS) * (e & 0xFFFF) + slot - (e >> 16)
            need = y < 1 << 15
            words = data[np.minimum(p + np.cumsum(need) - need, len(data) - 1)]
            v[: len(r)] = np.where(need, (y << 16) | words, y)
            symbol[first : first + lanes] = s
            p += int(need.sum())
            if p > end:
                return -1, used
        now = before.astype(np.int64) + symbol - k.CENTRE
        escaped = np.flatnonzero(symbol == 0)
        if used + len(escaped) > len(side):
            return -1, used
        now[escaped] = side[used : used + len(escaped)]
        used += len(escaped)
        if (now & -1024).any():
            return -1, used
        x[t] = now
        _rescale(now - before, scale)
        before = x[t]
    state[:] = v
    return p, used
