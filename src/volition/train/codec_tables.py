"""Learn the codec's tables from recordings: `python -m volition.train.codec_tables FOLDER` (every second WAV, by name).

The other half of the files is left for measuring. What is learnt, and how, stands with each function; everything ends in
small integers (`volition.channel._codec_tables.Learnt`), well under 8 kB.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call"
from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from volition.channel import _codec_dense as dense
from volition.channel import _codec_kernels as kernels
from volition.channel._codec_map import codes_from_samples, parse_wav
from volition.channel._codec_tables import CODES, REACH, SLOPE, Learnt, build_dense_tables
from volition.errors import InputError, MissingExtraError

LIMITS = tuple(round(64 * v) for v in (1.4, 2.7, 3.3, 3.9, 4.6, 5.5, 7.0, 10.0, 15.0, 20.0, 30.0))
KNOTS = 12 * SLOPE + 1
PATTERN = 128
MIDSCALE = slice(508, 516)
ENOUGH = 300
START = 1000
ROUNDS = (False, False, False, True)

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]


def scale_classes(x, limits):
    """Scale class at every sample, by the rule of the streaming encoder (the first sample, a restart, is left out)."""
    out = np.zeros(len(x), np.int64)
    scale, now = 384, 0
    for t in range(1, len(x)):
        if t % kernels.CLASS_EVERY == 0:
            now = 0
            for limit in limits:
                now += 1 if scale >> kernels.CLASS_SHIFT << kernels.CLASS_SHIFT > limit else 0
        out[t] = now
        half = 1 << (kernels.SCALE_SHIFT - 1)
        scale += ((abs(x[t] - x[t - 1]) << 6) - scale + half) >> kernels.SCALE_SHIFT
    return out


def tally(x, trace, edges, cumulative, seen, expected):
    """Add up how often each code came and how often the densest mode's first distribution expected it."""
    knots = len(cumulative) // 2
    for t in range(START, len(x)):
        guess, gain = trace[t, 0], (1 << 40) // trace[t, 1]
        span = 12 * trace[t, 1] // 256 + 64
        low, high = x[t], x[t]
        while low > 0 and edges[low] > guess - span:
            low -= 1
        while high < len(expected) - 1 and edges[high + 1] < guess + span:
            high += 1
        before = 0
        for c in range(low, high + 2):
            z = min(max((((edges[c] - guess) * gain) >> 16) + (knots << 12), 0), (knots << 13) - 1)
            value = cumulative[z >> 12] * (4096 - (z & 4095)) + cumulative[(z >> 12) + 1] * (z & 4095)
            if c > low:
                expected[c - 1] += (value - before) / 1099511627776.0
            before = value
        seen[x[t]] += 1


@cache
def _compiled() -> SimpleNamespace:
    return kernels.compile_all((), (scale_classes, tally), globals())


def shapes_of(files: Sequence[Int64], classes: Sequence[Int64]) -> tuple[Float64, Float64]:
    """Symmetric residual distribution `[classes, 2 REACH + 1]` and share of escapes in each scale class."""
    count = np.full((len(LIMITS) + 1, 2 * CODES), 0.02)
    for x, k in zip(files, classes, strict=True):
        np.add.at(count, (k[1:], np.diff(x) + CODES), 1.0)
    inner = count[:, CODES - REACH : CODES + REACH + 1]
    outer = count.sum(1) - inner.sum(1)
    inner = inner + inner[:, ::-1]
    return inner / inner.sum(1, keepdims=True), outer / count.sum(1)


def better_widths(width: Float64, seen: Float64, expected: Float64) -> Float64:
    """One round of iterative proportional fitting: w <- w (times seen) / (times expected with w).

    Codes seen too rarely take the mean of their place in the converter's pattern (period 128).
    """
    width = width * (seen + 3) / (expected + 3)
    weight = np.where(seen + expected >= ENOUGH, expected, 0.0)
    weight[MIDSCALE] = 0
    place = np.arange(CODES) % PATTERN
    pattern = np.bincount(place, weight * width, PATTERN) / np.maximum(np.bincount(place, weight, PATTERN), 1e-9)
    width = np.where(seen + expected >= ENOUGH, width, np.where(pattern > 0, pattern, 1.0)[place])
    return np.maximum(width / np.average(width, weights=seen), 0.02)


