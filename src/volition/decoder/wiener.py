"""Wiener filter: ridge on causal lags, with weights for every length of history.

    y_t = mean + sum over lags of x_{t-lag} W_lag

(Wiener filter as in Carmena et al. 2003, PLoS Biology 1:e42), on standardised counts. How long the history, how strong the
penalty and how much the weights of a shortened history may differ are chosen on chronological blocks of the training data
(`_ridge.py`). History before a border is missing, not zero: the bin is decoded with weights made for the history it has. In
recordings cut into trials those weights also know how far into the trial the bin lies, as the border does.

A missing feature is replaced by its expectation, given the others and the output before (`_impute.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.decoder import _ridge as ridge
from volition.decoder._impute import Imputer, covariance
from volition.decoder._sequence import (
    Ints,
    Scale,
    agree,
    by_steps,
    history,
    inputs,
    saved,
    shaped,
    target,
    training,
    unfitted,
)
from volition.errors import ConfigError, InputError
from volition.signal import NS_PER_MS, Bool, Float32, Float64
from volition.stage import Port, Setup, Spec

_ROOM = 64  # bins that the history may slide before it is moved back


@dataclass(frozen=True)
class WienerConfig:
    """What the inner validation may choose from; a single value is taken as it is.

    Attributes:
        history_ms: lengths of history, ms, rounded to bins.
        penalties: ridge penalties in bins (of standardised features).
        ratios: how far the weights of a shortened history may differ from the common ones: ratio of the prior variances.
            0 fills missing history with its mean.
        most_weights: longer histories than this allows are not tried (features times lags).
        most_unknowns: nor those with more unknowns (weights, or bins if those are fewer): the time of a fit grows with
            their third power.
        folds: chronological blocks of the inner validation.
    """

    history_ms: tuple[float, ...] = (100.0, 200.0, 300.0, 450.0, 600.0, 750.0)
    penalties: tuple[float, ...] = (100.0, 300.0, 1000.0, 3000.0, 10000.0, 100000.0)
    ratios: tuple[float, ...] = (1.0, 0.0, 3.0)
    most_weights: int = 16000
    most_unknowns: int = 4000
    folds: int = 4

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not self.history_ms or not all(0 < a < np.inf for a in self.history_ms):
            raise ConfigError(f"history_ms must be positive, got {self.history_ms}")
        if not self.penalties or not all(0 < a < np.inf for a in self.penalties):
            raise ConfigError(f"penalties must be positive, got {self.penalties}")
        if not self.ratios or not all(0 <= a < np.inf for a in self.ratios):
            raise ConfigError(f"ratios must not be negative, got {self.ratios}")
        if min(self.most_weights, self.most_unknowns) < 1 or self.folds < 2:
            raise ConfigError("most_weights and most_unknowns must be positive and folds at least 2")


class Wiener:
    """The decoder; `chosen` tells what the inner validation took, `validation` its R² there."""

    Config = WienerConfig

    def __init__(self, config: WienerConfig | None = None) -> None:
        self.config = config or WienerConfig()
        self.spec = Spec()
        self.fitted = False
        self.confidence = 0.0
        self.chosen: dict[str, float] = {}
        self.validation = float("nan")
        self._features = self._outputs = self._age = self._at = 0
        self._bin_ns = 20 * NS_PER_MS

    def prepare(self, setup: Setup) -> None:
        """Sizes; forgets history. What was learnt or restored before stays if it fits.

        Raises:
            ConfigError: it was learnt for other sizes.
        """
        if self.fitted:
            agree("wiener", (self._features, self._outputs), setup)
        self._features, self._outputs, self._bin_ns = setup.features, len(setup.intent), setup.bin_ns
        self.spec = Spec(Port(setup.features, "1/bin"), Port(len(setup.intent), "", setup.intent), setup.bin_ns)
        if self.fitted:
            self.reset()

    # --- learning ---

    def fit(self, X: NDArray[Any], mask: Bool | None, y: NDArray[Any], segments: NDArray[Any] | None = None) -> Wiener:
        """Fit on `X` `[bins, features]`, `y` `[bins, k]`; a column of `y` that never changes is predicted as that constant.

        Raises:
            InputError: shapes that do not fit, too few bins, values that are not finite.
        """
        return self._fit(X, mask, [y], segments)[0]

    def fit_each(
        self, X: NDArray[Any], mask: Bool | None, targets: Sequence[NDArray[Any]], segments: NDArray[Any] | None = None
    ) -> list[Wiener]:
        """A decoder for each of several targets, each as `fit` would make it: what does not depend on y is done once."""
        return self._fit(X, mask, targets, segments)

    def _fit(
        self, X: NDArray[Any], mask: Bool | None, targets: Sequence[NDArray[Any]], segments: NDArray[Any] | None
    ) -> list[Wiener]:
        decoders = [self] if len(targets) == 1 else [self._sibling() for _ in targets]
        x, missing, first, past = training(X, mask, targets[0], segments, self._features, self._outputs)
        ys = [first, *(target(y, len(x), self._outputs) for y in targets[1:])]
        xs = Scale.of(x, missing)
        z = _filled(xs.apply(x, missing)[:, xs.live], None if missing is None else missing[:, xs.live])
        scales = [Scale.of(y) for y in ys]
        columns = [s.apply(y)[:, s.live] for s, y in zip(scales, ys, strict=True)]
        edges = np.cumsum([0, *(c.shape[1] for c in columns)]).tolist()
        groups = [slice(a, b) for a, b in pairwise(edges)]
        if not z.shape[1] or not edges[-1]:
            return [d._constant(xs, s) for d, s in zip(decoders, scales, strict=True)]
        problem = ridge.Problem(z, past, np.hstack(columns), max(self._lags(z)))
        chosen = self._choose(problem, past, [g for g in groups if g.stop > g.start])
        solved = dict(zip(wanted := sorted({c for c, _, _ in chosen}), problem.solve(wanted), strict=True))
        rest = iter(chosen)
        for decoder, scale, group in zip(decoders, scales, groups, strict=True):
            if group.stop == group.start:
                decoder._constant(xs, scale)
                continue
            choice, decoder.validation, trust = next(rest)
            decoder.chosen = {"lags": choice.lags, "penalty": choice.penalty, "ratio": choice.ratio}
            weights = ridge.Weights([w[:, group] for w in solved[choice].of], solved[choice].mean[group])
            decoder._learn(xs, scale, weights, z, past, trust)
        return decoders

    def _sibling(self) -> Wiener:
        other = Wiener(self.config)
        other.spec, other._bin_ns = self.spec, self._bin_ns
        other._features, other._outputs = self._features, self._outputs
        return other

    def _lags(self, z: Float64) -> list[int]:
        """Numbers of lags to try."""
        wanted = sorted({max(1, round(ms * NS_PER_MS / self._bin_ns)) for ms in self.config.history_ms})
        c, channels = self.config, z.shape[1]
        allowed = [n for n in wanted if n * channels <= c.most_weights and min(n * channels, len(z)) <= c.most_unknowns]
        return allowed or [1]

    def _choose(
        self, problem: ridge.Problem, past: Ints, groups: Sequence[slice]
    ) -> list[tuple[ridge.Choice, float, Float64]]:
        """For each group of targets the best choice, its R² on held-out blocks, and that by length of history.

        The three are chosen one after the other, because they hardly depend on one another: the penalty at a middle length
        of history, then the length, the ratio, and once more the penalty beside the one found.
        """
        c, lags = self.config, self._lags(problem.z)
        penalties = sorted(c.penalties)
        ratios = c.ratios if (past < problem.lags).mean() > 0.01 else c.ratios[:1]  # hardly a border: nothing to choose
        tried: dict[ridge.Choice, ridge.Errors] = {}
        best = [ridge.Choice(lags[len(lags) // 2], penalties[0], c.ratios[0]) for _ in groups]

        def variants(b: ridge.Choice, what: str) -> list[ridge.Choice]:
            if what == "lags":
                return [replace(b, lags=n) for n in lags]
            if what == "ratio":
                return [replace(b, ratio=r) for r in ratios]
            i = penalties.index(b.penalty)
            return [replace(b, penalty=p) for p in (penalties[max(0, i - 1) : i + 2] if what == "beside" else penalties)]

        for what in ("penalty", "lags", "ratio", "beside"):
            wanted = [variants(b, what) for b in best]
            if fresh := sorted({v for w in wanted for v in w} - set(tried)):
                tried |= problem.validate(fresh, c.folds)
            best = [max(w, key=lambda v, g=g: tried[v].r2(g)) for w, g in zip(wanted, groups, strict=True)]  # type: ignore[misc]
        return [(b, tried[b].r2(g), tried[b].by_age(g)) for b, g in zip(best, groups, strict=True)]

    def _constant(self, xs: Scale, ys: Scale) -> Wiener:
        """Nothing moves, or nothing fires: the mean."""
        n = int(xs.live.sum())
        self.chosen, self.validation = {}, float("nan")
        one = {"weights": np.zeros((1, n, int(ys.live.sum()))), "trust": np.zeros(1), "S": np.eye(n + int(ys.live.sum()))}
        return self._take({**_scales(xs, ys), **one})

    def _learn(self, xs: Scale, ys: Scale, w: ridge.Weights, z: Float64, past: Ints, trust: Float64) -> None:
        """Keep the weights, and how the features go with the output of the bin before (for what is missing later)."""
        before = np.roll(w.predict(z, past, np.arange(len(z))), 1, axis=0)
        before[past == 1] = 0.0
        S = covariance(np.hstack((z, before)), None)
        stacked = np.concatenate([m.reshape(-1, z.shape[1], m.shape[1]) for m in w.of])
        self._take({**_scales(xs, ys), "weights": stacked, "trust": trust[: len(w.of)], "S": S})

    # --- running ---

    def step(self, x: Float32, mask: Bool) -> Float32:
        """One bin: one product with the weights `[k, history * features]`."""
        if not self.fitted:
            raise unfitted("wiener")
        if self._at == 0:
            self._window[_ROOM:] = self._window[:-_ROOM]
            self._at = _ROOM
        self._at -= 1
        self._age += 1
        h = min(self._age, self._lags_used)
        row = self._window[self._at]
        missing = bool(mask.any())
        if missing:
            row[:] = self._completed(x, mask)
        else:
            row[:] = x if self._whole else x[self._live]
        past = self._window[self._at : self._at + h].ravel()
        out = self._bias[h - 1] + self._W[h - 1] @ past
        self._before = out
        self.confidence = self._trust[h - 1] * ((1 - float(mask[self._live].mean())) if missing else 1.0)
        return self._full(out)

    def _completed(self, x: Float32, mask: Bool) -> Float64:
        """The live features of a bin with expectations where they are missing."""
        gone = mask[self._live]
        z = np.where(gone, 0.0, (x[self._live] - self._mean) / self._sd)
        if gone.any():
            k = len(self._before)
            missing = np.concatenate((gone, np.full(k, self._age == 1)))
            u = np.concatenate((z, (self._before - self._y_mean) / self._y_sd))
            z[gone] = self._imputer.fill(u, missing)[: int(gone.sum())]
        z *= self._sd
        z += self._mean
        return z

    def predict(self, X: NDArray[Any], mask: Bool | None = None, segments: NDArray[Any] | None = None) -> Float32:
        """`[bins, features]` -> `[bins, k]`, as repeated `step`; afterwards the history is forgotten."""
        if not self.fitted:
            raise unfitted("wiener")
        x, mask = inputs(X, mask, self._features)
        past = history(segments, len(x))
        if mask is not None:
            out = by_steps(self, x, mask, past, self._outputs)
            self.reset()
            return out
        z = (x[:, self._live] - self._mean) / self._sd
        k = len(self._y_mean)
        weights = ridge.Weights(self._standard, np.zeros(k))
        found = weights.predict(z, past, np.arange(len(z))) * self._y_sd + self._y_mean
        self.reset()
        return self._full(found)

    def _full(self, live: NDArray[Any]) -> Float32:
        """All outputs from those that vary."""
        out = np.empty((*live.shape[:-1], self._outputs), np.float32)
        out[...] = self._rest
        out[..., self._y_live] = live
        return out

    def reset(self) -> None:
        """Forget history, keep what was learnt."""
        self._age, self._at, self.confidence = 0, _ROOM, 0.0
        if self.fitted:
            self._before = self._y_mean

    # --- keeping ---

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Everything learnt; nothing before `fit`."""
        return dict(self._learnt) if self.fitted else {}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take it back.

        Raises:
            InputError: something is missing or does not fit together.
        """
        given = saved("wiener", arrays, ("mean", "sd", "live", "y_mean", "y_sd", "y_live", "weights", "trust", "S"))
        channels, outputs = given["mean"].size, given["y_mean"].size
        n, k, lags = int(given["live"].sum()), int(given["y_live"].sum()), given["trust"].size
        shapes = {"mean": (channels,), "sd": (channels,), "live": (channels,), "trust": (lags,), "S": (n + k, n + k)}
        shapes |= dict.fromkeys(("y_mean", "y_sd", "y_live"), (outputs,))
        shaped("wiener", given, {**shapes, "weights": (lags * (lags + 1) // 2, n, k)})
        if self._features and (channels, outputs) != (self._features, self._outputs):
            raise InputError(
                f"the saved wiener is for {channels} features and {outputs} intents, "
                f"but here are {self._features} and {self._outputs}"
            )
        self._features, self._outputs = channels, outputs
        self._take(given)

    def _take(self, learnt: Mapping[str, NDArray[Any]]) -> Wiener:
        """Derive everything that `step` needs: weights for counts as they come, newest lag first."""
        self._learnt = dict(learnt)
        self._live, self._y_live = (np.asarray(learnt[name], bool) for name in ("live", "y_live"))
        self._whole = bool(self._live.all())
        self._mean, self._sd = learnt["mean"][self._live], learnt["sd"][self._live]
        self._y_mean, self._y_sd = learnt["y_mean"][self._y_live], learnt["y_sd"][self._y_live]
        self._rest, self._trust = learnt["y_mean"], learnt["trust"].tolist()
        self._imputer = Imputer(learnt["S"])
        lags, n, k = len(self._trust), len(self._mean), len(self._y_mean)
        starts = np.arange(lags + 1) * np.arange(1, lags + 2) // 2
        parts = [learnt["weights"][a:b] for a, b in pairwise(starts.tolist())]
        self._standard = [p.reshape(len(p) * n, k) for p in parts]
        raw = [p / self._sd[:, None] * self._y_sd for p in parts]
        self._bias = [self._y_mean - np.einsum("lnk,n->k", p, self._mean) for p in raw]
        self._W = [np.ascontiguousarray(p.reshape(len(p) * n, k).T, np.float32) for p in raw]
        self._lags_used = lags
        self._window = np.zeros((_ROOM + lags, n), np.float32)
        self.fitted = True
        self.reset()
        return self


def _scales(xs: Scale, ys: Scale) -> dict[str, NDArray[Any]]:
    return {"mean": xs.mean, "sd": xs.sd, "live": xs.live, "y_mean": ys.mean, "y_sd": ys.sd, "y_live": ys.live}


def _filled(z: Float64, missing: Bool | None) -> Float64:
    """Training features with expectations, given the others of the bin, where they are missing; 0 in lost bins."""
    if missing is None or not missing.any():
        return z
    imputer = Imputer(covariance(z, ~missing))
    out = z.copy()
    for t in np.flatnonzero(missing.any(1) & ~missing.all(1)):
        out[t, missing[t]] = imputer.fill(z[t], missing[t])
    return out
