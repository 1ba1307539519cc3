"""Voltage as a compiled kernel (extra `[fast]`): sixteen channels at a time, state in registers.

Import this only inside functions. Byte for byte the same as `_electrodes_numpy.Twin`: no operation is fused or reordered.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from volition.channel._electrodes_design import Happenings, Sources
from volition.channel._frontend_simd import (
    LANES,
    all_f,
    all_i,
    choose,
    greater_f,
    jit,
    load_f,
    load_f2,
    load_i,
    shift_left,
    shift_right,
    store,
    store2,
    to_float,
    to_int,
)

f32, i32 = np.float32, np.int32


@jit
def _word(r):
    """One step of the shift register."""
    r = r ^ shift_left(r, all_i(i32(13)))
    r = r ^ shift_right(r, all_i(i32(17)))
    return r ^ shift_left(r, all_i(i32(5)))


@jit
def _pair(u):
    """Bytes of a word added in pairs."""
    bytes_ = all_i(i32(0x00FF00FF))
    return (u & bytes_) + (shift_right(u, all_i(i32(8))) & bytes_)


@jit
def _first(pair):
    return to_float(pair & all_i(i32(0xFFFF))) - all_f(f32(255))


@jit
def _second(pair):
    return to_float(shift_right(pair, all_i(i32(16)))) - all_f(f32(255))


@jit
def _filter(state, j, c, noise, pole):
    """One tick of process j: rows j, 4 + j and 8 + j are its poles, 12 + j its value."""
    p = all_f(pole[j])
    once = load_f2(state, j, c) * p + noise
    twice = load_f2(state, 4 + j, c) * p + once
    thrice = load_f2(state, 8 + j, c) * p + twice
    store2(state, j, c, once)
    store2(state, 4 + j, c, twice)
    store2(state, 8 + j, c, thrice)
    store2(state, 12 + j, c, twice - thrice * all_f(f32(1) - pole[j]))


@jit
def _processes(state, register, weyl, step, pole):
    """One tick of the four processes of all sources."""
    for c in range(0, register.size, LANES):
        r, w, d = _word(load_i(register, c)), load_i(weyl, c) + load_i(step, c), load_i(step, c)
        pair = _pair(r + w)
        _filter(state, 0, c, _first(pair), pole)
        _filter(state, 1, c, _second(pair), pole)
        r, w = _word(r), w + d
        pair = _pair(r + w)
        _filter(state, 2, c, _first(pair), pole)
        _filter(state, 3, c, _second(pair), pole)
        store(register, c, r)
        store(weyl, c, w)


@jit
def _potential(before, after, own, shared, own_gain, shared_gain, line_gain, line, array_of):
    """Next value of every channel's potential."""
    for c in range(0, before.size, LANES):
        value = load_f2(line_gain, 0, c) * all_f(line[0]) + load_f2(line_gain, 1, c) * all_f(line[1])
        for j in range(4):
            value = value + load_f2(own_gain, j, c) * load_f2(own, 12 + j, c)
            value = value + load_f2(shared_gain, j, c) * all_f(shared[12 + j, array_of[c // LANES]])
        store(before, c, load_f(after, c))
        store(after, c, value)


@jit
def _spikes(ring, sample, channel, phase, height, k, stop, template, width, first, gain):
    """Write the spikes that start before `stop` into the ring; the number of the next."""
    mask = ring.shape[0] - 1
    while k < sample.size and sample[k] < stop:
        c = channel[k]
        a = first[c]
        for i in range(template.shape[2]):
            row = (sample[k] + i) & mask
            v = template[width[c], phase[k], i] * height[k]
            for j in range(gain.shape[1]):
                ring[row, a + j] += v * gain[c, j]
        k += 1
    return k


@jit
def _pulses(ring, pulse, height, k, stop, shape):
    """Write the artefacts that start before `stop` into the ring; the number of the next."""
    mask = ring.shape[0] - 1
    while k < pulse.size and pulse[k] < stop:
        for i in range(shape.size):
            row = (pulse[k] + i) & mask
            for c in range(ring.shape[1]):
                ring[row, c] += shape[i] * height[k, c]
        k += 1
    return k


@jit
def _samples(
    t,
    rows,
    c,
    phase0,
    inverse,
    register,
    weyl,
    step,
    low_,
    pink_,
    before,
    after,
    hash_gain,
    pink_gain,
    offset,
    pole,
    ring,
    fine,
):
    """A tile of 16 channels: fine steps of voltage, from which `_codes` makes codes."""
    mask = ring.shape[0] - 1
    r, w, d = load_i(register, c), load_i(weyl, c), load_i(step, c)
    low, pink = load_f(low_, c), load_f(pink_, c)
    h, p, o = load_f(hash_gain, c), load_f(pink_gain, c), load_f(offset, c)
    base = load_f(before, c)
    slope = (load_f(after, c) - base) * all_f(inverse)
    hash_pole, pink_pole, floor = all_f(pole[0]), all_f(pole[1]), all_f(pole[2])
    half, scale, zero, top = all_f(f32(512)), all_f(f32(16)), all_f(f32(0)), all_f(f32(16383))
    for i in range(rows):
        r = _word(r)
        w = w + d
        pair = _pair(r + w)
        a = _first(pair)
        low = low * hash_pole + a
        pink = pink * pink_pole + _second(pair)
        v = (low + a * floor) * h + pink * p
        v = v + (base + slope * all_f(f32(phase0 + i)))
        row = (t + i) & mask
        v = v + load_f2(ring, row, c) + o
        store2(ring, row, c, zero)
        v = (v + half) * scale
        v = choose(greater_f(zero, v), zero, v)
        v = choose(greater_f(v, top), top, v)
        store2(fine, i, c, to_int(v))
    store(register, c, r)
    store(weyl, c, w)
    store(low_, c, low)
    store(pink_, c, pink)


@jit
def _codes(fine, rows, table, out, o):
    for i in range(rows):
        for c in range(fine.shape[1]):
            out[o + i, c] = table[np.uint32(fine[i, c])]


@jit
def _generate(out, start, tick, poles, potential_pole, seed, seed_own, seed_shared, own, shared, fast, slow, own_gain,
              shared_gain, line_gain, line, array_of, level, ring, fine, table, sample, channel, phase, height, template,
              width, first, gain, pulse, pulse_height, artefact):  # fmt: skip
    """A stretch of voltage, tile by tile; tiles end with the tick."""
    register, weyl, step, low, pink, before, after = seed[0], seed[1], seed[2], fast[0], fast[1], slow[0], slow[1]
    t, stop, ticks, k, m = start, start + out.shape[0], 0, 0, 0
    inverse = f32(1.0 / tick)
    while t < stop:
        rows = min(tick - t % tick, stop - t)
        if t % tick == 0:
            _processes(own, seed_own[0], seed_own[1], seed_own[2], potential_pole)
            _processes(shared, seed_shared[0], seed_shared[1], seed_shared[2], potential_pole)
            _potential(before, after, own, shared, own_gain, shared_gain, line_gain, line[ticks], array_of)
            ticks += 1
        k = _spikes(ring, sample, channel, phase, height, k, t + rows, template, width, first, gain)
        m = _pulses(ring, pulse, pulse_height, m, t + rows, artefact)
        for c in range(0, before.size, LANES):
            _samples(t, rows, c, t % tick, inverse, register, weyl, step, low, pink, before, after, level[0], level[1],
                     level[2], poles, ring, fine)  # fmt: skip
        _codes(fine, rows, table, out, t - start)
        t += rows


class Kernel:
    """Compiled engine of `Electrodes`.

    Args:
        sources: all constants.
    """

    def __init__(self, sources: Sources) -> None:
        self._s = s = sources
        self._seed, self._seed_own, self._seed_shared = (v.view(i32).copy() for v in (s.seed, s.seed_own, s.seed_shared))
        self._own, self._shared = (np.zeros((16, seed.shape[1]), f32) for seed in (s.seed_own, s.seed_shared))
        self._fast, self._slow = np.zeros((2, s.channels), f32), np.zeros((2, s.channels), f32)
        self._ring = np.zeros((s.ring, s.channels), f32)
        self._fine = np.zeros((s.rates.tick, s.channels), i32)
        self._poles = np.array([s.rates.hash_pole, s.rates.pink_pole, s.rates.floor], f32)
        self._level = np.stack([s.hash, s.pink, s.offset])

    def generate(self, samples: int, start: int, what: Happenings) -> NDArray[np.int16]:
        """`[samples, channels]` codes of the stretch that begins at sample `start` of the run."""
        s = self._s
        out = np.empty((samples, s.channels), np.int16)
        _generate(
            out, start, s.rates.tick, self._poles, s.rates.potential_pole.astype(f32), self._seed, self._seed_own,
            self._seed_shared, self._own, self._shared, self._fast, self._slow, s.own, s.shared, s.line, what.line,
            s.array_of, self._level, self._ring, self._fine, s.table, what.sample, what.channel, what.phase, what.height,
            s.template, s.width, s.first, s.gain, what.pulse, what.pulse_height, s.artefact,
        )  # fmt: skip
        return out
