"""What the loop does when the implant fails: lost packets, dead threads, silence, and a decoder that breaks.

    python examples/faults.py [seconds]

A missing channel is masked, never zero. When nothing new comes, the guard holds the last intent for 100 ms, lets it decay,
and stops the body after 250 ms; a decoder that fails three times within a second is stopped until `loop.arm()`.
"""

import sys
from collections import Counter
from dataclasses import replace

import numpy as np

from volition import Loop, find
from volition.signal import Features

Utah96 = find("channel", "utah96")


class Trouble(Utah96):
    """An implant that does as usual, and then what it is told."""

    lost = 0.0  # chance that a whole bin does not arrive
    dead = 0.0  # share of the channels that fall silent
    luck = np.random.default_rng(0)

    def read(self, signal):
        """One bin, or nothing of it, or half."""
        features: Features = super().read(signal)
        if self.luck.random() < self.lost:
            return replace(features, mask=np.ones_like(features.mask))
        gone = np.arange(features.mask.size) < self.dead * features.mask.size
        return replace(features, mask=features.mask | gone)


def main(seconds: float = 20.0) -> None:
    implant = Trouble()
    loop = Loop(channel=implant, decoder="kalman", effector="cursor", seed=1).calibrate()
    print(f"{'':<34}{'success':>8}{'bit/s':>8}{'held bins':>11}  faults of the channel")
    held, before = 0, Counter()
    for name, lost, dead in (
        ("as it was calibrated", 0.0, 0.0),
        ("a tenth of the bins is lost", 0.1, 0.0),
        ("half of the bins is lost", 0.5, 0.0),
        ("half of the channels is dead", 0.0, 0.5),
        ("silence", 1.0, 0.0),
    ):
        implant.lost, implant.dead = lost, dead
        report = loop.run(seconds)
        score, faults = report.score, Counter(report.faults.get("channel", {}))  # faults are of the loop's whole life
        new = dict(faults - before)
        print(f"{name:<34}{score['success']:>8.0%}{score['bit_rate_bit_s']:>8.2f}{report.held - held:>11}  {new}")
        held, before = report.held, faults

    implant.lost = 0.0
    loop.decoder.step = lambda x, mask: np.full(len(loop.setup.intent), np.nan)  # it breaks
    report = loop.run(seconds)
    print(f"\nthe decoder gives NaN: {report.faults['decoder']}, stops: {report.stops}")
    del loop.decoder.step  # it is mended; the body still stands, because moving again is somebody's decision
    print(f"mended, not armed: {loop.run(seconds).score['success']:.0%} success")
    loop.arm()
    loop.run(seconds)  # for half a minute nothing has obeyed: the person must find out anew what the cursor does
    print(f"armed again: {loop.run(seconds).score['success']:.0%} success")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
