"""A decoder of your own, fifteen lines long, in the loop: a population vector (Georgopoulos et al. 1986).

    python examples/own_decoder.py [seconds]

The same class in a file of its own, `population.py`, is found by name: `volition run --decoder ./population.py`.
"""

import sys
from dataclasses import dataclass

import numpy as np

from volition import Loop
from volition.stage import Port, Setup, Spec


@dataclass(frozen=True)
class PopulationConfig:
    """Attributes: smooth: share of the last answer that is kept in each bin, 0..1."""

    smooth: float = 0.85


class Population:
    """Each channel votes for the direction it was seen to prefer, as loud as it fires above its mean."""

    Config = PopulationConfig
    confidence, fitted = 1.0, False

    def __init__(self, config: PopulationConfig | None = None) -> None:
        self.config, self.spec = config or PopulationConfig(), Spec()

    def prepare(self, setup: Setup) -> None:
        """Sizes; all state anew."""
        self.spec = Spec(takes=Port(setup.features), gives=Port(len(setup.intent)))
        self.mean, self.vote, self.fitted = np.zeros(setup.features), np.zeros((setup.features, len(setup.intent))), False
        self.reset()

    def reset(self) -> None:
        """Forget the last answer."""
        self.last = np.zeros(self.vote.shape[1])

    def fit(self, X, mask, y, segments=None):
        """What each channel fires on average, and its vote."""
        x = np.ma.MaskedArray(X, mask)
        self.mean = x.mean(axis=0).filled(0)
        rate = (x - self.mean).filled(0)
        self.vote = rate.T @ (y - y.mean(axis=0)) / len(y)  # covariance of rate and velocity
        heard = self.predict(X, mask, segments)  # smoothed as it will be; least squares gain, so that it comes out in m/s
        self.vote *= (heard * y).sum(axis=0) / np.maximum((heard**2).sum(axis=0), 1e-9)
        self.fitted = True
        return self

    def step(self, x, mask):
        """One bin; a missing channel has no vote."""
        now = np.where(mask, 0, x - self.mean) @ self.vote
        self.last = self.config.smooth * self.last + (1 - self.config.smooth) * now
        return self.last.astype(np.float32)

    def predict(self, X, mask=None, segments=None):
        """Many bins; history ends at a border."""
        mask = np.zeros(X.shape, bool) if mask is None else mask
        answers = []
        for i, (x, m) in enumerate(zip(X, mask, strict=True)):
            if i == 0 or (segments is not None and segments[i] != segments[i - 1]):
                self.reset()
            answers.append(self.step(x, m))
        return np.array(answers)


if __name__ == "__main__":
    loop = Loop(channel="utah96", decoder=Population(), effector="cursor", seed=1)
    print(loop.calibrate().run(seconds=float(sys.argv[1]) if len(sys.argv) > 1 else 30))
