"""The front end as compiled kernels (extra `[fast]`): float32, sixteen channels at a time, state in registers.

Import this only inside functions. Same results as `_frontend_numpy.Twin` within the tolerances that the tests state.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.channel._frontend_design import Plan
from volition.channel._frontend_simd import (
    LANES,
    absolute,
    all_f,
    all_i,
    bits,
    choose,
    equal_i,
    fma,
    greater_f,
    greater_i,
    jit,
    load_f,
    load_f2,
    load_i,
    load_short,
    load_short2,
    store,
    store2,
    to_float,
    total,
)

f32, i32 = np.float32, np.int32
_STATE = ("y1", "s1", "y2", "s2", "z1", "z2", "w1", "w2", "u1", "v1", "u2", "v2", "power", "square")


@jit
def _differences(x, previous, t0, rows, a, b, opened, active, stuck, railed, limits, means, dx):
    """Take dx `[rows, b - a]` = x[t] - x[t-1]; sums over active channels go to `means`; counts still and railed samples."""
    low, high = all_i(i32(limits[0] + 1)), all_i(i32(limits[1] - 1))
    for i in range(rows):
        t = t0 + i
        seen = all_i(i32(-1) if opened[t] > 0 else i32(0))
        summed = all_i(i32(0))
        for c in range(a, b, LANES):
            now = load_short2(x, t, c)
            before = load_short2(x, t - 1, c) if t > 0 else load_short(previous, c)
            d = now - before
            summed = summed + (d & load_i(active, c))
            store2(dx, i, c - a, to_float(d))
            store(stuck, c, load_i(stuck, c) - (equal_i(now, before) & seen))
            store(railed, c, load_i(railed, c) - ((greater_i(now, high) | greater_i(low, now)) & seen))
        means[i] = f32(total(summed))


@jit
def _common_average(rows, width, t0, opened, gain, inverse, means, dx):
    """Set dx := gain · (dx - mean), or zero while the input is held."""
    for i in range(rows):
        g = f32(gain * opened[t0 + i])
        mean = all_f(-(means[i] * inverse * g))
        for c in range(0, width, LANES):
            store2(dx, i, c, fma(all_f(g), load_f2(dx, i, c), mean))


@jit
def _regression(rows, first, a, b, t0, opened, gain, weights, usable, dx, out):
    """Set out := gain · (dx - Σ_k w_k dx_k), four samples at a time; every sample sums in the same order."""
    for i in range(rows):
        for k in range(b - a):
            usable[i, k] = dx[i, k] if usable[rows, k] > 0 else f32(0)
    four = rows - rows % 4
    for c in range(0, b - a, LANES):
        for i in range(0, four, 4):
            e0, e1, e2, e3 = load_f2(dx, i, c), load_f2(dx, i + 1, c), load_f2(dx, i + 2, c), load_f2(dx, i + 3, c)
            for k in range(b - a):
                w = load_f2(weights, first + k, c)
                e0 = fma(all_f(-usable[i, k]), w, e0)
                e1 = fma(all_f(-usable[i + 1, k]), w, e1)
                e2 = fma(all_f(-usable[i + 2, k]), w, e2)
                e3 = fma(all_f(-usable[i + 3, k]), w, e3)
            store2(out, i, c, e0 * all_f(f32(gain * opened[t0 + i])))
            store2(out, i + 1, c, e1 * all_f(f32(gain * opened[t0 + i + 1])))
            store2(out, i + 2, c, e2 * all_f(f32(gain * opened[t0 + i + 2])))
            store2(out, i + 3, c, e3 * all_f(f32(gain * opened[t0 + i + 3])))
        for i in range(four, rows):
            e0 = load_f2(dx, i, c)
            for k in range(b - a):
                e0 = fma(all_f(-usable[i, k]), load_f2(weights, first + k, c), e0)
            store2(out, i, c, e0 * all_f(f32(gain * opened[t0 + i])))


@jit
def _power(du, rows, j, c, t0, u1_, v1_, u2_, v2_, power_, coef, opened):
    """Spiking-band filter and Σ|y| of 16 channels over one tile."""
    u1, v1, u2, v2 = load_f(u1_, c), load_f(v1_, c), load_f(u2_, c), load_f(v2_, c)
    power = load_f(power_, c)
    damp, spring, a1, a2 = all_f(coef[8]), all_f(-coef[9]), all_f(-coef[10]), all_f(-coef[11])
    two = all_f(f32(2))
    for i in range(rows):
        y = fma(damp, u1, fma(spring, v1, load_f2(du, i, j)))
        v1 = v1 + y
        u1 = y
        z = y + u2
        u2 = fma(a1, z, fma(two, y, v2))
        v2 = fma(a2, z, y)
        power = fma(absolute(z), all_f(opened[t0 + i]), power)
    store(u1_, c, u1)
    store(v1_, c, v1)
    store(u2_, c, u2)
    store(v2_, c, v2)
    store(power_, c, power)


@jit
def _spikes(
    du, rows, j, c, t0, y1_, s1_, y2_, s2_, z1_, z2_, w1_, w2_, square_, limit_, below_, rest_, coef, opened, live, dead
):
    """Spike-band filter, Σy² and threshold crossings of 16 channels over one tile; True where any crossed."""
    y1, s1, y2, s2 = load_f(y1_, c), load_f(s1_, c), load_f(y2_, c), load_f(s2_, c)
    z1, z2, w1, w2 = load_f(z1_, c), load_f(z2_, c), load_f(w1_, c), load_f(w2_, c)
    square, limit = load_f(square_, c), load_f(limit_, c)
    was, rest = load_i(below_, c), load_i(rest_, c)
    damp1, spring1, damp2, spring2 = all_f(coef[0]), all_f(-coef[1]), all_f(coef[2]), all_f(-coef[3])
    a1, a2, b1, b2 = all_f(-coef[4]), all_f(-coef[5]), all_f(-coef[6]), all_f(-coef[7])
    two, zero = all_f(f32(2)), all_f(f32(0))
    one, full, least, ones = all_i(i32(1)), all_i(i32(dead - 1)), all_i(i32(-dead)), all_i(i32(-1))
    for i in range(rows):
        y = fma(damp1, y1, fma(spring1, s1, load_f2(du, i, j)))
        s1 = s1 + y
        d = y - y1
        y1 = y
        y = fma(damp2, y2, fma(spring2, s2, d))
        s2 = s2 + y
        y2 = y
        z = y + z1
        z1 = fma(a1, z, fma(two, y, z2))
        z2 = fma(a2, z, y)
        w = z + w1
        w1 = fma(b1, w, fma(two, z, w2))
        w2 = fma(b2, w, z)
        q = w * w
        square = fma(q, all_f(opened[t0 + i]), square)
        below = greater_f(q, limit) & greater_f(zero, w)
        crossed = below & (was ^ ones) & greater_i(one, rest) & all_i(live[t0 + i])
        was = below
        rest = choose(crossed, full, choose(greater_i(rest, least), rest - one, rest))
    store(y1_, c, y1)
    store(s1_, c, s1)
    store(y2_, c, y2)
    store(s2_, c, s2)
    store(z1_, c, z1)
    store(z2_, c, z2)
    store(w1_, c, w1)
    store(w2_, c, w2)
    store(square_, c, square)
    store(below_, c, was)
    store(rest_, c, rest)
    return bits(greater_i(rest, all_i(i32(dead - 1 - rows)))) != 0


@jit
def _fold_power(state_power, power):
    """Move the float32 sums of a block into the bin's float64 sums, so that long bins lose no digits."""
    for c in range(power.size):
        power[c] += np.float64(state_power[c])
        state_power[c] = f32(0)


