"""What of a channel's firing is not intention: noise that channels share, noise of its own, and how regular it fires."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from volition.errors import ConfigError
from volition.signal import NS_PER_MS, Float32, Float64

_ZERO = np.float32(0)
_AHEAD = 64  # numbers drawn at once, a power of 2: a call costs far more than a number
_FEW = 8


@dataclass(frozen=True)
class VariabilityConfig:
    """Constants of the noise; how much of it there is, is the preset's (fitted to a recording).

    Attributes:
        shared_noise: the common noise, as a multiple of the fitted one; 0: none (noise correlations grow with the width of
            the bin, so it is slow: Averbeck & Lee 2003; loadings and time constants are fitted).
        own_noise: gain noise of each channel alone, as a multiple of the fitted one; 0: none.
        regular: False: intervals are exponential (Poisson), whatever was fitted.
        spike_times: give the single spikes, too, for a channel that makes voltage of them.
        refractory_ms: least distance of two spikes of a channel where their times are given, ms (assumption: as a multi-unit
            detector has it).
    """

    shared_noise: float = 1.0
    own_noise: float = 1.0
    regular: bool = True
    spike_times: bool = False
    refractory_ms: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is not noise.

        Raises:
            ConfigError: a multiple or time is negative or not finite.
        """
        for name in ("shared_noise", "own_noise", "refractory_ms"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"person: {name} must not be negative, got {getattr(self, name)}")


def averaged(bins: Float64 | float) -> Float64:
    """Variance of the mean of an Ornstein-Uhlenbeck process over a bin, over its variance; `bins`: width / time constant."""
    x = np.maximum(np.asarray(bins, np.float64), 1e-6)
    return np.asarray(2 * (x - 1 + np.exp(-x)) / x**2)


class CommonNoise:
    """A few slow processes of unit variance, AR(1): z <- a z + sqrt(1 - a²) n, a = exp(-dt / tau).

    Attributes:
        scale: `[factors]` what loadings are to be multiplied with: the mean over a bin varies less than the process.
    """

    def __init__(self, time_ms: Float64, bin_ns: int, rng: np.random.Generator) -> None:
        x = bin_ns / NS_PER_MS / time_ms
        self._keep = np.exp(-x)
        self._fresh = np.sqrt(1.0 - self._keep**2)
        self._rng = rng
        self._z = rng.standard_normal(len(time_ms))
        self._drawn, self._at = np.zeros((0, len(time_ms))), 0
        self.scale: Float64 = np.sqrt(averaged(x))

    def step(self) -> Float64:
        """The next bin's z, `[factors]`."""
        if self._at == len(self._drawn):
            self._drawn, self._at = self._fresh * self._rng.standard_normal((_AHEAD, len(self._z))), 0
        self._z = self._keep * self._z + self._drawn[self._at]
        self._at += 1
        return self._z


@lru_cache(maxsize=1)
def _quantiles() -> Float32:
    """Normal numbers at 2^16 equally likely places, unit variance: the largest is 4.3."""
    from scipy.special import ndtri

    z = ndtri((np.arange(1 << 16) + 0.5) / (1 << 16))
    return np.asarray(z / z.std(), np.float32)


