"""Voltage in plain numpy, one sample of all channels at a time: byte for byte what the compiled kernel makes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from volition.channel._adc import convert
from volition.channel._electrodes_design import Happenings, Sources
from volition.signal import Float32

_PAIR = np.uint32(0x00FF00FF)
_MEAN = np.float32(255)


def _noise(state: NDArray[np.uint32]) -> tuple[Float32, Float32]:
    """Advance `[3, n]` sources by one word each; two sums of two bytes, mean removed."""
    r = state[0]
    r ^= r << np.uint32(13)
    r ^= r >> np.uint32(17)
    r ^= r << np.uint32(5)
    state[1] += state[2]
    u = r + state[1]
    pair = (u & _PAIR) + ((u >> np.uint32(8)) & _PAIR)
    return (pair & np.uint32(0xFFFF)).astype(np.float32) - _MEAN, (pair >> np.uint32(16)).astype(np.float32) - _MEAN


class Twin:
    """Engine of `Electrodes` in numpy.

    Args:
        sources: all constants.
    """

    def __init__(self, sources: Sources) -> None:
        self._s = s = sources
        self._seed, self._seed_own, self._seed_shared = s.seed.copy(), s.seed_own.copy(), s.seed_shared.copy()
        self._own, self._shared = (np.zeros((4, 4, seed.shape[1]), np.float32) for seed in (s.seed_own, s.seed_shared))
        self._low, self._pink = np.zeros(s.channels, np.float32), np.zeros(s.channels, np.float32)
        self._from, self._to = np.zeros(s.channels, np.float32), np.zeros(s.channels, np.float32)
        self._ring = np.zeros((s.ring, s.channels), np.float32)

    def _tick(self, line: Float32) -> None:
        """Next value of the potential."""
        s = self._s
        pole = s.rates.potential_pole.astype(np.float32)[:, None]
        for state, seed in ((self._own, self._seed_own), (self._shared, self._seed_shared)):
            noise = np.array([*_noise(seed), *_noise(seed)])
            state[0] = state[0] * pole + noise
            state[1] = state[1] * pole + state[0]
            state[2] = state[2] * pole + state[1]
            state[3] = state[1] - state[2] * (np.float32(1) - pole)
        wide = np.repeat(self._shared[3][:, s.array_of], 16, axis=1)
        value = s.line[0] * line[0] + s.line[1] * line[1]
        for j in range(4):
            value = value + s.own[j] * self._own[3, j]
            value = value + s.shared[j] * wide[j]
        self._from, self._to = self._to, value

    def _happen(self, what: Happenings, t: int, rows: int) -> None:
        """Write the spikes and pulses that start in `t`..`t + rows` into the ring."""
        s, mask = self._s, len(self._ring) - 1
        for k in np.nonzero((what.sample >= t) & (what.sample < t + rows))[0]:
            c = what.channel[k]
            first, gain = s.first[c], s.gain[c]
            where = (what.sample[k] + np.arange(s.template.shape[2])) & mask
            shape = s.template[s.width[c], what.phase[k]] * what.height[k]
            self._ring[where, first : first + gain.size] += shape[:, None] * gain
        for k in np.nonzero((what.pulse >= t) & (what.pulse < t + rows))[0]:
            where = (what.pulse[k] + np.arange(s.artefact.size)) & mask
            self._ring[where] += s.artefact[:, None] * what.pulse_height[k]

    def generate(self, samples: int, start: int, what: Happenings) -> NDArray[np.int16]:
        """`[samples, channels]` codes of the stretch that begins at sample `start` of the run."""
        s, tick = self._s, self._s.rates.tick
        hash_pole, pink_pole, floor = (np.float32(v) for v in (s.rates.hash_pole, s.rates.pink_pole, s.rates.floor))
        out = np.empty((samples, s.channels), np.int16)
        ticks, t = 0, start
        while t < start + samples:
            rows = min(tick - t % tick, start + samples - t)
            if t % tick == 0:
                self._tick(what.line[ticks])
                ticks += 1
            self._happen(what, t, rows)
            slope = (self._to - self._from) * np.float32(1 / tick)
            for i in range(rows):
                a, b = _noise(self._seed)
                self._low = self._low * hash_pole + a
                self._pink = self._pink * pink_pole + b
                v = (self._low + a * floor) * s.hash + self._pink * s.pink
                v = v + (self._from + slope * np.float32((t + i) % tick))
                row = (t + i) & (len(self._ring) - 1)
                v = v + self._ring[row] + s.offset
                self._ring[row] = 0
                out[t + i - start] = convert(v, s.table)
            t += rows
        return out
