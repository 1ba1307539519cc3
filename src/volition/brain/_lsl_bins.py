"""From time-stamped samples to bins: what came, what is missing, what is too late. Knows no LSL."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.signal import Bool, Float64

_JITTER_S = 0.005  # time stamps may be off by this much, or by 3/4 of a sample, before samples count as missing
_TOO_FAST = 1.1
_WINDOW_S = 1.0
_MOST = np.iinfo(np.uint16).max


class Regular:
    """A stream of fixed rate, cut into bins of equally many samples (give or take one).

    Attributes:
        counts: "gap" samples missing between those that came, "late" bins dropped for their age, "rate" bins dropped because
            samples come faster than the stream says.
        cuts: how often samples of an unfinished bin were dropped at a gap.
        measured_hz: rate by the time stamps, where it is above the nominal one; else 0.

    Args:
        rate_hz: nominal.
        bin_s: width of a bin.
        slack: bins that may wait; older ones are dropped.
        max_age_s: age of a bin's last sample above which it is dropped.
    """

    def __init__(self, rate_hz: float, bin_s: float, slack: int, max_age_s: float) -> None:
        self.counts: Counter[str] = Counter()
        self.cuts, self.measured_hz = 0, 0.0
        self._rate, self._per_bin, self._slack, self._max_age_s = rate_hz, rate_hz * bin_s, slack, max_age_s
        self._bins = self._missing = 0
        self._last_s: float | None = None
        self._times: Float64 = np.empty(0)
        self._data: NDArray[Any] | None = None
        self._recent: deque[tuple[float, float, int]] = deque()

    @property
    def needed(self) -> int:
        """Samples of the coming bin."""
        return round((self._bins + 1) * self._per_bin) - round(self._bins * self._per_bin)

    @property
    def waiting(self) -> int:
        """Samples at hand."""
        return len(self._times)

    def add(self, times_s: Float64, data: NDArray[Any], offset_s: float = 0.0) -> None:
        """Take samples `[n, channels]` and their times `[n]` on the sender's clock, s.

        `offset_s` is added for this machine's clock, after gaps were looked for: its estimate is set anew now and then, and
        jumps by milliseconds on a loaded machine.
        """
        before = times_s[0] - 1 / self._rate if self._last_s is None else self._last_s
        steps = np.diff(times_s, prepend=before) * self._rate - 1.0  # samples left out before each one
        self._last_s = float(times_s[-1])
        jumps = np.nonzero(np.abs(steps) > max(0.75, _JITTER_S * self._rate))[0]
        if jumps.size:
            self._missing += int(np.rint(steps[jumps]).sum())  # a stamp that was only late is taken back by the next one
            self.counts["gap"] = max(0, self._missing)
            if self._per_bin > 1.5:  # a bin must not join what did not follow each other
                at = int(jumps[-1])
                times_s, data, self._times, self._data = times_s[at:], data[at:], np.empty(0), None
                self.cuts += 1
        self._measure(times_s)
        self._times = np.concatenate([self._times, times_s + offset_s])
        self._data = data if self._data is None else np.concatenate([self._data, data])

    def _measure(self, times_s: Float64) -> None:
        """Whether samples come faster than announced."""
        self._recent.append((float(times_s[0]), float(times_s[-1]), len(times_s)))
        while self._recent[-1][1] - self._recent[0][0] > 2 * _WINDOW_S:
            self._recent.popleft()
        span, n = self._recent[-1][1] - self._recent[0][0], sum(row[2] for row in self._recent)
        if span >= _WINDOW_S:
            hz = (n - 1) / span
            self.measured_hz = hz if hz > _TOO_FAST * self._rate else 0.0

    def _drop(self, n: int) -> tuple[Float64, NDArray[Any]]:
        assert self._data is not None
        times, data = self._times[:n], self._data[:n]
        self._times, self._data = self._times[n:], self._data[n:]
        return times, data

    def take(self, now_s: float) -> tuple[float, NDArray[Any]] | None:
        """Time of the last sample and the samples of the next bin, or None where they are not all here."""
        if self.measured_hz:
            while self.waiting >= self.needed:
                self._drop(self.needed)
                self.counts["rate"] += 1
            return None
        while self.waiting >= self.needed:
            n = self.needed
            times, data = self._drop(n)
            if self.waiting > self._slack * self._per_bin + 0.5 or now_s - times[-1] > self._max_age_s:
                self.counts["late"] += 1
                continue
            self._bins += 1
            return float(times[-1]), data
        return None


class Events:
    """Spikes, each with its time: a bin closes a fixed delay after its end, and what comes for it later is dropped.

    Attributes:
        counts: "late" events, "channel" events of a channel that is not there.
    """

    def __init__(self, channels: int, bin_s: float) -> None:
        self.counts: Counter[str] = Counter()
        self._channels, self._bin_s = channels, bin_s
        self._times: Float64 = np.empty(0)
        self._which: NDArray[np.int64] = np.empty(0, np.int64)
        self._closed_s = -np.inf

    def add(self, times_s: Float64, which: NDArray[Any]) -> None:
        """Take events: their times, s, and their channels."""
        with np.errstate(invalid="ignore"):
            index = which.astype(np.int64)
        known = (index == which) & (index >= 0) & (index < self._channels)
        self.counts["channel"] += int((~known).sum())
        self._times = np.concatenate([self._times, times_s[known]])
        self._which = np.concatenate([self._which, index[known]])

    def take(self, close_s: float) -> tuple[Float64, NDArray[np.int64]]:
        """Events of the bin that ends at `close_s`, in order of time."""
        begin = self._closed_s
        if close_s - begin > 1.5 * self._bin_s:  # the first one, or the loop gave time up
            begin = close_s - self._bin_s
        self._closed_s = max(close_s, self._closed_s)
        here = self._times <= close_s
        times, which = self._times[here], self._which[here]
        self._times, self._which = self._times[~here], self._which[~here]
        fresh = times > begin
        self.counts["late"] += int((~fresh).sum())
        order = np.argsort(times[fresh], kind="stable")
        return times[fresh][order], which[fresh][order]


def whole_counts(samples: NDArray[Any]) -> tuple[NDArray[np.uint16], Bool]:
    """Counts `[channels]` of a bin from its samples `[n, channels]`, and which are missing.

    Missing is what is negative, NaN, not a whole number or more than a count can be.
    """
    if samples.dtype.kind == "f":
        wrong = ~np.isfinite(samples) | (samples < 0) | (samples != np.rint(samples))
        samples = np.where(wrong, 0, samples)
    else:
        wrong = samples < 0
    total = samples.sum(axis=0, dtype=np.float64)
    missing: Bool = wrong.any(axis=0) | (total > _MOST)
    return np.where(missing, 0, total).astype(np.uint16), missing


def int16_voltage(samples: NDArray[Any], lsb_uv: float) -> NDArray[np.int16]:
    """Voltage in LSB: whole numbers are taken as such, real ones as µV. What is not finite becomes 0."""
    if samples.dtype.kind == "f":
        samples = np.nan_to_num(samples / lsb_uv, nan=0.0, posinf=32767, neginf=-32768)
        samples = np.rint(samples)
    out: NDArray[np.int16] = np.clip(samples, -32768, 32767).astype(np.int16)
    return out
