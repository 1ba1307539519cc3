"""The densest mode of the codec: adaptive linear prediction, mixed distributions, binary arithmetic coding; all in integers.

Everything happens on the linearised scale: code c covers [E_c, E_c+1), E the running sum of the measured code widths, so
that the converter's uneven steps are part of the model and not noise. For each sample of a channel:

1. Normalised least-mean-squares predictors (Widrow & Hoff 1960; Nagumo & Noda 1967) of several orders and rates guess the
   next step d_t = m_t - m_t-1 (m: middle of the code) from the last ones: w <- w + mu e h / (|h|^2 + c).
2. Each guess P with each running mean s of |e| (fast, slow) gives a distribution F((E - P) / s), F learnt from recordings.
3. The code is sent as ten binary choices, halving 0..1023. At each the distributions' log odds
   x_i = log2((F_hi - F_mid) / (F_mid - F_lo)) are mixed, p = sigma(bias_node + sum_i w_i x_i), and the weights follow the
   gradient of the code length (logistic mixing, Mahoney 2005, "Adaptive weighing of context models for lossless data
   compression"); the bias of each node learns what the width table got wrong.
4. A 32-bit binary arithmetic coder (carry-free range form, Witten, Neal & Cleary 1987; Mahoney's two-limit variant) codes p.

Encoder and decoder run the same function, so they agree by construction; no floating point is used. The functions are plain
Python and valid as such (slow: the twin); `compiled()` translates them with numba. All numbers stay below 2^62.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call"
from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from volition.channel._codec_kernels import compile_all
from volition.channel._codec_tables import DenseTables

ORDERS = (16, 32)
RATES = (16, 8)
SHIFTS = (5, 8)
INPUTS = len(ORDERS) * len(SHIFTS)
MIX_RATE = 8
BIAS_RATE = 4
TAPS = 32
START_CODE = 527
START_SCALE = 6 * 32 * 256
_LEAST_SCALE = 1024
_LIMIT = 1 << 20
_WHOLE = 1 << 28


@dataclass(frozen=True, eq=False)
class Learning:
    """What a channel's adaptation came to; `trace` `[samples, 2]` holds guesses and scales where they were asked for."""

    bias: NDArray[np.int64]
    mix: NDArray[np.int64]
    taps: NDArray[np.int64]
    trace: NDArray[np.int64]


def log2(a, table):
    """Logarithm of an integer 1..2^29 to base 2, 2^16 = 1."""
    e, rest = 0, a
    if rest >= 65536:
        rest >>= 16
        e += 16
    if rest >= 256:
        rest >>= 8
        e += 8
    if rest >= 16:
        rest >>= 4
        e += 4
    if rest >= 4:
        rest >>= 2
        e += 2
    if rest >= 2:
        e += 1
    mantissa = a << (10 - e) if e <= 10 else a >> (e - 10)
    return (e << 16) + table[mantissa - 1024]


def probability(odds, table):
    """Log odds (2^16 = 1 bit) to p (2^16 = 1), by linear interpolation."""
    y = min(max(odds, -983040), 983040) + 1048576
    i, f = y >> 10, y & 1023
    return (table[i] * (1024 - f) + table[i + 1] * f) >> 10


def predict(last, top, orders, taps, steps, guess, energy):
    """Guess of each predictor and the energy of the steps it sees."""
    for i in range(len(orders)):
        total, square = 32768, 0
        for j in range(orders[i]):
            total += taps[i, j] * steps[j]
            square += steps[j] * steps[j]
        guess[i] = min(max(last + (total >> 16), 0), top)
        energy[i] = square


