"""Velocity Kalman filter: steady-state gain, exact under missing channels.

    s_t = A s_{t-1} + w,   x_t = C s_t + q          (Wu et al. 2003; Wu et al. 2006, Neural Computation 18:80)

fitted by least squares (`_state_space.py`). The state is the target itself, not its distance from its mean: without news it
returns to rest, as a person does who means nothing. What the data must decide (how many bins the state spans, by how many
activity leads, how far Q is shrunk and by how much it is scaled) is chosen on chronological blocks of the training data.

One bin costs one product with the activity and algebra of the size of the state (information form); channels that are
missing are left out exactly. The gains are worked out once for each way that channels come and go (`_gains.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.decoder import _state_space as model
from volition.decoder._gains import Gains
from volition.decoder._sequence import (
    Scale,
    agree,
    blocks,
    by_steps,
    history,
    inputs,
    saved,
    score,
    shaped,
    training,
    unfitted,
)
from volition.errors import ConfigError, InputError
from volition.signal import Bool, Float32, Float64
from volition.stage import Port, Setup, Spec

_MANY = 256  # channels


@dataclass(frozen=True)
class KalmanConfig:
    """What the inner validation may choose from; a single value is taken as it is.

    Attributes:
        orders: bins of the target that the state spans; 1 is the filter of Wu et al. 2003.
        leads: bins by which activity leads the target (each needs an order above it).
        shrinkages: share by which the noise covariance Q is shrunk towards its diagonal, 0..1; 1 is a diagonal Q.
        noises: factors on Q. Noise that is correlated in time makes the fitted Q too small (Kording's tuned factor on W is
            the inverse).
        penalty: ridge on C, in bins.
        folds: chronological blocks of the inner validation.
        control: what is fitted in the loop smooths as little as is offered: the smallest order, lead and noise. R² in open
            loop, by which all is chosen on a recording, likes more of it than control does.
    """

    orders: tuple[int, ...] = (1, 2, 3, 4, 6)
    leads: tuple[int, ...] = (0, 1, 2, 3, 4)
    shrinkages: tuple[float, ...] = (0.1, 0.3, 1.0)
    noises: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    penalty: float = 1.0
    folds: int = 4
    control: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not self.orders or min(self.orders) < 1:
            raise ConfigError(f"orders must be 1 or more, got {self.orders}")
        if not self.leads or min(self.leads) < 0 or min(self.leads) >= max(self.orders):
            raise ConfigError(f"leads must be 0 or more and below the largest order, got {self.leads}")
        if not self.shrinkages or not all(0 < a <= 1 for a in self.shrinkages):
            raise ConfigError(f"shrinkages must lie above 0 and up to 1, got {self.shrinkages}")
        if not self.noises or not all(0 < a < np.inf for a in self.noises):
            raise ConfigError(f"noises must be positive, got {self.noises}")
        if not 0 < self.penalty < np.inf or self.folds < 2:
            raise ConfigError("penalty must be positive and folds at least 2")

    def least(self) -> KalmanConfig:
        """The same with the smallest lead, order and noise alone; the shrinkage is still to be chosen."""
        lead = min(self.leads)
        order = min(order for order in self.orders if order > lead)
        return replace(self, orders=(order,), leads=(lead,), noises=(min(self.noises),))


@dataclass(frozen=True)
class _Choice:
    lead: int
    order: int
    shrinkage: float
    noise: float


class Kalman:
    """The decoder; `chosen` tells what the inner validation took, `validation` its R² there."""

    Config = KalmanConfig

    def __init__(self, config: KalmanConfig | None = None) -> None:
        self.config = config or KalmanConfig()
        self.spec = Spec()
        self.fitted = False
        self.confidence = 0.0
        self.chosen: dict[str, float] = {}
        self.validation = float("nan")
        self._features = self._outputs = 0
        self._s: Float64 = np.zeros(0)

    def prepare(self, setup: Setup) -> None:
        """Sizes; forgets history. What was learnt or restored before stays if it fits.

        Raises:
            ConfigError: it was learnt for other sizes.
        """
        if self.fitted:
            agree("kalman", (self._features, self._outputs), setup)
        self._features, self._outputs = setup.features, len(setup.intent)
        self.spec = Spec(Port(setup.features, "1/bin"), Port(len(setup.intent), "", setup.intent), setup.bin_ns)
        if self.fitted:
            self.reset()

    # --- learning ---

    def fit(self, X: NDArray[Any], mask: Bool | None, y: NDArray[Any], segments: NDArray[Any] | None = None) -> Kalman:
        """Fit on `X` `[bins, features]`, `y` `[bins, k]`; a column of `y` that never changes is predicted as that constant.

        Raises:
            InputError: shapes that do not fit, too few bins, values that are not finite.
        """
        return self._fit(self.config, X, mask, y, segments)

    def calibrate(self, X: NDArray[Any], mask: Bool | None, y: NDArray[Any], segments: NDArray[Any] | None = None) -> Kalman:
        """Fit on what was collected in the loop, for control; see `KalmanConfig.control`.

        Raises:
            InputError: as `fit`.
        """
        return self._fit(self.config.least() if self.config.control else self.config, X, mask, y, segments)

    def _fit(
        self, c: KalmanConfig, X: NDArray[Any], mask: Bool | None, y: NDArray[Any], segments: NDArray[Any] | None
    ) -> Kalman:
        x, mask, y, past = training(X, mask, y, segments, self._features, self._outputs)
        xs, ys = Scale.of(x, mask), Scale.of(y)
        z, target = xs.apply(x, mask), (y / ys.sd)[:, ys.live]  # not centred: what is meant returns to rest, not to the mean
        del x  # a float64 of everything
        rest = np.where(ys.live, 0.0, ys.mean)
        arrays: dict[str, NDArray[Any]] = {"mean": xs.mean, "y_mean": rest, "y_sd": ys.sd, "y_live": ys.live}
        k = target.shape[1]
        if k == 0 or not xs.live.any():
            self.chosen, self.validation = {}, float("nan")
            return self._take({**arrays, "y_mean": ys.mean, **_nothing(self._features, k)})
        choice, self.validation = self._choose(c, z, mask, target, past)
        m, C, noise, mean = _parts(z, mask, target, past, (choice.lead, choice.order), self.config.penalty)
        V = noise.precision(choice.shrinkage) / choice.noise
        live = xs.live / xs.sd  # back to counts: x = mean + sd z; a silent channel carries nothing
        arrays["mean"] = xs.mean - xs.sd * (C @ mean)  # activity at rest
        self.chosen = {f: getattr(choice, f) for f in ("lead", "order", "shrinkage", "noise")}
        learnt = {"A": m.A, "W": m.W, "S": m.S, "C": C, "V": V, "scale": live, "lead": np.array(choice.lead)}
        return self._take({**arrays, **learnt})

    def _choose(
        self, c: KalmanConfig, z: Float64, mask: Bool | None, y: Float64, past: NDArray[Any]
    ) -> tuple[_Choice, float]:
        """The best candidate by R² on held-out blocks; for many channels first lead and order, then the noise."""
        pairs = [(lead, order) for order in c.orders for lead in c.leads if lead < order]
        noises = [(a, f) for a in c.shrinkages for f in c.noises]
        if len(pairs) * len(noises) == 1:
            return _Choice(*pairs[0], *noises[0]), float("nan")
        if len(pairs) > 1 and z.shape[1] > _MANY:
            middle = sorted(c.shrinkages)[(len(c.shrinkages) - 1) // 2]
            scores = self._validated(z, mask, y, past, pairs, [(middle, f) for f in c.noises]).max(1)
            pairs = [pairs[int(scores.argmax())]]
        scores = self._validated(z, mask, y, past, pairs, noises)
        i, j = divmod(int(scores.argmax()), len(noises))
        return _Choice(*pairs[i], *noises[j]), float(scores.max())

    def _validated(
        self,
        z: Float64,
        mask: Bool | None,
        y: Float64,
        past: NDArray[Any],
        pairs: list[tuple[int, int]],
        noises: list[tuple[float, float]],
    ) -> Float64:
        """R² of each pair of lead and order with each noise, `[pairs, noises]`, every block predicted from the others."""
        guesses = np.zeros((len(pairs), len(noises), *y.shape))
        for part in blocks(len(z), self.config.folds):
            train = np.ones(len(z), bool)
            train[part] = False
            cut = _past_without(past, part)[train]
            seen = None if mask is None else mask[train]
            shared: model.Noise | None = None
            for i, pair in enumerate(pairs):
                m, C, noise, mean = _parts(z[train], seen, y[train], cut, pair, self.config.penalty, shared)
                if z.shape[1] > _MANY:  # Q is what costs, and differs little: that of the smallest state for all
                    shared = noise
                guesses[i][:, part] = _held_out(m, C, noise, noises, z[part] + C @ mean, past[part], pair[0], y.shape[1])
        return np.array([[score(y, guess) for guess in row] for row in guesses])

    # --- running ---

    def step(self, x: Float32, mask: Bool) -> Float32:
        """One bin; see the module."""
        if not self.fitted:
            raise unfitted("kalman")
        seen, counts = self._gains.seen(mask), self._counts
        counts[:] = x
        np.copyto(counts, 0.0, where=mask)
        node = self._gains.step(seen)
        self._s = node.M.dot(self._s) + node.P.dot(seen.H.dot(counts) - seen.offset)
        self.confidence = node.trust
        return self._read(self._s)

    def predict(self, X: NDArray[Any], mask: Bool | None = None, segments: NDArray[Any] | None = None) -> Float32:
        """`[bins, features]` -> `[bins, k]`, as repeated `step`; afterwards the history is forgotten."""
        if not self.fitted:
            raise unfitted("kalman")
        x, mask = inputs(X, mask, self._features)
        past = history(segments, len(x))
        self.reset()
        if mask is not None:
            out = by_steps(self, x, mask, past, self._outputs)
            self.reset()
            return out
        every = self._gains.all
        U = x @ every.H.T - every.offset
        return self._read(model.run(self._movement.A, self._gains.P, every.J, U, past))

    def _read(self, s: Float64) -> Float32:
        """The target out of the state (or of each state)."""
        moving = s[..., self._out] * self._gain + self._centre
        if self._moves:
            return np.asarray(moving, np.float32)
        out = np.empty((*s.shape[:-1], self._outputs), np.float32)
        out[...] = self._constant
        out[..., self._live] = moving
        return out

    def _belief(self, P: Float64) -> float:
        """1 - posterior / prior variance of the output: 0 knows nothing but how the target usually is, 1 is certain."""
        i = np.arange(len(P))[self._out]
        if not len(i):
            return 0.0
        return float(np.clip(1 - (P[i, i] / self._movement.S[i, i]).mean(), 0.0, 1.0))

    def reset(self) -> None:
        """Forget history, keep what was learnt."""
        self.confidence = 0.0
        if self.fitted:
            self._s = np.zeros(len(self._movement.A))
            self._gains.reset()

    def exchange(self, observation: Mapping[str, NDArray[Any]]) -> None:
        """Another observation model (`C`, `V`, `mean`) for the same movement; the state goes on from where it is."""
        s, node = self._s, self._gains.node if self._gains.begun else None
        self._take({**self._learnt, **observation})
        self._s = s
        if node is not None:
            self._gains.enter(node.P)

    # --- keeping ---

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Everything learnt; nothing before `fit`."""
        return dict(self._learnt) if self.fitted else {}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take it back.

        Raises:
            InputError: something is missing or does not fit together.
        """
        given = saved("kalman", arrays, ("mean", "y_mean", "y_sd", "y_live", "A", "W", "S", "C", "V", "scale", "lead"))
        channels, outputs, n = given["mean"].size, given["y_mean"].size, len(np.atleast_1d(given["A"]))
        shapes = dict.fromkeys("AWS", (n, n)) | dict.fromkeys(("mean", "scale"), (channels,))
        shapes |= dict.fromkeys(("y_mean", "y_sd", "y_live"), (outputs,))
        shaped("kalman", given, {**shapes, "C": (channels, n), "V": (channels, channels), "lead": ()})
        if self._features and (channels, outputs) != (self._features, self._outputs):
            raise InputError(
                f"the saved kalman is for {channels} features and {outputs} intents, "
                f"but here are {self._features} and {self._outputs}"
            )
        self._features, self._outputs = channels, outputs
        self._take(given)

    def _take(self, learnt: Mapping[str, NDArray[Any]]) -> Kalman:
        """Derive everything that `step` needs."""
        self._learnt = dict(learnt)
        self._movement = m = model.Movement(learnt["A"], learnt["W"], learnt["S"])
        live = np.asarray(learnt["y_live"], bool)
        k, lead = int(live.sum()), int(learnt["lead"])
        self._out = slice(lead * k, (lead + 1) * k)
        self._live, self._constant, self._gain = live, learnt["y_mean"], learnt["y_sd"][live]
        self._centre, self._moves = self._constant[live], bool(live.all())
        self._gains = Gains(m, (learnt["C"], learnt["V"], learnt["scale"], learnt["mean"]), self._belief)
        self._counts: Float64 = np.zeros(len(learnt["mean"]))
        self.fitted = True
        self.reset()
        return self


def _nothing(features: int, k: int) -> dict[str, NDArray[Any]]:
    """A model of no activity or no movement: it gives the mean."""
    one = np.eye(k)
    return {
        "A": 0.0 * one,
        "W": one,
        "S": one,
        "C": np.zeros((features, k)),
        "V": np.eye(features),
        "scale": np.zeros(features),
        "lead": np.array(0),
    }


def _past_without(past: NDArray[Any], part: slice) -> NDArray[Any]:
    """Bins since the last border, where the bins of `part` are cut out and leave a border."""
    out = past.copy()
    after = np.arange(part.stop, len(past))
    out[after] = np.minimum(past[after], after - part.stop + 1)
    return out


def _parts(
    z: Float64,
    mask: Bool | None,
    y: Float64,
    past: NDArray[Any],
    pair: tuple[int, int],
    penalty: float,
    noise: model.Noise | None = None,
) -> tuple[model.Movement, Float64, model.Noise, Float64]:
    """Movement, tuning, noise (unless that is given) and mean state, about which the tuning is, for one lead and order."""
    lead, order = pair
    S, rows = model.states(y, past, lead, order)
    if len(rows) < 10 * order:  # segments shorter than the state: nothing to learn from
        S, rows = np.zeros((1, order * y.shape[1])), np.array([0])
    m = model.fit_movement(S, rows, past, y.shape[1])
    mean = S.mean(0)
    C, residual = model.fit_tuning(z, mask, S - mean, rows, penalty)
    return m, C, noise or model.Noise(residual), mean


def _held_out(
    m: model.Movement,
    C: Float64,
    noise: model.Noise,
    candidates: list[tuple[float, float]],
    z: Float64,
    past: NDArray[Any],
    lead: int,
    k: int,
) -> Float64:
    """Filter a held-out block, which begins without history, with each shrinkage and factor: `[candidates, bins, k]`."""
    first = past == 1
    first[0] = True
    begun = history(np.cumsum(first), len(first))
    weights = {amount: noise.weigh(C, amount) for amount, _ in candidates}
    activity = {amount: z @ F.T for amount, F in weights.items()}
    guesses = []
    for amount, factor in candidates:
        J = weights[amount] @ C / factor
        J = (J + J.T) / 2
        gains = np.array(model.covariances(m, J, most=40))  # near enough to the settled one to choose by
        guesses.append(model.run(m.A, gains, J, activity[amount] / factor, begun)[:, lead * k : (lead + 1) * k])
    return np.array(guesses)