class Normals:
    """Normal numbers of 16 random bits each: a fifth of the price of full ones, and no gain shows the difference."""

    def __init__(self, size: int, scale: float, rng: np.random.Generator) -> None:
        self._table = np.float32(scale) * _quantiles()
        self._bits, self._size = rng.bit_generator, size
        self._out = np.empty(size, np.float32)

    def draw(self) -> Float32:
        """`[size]` of standard deviation `scale`; valid until the next call."""
        places = self._bits.random_raw(-(-self._size // 4)).view(np.uint16)[: self._size]
        return self._table.take(places, out=self._out, mode="clip")  # "raise" would copy


class OwnNoise:
    """A gain for each channel, gamma distributed with mean 1 and the given variance s, correlated in time.

        g = (1 - s/9 + sqrt(s) x / 3)³,   x AR(1) of unit variance

    The cube of a normal variable is gamma distributed to three moments (Wilson & Hilferty 1931), so that counts given the
    drive are gamma-Poisson, at the price of one normal number a channel and bin.
    """

    def __init__(self, variance: Float64, time_ms: float, bin_ns: int, rng: np.random.Generator) -> None:
        s = variance * float(averaged(bin_ns / NS_PER_MS / time_ms))
        self._base = (1.0 - s / 9.0).astype(np.float32)
        self._slope = (np.sqrt(s) / 3.0).astype(np.float32)
        keep = math.exp(-bin_ns / NS_PER_MS / time_ms)
        self._keep = np.float32(keep)
        self._fresh = Normals(len(s), math.sqrt(1 - keep**2), rng)
        self._x: Float32 = rng.standard_normal(len(s), np.float32)
        self._out, self._cube = np.empty_like(self._x), np.empty_like(self._x)

    def step(self) -> Float32:
        """Gains of the next bin, `[channels]`; valid until the next call."""
        x, out, cube = self._x, self._out, self._cube
        np.multiply(x, self._keep, out=x)
        np.add(x, self._fresh.draw(), out=x)
        np.multiply(x, self._slope, out=out)
        np.add(out, self._base, out=out)
        np.maximum(out, _ZERO, out=out)
        np.multiply(out, out, out=cube)
        np.multiply(out, cube, out=out)
        return out


class Renewal:
    """Spikes whose intervals, in units of the expected count, are gamma distributed with mean 1 (Barbieri et al. 2001).

    A regular channel (shape > 1) has a Fano factor below 1, as sorted units and fast multi-units do; shape 1 is Poisson.
    """

    def __init__(self, shape: Float64, bin_ns: int, refractory_ms: float, rng: np.random.Generator) -> None:
        self._shape: Float32 = shape.astype(np.float32)
        self._rng = rng
        self._bin_ns, self._refractory_ns = bin_ns, round(refractory_ms * NS_PER_MS)
        # In equilibrium one stands in an interval in proportion to its length, anywhere in it.
        self._left: Float32 = (rng.standard_gamma(shape + 1.0) / shape * rng.random(len(shape))).astype(np.float32)
        self._last_ns: NDArray[np.int64] = np.full(len(shape), -self._refractory_ns, np.int64)
        self._drawn: Float32 = np.empty((len(shape), _AHEAD), np.float32)  # of each channel the next intervals
        self._used = np.zeros(len(shape), np.intp)

    def _intervals(self, at: NDArray[np.intp]) -> Float32:
        """The next interval of each of these channels."""
        used = self._used[at]
        empty = at[used == 0]
        if empty.size:
            self._draw(empty)
        self._used[at] = (used + 1) & (_AHEAD - 1)
        return self._drawn[at, used]

    def _draw(self, at: NDArray[np.intp]) -> None:
        """New intervals for these channels; for few of them a call each is the faster way."""
        if at.size > _FEW:
            k = self._shape[at, None]
            self._drawn[at] = self._rng.standard_gamma(k, (at.size, _AHEAD), np.float32) / k
            return
        for i in at.tolist():
            own = self._drawn[i]
            self._rng.standard_gamma(self._shape[i], dtype=np.float32, out=own)
            own /= self._shape[i]

    def step(self, expected: Float32) -> NDArray[np.uint16]:
        """Counts of the next bin, `[channels]`, from the expected ones."""
        counts = np.zeros(len(expected), np.uint16)
        left = self._left
        np.subtract(left, expected, out=left)
        at = (left < _ZERO).nonzero()[0]
        while at.size:
            counts[at] += 1
            now = left[at] + self._intervals(at)
            left[at] = now
            at = at[now < _ZERO]
        return counts

    def events(self, expected: Float32, t_ns: int) -> tuple[NDArray[np.uint16], NDArray[np.int32], NDArray[np.int64]]:
        """As `step`, and the single spikes: their channels and times, ns; `t_ns` is the end of the bin.

        Times are kept a refractory time apart; spikes that the bin then has no room for are dropped.
        """
        counts = np.zeros(len(expected), np.uint16)
        left, rate = self._left, np.maximum(expected, np.float32(1e-12))
        channels: list[NDArray[np.int64]] = []
        times: list[NDArray[np.int64]] = []
        begin = t_ns - self._bin_ns
        ahead = left.copy()  # expected count from the beginning of the bin to the next spike
        left -= expected
        at = np.flatnonzero(left < 0)
        while at.size:
            when = begin + np.rint(ahead[at] / rate[at] * self._bin_ns).astype(np.int64)
            when = np.maximum(when, self._last_ns[at] + self._refractory_ns)
            fits = when < t_ns
            self._last_ns[at[fits]] = when[fits]
            counts[at[fits]] += 1
            channels.append(at[fits])
            times.append(when[fits])
            more = self._intervals(at)
            left[at] += more
            ahead[at] += more
            at = at[left[at] < 0]
        if not channels:
            return counts, np.empty(0, np.int32), np.empty(0, np.int64)
        channel, when = np.concatenate(channels), np.concatenate(times)
        order = np.argsort(when, kind="stable")
        return counts, channel[order].astype(np.int32), when[order]
