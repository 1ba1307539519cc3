"""Loops of the streaming codec, written for a compiler: range asymmetric numeral systems (rANS) over many lanes at once.

The functions are plain Python. `compiled()` translates them with numba (extra `[fast]`, imported there and only there);
`_codec_twin` does the same arithmetic with whole NumPy rows and gives identical bytes.

State of a lane, X in [2^15, 2^31); M = 2^14; a symbol owns the slots [a, a + f) of M (Duda 2013, arXiv 1311.2540):

    encode  X >= f 2^17: emit the low 16 bits, X <- X >> 16;   X <- M (X div f) + X mod f + a
    decode  slot = X mod M;   X <- f (X div M) + slot - a;     X < 2^15: X <- X 2^16 + next word

The encoder runs backwards, so it fills its output from the end. All lanes share one sequence of words (interleaving after
Giesen 2014, arXiv 1402.3392). X div f is a float32 quotient put right by one exact integer step either way, so it is the
same on every machine: X div f < 2^17, hence the float is off by less than one.

All loops run over channels (lanes), never over time: that is what lets the compiler use vector instructions. Each does one
thing, because a loop that mixes table look-ups with arithmetic is not vectorised well. int32 casts keep the lanes narrow.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call"
from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np

i32, u32, u16, f32, word = np.int32, np.uint32, np.uint16, np.float32, np.uintp

SYMBOL_BITS = 7
SYMBOLS = 1 << SYMBOL_BITS
CENTRE = SYMBOLS // 2
PHASES = 256
PROBABILITY_BITS = 14
LOOKUP_BITS = 7
SCALE_SHIFT = 7
CLASS_EVERY = 8
CLASS_SHIFT = 3

_TOP = PROBABILITY_BITS - LOOKUP_BITS
_SLOT = (1 << PROBABILITY_BITS) - 1
FIRST = 399
"""First of the 256 codes around mid-scale that have a table row of their own; the others share the upper 128, modulo 128."""


def classes(scale, class_of, base):
    """Scale class of each channel from its running mean of |residual| (1/64 LSB), as the offset of its first row."""
    for c in range(len(scale)):
        base[c] = class_of[word(u32(scale[c])) >> word(CLASS_SHIFT)]


def rows(before, base, row):
    """Table row of each channel: its class and the place of the last code in the converter's pattern."""
    for c in range(len(before)):
        q = i32(before[c])
        near = i32(q - i32(FIRST))
        row[c] = i32(base[c] + (near if i32(near & i32(-PHASES)) == i32(0) else i32(i32(near & i32(127)) | i32(128))))


def symbols(now, before, row, scale, index):
    """Table index of each residual, clipped into the row, and the update of the running scale."""
    for c in range(len(now)):
        r = i32(i32(now[c]) - i32(before[c]))
        y = min(max(i32(r + i32(CENTRE)), i32(1)), i32(SYMBOLS - 1))
        index[c] = u32(i32(i32(row[c] << i32(SYMBOL_BITS)) + y))
        m = scale[c]
        scale[c] = i32(m + i32(i32(i32(abs(r) << i32(6)) - m + i32(1 << (SCALE_SHIFT - 1))) >> i32(SCALE_SHIFT)))


def look_up(n, index, table, out):
    """Gather."""
    for c in range(n):
        out[c] = table[word(index[c])]


def any_escape(entry):
    """Whether a residual has no slot in its row."""
    bad = i32(0)
    for c in range(len(entry)):
        bad |= i32(i32(entry[c] & i32(0xFFFF)) == i32(0))
    return bad


