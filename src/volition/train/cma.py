"""CMA-ES: finds a few dozen numbers by trying, where there is no gradient (Hansen 2016, arXiv 1604.00772)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from volition.errors import InputError
from volition.signal import Float64


class Cma:
    """Ask for candidates, tell how good they were (higher is better).

    x = m + sigma N(0, C), with rank-one and rank-mu update of C and cumulative step-size control.

    Args:
        mean: where to begin `[k]`.
        sigma: first step, in the units of `mean`.
        population: candidates a generation.
        rng: all chance.
    """

    def __init__(self, mean: Float64, sigma: float, population: int, rng: np.random.Generator) -> None:
        self.mean, self.sigma, self.population = np.array(mean, float), float(sigma), population
        k = len(self.mean)
        mu = population // 2
        weights = np.log(population / 2 + 0.5) - np.log(np.arange(1, mu + 1))
        self._w = weights / weights.sum()
        self._mu_eff = 1 / (self._w**2).sum()
        self._cc = (4 + self._mu_eff / k) / (k + 4 + 2 * self._mu_eff / k)
        self._cs = (self._mu_eff + 2) / (k + self._mu_eff + 5)
        self._c1 = 2 / ((k + 1.3) ** 2 + self._mu_eff)
        self._cmu = min(1 - self._c1, 2 * (self._mu_eff - 2 + 1 / self._mu_eff) / ((k + 2) ** 2 + self._mu_eff))
        self._damp = 1 + 2 * max(0.0, np.sqrt((self._mu_eff - 1) / (k + 1)) - 1) + self._cs
        self._length = np.sqrt(k) * (1 - 1 / (4 * k) + 1 / (21 * k * k))
        self._rng = rng
        self._C, self._pc, self._ps = np.eye(k), np.zeros(k), np.zeros(k)
        self._generation = 0
        self._decompose()

    def _decompose(self) -> None:
        values, self._basis = np.linalg.eigh((self._C + self._C.T) / 2)
        self._axes = np.sqrt(np.maximum(values, 1e-20))

    def ask(self) -> Float64:
        """Candidates `[population, k]`."""
        self._z = self._rng.standard_normal((self.population, len(self.mean)))
        self._y = (self._z * self._axes) @ self._basis.T
        candidates: Float64 = self.mean + self.sigma * self._y
        return candidates

    def tell(self, fitness: Float64) -> None:
        """Learn from the fitness `[population]` of the candidates asked for last."""
        best = np.argsort(-np.asarray(fitness))[: len(self._w)]
        y = self._w @ self._y[best]
        self.mean = self.mean + self.sigma * y
        whitened = self._basis @ (self._w @ self._z[best])
        self._ps = (1 - self._cs) * self._ps + np.sqrt(self._cs * (2 - self._cs) * self._mu_eff) * whitened
        self._generation += 1
        length = float(np.linalg.norm(self._ps))
        warm = np.sqrt(1 - (1 - self._cs) ** (2 * self._generation))
        rising = length / warm < (1.4 + 2 / (len(self.mean) + 1)) * self._length
        self._pc = (1 - self._cc) * self._pc + rising * np.sqrt(self._cc * (2 - self._cc) * self._mu_eff) * y
        spread = (self._y[best].T * self._w) @ self._y[best]
        lost = (1 - rising) * self._cc * (2 - self._cc)
        self._C = (
            (1 - self._c1 - self._cmu + self._c1 * lost) * self._C
            + self._c1 * np.outer(self._pc, self._pc)
            + self._cmu * spread
        )
        self.sigma *= float(np.exp(min(1.0, (self._cs / self._damp) * (length / self._length - 1))))
        self._decompose()

    def arrays(self) -> dict[str, Any]:
        """Everything needed to go on later."""
        return {
            "mean": self.mean,
            "sigma": np.float64(self.sigma),
            "C": self._C,
            "pc": self._pc,
            "ps": self._ps,
            "generation": np.int64(self._generation),
        }

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Go on from saved arrays.

        Raises:
            InputError: they are another problem's.
        """
        if np.shape(arrays["mean"]) != self.mean.shape:
            raise InputError(f"saved search has {np.shape(arrays['mean'])} numbers, this one {self.mean.shape}")
        self.mean, self.sigma = np.array(arrays["mean"], float), float(arrays["sigma"])
        self._C, self._pc, self._ps = (np.array(arrays[name], float) for name in ("C", "pc", "ps"))
        self._generation = int(arrays["generation"])
        self._decompose()
