"""The observation model of a Kalman filter learnt anew while it runs; what the movement is like stays as it was fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.decoder import _state_space as model
from volition.decoder._moments import Moments, Tuning, precision
from volition.decoder._sequence import Ints, history
from volition.decoder.kalman import Kalman
from volition.signal import Bool, Float32, Float64

Label = Callable[[Float64], tuple[Float64, Float64]]
_WORTH = 250.0  # bins that the rates of the session before count for
_RANGE = (0.2, 5.0)  # of changes of rate that are believed to change the modulation as much
ARRAYS = (
    "B",
    "Q",
    "labelled_B",
    "labelled_Q",
    "frame_mean",
    "frame_scale",
    "correlation",
    "shrinkage",
    "noise",
    "n",
    "R",
    "S",
    "T",
)


@dataclass(frozen=True, eq=False)
class Labelled:
    """Bins with what was wanted in them.

    Attributes:
        z: `[bins, features]` as the filter gets them; undefined where missing.
        mask: `[bins, features]`.
        y: `[bins, k]` what was wanted, in the filter's units.
        weight: `[bins]` how much of it is known, 0..1.
        past: `[bins]` bins since the last border.
        known: `[bins, d]` where the body is, -1..1 over its workspace: activity that follows the position, of which the
            clinic needs no decoding, is told from what follows the intention.
    """

    z: Float64
    mask: Bool
    y: Float64
    weight: Float64
    past: Ints
    known: Float64


class Rows:
    """Bins waiting to be learnt from.

    Attributes:
        fresh: how many were added since they were last learnt from; the ones before are context.
    """

    def __init__(self) -> None:
        self._columns: tuple[list[Any], ...] = ([], [], [], [], [])
        self.fresh = 0

    def add(self, z: Float64, mask: Bool, at: Float64, aim: Float32, border: bool) -> None:
        """One bin."""
        for column, value in zip(self._columns, (z, np.array(mask), at, aim, border), strict=True):
            column.append(value)
        self.fresh += 1

    def used(self, keep: int) -> None:
        """All were learnt from; so many of the newest stay as context."""
        for column in self._columns:
            del column[: max(0, len(column) - keep)]
        self.fresh = 0

    def labelled(self) -> Labelled:
        """As data with labels of weight 1."""
        z, mask, at, aim, border = (np.array(column) for column in self._columns)
        return Labelled(z, mask, aim.astype(np.float64), np.ones(len(z)), history(np.cumsum(border), len(z)), at)


class Relearner:
    """Keeps the moments for a filter, and gives it what follows from them."""

    def __init__(self, core: Kalman, arrays: Mapping[str, NDArray[Any]], penalty: float) -> None:
        self._core, self._penalty = core, penalty
        kept = {name: np.array(arrays[name], np.float64) for name in ARRAYS}
        self.moments = Moments.restored(kept)
        self.tuning = Tuning(kept["B"], kept["Q"])
        self._mean, self._scale, self._correlation = kept["frame_mean"], kept["frame_scale"], kept["correlation"]
        self._shrinkage, self._noise = float(kept["shrinkage"]), float(kept["noise"])
        learnt = core.arrays()
        self._lead, self._y_mean, self._y_sd = int(learnt["lead"]), learnt["y_mean"], learnt["y_sd"]
        self._live = np.asarray(learnt["y_live"], bool)
        k = int(self._live.sum())
        self._n = len(learnt["A"])
        self.labelled = Tuning(kept["labelled_B"], kept["labelled_Q"])
        self._before: Float64 | None = None  # rates at rest of the session before
        self._order = self._n // k if k else 1

    @classmethod
    def of(cls, core: Kalman, data: Labelled, penalty: float) -> Relearner:
        """For a filter just fitted on these data."""
        learnt, chosen = core.arrays(), core.chosen
        n, channels = len(learnt["A"]) + data.known.shape[1] + 1, learnt["C"].shape[0]
        moments = Moments.none(n, channels)
        tuning = Tuning(np.zeros((n, channels)), np.ones(moments.T.shape))
        arrays = {"labelled_B": tuning.B, "labelled_Q": tuning.Q}
        arrays |= {"B": tuning.B, "Q": tuning.Q, "frame_mean": learnt["mean"], "frame_scale": learnt["scale"]}
        arrays |= {"correlation": np.zeros((0, 0)), "shrinkage": np.array(chosen.get("shrinkage", 1.0))}
        arrays |= {"noise": np.array(chosen.get("noise", 1.0)), **moments.arrays()}
        new = cls(core, arrays, penalty)
        if learnt["y_live"].any():
            new._gather(new.moments, data, None)
            new.tuning = new.labelled = new.moments.solve(penalty)
            if new.tuning.Q.ndim == 1:  # too many channels to learn more than variances later: what goes with what, stays
                sd = np.sqrt(new.tuning.Q)
                new._correlation = learnt["V"] * sd[:, None] * sd
        return new

    def _regressors(self, data: Labelled) -> tuple[Float64, Ints]:
        """The state, the position and a 1, in the bins in which the state is known."""
        target = ((data.y - self._y_mean) / self._y_sd)[:, self._live]
        s, rows = model.states(target, data.past, self._lead, self._order)
        return np.hstack((s, data.known[rows], np.ones((len(s), 1)))), rows

    def _gather(self, moments: Moments, data: Labelled, now: Tuning | None) -> None:
        """Add labelled bins to some moments."""
        s, rows = self._regressors(data)
        missing = data.mask[rows]
        z = np.where(missing, 0.0, (data.z[rows] - self._mean) * self._scale)
        moments.add(s, z, data.weight[rows], missing if missing.any() else None, now)

    def residual(self, data: Labelled) -> tuple[Float64, Float64]:
        """What the model leaves unexplained, mean over the bins, `[features]`; and how many bins of each feature say so."""
        s, rows = self._regressors(data)
        expected = np.divide(s @ self.tuning.B, self._scale, out=np.zeros((len(s), len(self._scale))), where=self._scale > 0)
        w = data.weight[rows][:, None] * ~data.mask[rows]
        off = np.where(data.mask[rows], 0.0, data.z[rows] - self._mean - expected)
        total = w.sum(0)
        return np.asarray((w * off).sum(0) / np.maximum(total, 1e-9)), total

    @property
    def rest(self) -> Float64:
        """Mean of the features while nothing is wanted, `[features]`."""
        shift = np.divide(self.tuning.B[-1], self._scale, out=np.zeros_like(self._scale), where=self._scale > 0)
        return np.asarray(self._mean + shift)

    @property
    def of_position(self) -> Float64:
        """What a position adds to the features, `[d, features]`."""
        rows = self.tuning.B[self._n : -1]
        return np.divide(rows, self._scale, out=np.zeros_like(rows), where=self._scale > 0)

    def recursive(self, data: Labelled, forget: float) -> None:
        """Recursive maximum likelihood: what is known forgets by a factor a bin, the newest weighs most."""
        bins = len(data.z)
        self.moments.forget(forget**bins)
        aged = replace(data, weight=data.weight * forget ** np.arange(bins - 1, -1, -1))
        self._gather(self.moments, aged, self.tuning)
        self._install(self.moments.solve(self._penalty))

    def infer(self, data: Labelled, label: Label, fresh: int, forget: float) -> None:
        """Tuning and noise from labels that are inferred from what is decoded; rates are left to `follow`.

        What was known, at the rates of now, and the fresh bins are pooled, each about its own mean: a change of rate is no
        tuning.

        Args:
            data: the bins looked at, with whatever labels.
            label: what was wanted, and how sure that is, given what is decoded.
            fresh: so many of them, the last ones, are learnt from; the others are context.
            forget: what is known forgets by a factor a bin.
        """
        twin = Kalman(self._core.config)
        twin.restore(self._core.arrays())
        out = twin.predict(data.z - data.known @ self.of_position, data.mask, np.cumsum(data.past == 1))
        y, weight = label(out.astype(np.float64))
        s, rows = self._regressors(replace(data, y=y))
        keep = rows >= len(data.z) - fresh
        s, rows = s[keep], rows[keep]
        w = weight[rows]
        if w.sum() < 1:
            return
        missing = data.mask[rows]
        z = np.where(missing, s @ self.tuning.B, (data.z[rows] - self._mean) * self._scale)
        s, z = s - w @ s / w.sum(), z - w @ z / w.sum()
        s[:, -1] = 0.0
        flat = Tuning(self.tuning.B.copy(), self.tuning.Q)
        rest, flat.B[-1] = self.tuning.B[-1].copy(), 0.0
        n = self.moments.n * forget**fresh
        pooled = Moments.of(flat, self.moments.about_mean() * forget**fresh, n)
        pooled.add(s, z, w, missing if missing.any() else None, flat)
        pooled.n, R = n + float(w.sum()), pooled.about_mean()
        found = pooled.solve(self._penalty)
        found.B[-1] = rest
        self.tuning = self.labelled = found
        self.moments = Moments.of(found, R, pooled.n)
        self._core.exchange(self._observation())

    def follow(self, data: Labelled, rates: Callable[[Float64], Float64], recent: float) -> None:
        """Rates at rest from labelled bins; what else is known of the tuning stays.

        In a log-linear neuron (Truccolo et al. 2005, J Neurophysiol 93:1074) modulation is a multiple of the rate, and so is
        a Poisson variance: both are scaled with the rate.

        Args:
            data: the bins looked at.
            rates: firing rates of features whose mean at rest is given, in units of the rate at the last fit to labels.
            recent: by how much less each earlier bin counts.
        """
        if self._before is None:
            self._before = self.tuning.B[-1].copy()
        age = recent ** np.arange(len(data.z) - 1, -1, -1.0)
        off, bins = self.residual(replace(data, weight=data.weight * age))
        rest = self.tuning.B[-1] + off * self._scale
        rest = (bins * rest + _WORTH * self._before) / (bins + _WORTH)
        back: Float64 = np.divide(rest, self._scale, out=np.zeros_like(rest), where=self._scale > 0)
        self.tuning = self.labelled.at_rates(np.clip(rates(self._mean + back), *_RANGE))
        self.tuning.B[-1] = rest
        self._core.exchange(self._observation())

    def smooth(self, data: Labelled, keep: float) -> None:
        """SmoothBatch: the parameters move towards those of this batch, of which `1 - keep` is taken."""
        batch = Moments.none(*self.moments.S.shape)
        self._gather(batch, data, self.tuning)
        self._install(self.tuning.toward(batch.solve(self._penalty), 1 - keep))

    def _install(self, tuning: Tuning) -> None:
        """Give the filter a new model."""
        self.tuning = self.labelled = tuning
        self._core.exchange(self._observation())

    def _observation(self) -> dict[str, NDArray[Any]]:
        """The model as the filter takes it."""
        tuning = self.tuning
        shift = np.divide(tuning.B[-1], self._scale, out=np.zeros_like(self._scale), where=self._scale > 0)
        if tuning.Q.ndim == 1:
            V = precision(tuning, self._shrinkage, self._correlation)  # the noise factor is in the correlations
        else:
            V = precision(tuning, self._shrinkage, None) / self._noise
        return {"C": tuning.B[: self._n].T.copy(), "V": V, "mean": self._mean + shift}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For keeping."""
        return {
            "B": self.tuning.B,
            "Q": self.tuning.Q,
            "labelled_B": self.labelled.B,
            "labelled_Q": self.labelled.Q,
            "frame_mean": self._mean,
            "frame_scale": self._scale,
            "correlation": self._correlation,
            "shrinkage": np.array(self._shrinkage),
            "noise": np.array(self._noise),
            **self.moments.arrays(),
        }
