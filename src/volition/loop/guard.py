"""What stands after each stage: a fault is caught, counted and answered, never passed on.

| fault | how it shows | answer |
|---|---|---|
| exception, NaN, wrong shape or type | of any stage | its output is missing this time |
| stale, frozen, lost | features old, the same again and again, or all masked | intent is held, decays, stops |
| late | real clock: the decoder's answer came after its period | intent is held, decays, stops |
| many | three faults of a decoder within a second | stop, until `arm()` |

After the failure table of the safety notes: hold the last intent, let it decay with tau 120 ms, stop after 250 ms.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.loop.latency import Latency
from volition.signal import NS_PER_S, EndOfInput, Features, Float32

_MANY, _WINDOW_NS = 3, NS_PER_S
_FROZEN_BINS, _FROZEN_WIDTH = 5, 16  # as many equal bins in so many features do not happen in a living brain


class Guard:
    """Calls one stage, times it, and catches what it throws.

    Attributes:
        faults: kind of fault -> how often.
        latency: duration of the calls.
        last_ns: duration of the newest.
        error: text of the newest exception ("" if there was none).
    """

    __slots__ = ("error", "faults", "last_ns", "latency", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.faults: Counter[str] = Counter()
        self.latency = Latency()
        self.error = ""
        self.last_ns = 0

    def call(self, stage: Callable[..., Any], *args: Any) -> Any:
        """The stage's output, or None where it raised. The end of a recording is not a fault and passes."""
        start = time.perf_counter_ns()
        try:
            out = stage(*args)
        except EndOfInput:
            raise
        except Exception as error:
            self.faults["exception"] += 1
            self.error = f"{type(error).__name__}: {error}"
            out = None
        self.last_ns = took = time.perf_counter_ns() - start
        self.latency.add(took)
        return out

    def ask(self, stage: Callable[..., Any], *args: Any) -> Any:
        """Like `call`, for what is not the stage's work of a bin: not timed."""
        try:
            return stage(*args)
        except Exception as error:
            self.faults["exception"] += 1
            self.error = f"{type(error).__name__}: {error}"
            return None

    def refuse(self, kind: str) -> None:
        """Count a fault that the loop found in an output."""
        self.faults[kind] += 1


def finite(vector: NDArray[Any]) -> bool:
    """Whether all of a vector is finite (and its squared norm representable): one BLAS call, a fraction of a microsecond."""
    return math.isfinite(vector.dot(vector))


def sound_vector(guard: Guard, values: Any, size: int) -> Float32 | None:
    """A vector of intent as float32, or None (counted) where it is no numbers, has another shape or is not finite."""
    if values is None:
        return None
    try:
        vector: Float32 = np.asarray(values, np.float32)
    except (TypeError, ValueError):
        guard.refuse("type")
        return None
    if vector.shape != (size,):
        guard.refuse("shape")
        return None
    if not finite(vector):
        guard.refuse("not finite")
        return None
    return vector


def sound_features(guard: Guard, features: Features | None, size: int) -> Features | None:
    """Features of the right shape, finite where they are not masked; else None, counted."""
    if features is None:
        return None
    x, mask = features.x, features.mask
    if x.shape != (size,) or mask.shape != (size,):
        guard.refuse("shape")
        return None
    if not finite(x) and not np.logical_and.reduce(np.isfinite(x) | mask):
        guard.refuse("not finite")
        return None
    return features


def sealed(features: Features) -> tuple[Float32, NDArray[np.bool_]]:
    """Values and mask as a decoder gets them: one that writes into them fails, and spoils nobody else's."""
    x, mask = features.x.view(), features.mask.view()
    x.flags.writeable = mask.flags.writeable = False
    return x, mask


class Freshness:
    """Tells whether features say anything new: not lost, not old, not frozen.

    Attributes:
        t_ns: time of the newest fresh features, -1 before any.
    """

    __slots__ = ("_guard", "_raw", "_same", "t_ns")

    def __init__(self, guard: Guard) -> None:
        self._guard, self._raw, self._same, self.t_ns = guard, b"", 0, -1

    def judge(self, features: Features) -> bool:
        """Whether they are fresh; what is not is counted."""
        raw = features.x.tobytes()
        self._same = self._same + 1 if raw == self._raw else 0
        self._raw = raw
        frozen = self._same >= _FROZEN_BINS and len(features.x) >= _FROZEN_WIDTH
        if features.mask[0] and features.mask.all():
            self._guard.refuse("lost")
        elif features.t_ns <= self.t_ns:
            self._guard.refuse("stale")
        elif frozen and features.x[~features.mask].any():
            self._guard.refuse("frozen")
        else:
            self.t_ns = features.t_ns
            return True
        return False


class Hold:
    """The intent that reaches the body: the newest good one, held, then decaying, then zero.

    held(t) = v                                   t - t_good <= hold
            = v exp(-(t - t_good - hold) / tau)   up to stop
            = 0                                   after it
    """

    __slots__ = ("_decay_ns", "_faults", "_good_t_ns", "_hold_ns", "_stop_ns", "_values", "held", "stopped", "stops")

    def __init__(self, size: int, hold_ns: int, decay_ns: int, stop_ns: int) -> None:
        self._hold_ns, self._decay_ns, self._stop_ns = hold_ns, decay_ns, stop_ns
        self._values: Float32 = np.zeros(size, np.float32)
        self._good_t_ns = -(1 << 62)
        self._faults: deque[int] = deque(maxlen=_MANY)
        self.held = self.stops = 0
        self.stopped = False

    def good(self, t_ns: int, values: Float32) -> Float32:
        """A good decode arrived; what the body gets (zero while stopped)."""
        if self.stopped:
            return np.zeros_like(values)
        self._values, self._good_t_ns = values, t_ns
        return values

    def bad(self, t_ns: int, fault: bool) -> Float32:
        """None arrived; `fault` when the decoder itself failed (three within a second stop for good)."""
        self.held += 1
        if fault and not self.stopped:
            self._faults.append(t_ns)
            if len(self._faults) == _MANY and t_ns - self._faults[0] <= _WINDOW_NS:
                self.stopped, self.stops = True, self.stops + 1
        age = t_ns - self._good_t_ns
        if self.stopped or age > self._stop_ns:
            return np.zeros_like(self._values)
        if age <= self._hold_ns:
            return self._values
        return (self._values * math.exp(-(age - self._hold_ns) / self._decay_ns)).astype(np.float32)

    def arm(self) -> None:
        """Allow motion again after a stop: always an explicit act."""
        self._faults.clear()
        self.stopped = False
