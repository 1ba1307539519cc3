"""Alignment of a new day to a reference by its stable electrodes: factor analysis and Procrustes.

    z = L f + e,   f ~ N(0, I),   e ~ N(0, diag(psi))          (factor analysis, by EM)
    E[f | z] = (I + L' psi^-1 L)^-1 L' psi^-1 z

The loadings L of a day are known up to a rotation of f only. It is found on the electrodes whose tuning did not change:

    O = argmin |L_ref - L_day O|_F over the stable rows = U V',   U D V' = svd(L_day' L_ref)     (Schoenemann 1966)

and those are found by leaving out, step by step, the electrode that fits worst (Degenhart et al. 2020, Nature Biomedical
Engineering 4:672: 10 latents, 60 of about 90 electrodes kept). No labels are used; the decoder sees the aligned latents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.signal import Bool, Float64

ARRAYS = ("reference_L", "reference_psi", "day_L", "day_psi", "day_cov", "day_bins")
_FLOOR = 1e-3
_WEAK = 0.1  # electrodes with a smaller share of shared variance say nothing of the rotation


@dataclass(frozen=True, eq=False)
class Factors:
    """Loadings `L` `[channels, latents]` and private variances `psi` `[channels]`."""

    L: Float64
    psi: Float64

    @property
    def shared(self) -> Float64:
        """Share of each channel's variance that is shared, `[channels]`."""
        common = (self.L**2).sum(1)
        return np.asarray(common / (common + self.psi))

    def weights(self, seen: Bool | None = None) -> Float64:
        """`(I + L' psi^-1 L)^-1 L' psi^-1` for the channels seen, 0 for the others, `[latents, channels]`."""
        F = self.L.T / self.psi
        if seen is not None:
            F = F * seen
        return np.asarray(np.linalg.solve(np.eye(len(F)) + F @ self.L, F))

    def rotated(self, turn: Float64) -> Factors:
        """The same factors, turned."""
        return Factors(self.L @ turn, self.psi)


def covariance(z: Float64, missing: Bool | None = None) -> Float64:
    """Of centred data; a missing value (0 in `z`) is left out of the sums it would be in."""
    if missing is None:
        return np.asarray(z.T @ z / len(z))
    seen = (~missing).astype(np.float64)
    return np.asarray((z * seen).T @ (z * seen) / np.maximum(seen.T @ seen, 1))


def factor_analysis(S: Float64, latents: int, start: Factors | None = None, steps: int = 200) -> Factors:
    """The most likely factors of a covariance, by EM (Rubin and Thayer 1982) from the principal axes, or from `start`."""
    variance = np.maximum(np.diag(S), _FLOOR)
    if start is None:
        values, vectors = np.linalg.eigh(S)
        top = np.argsort(values)[::-1][:latents]
        L = vectors[:, top] * np.sqrt(np.maximum(values[top] - np.median(values), _FLOOR))
        psi = np.maximum(variance - (L**2).sum(1), 0.1 * variance)
    else:
        L, psi = start.L, np.maximum(start.psi, _FLOOR)
    for _ in range(steps):
        W = Factors(L, psi).weights()
        SW = S @ W.T
        E = np.eye(latents) - W @ L + W @ SW
        new = np.linalg.solve(E, SW.T).T
        psi = np.maximum(variance - np.einsum("nk,nk->n", new, SW), 0.01 * variance)
        moved, L = np.abs(new - L).max(), new
        if moved < 1e-4:
            break
    return Factors(L, psi)


def procrustes(L: Float64, reference: Float64) -> Float64:
    """The rotation O that brings `L O` closest to `reference`."""
    U, _, Vt = np.linalg.svd(L.T @ reference)
    return np.asarray(U @ Vt)


def align(day: Factors, reference: Factors, keep: float) -> tuple[Factors, Bool]:
    """The day's factors turned to the reference, and which electrodes were found to be stable.

    Args:
        day: factors found on the new day.
        reference: those that the decoder was fitted on.
        keep: share of the informative electrodes to end with.
    """
    informative = (day.shared > _WEAK) & (reference.shared > _WEAK)
    latents = reference.L.shape[1]
    if informative.sum() <= latents:
        informative[:] = True
    stable = np.flatnonzero(informative)
    least = max(latents, round(keep * len(stable)))
    # By correlations, not covariances: an electrode counts by how it changed, not by how loud it is.
    a, b = (f.L / np.sqrt((f.L**2).sum(1) + f.psi)[:, None] for f in (day, reference))
    while len(stable) > least:
        turn = procrustes(a[stable], b[stable])
        off = ((a[stable] @ turn - b[stable]) ** 2).sum(1)
        stable = np.delete(stable, int(off.argmax()))
    found = np.zeros(len(informative), bool)
    found[stable] = True
    return day.rotated(procrustes(a[stable], b[stable])), found


class Aligner:
    """Latents of a day in the coordinates of the reference.

    Attributes:
        day: the factors in use, turned to the reference.
        stable: which electrodes were taken for stable in the last alignment.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], keep: float) -> None:
        self._reference = Factors(arrays["reference_L"], arrays["reference_psi"])
        self.day = Factors(arrays["day_L"], arrays["day_psi"])
        self._cov, self._bins = np.array(arrays["day_cov"], np.float64), float(arrays["day_bins"])
        self._keep = keep
        self.stable: Bool = np.ones(len(self.day.psi), bool)
        self._weights = self.day.weights()

    @staticmethod
    def reference(z: Float64, missing: Bool | None, latents: int) -> dict[str, NDArray[Any]]:
        """What is to be kept of a reference `[bins, channels]`, normalised, 0 where missing."""
        S = covariance(z, missing)
        found = factor_analysis(S, latents)
        return {
            "reference_L": found.L,
            "reference_psi": found.psi,
            "day_L": found.L,
            "day_psi": found.psi,
            "day_cov": S,
            "day_bins": np.array(float(len(z))),
        }

    def latents(self, z: Float64, mask: Bool | None) -> Float64:
        """What is expected of the latents, of one bin or of many, given the channels that are not missing."""
        if mask is None or not mask.any():
            return z @ self._weights.T
        if z.ndim == 1:
            return np.asarray(self.day.weights(~mask) @ np.where(mask, 0.0, z))
        return np.stack([self.latents(row, gone) for row, gone in zip(z, mask, strict=True)])

    def follow(self, z: Float64, mask: Bool, forget: float) -> None:
        """Renew the alignment with bins just seen; what was seen before forgets by a factor a bin."""
        n = len(z)
        old = forget**n * self._bins
        self._cov = (old * self._cov + n * covariance(np.where(mask, 0.0, z), mask)) / (old + n)
        self._bins = old + n
        day = factor_analysis(self._cov, self.day.L.shape[1], self.day)
        self.day, self.stable = align(day, self._reference, self._keep)
        self._weights = self.day.weights()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For keeping."""
        return {
            "reference_L": self._reference.L,
            "reference_psi": self._reference.psi,
            "day_L": self.day.L,
            "day_psi": self.day.psi,
            "day_cov": self._cov,
            "day_bins": np.array(self._bins),
        }
