"""Faults put into a running loop by hand: channels that die, packets that are lost, touch that is not felt.

They come in as acts (`Loop.act`), so that they stand in the log and a replay does the same. They can only take away: nothing
here makes a spike or a current.
"""

from __future__ import annotations

import numpy as np

from volition.signal import Features
from volition.stage import Setup

_PACKET = 256  # neighbouring channels in one packet


class Injector:
    """Masks features and silences feedback.

    Attributes:
        kill: share of the channels that are dead, 0..1; a larger share holds the smaller one's channels.
        drop: chance that a packet of 256 neighbouring features of a bin is lost, 0..1.
        touch: whether touch becomes stimulation at all.
    """

    def __init__(self, setup: Setup) -> None:
        self.kill = self.drop = 0.0
        self.touch = True
        self._rng = setup.rng("inject")
        channels = setup.channels if setup.features % max(1, setup.channels) == 0 else setup.features
        rank = np.empty(channels, np.intp)
        rank[self._rng.permutation(channels)] = np.arange(channels)
        self._rank = np.tile(rank, setup.features // max(1, channels))  # a channel dies with all its features
        self._channels = channels

    @property
    def active(self) -> bool:
        """Whether there is anything to do to features."""
        return self.kill > 0 or self.drop > 0

    def features(self, features: Features) -> Features:
        """The features, fewer of them."""
        mask = features.mask | (self._rank < round(self.kill * self._channels))
        if self.drop > 0:
            lost = self._rng.random(-(-len(mask) // _PACKET)) < self.drop
            mask |= np.repeat(lost, _PACKET)[: len(mask)]
        return Features(features.t_ns, features.x, mask, features.segment)