def dense_start(files: Sequence[Int64], source: Learnt, keep_bias: bool) -> Learnt:
    """One round: code widths, shape of the residuals, and the mean of what the densest mode learns in the files."""
    bias, mix, taps = np.zeros(CODES), np.zeros(source.mix.shape), np.zeros(source.taps.shape)
    count, seen, expected = np.zeros(KNOTS - 1), np.zeros(CODES), np.zeros(CODES)
    tables = build_dense_tables(source)
    for x in files:
        _, end = dense.run(x.copy(), np.empty(3 * len(x), np.uint8), False, tables, True, len(x))
        bias += end.bias / len(files)
        mix += end.mix / len(files)
        taps += end.taps / len(files)
        _compiled().tally(x, end.trace, tables.edges, tables.distribution, seen, expected)
        z = np.abs(tables.middles[x] - end.trace[:, 0])[START:] * (256 * SLOPE) // end.trace[START:, 1]
        count += np.bincount(np.minimum(z, KNOTS - 2), minlength=KNOTS - 1)
    beyond = np.append(count[::-1].cumsum()[::-1], 0) / count.sum() / 2
    width = better_widths(source.widths / 4096, seen, expected)
    return replace(
        source,
        widths=np.clip(np.round(width * 4096), 1, 65535).astype(np.uint16),
        tail=np.round(beyond * 2**28).astype(np.uint32),
        bias=np.clip(np.round(bias / 64 * keep_bias), -127, 127).astype(np.int8),
        mix=np.clip(np.round(mix / 4), 0, 65535).astype(np.uint16),
        taps=np.clip(np.round(taps / 4), -32767, 32767).astype(np.int16),
    )


def learn(files: Sequence[Int64]) -> Learnt:
    """All tables from the code sequences of some recordings."""
    limits = np.array(LIMITS, np.int64)
    shape, escape = shapes_of(files, [_compiled().scale_classes(x, limits) for x in files])
    start = np.exp(-np.arange(KNOTS) / SLOPE * np.log(4)) / 2
    source = Learnt(
        np.full(CODES, 4096, np.uint16),
        np.array(LIMITS, np.uint16),
        np.round(shape[:, REACH:] / shape.max(1, keepdims=True) * 65535).astype(np.uint16),
        np.clip(np.round(escape * 16384), 1, 4096).astype(np.uint16),
        np.round(start * 2**28).astype(np.uint32),
        np.zeros(CODES, np.int8),
        np.full((10, dense.INPUTS), 16384 // dense.INPUTS, np.uint16),
        np.zeros((len(dense.ORDERS), dense.TAPS), np.int16),
    )
    for last in ROUNDS:
        source = dense_start(files, source, last)
    return source


def main(arguments: Sequence[str]) -> None:
    """Read a folder, learn, write the shipped file."""
    if len(arguments) not in (1, 2):
        raise InputError("codec_tables wants a folder of WAV files and, optionally, where to write the tables")
    if find_spec("numba") is None:
        raise MissingExtraError("learning the codec's tables needs numba: pip install 'volition[fast]'")
    paths = sorted(Path(arguments[0]).glob("*.wav"))[::2]
    if not paths:
        raise InputError(f"{arguments[0]}: no WAV files here")
    files = [codes_from_samples(parse_wav(p.read_bytes()).samples[:, 0]).astype(np.int64) for p in paths]
    source = learn(files)
    default = Path(kernels.__file__).with_name("_codec_tables.npz")
    target = Path(arguments[1]) if len(arguments) == 2 else default
    np.savez_compressed(target, **{name: getattr(source, name) for name in Learnt.__dataclass_fields__})
    print(f"{target}: {target.stat().st_size} bytes, learnt from {len(files)} files")


if __name__ == "__main__":
    main(sys.argv[1:])