@jit
def _fold_square(square, mean_square, limit, clock, alpha, times2, floor2):
    """End of a block: running mean square, then the squared threshold of the coming block."""
    if clock[1] > 0:
        clock[0] += clock[1]
        a = max(clock[1] / clock[0], alpha * clock[1])
        for c in range(square.size):
            mean_square[c] += a * (np.float64(square[c]) / clock[1] - mean_square[c])
            limit[c] = f32(max(times2 * mean_square[c], floor2))
            square[c] = f32(0)
        clock[1] = 0.0


@jit
def _advance(x, previous, opened, live, phase, f, i_, wide, limit, clock, numbers, limits, edges, inverse, active, weights,
             coef, scratch, out, usable, means, event_channel, event_row, events):  # fmt: skip
    """A stretch within one bin; tiles end at the block grid, so nothing depends on how the samples were chunked."""
    y1, s1, y2, s2, z1, z2, w1, w2 = f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7]
    u1, v1, u2, v2, power, square = f[8], f[9], f[10], f[11], f[12], f[13]
    below, rest, stuck, railed = i_[0], i_[1], i_[2], i_[3]
    dead = limits[2]
    width = weights.shape[1]
    samples = x.shape[0]
    t0 = 0
    while t0 < samples:
        rows = min(dead - phase, samples - t0)
        for g in range(edges.size - 1):
            a, b = edges[g], edges[g + 1]
            _differences(x, previous, t0, rows, a, b, opened, active, stuck, railed, limits, means, scratch)
            du = scratch
            if weights.shape[0] > 0:
                for k in range(b - a):
                    usable[rows, k] = f32(1) if active[a + k] != 0 else f32(0)
                _regression(rows, g * width, a, b, t0, opened, numbers[0], weights, usable, scratch, out)
                du = out
            else:
                _common_average(rows, b - a, t0, opened, numbers[0], inverse[g], means, scratch)
            for c in range(a, b, LANES):
                _power(du, rows, c - a, c, t0, u1, v1, u2, v2, power, coef, opened)
                if _spikes(du, rows, c - a, c, t0, y1, s1, y2, s2, z1, z2, w1, w2, square, limit, below, rest, coef,
                           opened, live, dead):  # fmt: skip
                    for k in range(c, c + LANES):
                        if rest[k] > dead - 1 - rows:
                            event_channel[events] = k
                            event_row[events] = t0 + rest[k] - dead + rows
                            events += 1
        for i in range(rows):
            clock[1] += np.float64(opened[t0 + i])
        t0 += rows
        phase += rows
        if phase == dead:
            phase = 0
            _fold_power(power, wide[1])
            _fold_square(square, wide[0], limit, clock, numbers[1], numbers[2], numbers[3])
    for c in range(previous.size):
        previous[c] = x[samples - 1, c]
    return events