def model(x, before, scale, base, class_of, table, row, index, entry, side):
    """Forward pass over a block: table entries (start << 16 | frequency) of all samples; returns the number of escapes."""
    ns = 0
    for t in range(len(x)):
        if t % CLASS_EVERY == 0:
            classes(scale, class_of, base)
        now = x[t]
        old = before if t == 0 else x[t - 1]
        rows(old, base, row)
        symbols(now, old, row, scale, index)
        line = entry[t]
        look_up(len(line), index, table, line)
        if any_escape(line):
            for c in range(len(now)):
                if line[c] & 0xFFFF == 0:
                    line[c] = table[word(row[c]) << word(SYMBOL_BITS)]
                    side[ns] = now[c]
                    ns += 1
    return ns


def push(entry, b, n, state, words):
    """Entries `b..b + n` onto the lanes; what falls out stands in the low 16 bits of `words`, bit 16 says if it counts."""
    for k in range(n):
        e = entry[b + word(k)]
        f = i32(e & i32(0xFFFF))
        x = state[k]
        out = i32(i32(x >> i32(17)) >= f)
        words[b + word(k)] = i32(i32(x & i32(0xFFFF)) | i32(out << i32(16)))
        x = i32(x >> i32(out << i32(4)))
        q = i32(f32(x) / f32(f))
        r = i32(x - i32(q * f))
        low = i32(r >> i32(31))
        q = i32(q + low)
        r = i32(r + i32(f & low))
        high = i32(r >= f)
        q = i32(q + high)
        r = i32(r - i32(f * high))
        state[k] = i32(i32(i32(q << i32(PROBABILITY_BITS)) + r) + i32(e >> i32(16)))


def spill(n, words, out, p):
    """Write the words that count, backwards."""
    for k in range(n - 1, -1, -1):
        w = u32(words[k])
        out[p - word(1)] = u16(w & u32(0xFFFF))
        p = p - word(w >> u32(16))
    return p


def encode_lanes(entry, state, out, p, words):
    """Backward pass over the entries of a block, writing before `p`; returns where the words begin."""
    lanes, channels = len(state), entry.shape[1]
    groups = (channels + lanes - 1) // lanes
    p = word(p)
    for t in range(len(entry) - 1, -1, -1):
        line = entry[t]
        for g in range(groups - 1, -1, -1):
            push(line, word(g * lanes), min(lanes, channels - g * lanes), state, words)
        p = spill(channels, words, out, p)
    return p


def guess_index(row, b, n, state, index):
    """Where to look up the first guess of each lane's symbol."""
    for k in range(n):
        index[k] = u32(i32(i32(row[b + word(k)] << i32(LOOKUP_BITS)) + i32(i32(state[k] & i32(_SLOT)) >> i32(_TOP))))


def guess_symbol(row, b, n, state, guess, index):
    """From guess to table index."""
    for k in range(n):
        u = guess[k]
        step = i32(i32(state[k] & i32((1 << _TOP) - 1)) >= i32(u & i32(255)))
        index[k] = u32(i32(i32(row[b + word(k)] << i32(SYMBOL_BITS)) + i32(u >> i32(9)) - i32(1) + step))


def search(n, state, table, guess, index, take):
    """Table entry of each lane's symbol, after a walk to it where the guess covers several."""
    for k in range(n):
        g = index[k]
        if guess[k] & i32(256):
            slot = i32(state[k] & i32(_SLOT))
            while i32(table[word(g) + word(1)] >> i32(16)) <= slot:
                g = u32(word(g) + word(1))
            index[k] = g
        take[k] = table[word(g)]


def pull(b, n, state, entry, need, symbol, index):
    """Take one symbol off each lane."""
    for k in range(n):
        e = entry[k]
        x = state[k]
        x = i32(i32(i32(x >> i32(PROBABILITY_BITS)) * i32(e & i32(0xFFFF))) + i32(i32(x & i32(_SLOT)) - i32(e >> i32(16))))
        state[k] = x
        need[k] = i32(x < i32(1 << 15))
        symbol[b + word(k)] = i32(i32(index[k]) & i32(SYMBOLS - 1))


