"""The simulated implant's voltage in real time, in a process of its own: what `volition certify` measures is not this.

`python -m volition.app._certify_source JSON`: makes ready, prints "ready", reads from the standard input when to begin (ns
of the host's monotonic clock), and gives away each chunk of voltage when its last sample is due. It never waits for the
loop. It ends when the loop closes its side, and then prints what it did as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from typing import Any

import numpy as np

from volition.app._certify_link import SPIN_NS, Wire, undisturbed, unpack
from volition.channel.n1 import N1, N1Config
from volition.io.shm import RingReader, RingWriter
from volition.stage import Setup

_BEHIND_NS = 100_000_000  # further behind than this, whole bins are left out


class Source:
    """Voltage, chunk by chunk.

    Args:
        how: names of the two rings, the implant's configuration, the setup, chunks a bin.
    """

    def __init__(self, how: dict[str, Any]) -> None:
        implant = N1(N1Config(**how["config"]))
        implant.prepare(Setup(**how["setup"]))
        self._electrodes = implant._electrodes
        self._wire = Wire(implant.config.sampling_hz, implant._front.bin_ns, implant._front.bin)
        self._chunks = how["chunks"]
        rows = -(-(self._wire.clock.edge(1) + 1) // self._chunks)
        self._ring = RingWriter(how["ring"], how["setup"]["channels"], rows, 16 * self._chunks, self._wire.fs)
        self._mail = RingReader(how["mail"])
        self._first = self._wire.clock.edge(self._wire.first)
        self._left_out = 0  # samples
        self._told = -1  # the newest bin whose spikes are known
        self.figures = {"bins": 0, "unheard": 0, "left_out": 0}
        self._took_ns = 0  # for the slowest chunk lately

    def run(self, origin_ns: int) -> dict[str, Any]:
        """Until the loop ends."""
        self._wire.origin_ns = origin_ns
        k, began = self._wire.first, time.process_time()
        while self._mail.state != "ended" and self._mail.state != "dead":
            if time.monotonic_ns() - self._wire.bin_ends_ns(k) > _BEHIND_NS:
                a, b = self._wire.clock.edge(k), self._wire.clock.edge(k + 1)
                self._left_out += b - a
                self.figures["left_out"] += 1
            else:
                self._bin(k)
            k += 1
            self.figures["bins"] += 1
        self._ring.close()
        return {**self.figures, "cpu_s": time.process_time() - began}

    def _bin(self, k: int) -> None:
        a, b = self._wire.clock.edge(k), self._wire.clock.edge(k + 1)
        if k == self._wire.first:  # before the loop has thought of anything: at rest
            self._electrodes.add(self._electrodes.spontaneous(b - a), b - a)
            self._told = k
        edges = [a + (b - a) * j // self._chunks for j in range(self._chunks + 1)]
        for start, stop in pairwise(edges):
            due = self._wire.due_ns(k, stop)
            self._listen(k, start, b, due - SPIN_NS - 2 * self._took_ns)
            began = time.monotonic_ns()
            voltage = self._electrodes.voltage(None, stop - start)
            self._took_ns = max(time.monotonic_ns() - began, self._took_ns * 7 // 8)
            ahead = due - time.monotonic_ns()
            if ahead > SPIN_NS:
                time.sleep((ahead - SPIN_NS) / 1e9)
            while time.monotonic_ns() < due:
                pass
            self._ring.write(voltage, start)
        if self._told < k:
            self.figures["unheard"] += 1

    def _listen(self, k: int, start: int, stop: int, until_ns: int) -> None:
        """Take the spikes of bin `k`, if they come in time; they are strewn over what is left of it."""
        first = self._wire.clock.edge(k)
        while self._told < k:
            message = self._mail.read(max(0.0, (until_ns - time.monotonic_ns()) / 1e9))
            if message is None:
                return
            if message.t_ns != first:
                continue  # of a bin that is over
            self._told = k
            counts, pulses = unpack(message.samples)
            self._electrodes.add(counts, stop - start)
            for offset in np.unique(pulses[:, 0]):
                now = pulses[pulses[:, 0] == offset]
                if first + offset >= start:
                    at = first + int(offset) - self._left_out
                    self._electrodes.stimulate(at, now[:, 1].astype(np.int64), now[:, 2] / 1e3)


def main(how: dict[str, Any]) -> None:
    """Make ready, begin when told, say what was done."""
    source = Source(how)
    with undisturbed(how["realtime"]):
        print("ready", flush=True)
        line = sys.stdin.readline()
        if line.strip():
            print(json.dumps(source.run(int(line))), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
