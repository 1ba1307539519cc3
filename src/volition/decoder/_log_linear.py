"""Log-linear channels, and a Gaussian belief about the tuning of each that is learnt batch by batch.

    counts ~ Poisson(exp(theta' phi)),   phi = [1, v, |v|, other intents, position]        (Truccolo et al. 2005)

with v the movement meant, over full speed. The belief about one channel's theta is N(mean, precision^-1); a batch of bins
with known phi makes of it the posterior by Laplace's method, as the adaptive point-process filter does bin by bin (Eden et
al. 2004, Neural Computation 16:971). Between batches the belief widens: units drift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from volition.signal import Bool, Float64

CEILING = 3.0  # of a log-rate a bin: 20 spikes
ROUND = 0.05  # |v| is rounded off below this share of full speed, where its slope is undefined
_STEPS, _FAR, _NEAR = 15, 1.5, 1e-3
_RATE_SD, _DEPTH_SD = 3.0, 0.7  # of units that nobody has seen: log-rate, and each part of the tuning


def speed(v: Float64) -> Float64:
    """|v|, smooth at rest; `[..., m]` -> `[...]`."""
    return np.asarray(np.sqrt((v**2).sum(-1) + ROUND**2) - ROUND)


def regressors(v: Float64, other: Float64, place: Float64) -> Float64:
    """Regressors of each bin: phi, `[bins, d]`."""
    return np.column_stack((np.ones(len(v)), v, speed(v), other, place))


@dataclass(frozen=True, eq=False)
class Batch:
    """Bins with known intention.

    Attributes:
        phi: `[bins, d]`.
        counts: `[bins, channels]`, anything where missing.
        missing: `[bins, channels]`, or None.
        weight: `[bins]` how much each counts.
    """

    phi: Float64
    counts: Float64
    missing: Bool | None
    weight: Float64


@dataclass(frozen=True, eq=False)
class Belief:
    """What is believed of all channels: `mean` `[d, channels]`, `precision` `[channels, d, d]`."""

    mean: Float64
    precision: Float64

    @classmethod
    def none(cls, d: int, rates: Float64) -> Belief:
        """Nobody has seen them; `rates` `[channels]`, a bin, is where their log-rate is looked for."""
        mean = np.zeros((d, len(rates)))
        mean[0] = np.log(np.maximum(rates, 1e-4))
        return cls(mean, np.repeat(np.diag([_RATE_SD**-2, *[_DEPTH_SD**-2] * (d - 1)])[None], len(rates), axis=0))

    def widened(self, sd: Float64) -> Belief:
        """After a random walk of so much in each part, `sd` `[d]`."""
        covariance = np.linalg.inv(self.precision)
        i = np.arange(len(sd))
        covariance[:, i, i] += sd**2
        return Belief(self.mean, np.linalg.inv(covariance))

    def learn(self, batch: Batch, trust: Float64, start: Float64 | None = None) -> Belief:
        """The posterior after a batch.

        Args:
            batch: what was seen.
            trust: `[channels]` what a spike is worth against one of a Poisson neuron (1 / Fano factor).
            start: where to look for the mean first, `[d, channels]`.
        """
        d = len(self.mean)
        a, b = np.triu_indices(d)
        phi, w = batch.phi, batch.weight[:, None]
        counts = np.where(batch.missing, 0.0, batch.counts) if batch.missing is not None else batch.counts
        w_phi, w_pairs, mean = w * phi, w * phi[:, a] * phi[:, b], (self.mean if start is None else start).copy()
        seen = w_phi.T @ counts
        precision = self.precision
        for _ in range(_STEPS):
            expected = np.exp(np.minimum(phi @ mean, CEILING))
            if batch.missing is not None:
                expected[batch.missing] = 0.0
            off = mean - self.mean
            slope = trust * (seen - w_phi.T @ expected) - np.einsum("cij,jc->ic", self.precision, off)
            curve = np.empty_like(self.precision)
            curve[:, a, b] = curve[:, b, a] = (trust * (w_pairs.T @ expected)).T
            precision = self.precision + curve
            step = np.linalg.solve(precision, slope.T[:, :, None])[:, :, 0].T
            step *= np.minimum(1.0, _FAR / np.maximum(np.abs(step).max(0), 1e-9))
            mean += step
            if np.abs(step).max(initial=0.0) < _NEAR:
                break
        return Belief(mean, precision)