def open_node(edge, node, depth, guess, gain, below, above, at, odds, bias, mix, cumulative, logarithm):
    """Mixed log odds that the code lies above `edge`; leaves each distribution's value there in `at`."""
    knots = len(cumulative) // 2
    shifts = len(gain) // len(guess)
    total = bias[node]
    for m in range(len(gain)):
        z = ((edge - guess[m // shifts]) * gain[m]) >> 16
        z = min(max(z + (knots << 12), 0), (knots << 13) - 1)
        q, f = z >> 12, z & 4095
        value = ((cumulative[q] * (4096 - f) + cumulative[q + 1] * f) >> 12) + 8 * edge
        at[m] = value
        x = log2(max(above[m] - value, 1), logarithm) - log2(max(value - below[m], 1), logarithm)
        odds[m] = x
        total += (mix[depth, m] * x) >> 16
    return total


def close_node(bit, p, node, depth, below, above, at, odds, bias, mix):
    """Learn from the choice and narrow the distributions to the half taken."""
    error = (bit << 16) - p
    bias[node] = min(max(bias[node] + ((error * BIAS_RATE) >> 10), -_LIMIT), _LIMIT)
    for m in range(len(at)):
        w = mix[depth, m] + ((odds[m] * error * MIX_RATE + (1 << 29)) >> 30)
        mix[depth, m] = min(max(w, -_LIMIT), _LIMIT)
        if bit:
            below[m] = at[m]
        else:
            above[m] = at[m]


def adapt(middle, last, orders, rates, shifts, taps, steps, guess, energy, scale):
    """Let predictors and scales learn from the sample; put its step into the history."""
    for i in range(len(orders)):
        error = middle - guess[i]
        g = (error * (rates[i] << 14)) // (energy[i] + 3840 * orders[i] + 1)
        for j in range(orders[i]):
            taps[i, j] = min(max(taps[i, j] + ((g * steps[j] + 512) >> 10), -_LIMIT), _LIMIT)
        size = abs(error) << 8
        for s in range(len(shifts)):
            m = i * len(shifts) + s
            scale[m] = max(scale[m] + ((size - scale[m]) >> shifts[s]), _LEAST_SCALE)
    for j in range(len(steps) - 1, 0, -1):
        steps[j] = steps[j - 1]
    steps[0] = middle - last


def code_bit(coder, data, decoding, bit, chance):
    """Send or receive one binary choice with P(1) = chance / 2^16; `coder` is (low, high, value, position)."""
    low, high, p = coder[0], coder[1], coder[3]
    span = high - low
    border = low + (span >> 16) * chance + (((span & 65535) * chance) >> 16)
    if decoding:
        bit = 1 if coder[2] <= border else 0
    if bit:
        high = border
    else:
        low = border + 1
    while (low ^ high) >> 24 == 0:
        if decoding:
            coder[2] = ((coder[2] << 8) & 0xFFFFFFFF) | (data[p] if p < len(data) else 0)
        elif p < len(data):
            data[p] = high >> 24
        p += 1
        low, high = (low << 8) & 0xFFFFFFFF, ((high << 8) & 0xFFFFFFFF) | 255
    coder[0], coder[1], coder[3] = low, high, p
    return bit


def run_channel(x, data, decoding, settings, edges, middles, cumulative, logarithm, squash, bias, mix, taps, trace):
    """Code one channel, `x` int64 `[samples]` codes and `data` uint8, one of which is read and the other filled.

    Returns the bytes used; more than `len(data)` means that they did not fit. `settings` is (orders, rates, shifts).
    `bias`, `mix` and `taps` are left as they were learnt. `trace` `[samples, 2]` (or `[0, 2]`: none) takes guess and scale
    of the first distribution, in 1/32 LSB and 1/8192 LSB.
    """
    orders, rates, shifts = settings
    n = len(orders) * len(shifts)
    steps, scale, gain = np.zeros(taps.shape[1], np.int64), np.full(n, START_SCALE, np.int64), np.zeros(n, np.int64)
    guess, energy = np.zeros(len(orders), np.int64), np.zeros(len(orders), np.int64)
    below, above, at, odds = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)
    coder = np.array([0, 0xFFFFFFFF, 0, 0], np.int64)
    if decoding:
        for p in range(4):
            coder[2] = (coder[2] << 8) | (data[p] if p < len(data) else 0)
        coder[3] = 4
    last, top = middles[START_CODE], edges[len(edges) - 1]
    for t in range(len(x)):
        predict(last, top, orders, taps, steps, guess, energy)
        for m in range(n):
            gain[m] = (1 << 40) // scale[m]
            below[m], above[m] = 0, _WHOLE
        left, width, node = 0, 512, 1
        for depth in range(10):
            edge = edges[left + width]
            total = open_node(edge, node, depth, guess, gain, below, above, at, odds, bias, mix, cumulative, logarithm)
            chance = probability(total, squash)
            bit = code_bit(coder, data, decoding, 1 if x[t] >= left + width else 0, chance)
            close_node(bit, chance, node, depth, below, above, at, odds, bias, mix)
            left += width * bit
            width >>= 1
            node = 2 * node + bit
        x[t] = left
        middle = middles[left]
        if t < len(trace):
            trace[t, 0], trace[t, 1] = guess[0], scale[0]
        adapt(middle, last, orders, rates, shifts, taps, steps, guess, energy, scale)
        last = middle
    if not decoding:
        if coder[3] < len(data):
            data[coder[3]] = coder[1] >> 24
        coder[3] += 1
    return coder[3]


_PARTS = (log2, probability, predict, open_node, close_node, adapt, code_bit)


@cache
def compiled() -> SimpleNamespace:
    """`run_channel` as machine code (translated at its first call)."""
    return compile_all(_PARTS, (run_channel,), globals())


def run(
    x: NDArray[np.int64], data: NDArray[np.uint8], decoding: bool, tables: DenseTables, fast: bool, trace: int = 0
) -> tuple[int, Learning]:
    """`run_channel` with the shipped tables, compiled or not; also gives what was learnt on the way."""
    learning = Learning(tables.bias.copy(), tables.mix.copy(), tables.taps.copy(), np.zeros((trace, 2), np.int64))
    settings = tuple(np.array(v, np.int64) for v in (ORDERS, RATES, SHIFTS))
    fixed = (tables.edges, tables.middles, tables.distribution, tables.logarithm, tables.squash)
    function = compiled().run_channel if fast else run_channel
    used = function(x, data, decoding, settings, *fixed, learning.bias, learning.mix, learning.taps, learning.trace)
    return int(used), learning
