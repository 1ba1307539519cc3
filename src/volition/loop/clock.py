"""Two clocks for one step function: lockstep (as fast as it goes) and real (each tick waits for its time)."""

from __future__ import annotations

import time
from typing import Protocol

from volition.signal import NS_PER_MS

_SPIN_NS = 200_000  # the last stretch is spun: sleep overshoots by about this much on an idle kernel


class Clock(Protocol):
    """What the loop asks of a clock. `dropped_ns` is the time given up because the loop could not follow."""

    dropped_ns: int

    def wait(self, t_ns: int) -> None:
        """Return when the run's clock has reached `t_ns`."""
        ...

    def lag_ns(self, t_ns: int) -> int:
        """How long ago `t_ns` was (0 in lockstep)."""
        ...


class Lockstep:
    """Simulated time: never waits, never late; the same run on any machine."""

    dropped_ns = 0

    def wait(self, t_ns: int) -> None:
        """Return at once."""

    def lag_ns(self, t_ns: int) -> int:
        """Never late."""
        return 0


class RealTime:
    """The machine's monotonic clock.

    A loop that falls behind by more than `max_lag_ms` gives that time up (and counts it) instead of running after it: what
    is late is dropped, a backlog never grows.
    """

    def __init__(self, max_lag_ms: float = 250.0) -> None:
        self.dropped_ns = 0
        self._max_lag_ns = int(max_lag_ms * NS_PER_MS)
        self._origin_ns: int | None = None

    def wait(self, t_ns: int) -> None:
        """Sleep, then spin, until the time has come."""
        now = time.monotonic_ns()
        if self._origin_ns is None:
            self._origin_ns = now - t_ns
        ahead = self._origin_ns + t_ns - now
        if ahead < -self._max_lag_ns:
            self.dropped_ns -= ahead
            self._origin_ns -= ahead
            return
        if ahead > _SPIN_NS:
            time.sleep((ahead - _SPIN_NS) / 1e9)
        target = self._origin_ns + t_ns
        while time.monotonic_ns() < target:
            pass

    def lag_ns(self, t_ns: int) -> int:
        """Time since the run's clock passed `t_ns`."""
        return 0 if self._origin_ns is None else time.monotonic_ns() - self._origin_ns - t_ns