def refill(n, state, need, data, p, words):
    """Give each lane that ran low its next word. `data` ends in spare words, one a lane, so `p` cannot run past it."""
    for k in range(n):
        words[k] = i32(data[word(p)])
        p = p + word(u32(need[k]))
    for k in range(n):
        m = need[k]
        state[k] = i32(i32(state[k] << i32(m << i32(4))) | i32(words[k] & i32(-m)))
    return p


def values(before, symbol, now):
    """Codes from symbols; non-zero where an escape is among them, or no code at all."""
    bad = i32(0)
    for c in range(len(before)):
        v = i32(i32(i32(before[c]) + symbol[c]) - i32(CENTRE))
        bad |= i32(symbol[c] == i32(0)) | i32(v & i32(-1024))
        now[c] = u16(v & i32(0xFFFF))
    return bad


def rescale(now, before, scale):
    """Update of the running scale, as in `symbols`."""
    for c in range(len(now)):
        r = i32(i32(now[c]) - i32(before[c]))
        m = scale[c]
        scale[c] = i32(m + i32(i32(i32(abs(r) << i32(6)) - m + i32(1 << (SCALE_SHIFT - 1))) >> i32(SCALE_SHIFT)))


def decode_lanes(x, before, scale, base, class_of, table, lookup, state, data, words, row, side):
    """Codes of a block into `x`; returns (words used, escapes used), -1 words if the data are bad."""
    lanes, channels = len(state), x.shape[1]
    p, ns = word(0), 0
    symbol = np.empty(channels, np.int32)
    end = len(data) - lanes
    index, need = np.empty(lanes, np.uint32), np.empty(lanes, np.int32)
    guess, take = np.empty(lanes, np.int32), np.empty(lanes, np.int32)
    for t in range(len(x)):
        if t % CLASS_EVERY == 0:
            classes(scale, class_of, base)
        old = before if t == 0 else x[t - 1]
        rows(old, base, row)
        for b in range(0, channels, lanes):
            n = min(lanes, channels - b)
            guess_index(row, word(b), n, state, index)
            look_up(n, index, lookup, guess)
            guess_symbol(row, word(b), n, state, guess, index)
            search(n, state, table, guess, index, take)
            pull(word(b), n, state, take, need, symbol, index)
            p = refill(n, state, need, data, p, words)
            if p > word(end):
                return -1, ns
        now = x[t]
        if values(old, symbol, now):
            for c in range(channels):
                if symbol[c] == 0:
                    if ns >= len(side):
                        return -1, ns
                    now[c] = side[ns]
                    ns += 1
                if now[c] > 1023:
                    return -1, ns
        rescale(now, old, scale)
    return np.int64(p), ns


_PARTS = (
    classes, rows, symbols, look_up, any_escape, push, spill,
    guess_index, guess_symbol, search, pull, refill, values, rescale,
)  # fmt: skip


def compile_all(
    parts: tuple[Callable[..., Any], ...], entries: tuple[Callable[..., Any], ...], scope: dict[str, Any]
) -> SimpleNamespace:
    """Translate plain functions with numba, each seeing the translated form of those before it.

    Args:
        parts: functions that others call; they are put in place of the call (that alone is a quarter of the speed).
        entries: functions to be called from outside.
        scope: the module's globals.
    """
    import numba  # type: ignore[import-not-found, import-untyped, unused-ignore]

    scope = dict(scope)
    for function in (*parts, *entries):
        assert isinstance(function, FunctionType)
        twin = FunctionType(function.__code__, scope, function.__name__, function.__defaults__)
        twin.__module__ = function.__module__
        inline = function in parts
        scope[function.__name__] = numba.njit(twin, boundscheck=False, error_model="numpy", forceinline=inline)
    return SimpleNamespace(**{entry.__name__: scope[entry.__name__] for entry in entries})


@cache
def compiled() -> SimpleNamespace:
    """`model`, `encode_lanes` and `decode_lanes` as machine code (translated at their first call)."""
    return compile_all(_PARTS, (model, encode_lanes, decode_lanes), globals())
