"""Gains of a Kalman filter whose channels come and go: each covariance is worked out once and met again.

In information form a bin costs `u = H x`, `H = C' Q^-1`, and algebra of the size of the state:

    P_t = ((A P_{t-1} A' + W)^-1 + J)^-1,   s_t = (I - P_t J) A s_{t-1} + P_t u_t,   J = C' Q^-1 C

P does not depend on the data but on which channels were observed, bin after bin. These sequences repeat themselves: a packet
is lost, and the gain comes back to where it rested (steady-state gain, Malik et al. 2011). So the covariances are the nodes
of a graph, an edge for each set of observed channels, and a node that has stopped changing leads to itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from volition.decoder import _state_space as model
from volition.signal import Bool, Float64

_SETS = 64  # sets of observed channels that are kept
_NODES = 4096
_RESTS = 1e-8  # relative change of a covariance that has stopped changing
_NEAR = 1e-6  # relative distance from where it is known to rest: it is there


class Seen:
    """What a set of observed channels tells: `H` `[n, channels]` on counts, `offset = H mean`, `J` `[n, n]`."""

    __slots__ = ("H", "J", "offset", "rest")

    def __init__(self, F: Float64, C: Float64, scale: Float64, mean: Float64) -> None:
        J = F @ C
        self.J: Float64 = (J + J.T) / 2
        self.H: Float64 = np.ascontiguousarray(F * scale)
        self.offset: Float64 = self.H @ mean
        self.rest: Node | None = None


class Node:
    """A posterior covariance `P`, `M = (I - P J) A` of the step that led to it, the trust in it, and where it leads."""

    __slots__ = ("M", "P", "then", "trust")

    def __init__(self, P: Float64, M: Float64, trust: float) -> None:
        self.P, self.M, self.trust = P, M, trust
        self.then: dict[Seen, Node] = {}


class Gains:
    """The graph, for one model of movement and activity.

    Missing channels `m` are left out exactly: with V = Q^-1 and F = C' V, the observed ones have
    `H_o = F_o - F_m V_mm^-1 V_mo`.

    Args:
        movement: A, W, S.
        observed: `C` `[channels, n]`, `V` `[channels, channels]`, and of the counts `scale` and `mean`.
        trust: of a covariance, 0..1.

    Attributes:
        all: what all channels tell.
        P: posterior covariances `[settled, n, n]` by bins since the border while nothing is missing.
        node: where the filter stands; `reset` goes back to before the first bin.
    """

    def __init__(
        self,
        movement: model.Movement,
        observed: tuple[Float64, Float64, Float64, Float64],
        trust: Callable[[Float64], float],
    ) -> None:
        self._movement, self._trust = movement, trust
        self._C, self._V, self._scale, self._mean = observed
        self._F = self._C.T @ self._V
        self._eye = np.eye(len(movement.A))
        self.all = Seen(self._F, self._C, self._scale, self._mean)
        self.P: Float64 = np.array(model.covariances(movement, self.all.J))
        self._forget()
        self.reset()

    def _forget(self) -> None:
        """Keep only the way that a filter goes to whom nothing is missing."""
        self._sets: dict[bytes, Seen] = {bytes(len(self._scale)): self.all}
        self._start = node = Node(self._movement.S, self._movement.A, 0.0)
        self._nodes = len(self.P)
        for P in self.P:
            node.then[self.all] = later = self._node(P, self.all)
            node = later
        node.then[self.all] = self.all.rest = node

    def _node(self, P: Float64, seen: Seen) -> Node:
        return Node(P, (self._eye - P @ seen.J) @ self._movement.A, self._trust(P))

    def reset(self) -> None:
        """A border: what comes next is the first bin."""
        self.node = self._start

    @property
    def begun(self) -> bool:
        """Whether a bin was seen since the border."""
        return self.node is not self._start

    def enter(self, P: Float64) -> None:
        """Go on from this covariance, that of another model of the activity."""
        self.node = Node(P, self._movement.A, 0.0)

    def seen(self, mask: Bool) -> Seen:
        """What the channels tell that this mask leaves."""
        key = mask.tobytes()
        return self._sets.get(key) or self._observed(key, mask)

    def _observed(self, key: bytes, mask: Bool) -> Seen:
        m, V = np.flatnonzero(mask & (self._scale > 0)), self._V
        F = self._F.copy()
        if len(m):
            F -= np.linalg.solve(V[np.ix_(m, m)], self._F[:, m].T).T @ V[m]
        F[:, mask] = 0.0
        if len(self._sets) > _SETS:
            self._clear()
        self._sets[key] = found = Seen(F, self._C, self._scale, self._mean)
        return found

    def _clear(self) -> None:
        """Forget all but where the filter stands."""
        begun = self.begun
        self._forget()
        if begun:
            self.node.then.clear()
        else:
            self.reset()

    def step(self, seen: Seen) -> Node:
        """The node after a bin in which this was seen; the filter stands there now."""
        self.node = node = self.node.then.get(seen) or self._further(seen)
        return node

    def _further(self, seen: Seen) -> Node:
        """A step of the Riccati recursion that was not made before."""
        m, now, rest = self._movement, self.node, seen.rest
        P = model.update(m.A @ now.P @ m.A.T + m.W if self.begun else m.S, seen.J)
        still = self.begun and model.alike(P, now.P, _RESTS)
        if rest is not None and (still or model.alike(P, rest.P, _NEAR)):
            found = rest
        else:
            found = self._node(P, seen)
            if still:
                seen.rest = found.then[seen] = found
            self._nodes += 1
            if self._nodes > _NODES:
                self._clear()
        self.node.then[seen] = found
        return found
