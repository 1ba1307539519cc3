"""A score of drift that needs no labels, and asks for recalibration when it is large.

MINDFUL (Pun et al. 2024, bioRxiv 2024.02.29.582733): the distance of the neural activity of the last minute from that of a
period in which control was good, as the Kullback-Leibler divergence of two Gaussians in the leading principal axes:

    KL(N_1 || N_0) = 1/2 (tr(S_0^-1 S_1) + (m_1 - m_0)' S_0^-1 (m_1 - m_0) - d + ln |S_0| / |S_1|)

Whether it is large is judged by the reference itself: by the same score of its own pieces, each against all of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.signal import Float64

_AXES = 10
_PIECES = 6
_SOME = 1e-3


def divergence(m1: Float64, S1: Float64, m0: Float64, S0: Float64) -> float:
    """KL(N(m1, S1) || N(m0, S0)), nats."""
    off = m1 - m0
    inverse = np.linalg.inv(S0)
    logs = np.linalg.slogdet(S0)[1] - np.linalg.slogdet(S1)[1]
    return float(0.5 * (np.einsum("ij,ji->", inverse, S1) + off @ inverse @ off - len(off) + logs))


def _gaussian(x: Float64) -> tuple[Float64, Float64]:
    S = np.cov(x, rowvar=False, bias=True).reshape(x.shape[1], x.shape[1])
    return x.mean(0), S + _SOME * np.eye(len(S))


class Drift:
    """Collects what came in and compares.

    Attributes:
        score: of the last full window, nats; 0 before there was one.
        limit: score beyond which recalibration is asked for.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], window: int) -> None:
        self._axes = np.asarray(arrays["drift_axes"], np.float64)
        self._mean = np.asarray(arrays["drift_mean"], np.float64)
        self._cov = np.asarray(arrays["drift_cov"], np.float64)
        self.limit = float(arrays["drift_limit"])
        self._rows: deque[Float64] = deque(maxlen=window)
        self._window, self._new = window, 0
        self.score = 0.0

    @property
    def asks(self) -> bool:
        """Whether recalibration is asked for."""
        return self.score > self.limit

    def figures(self) -> dict[str, float]:
        """Score, limit, and 1 where recalibration is asked for; nothing before the first full window."""
        if not self.score:
            return {}
        return {"drift_nats": self.score, "drift_limit_nats": self.limit, "asks_for_calibration": float(self.asks)}

    @staticmethod
    def reference(z: Float64) -> dict[str, NDArray[Any]]:
        """What is to be kept of a reference `[bins, features]`, normalised, 0 where missing.

        The limit is the largest score of its pieces, doubled: none of them is a fault.
        """
        values, vectors = np.linalg.eigh(z.T @ z / len(z))
        axes = vectors[:, np.argsort(values)[::-1][: min(_AXES, z.shape[1])]]
        x = z @ axes
        m, S = _gaussian(x)
        pieces = [divergence(*_gaussian(part), m, S) for part in np.array_split(x, _PIECES) if len(part) > 2 * x.shape[1]]
        return {
            "drift_axes": axes,
            "drift_mean": m,
            "drift_cov": S,
            "drift_limit": np.array(2 * max(pieces, default=1.0)),
        }

    def add(self, z: Float64) -> None:
        """One bin, normalised by the reference, 0 where missing; the score is renewed ten times a window."""
        self._rows.append(self._axes.T @ z)
        self._new += 1
        if len(self._rows) == self._window and self._new >= self._window / 10:
            self._new = 0
            self.score = divergence(*_gaussian(np.array(self._rows)), self._mean, self._cov)
