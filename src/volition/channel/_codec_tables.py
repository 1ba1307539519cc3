"""Tables of the codec: what was learnt from recordings, and what follows from it, in integers so that every machine agrees.

Shipped (`_codec_tables.npz`, rebuilt by `python -m volition.train.codec_tables`): the widths of the converter's codes,
one residual distribution for each scale class (streaming), and where the densest mode starts its adaptation.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from volition.channel import _codec_kernels as k

CODES = 1024
REACH = 62
"""Largest residual with a symbol of its own; larger ones are escaped."""
UNIT = 32
"""Steps of the linearised scale in one LSB."""
SLOPE = 16
"""Knots of the shipped residual distribution in one mean absolute residual."""

Int64 = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Learnt:
    """What the file holds.

    Attributes:
        widths: `[1024]` uint16, width of each code, 4096 = one LSB.
        limits: `[classes - 1]` uint16, borders of the scale classes, mean |residual| in 1/64 LSB.
        shapes: `[classes, 63]` uint16, weight of |residual| 0..62 for codes of equal width.
        escapes: `[classes]` uint16, weight of larger residuals, in 1/16384.
        tail: `[knots]` uint32, 1 - distribution function at |residual| = knot / 16 mean absolute residuals, 2^28 = 1.
        bias: `[1024]` int8, offset of each node of the code tree, 2^10 = 1 bit of log odds.
        mix: `[10, inputs]` uint16, mixing weight by depth in the code tree, 2^14 = 1.
        taps: `[predictors, 32]` int16, prediction weights at the start, 2^14 = 1.
    """

    widths: NDArray[np.uint16]
    limits: NDArray[np.uint16]
    shapes: NDArray[np.uint16]
    escapes: NDArray[np.uint16]
    tail: NDArray[np.uint32]
    bias: NDArray[np.int8]
    mix: NDArray[np.uint16]
    taps: NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class StreamTables:
    """What the loops look up.

    Attributes:
        class_of: `[8192]` int32, first row of the class of a running scale, by the scale in 1/8 LSB.
        table: int32 `[classes * 256 * 128]`, start << 16 | frequency of each symbol of each row.
        lookup: uint16 `[classes * 256 * 128]`, first guess of the symbol by the upper bits of the slot.
        least_bits: a little less than what the cheapest symbol costs.
    """

    class_of: NDArray[np.int32]
    table: NDArray[np.int32]
    lookup: NDArray[np.uint16]
    least_bits: float


@dataclass(frozen=True, eq=False)
class DenseTables:
    """Tables of the densest mode, all int64; see `_codec_dense`."""

    edges: Int64
    middles: Int64
    distribution: Int64
    logarithm: Int64
    squash: Int64
    bias: Int64
    mix: Int64
    taps: Int64


@cache
def learnt() -> Learnt:
    """Read the shipped file."""
    raw = resources.files("volition.channel").joinpath("_codec_tables.npz").read_bytes()
    with np.load(io.BytesIO(raw), allow_pickle=False) as file:
        return Learnt(**{name: file[name] for name in Learnt.__dataclass_fields__})


@cache
def stream_tables() -> StreamTables:
    """Tables of the streaming mode."""
    return build_stream_tables(learnt())


@cache
def dense_tables() -> DenseTables:
    """Tables of the densest mode."""
    return build_dense_tables(learnt())


def build_stream_tables(source: Learnt) -> StreamTables:
    """Frequencies f(r | class, last code) ~ shape(class, |r|) width(last code + r), summing to 2^14 in each row.

    A residual rarer than a fifth of a slot gets none and is escaped: slots for all of them would cost the others more.
    """
    total = 1 << k.PROBABILITY_BITS
    r = np.arange(-REACH, REACH + 1)
    width = source.widths.astype(np.int64)[k.FIRST + np.arange(k.PHASES)[:, None] + r]
    shape = source.shapes.astype(np.int64)[:, np.abs(r)]
    weight = shape[:, None, :] * width[None]
    escape = np.maximum(source.escapes.astype(np.int64), 1)[:, None, None]
    free = total - escape
    mass = weight.sum(2, keepdims=True)
    exact = weight * free
    slots = np.where(5 * exact < mass, 0, np.maximum(exact // mass, 1))
    frequency = np.zeros((*weight.shape[:2], k.SYMBOLS), np.int64)
    frequency[:, :, k.CENTRE - REACH : k.CENTRE + REACH + 1] = slots
    frequency[:, :, 0] = escape[:, :, 0]
    flat = frequency.reshape(-1, k.SYMBOLS)
    flat[np.arange(len(flat)), flat.argmax(1)] += total - flat.sum(1)
    start = np.cumsum(flat, 1) - flat
    table = ((start << 16) | flat).astype(np.int32)
    scale = np.arange(CODES << (6 - k.CLASS_SHIFT)) << k.CLASS_SHIFT
    class_of = np.searchsorted(source.limits, scale, side="left") * k.PHASES
    least = 0.99 * float(np.log2(total / flat.max()))
    return StreamTables(class_of.astype(np.int32), table.ravel(), _lookup(start), least)


def _lookup(start: Int64) -> NDArray[np.uint16]:
    """First guess for a slot's symbol, one entry for each of 128 equal parts of the slots.

    An entry is (symbol + 1) << 9 | several << 8 | border: the symbol is the guess, one more from the border on; `several`
    says that more than one border lies inside, so that a search must follow.
    """
    part = 1 << (k.PROBABILITY_BITS - k.LOOKUP_BITS)
    out = np.empty((len(start), 1 << k.LOOKUP_BITS), np.uint16)
    each = np.arange(len(start))
    for j in range(out.shape[1]):
        low = j * part
        first = (start <= low).sum(1) - 1
        last = (start <= low + part - 1).sum(1) - 1
        border = np.where(last > first, start[each, np.minimum(first + 1, k.SYMBOLS - 1)] - low, 0)
        guess = np.where(last > first, first + 1, first)
        out[:, j] = (guess << 9) | ((last > first + 1).astype(np.int64) << 8) | border
    return out.ravel()


def build_dense_tables(source: Learnt) -> DenseTables:
    """Linearised borders and middles of the codes, distribution function, logarithm and its inverse."""
    width = source.widths.astype(np.int64)
    edges = (np.concatenate([[0], np.cumsum(width)]) * UNIT) >> 12
    edges = np.maximum.accumulate(edges - np.arange(CODES + 1)) + np.arange(CODES + 1)
    middles = (edges[1:] + edges[:-1]) >> 1
    floor = 1 << 18
    tail = (source.tail.astype(np.int64) * ((1 << 28) - floor)) >> 28
    distribution = np.concatenate([tail[::-1], ((1 << 28) - floor) - tail[1:]])
    logarithm = _logarithm()
    return DenseTables(
        edges,
        middles,
        distribution,
        logarithm,
        _squash(logarithm),
        source.bias.astype(np.int64) << 6,
        source.mix.astype(np.int64) << 2,
        source.taps.astype(np.int64) << 2,
    )


def _logarithm() -> Int64:
    """2^16 log2(1 + i / 1024), i = 0..1024, by repeated squaring in integers."""
    x = (np.arange(1024, dtype=np.int64) + 1024) << 20
    out = np.zeros(1024, np.int64)
    for _ in range(16):
        x = (x * x) >> 30
        bit = x >= (1 << 31)
        out = (out << 1) | bit
        x = np.where(bit, x >> 1, x)
    return np.append(out, 1 << 16)


def log2_fixed(a: Int64, logarithm: Int64) -> Int64:
    """2^16 log2(a) of integers 1..2^29, truncated to 11 significant bits."""
    a = np.asarray(a, np.int64)
    exponent = np.zeros_like(a)
    rest = a.copy()
    for step in (16, 8, 4, 2, 1):
        big = rest >= (1 << step)
        rest = np.where(big, rest >> step, rest)
        exponent += big * step
    mantissa = np.where(exponent <= 10, a << np.maximum(10 - exponent, 0), a >> np.maximum(exponent - 10, 0))
    out: Int64 = (exponent << 16) + logarithm[mantissa - 1024]
    return out


def _squash(logarithm: Int64) -> Int64:
    """Inverse of log odds: p (2^16 = 1) at -16, -16 + 1/64 .. 16 bits, by bisection on the fixed-point logarithm."""
    odds = (np.arange(-1024, 1026, dtype=np.int64)) << 10
    low, high = np.full(odds.shape, 16, np.int64), np.full(odds.shape, (1 << 24) - 16, np.int64)
    for _ in range(24):
        middle = (low + high) >> 1
        below = log2_fixed(middle, logarithm) - log2_fixed((1 << 24) - middle, logarithm) < odds
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    out: Int64 = np.clip((high + 128) >> 8, 2, 65534)
    return out
