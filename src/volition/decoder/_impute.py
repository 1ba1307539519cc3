"""What a missing feature most likely was, given the others of its bin and what was decoded in the bin before.

Features z and the previous output p are taken as jointly Gaussian with zero mean. With u = (z, p), o observed, m missing:

    E[u_m | u_o] = S_mo S_oo^-1 u_o = -V_mm^-1 V_mo u_o,   V = S^-1

whichever of the two inverts less. In a bin that is lost as a whole only p speaks: the features that usually follow it.
"""

from __future__ import annotations

import numpy as np

from volition.signal import Bool, Float64

_CACHE = 32
_SHRINK = 0.1  # towards the diagonal: the covariance of hundreds of channels from a minute of data
_FLOOR = 1e-3


def covariance(u: Float64, seen: Bool | None) -> Float64:
    """Covariance of `u` `[bins, d]` (0 where not `seen`), shrunk towards its diagonal."""
    share = np.ones(u.shape[1]) if seen is None else np.maximum(seen.mean(0), 1 / len(u))
    v = u / np.sqrt(share)
    S: Float64 = v.T @ v / len(u)
    d = np.maximum(np.diag(S), _FLOOR)
    S *= 1 - _SHRINK
    np.fill_diagonal(S, d)
    return S


class Imputer:
    """Fills in; keeps the regressions for the masks met last."""

    def __init__(self, S: Float64) -> None:
        self._S = S
        self._V: Float64 | None = None
        self._known: dict[bytes, tuple[Float64, Bool]] = {}

    def _regression(self, missing: Bool) -> tuple[Float64, Bool]:
        """`-V_mm^-1 V_mo` and which entries it multiplies."""
        key = np.packbits(missing).tobytes()
        if key not in self._known:
            if len(self._known) >= _CACHE:
                self._known.clear()
            m, o = np.flatnonzero(missing), np.flatnonzero(~missing)
            if len(o) <= len(m):
                R = np.linalg.solve(self._S[np.ix_(o, o)], self._S[np.ix_(o, m)]).T
            else:
                if self._V is None:
                    self._V = np.asarray(np.linalg.inv(self._S), np.float64)
                R = -np.linalg.solve(self._V[np.ix_(m, m)], self._V[np.ix_(m, o)])
            self._known[key] = np.asarray(R, np.float64), ~missing
        return self._known[key]

    def fill(self, u: Float64, missing: Bool) -> Float64:
        """The expected values of the missing entries of `u` `[d]`."""
        R, seen = self._regression(missing)
        return R @ u[seen]
