"""ReFIT-Kalman filter: refitted on what the person must have meant, with the cursor's position known.

Gilja et al. 2012, Nature Neuroscience 15:1752, in two stages:

1. `fit`: a velocity Kalman filter (`kalman.py`, one bin of state) on whatever labels there are. In the recordings' table
   these are recorded velocities, and nothing is rotated: a recording has no goals.
2. While it is used with `LoopConfig.adapt` "supervised": every decoded velocity is turned towards the goal, its speed kept,
   and is zero where an ideal user would not move (on the target). After `refit_s` of that the filter is fitted again,

       v' = |v| aim / |aim|,     z = C_v v' + C_p p + b + q,     v'_t = A v'_{t-1} + w

   and again each `refit_s`. The position p of the cursor is known, to its user and to the clinic: what activity follows it
   is taken off before the velocity is filtered, with no uncertainty (the paper's second innovation). That needs the body to
   be shown, by "supervised" or "unsupervised"; with "off" the cursor counts as in the centre.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.decoder import _state_space as model
from volition.decoder._moments import Moments, precision
from volition.decoder._relearn import Labelled, Rows
from volition.decoder._sequence import agree, inputs, saved, shaped, unfitted
from volition.decoder.kalman import Kalman, KalmanConfig
from volition.errors import ConfigError, InputError
from volition.signal import NS_PER_S, BodyState, Bool, Float32, Float64
from volition.stage import Port, Setup, Spec

_AXES = {"reach.x": 0, "reach.y": 1, "reach.z": 2}
_KALMAN = ("mean", "y_mean", "y_sd", "y_live", "A", "W", "S", "C", "V", "scale", "lead")
_PENALTY = 1.0  # ridge, in bins


@dataclass(frozen=True)
class RefitConfig:
    """What the two stages may choose from.

    Attributes:
        refit_s: closed-loop use after which it is fitted again, s (the paper: some hundred trials of about a second).
        shrinkages: share by which the noise covariance is shrunk towards its diagonal, chosen on held-out blocks.
        noises: factors on it, chosen likewise; 1 is the paper's and controls best, more smooths more and has the better R².
        orders: bins of the target that the state spans, chosen likewise (`kalman.py`); 1 is the paper's.
        leads: bins by which activity leads, chosen likewise; 0 is the paper's.
    """

    refit_s: float = 120.0
    shrinkages: tuple[float, ...] = (0.1, 0.3, 1.0)
    noises: tuple[float, ...] = (1.0,)
    orders: tuple[int, ...] = (1,)
    leads: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not 0 < self.refit_s < math.inf:
            raise ConfigError(f"refit_s must be positive and finite, got {self.refit_s}")
        self.core()

    def core(self) -> KalmanConfig:
        """Of the filter."""
        return KalmanConfig(orders=self.orders, leads=self.leads, shrinkages=self.shrinkages, noises=self.noises)


class Refit:
    """The decoder; `refits` counts how often it was fitted again."""

    Config = RefitConfig

    def __init__(self, config: RefitConfig | None = None) -> None:
        self.config = config or RefitConfig()
        self.spec = Spec()
        self.fitted = False
        self.refits = 0
        self._core = Kalman(self.config.core())
        self._setup = Setup()
        self._features = self._outputs = 0
        self._reach: list[int] = []
        self._axes: list[int] = []
        self._of_place: Float64 = np.zeros((0, 0))
        self._choice = (1.0, 1.0)
        self._begin()

    def _begin(self) -> None:
        """A session begins."""
        self._rows = Rows()
        self._told: tuple[BodyState, Float32 | None] | None = None
        self._border = True

    @property
    def confidence(self) -> float:
        """The filter's."""
        return self._core.confidence

    @property
    def chosen(self) -> dict[str, float]:
        """What the inner validation took."""
        return self._core.chosen

    def prepare(self, setup: Setup) -> None:
        """Sizes; forgets history and the bins it has not yet learnt from. What was learnt stays if it fits.

        Raises:
            ConfigError: it was learnt for other sizes.
        """
        if self.fitted:
            agree("refit decoder", (self._features, self._outputs), setup)
        self._features, self._outputs, self._setup = setup.features, len(setup.intent), setup
        self._reach = [i for i, name in enumerate(setup.intent) if _AXES.get(name, 99) < setup.workspace.shape[1]]
        self._axes = [_AXES[setup.intent[i]] for i in self._reach]
        self.spec = Spec(Port(setup.features, "1/bin"), Port(len(setup.intent), "", setup.intent), setup.bin_ns)
        self._core.prepare(setup)
        self._begin()

    # --- learning ---

    def fit(self, X: NDArray[Any], mask: Bool | None, y: NDArray[Any], segments: NDArray[Any] | None = None) -> Refit:
        """Stage 1 on `X` `[bins, features]`, `y` `[bins, k]`; what stage 2 had learnt is forgotten.

        Raises:
            InputError: shapes that do not fit, too few bins, values that are not finite.
        """
        self._core.fit(X, mask, y, segments)
        self._choice = (self.chosen.get("shrinkage", 1.0), self.chosen.get("noise", 1.0))
        self._of_place, self.refits, self.fitted = np.zeros((len(self._axes), self._features)), 0, True
        self._begin()
        return self

    def observe(self, body: BodyState, aim: Float32 | None) -> None:
        """Where the body is in the coming bin and, for stage 2, what an ideal user would command."""
        self._told = (body, aim)

    def _place(self, body: BodyState) -> Float64:
        low, high = self._setup.workspace[:, self._axes]
        return np.asarray((2 * body.position[self._axes] - low - high) / (high - low))

    def _meant(self, out: Float32, aim: Float32) -> Float32:
        """The decoded movement turned towards the goal; what is no movement (a click) as the ideal user does it."""
        meant = aim.copy()
        wanted = aim[self._reach]
        length = float(np.linalg.norm(wanted))
        if length > 0:
            meant[self._reach] = wanted * (float(np.linalg.norm(out[self._reach])) / length)
        return meant

    def _refit(self, data: Labelled) -> None:
        """Stage 2: movement, tuning to velocity and position, and noise, all from the turned velocities."""
        learnt = self._core.arrays()
        live = np.asarray(learnt["y_live"], bool)
        target = ((data.y - learnt["y_mean"]) / learnt["y_sd"])[:, live]
        if not len(target.T) or target.std() < 1e-3:  # nothing moved: nothing to learn
            return
        order, lead = len(learnt["A"]) // target.shape[1], int(learnt["lead"])
        s, rows = model.states(target, data.past, lead, order)
        movement = model.fit_movement(s, rows, data.past, target.shape[1])
        regressors = np.hstack((s, data.known[rows], np.ones((len(s), 1))))
        missing, k, scale = data.mask[rows], s.shape[1], learnt["scale"]
        z = np.where(missing, 0.0, (data.z[rows] - learnt["mean"]) * scale)
        moments = Moments.none(regressors.shape[1], z.shape[1])
        now = None
        for _ in range(3 if missing.any() else 1):  # what is missing enters as expected, once there is an expectation
            moments = Moments.none(regressors.shape[1], z.shape[1])
            moments.add(regressors, z, np.ones(len(z)), missing if now else None, now)
            now = moments.solve(_PENALTY)
        assert now is not None
        V = precision(now, self._choice[0], None) / self._choice[1]
        back = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
        arrays = {**learnt, "A": movement.A, "W": movement.W, "S": movement.S, "C": now.B[:k].T.copy(), "V": V}
        self._core.exchange({**arrays, "mean": learnt["mean"] + now.B[-1] * back})
        self._of_place = now.B[k:-1] * back
        self.refits += 1

    # --- running ---

    def step(self, x: Float32, mask: Bool) -> Float32:
        """One bin."""
        if not self.fitted:
            raise unfitted("refit decoder")
        if self._told is None:
            return self._core.step(x, mask)
        (body, aim), self._told = self._told, None
        place = self._place(body)
        known: Any = x - place @ self._of_place
        out = self._core.step(known, mask)
        if aim is not None:
            self._rows.add(np.asarray(x, np.float64), mask, place, self._meant(out, aim), self._border)
            self._border = False
            if self._rows.fresh * self._setup.bin_ns >= self.config.refit_s * NS_PER_S:
                self._refit(self._rows.labelled())
                self._rows.used(0)
        return out

    def predict(self, X: NDArray[Any], mask: Bool | None = None, segments: NDArray[Any] | None = None) -> Float32:
        """`[bins, features]` -> `[bins, k]`, as repeated `step`; afterwards the history is forgotten."""
        if not self.fitted:
            raise unfitted("refit decoder")
        x, missing = inputs(X, mask, self._features)
        out = self._core.predict(x, missing, segments)
        self.reset()
        return out

    def reset(self) -> None:
        """Forget history, keep what was learnt."""
        self._core.reset()
        self._border, self._told = True, None

    # --- keeping ---

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Everything learnt; nothing before `fit`."""
        if not self.fitted:
            return {}
        own = {"of_place": self._of_place, "choice": np.array(self._choice), "refits": np.array(self.refits)}
        return {**self._core.arrays(), **own}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take it back.

        Raises:
            InputError: something is missing or does not fit together.
        """
        given = saved("refit decoder", arrays, (*_KALMAN, "of_place", "choice", "refits"))
        channels, outputs = given["mean"].size, given["y_mean"].size
        if given["of_place"].ndim != 2 or given["of_place"].shape[1] != channels:
            raise InputError(f"the saved refit decoder's 'of_place' has shape {given['of_place'].shape}")
        shaped("refit decoder", given, {"choice": (2,), "refits": ()})
        self._core.restore({name: given[name] for name in _KALMAN})
        self._features, self._outputs = channels, outputs
        self._of_place, self.refits = given["of_place"], int(given["refits"])
        shrinkage, noise = given["choice"].tolist()
        self._choice = (shrinkage, noise)
        self.fitted = True
        self._begin()