class Kernel:
    """Compiled engine of `FrontEnd`; channels are padded to a multiple of 16 with silent ones.

    Args:
        plan: sizes, filters and constants.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        n = -(-plan.channels // LANES) * LANES
        self._pad = n - plan.channels
        self._edges = plan.edges.copy()
        self._edges[-1] = n
        self._coef = np.concatenate([plan.spike.high, plan.spike.low, plan.power.high, plan.power.low]).ravel().astype(f32)
        self._numbers = np.array([plan.spike.gain, plan.alpha, plan.times_rms**2, plan.floor**2])
        self._limits = np.array([plan.rail_low, plan.rail_high, plan.dead_samples], i32)
        self._f = np.zeros((len(_STATE), n), f32)
        self._i = np.zeros((4, n), i32)
        self._wide = np.zeros((2, n))
        self._limit = np.full(n, np.inf, f32)
        self._clock = np.zeros(2)
        self._previous: NDArray[np.int16] | None = None
        width = int(np.diff(self._edges).max())
        self._scratch, self._out, self._usable = (np.zeros((plan.dead_samples + 1, width), f32) for _ in range(3))
        self._means = np.zeros(plan.dead_samples, f32)
        room = n * (plan.longest_bin // plan.dead_samples + 3)
        self._event_channel, self._event_sample = np.zeros(room, i32), np.zeros(room, np.int64)
        self._event_row = np.zeros(room, i32)
        self._events = 0
        self.weights(None)
        self.use(np.ones(plan.channels, bool))

    def use(self, good: NDArray[np.bool_]) -> None:
        """Only these channels enter the reference from now on."""
        self._active = np.zeros(self._i.shape[1], i32)
        self._active[: good.size] = np.where(good, -1, 0)
        number = np.add.reduceat(self._active != 0, self._edges[:-1])
        mean = self._plan.reference != "none"
        self._inverse = np.where(number > 0, mean / np.maximum(number, 1), 0.0).astype(f32)

    def weights(self, weights: NDArray[Any] | None) -> None:
        """Regression weights, or None for the common average."""
        self._weights = np.zeros((0, 0), f32)
        if weights is not None:
            width = self._scratch.shape[1]
            self._weights = np.zeros(((self._edges.size - 1) * width, width), f32)
            for g, (a, b) in enumerate(pairwise(self._plan.edges)):
                self._weights[g * width : g * width + b - a, : b - a] = weights[: b - a, a:b]

    def advance(self, x: NDArray[np.int16], opened: NDArray[Any], live: NDArray[Any], start: int) -> None:
        """Take `x` `[samples, channels]`, all within one bin, the first being sample `start` of the run."""
        if self._pad:
            x = np.pad(x, ((0, 0), (0, self._pad)))
        if self._previous is None:
            self._previous = x[0].copy()
        before = self._events
        self._events = _advance(
            x, self._previous, opened, live, start % self._plan.dead_samples, self._f, self._i, self._wide, self._limit,
            self._clock, self._numbers, self._limits, self._edges, self._inverse, self._active, self._weights, self._coef,
            self._scratch, self._out, self._usable, self._means, self._event_channel, self._event_row, before,
        )  # fmt: skip
        self._event_sample[before : self._events] = self._event_row[before : self._events] + np.int64(start)

    def finish_bin(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Crossings (channel, sample) of the bin; per channel Σ|y|, still and railed samples; then a new bin starts."""
        n = self._plan.channels
        _fold_power(self._f[12], self._wide[1])
        scale = self._plan.power.gain / self._plan.spike.gain
        power, still, railed = self._wide[1, :n] * scale, self._i[2, :n].copy(), self._i[3, :n].copy()
        self._wide[1], self._i[2:] = 0, 0
        channel, sample = self._event_channel[: self._events], self._event_sample[: self._events]
        real = channel < n  # the padding hears the common average
        self._events = 0
        return channel[real], sample[real], power, still, railed

    def mean_square(self) -> NDArray[np.float64]:
        """Running mean square of the spike band, LSB²."""
        return self._wide[0, : self._plan.channels].copy()
