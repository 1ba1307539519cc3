"""The receiving end: sorts frames by time, counts what is missing, and never waits longer than it was told.

Every frame speaks of one period. `take(t)` closes a period: its frame is handed out or is missing for good; what comes
later is counted and dropped. So at most a few frames are ever kept, whatever the link does.
"""

from __future__ import annotations

from volition.channel._telemetry import SEQUENCES, Frame, decode_frame
from volition.errors import InputError

_WINDOW = 64  # sequence numbers remembered one by one
_ALL = (1 << _WINDOW) - 1


class Receiver:
    """Puts frames in order.

    Attributes:
        received: intact frames, duplicates included.
        corrupt: packets that were no intact frame.
        duplicates: frames that had come before.
        reordered: frames that came after a younger one.
        late: frames that came after their period was closed, or that nobody asked for in time.
        lost: sequence numbers left out so far (known when a younger frame comes; if it comes after that, it counts no more).
        restarts: how often the numbers began anew: another sender, or the same one switched on again.
        missed: periods closed without a frame.
        waited_ns: from the end of its period until the frame taken last had come.
    """

    def __init__(self, period_ns: int, capacity: int = 32) -> None:
        """Make an empty receiver.

        Args:
            period_ns: time that one frame speaks of.
            capacity: frames kept at most.
        """
        self._period_ns = period_ns
        self._capacity = capacity
        self._kept: dict[int, tuple[Frame, int]] = {}  # and when it came
        self._closed_ns = -1
        self._newest: Frame | None = None
        self._seen = 0  # bit i: the frame i numbers before the newest has come
        self._since = 0  # numbers from the first frame to the newest: only those can have been counted as lost
        self.received = self.corrupt = self.duplicates = self.reordered = 0
        self.late = self.lost = self.restarts = self.missed = self.waited_ns = 0

    @property
    def backlog(self) -> int:
        """Frames kept for later."""
        return len(self._kept)

    def push(self, data: bytes, now_ns: int) -> None:
        """A packet arrived at `now_ns`."""
        try:
            frame = decode_frame(data, now_ns)
        except InputError:
            self.corrupt += 1
            return
        self.received += 1
        if not self._is_new(frame):
            self.duplicates += 1
        elif frame.t_ns <= self._closed_ns:
            self.late += 1
        else:
            self._kept[frame.t_ns] = frame, now_ns
            if len(self._kept) > self._capacity:
                del self._kept[min(self._kept)]
                self.late += 1

    def take(self, t_ns: int) -> Frame | None:
        """Close the period that ends at `t_ns`: its frame, or None where it is missing."""
        self._closed_ns = max(self._closed_ns, t_ns)
        found = self._kept.pop(t_ns, None)
        for old in [t for t in self._kept if t < t_ns]:
            del self._kept[old]
            self.late += 1
        if found is None:
            self.missed += 1
            return None
        self.waited_ns = found[1] - t_ns
        return found[0]

    def _is_new(self, frame: Frame) -> bool:
        """Keep the books of sequence numbers; False for a frame that came before."""
        last = self._newest
        if last is None:
            self._newest, self._seen, self._since = frame, 1, 0
            return True
        expected = round((frame.t_ns - last.t_ns) / self._period_ns)  # tells how often the number went round
        half = SEQUENCES // 2
        ahead = expected + (frame.sequence - last.sequence - expected + half) % SEQUENCES - half
        if frame.t_ns > last.t_ns:
            self._newest = frame
            if not 0 < ahead <= expected + 1:
                self.restarts += 1
                self._seen, self._since = 1, 0
                return True
            self.lost += ahead - 1
            self._since += ahead
            self._seen = (self._seen << min(ahead, _WINDOW) | 1) & _ALL
            return True
        if not -_WINDOW < ahead <= 0:
            return True  # too old to know, or of a sender before a restart: certainly late
        if self._seen >> -ahead & 1:
            return False
        self._seen |= 1 << -ahead
        self.lost -= -ahead <= self._since
        self.reordered += 1
        return True
