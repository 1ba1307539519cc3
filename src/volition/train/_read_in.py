"""From the counts of a bin to what the movement might be: the part of a decoder that belongs to a day and its units.

Encoding model, independent noise (diagonal, because few labels say nothing about correlations):

    z_t = b + B k_t + e_t,    k_t ~ N(0, P),    e_t ~ N(0, D)
    k'_t = (B' D^-1 B + P^-1)^-1 B' D^-1 (z_t - b)

with z the square root of the counts, standardised over everything recorded that day, labelled or not, and k the movement
round the bin: velocity at t-2 .. t+3 and speed at t, standardised (tuning: Georgopoulos et al. 1986; optimal linear
estimate: Salinas & Abbott 1994). B has a ridge penalty. One estimate is poor; what is made of the sequence of them is
left to a decoder that works across days (`across.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.signal import Float64

OFFSETS = (-2, -1, 0, 1, 2, 3)  # bins
PENALTY = 10.0  # bins
_FLOOR = 0.1  # of the noise, and added to the spread of the units, in standard deviations and roots of counts
_RIDGE = 1e-3


@dataclass(frozen=True, eq=False)
class Session:
    """Bins of a day: counts `[bins, units]`, velocity `[bins, k]` (m/s), number of the stretch, number of the trial."""

    counts: Float64
    velocity: Float64
    segment: NDArray[np.int64]
    trial: NDArray[np.int64]

    def where(self, bins: NDArray[np.bool_]) -> Session:
        """Some of the bins."""
        return Session(self.counts[bins], self.velocity[bins], self.segment[bins], self.trial[bins])

    def only(self, trials: NDArray[Any]) -> Session:
        """The bins of some trials."""
        return self.where(np.isin(self.trial, trials))

    def moved(self, velocity: Float64) -> Session:
        """The same bins with another velocity: one that was decoded, where none was recorded."""
        return Session(self.counts, velocity, self.segment, self.trial)


def movement(velocity: Float64, segment: NDArray[Any]) -> Float64:
    """Velocity at the offsets (at the ends of a stretch that of its first and last bin) and speed, `[bins, 6 k + 1]`."""
    edges = [*np.flatnonzero(np.diff(segment, prepend=segment[0] - 1)).tolist(), len(segment)]
    parts = []
    for offset in OFFSETS:
        shifted = np.empty_like(velocity)
        for a, b in pairwise(edges):
            shifted[a:b] = velocity[np.clip(np.arange(a, b) + offset, a, b - 1)]
        parts.append(shifted)
    return np.hstack((*parts, np.linalg.norm(velocity, axis=1, keepdims=True)))


@dataclass(frozen=True, eq=False)
class Units:
    """How the counts of a day are standardised: mean and spread of their square roots, `[units]`."""

    mean: Float64
    sd: Float64

    @classmethod
    def of(cls, counts: Float64) -> Units:
        """From everything there is of the day, labelled or not."""
        root = np.sqrt(counts)
        return cls(root.mean(0), root.std(0) + _FLOOR)

    def apply(self, counts: Float64) -> Float64:
        """Standardised square roots."""
        return np.asarray((np.sqrt(counts) - self.mean) / self.sd)


@dataclass(frozen=True, eq=False)
class Tuning:
    """The encoding model: `B` `[units, movement]`, `b` `[units]`, noise variance `D` `[units]`; the prior of the movement
    and its scale (`mean`, `sd`), which stay those of the day on which they were learnt.
    """  # noqa: D205

    B: Float64
    b: Float64
    D: Float64
    P: Float64
    mean: Float64
    sd: Float64

    @classmethod
    def fit(
        cls,
        units: Units,
        labelled: Session,
        everything: Float64,
        like: Tuning | None = None,
        towards: Float64 | None = None,
        penalty: float = PENALTY,
    ) -> Tuning:
        """Learn it.

        Args:
            units: of the day.
            labelled: what the velocity is known of.
            everything: counts of the day, labelled or not: few labels estimate noise poorly, and it is half from here.
            like: take scale and prior of the movement from there.
            towards: what B is drawn to, `[units, movement]`; without, to 0.
            penalty: how strongly, bins.
        """
        z, k = units.apply(labelled.counts), movement(labelled.velocity, labelled.segment)
        mean, sd = (k.mean(0), k.std(0) + 1e-9) if like is None else (like.mean, like.sd)
        k = (k - mean) / sd
        centre = k.mean(0)
        b, c = z.mean(0), k - centre
        B0 = np.zeros((z.shape[1], c.shape[1])) if towards is None else towards
        B = B0 + np.linalg.solve(c.T @ c + penalty * np.eye(c.shape[1]), c.T @ (z - b - c @ B0.T)).T
        own = c.T @ c / len(c)
        explained = np.einsum("ij,jk,ik->i", B, own, B)
        residual = (z - b - c @ B.T).var(0) * len(z) / max(1, len(z) - c.shape[1])
        D = np.maximum(0.5 * residual + 0.5 * np.maximum(units.apply(everything).var(0) - explained, 2 * _FLOOR), _FLOOR)
        return cls(B, b - B @ centre, D, own if like is None else like.P, mean, sd)


class ReadIn:
    """Counts of a bin -> estimate of the standardised movement round it."""

    def __init__(self, units: Units, tuning: Tuning) -> None:
        self.units, self.tuning = units, tuning
        weighted = tuning.B / tuning.D[:, None]
        prior = np.linalg.inv(tuning.P + _RIDGE * np.eye(len(tuning.P)))
        self._W = np.linalg.solve(weighted.T @ tuning.B + prior, weighted.T).T

    @classmethod
    def fit(
        cls,
        labelled: Session,
        everything: Float64,
        like: Tuning | None = None,
        towards: Float64 | None = None,
        penalty: float = PENALTY,
    ) -> ReadIn:
        """From labelled bins, and the counts of all the day; arguments as in `Tuning.fit`."""
        units = Units.of(everything)
        return cls(units, Tuning.fit(units, labelled, everything, like, towards, penalty))

    def apply(self, counts: Float64) -> Float64:
        """`[bins, units]` (or one bin) -> `[bins, movement]`."""
        return np.asarray((self.units.apply(counts) - self.tuning.b) @ self._W)
