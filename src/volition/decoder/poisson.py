"""Point-process filter of log-linear channels that knows where the body is, and learns on from selections or labels.

Fitted, it believes of each channel that its log-rate is linear in the movement meant, its speed, a click and the place of
the body (`_log_linear.py`), and that all channels share a few slow noises (`_common_noise.py`); in use a filter
(`_point_process.py`) finds the movement that the counts speak for. The place is known to the user and to the clinic: what
follows it is no movement.

How it learns on depends on what the loop tells it (`LoopConfig.adapt`):

    selections   retrospective target inference (Jarosiewicz et al. 2015, Sci Transl Med 7:313ra179): once something was
                 selected, an ideal user is taken to have meant it in the seconds before, from where the body was in each
                 bin; the first moments, in which nobody could have seen it, teach nothing, nor does what led to nothing
    supervised   every bin is labelled

In both, labelled bins are learnt in batches by a Bayesian update of every channel's tuning, which between batches and over
night is believed to have drifted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.decoder import _common_noise
from volition.decoder._log_linear import CEILING, Batch, Belief, regressors
from volition.decoder._point_process import ARRAYS as MODEL
from volition.decoder._point_process import Filter, Model
from volition.decoder._retrospect import Remembered, Retrospect
from volition.decoder._sequence import agree, by_steps, history, inputs, saved, shaped, training, unfitted
from volition.errors import ConfigError, InputError
from volition.signal import NS_PER_MS, NS_PER_S, BodyState, Bool, Float32, Float64
from volition.stage import Port, Setup, Spec

_AXES = {"reach.x": 0, "reach.y": 1, "reach.z": 2}
_OWN = ("mean", "precision", "scale", "usual", "outputs")
_SOON_S = 5.0  # the first batch of a session
_DAY_S = 30.0  # what the usual rates of the sessions before weigh
_LEAST = 1e-4  # variance of a movement that never came


@dataclass(frozen=True)
class PoissonConfig:
    """What it believes, and how it answers.

    Attributes:
        factors: shared noises at most.
        factor_ms: window in which they are looked for, ms.
        own_ms: window over which a channel's own noise is judged, ms.
        quick: how much more a movement is believed to change from bin to bin than the labels did, as variance.
        acceleration: the speed given is |v|^(1 + acceleration): a cursor that is slow near rest, where noise is most of what
            is decoded, and quick at full effort, as mouse pointers are.
        worth: share of what its noise leaves a spike worth that the filter believes: errors of many channels' tuning add up,
            which no channel shows alone.
        top: speed at full effort over the fastest that was in the labels.
        slow_s: an ideal user slows in proportion below this time from the target at full speed, s (0.05 m at 0.3 m/s).
        react_s: selections: so much after the selection before teaches nothing, s.
        recall_s: and what lies further back than this, s.
        batch_s: labelled bins are learnt from in batches of so much, s.
        recent_s: shared noise is looked for in the last labelled bins, so much, s.
        rate_sd: believed drift of a log-rate, per root of a minute.
        depth_sd: of each part of the tuning.
        night_rate_sd: of a log-rate about its usual value, from session to session.
        night_depth_sd: of each part of the tuning, from session to session.
    """

    factors: int = 8
    factor_ms: float = 100.0
    own_ms: float = 200.0
    quick: float = 2.0
    acceleration: float = 1.0
    worth: float = 1.0
    top: float = 1.0
    slow_s: float = 0.17
    react_s: float = 0.3
    recall_s: float = 3.0
    batch_s: float = 20.0
    recent_s: float = 120.0
    rate_sd: float = 0.12
    depth_sd: float = 0.02
    night_rate_sd: float = 0.35
    night_depth_sd: float = 0.15

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.factors < 0:
            raise ConfigError(f"poisson: factors must not be negative, got {self.factors}")
        for name in ("factor_ms", "own_ms", "quick", "worth", "top", "slow_s", "recall_s", "batch_s", "recent_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"poisson: {name} must be positive and finite, got {getattr(self, name)}")
        for name in ("acceleration", "react_s", "rate_sd", "depth_sd", "night_rate_sd", "night_depth_sd"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"poisson: {name} must not be negative, got {getattr(self, name)}")


class Poisson:
    """The decoder."""

    Config = PoissonConfig
    _belief: Belief
    _filter: Filter
    _recent: Remembered
    _retrospect: Retrospect
    _scale: Float64
    _place: Float64
    _told: tuple[Float64, Float32 | None] | None
    _usual: Float64
    _day: int
    _slept: bool

    def __init__(self, config: PoissonConfig | None = None) -> None:
        self.config = config or PoissonConfig()
        self.spec = Spec()
        self.fitted = False
        self._setup = Setup()
        self._features = self._outputs = 0
        self._clicks: list[int] = []
        self._moves: list[int] = []
        self._reach: list[int] = []
        self._axes: list[int] = []

    @property
    def confidence(self) -> float:
        """The filter's."""
        return self._filter.belief if self.fitted else 0.0

    def prepare(self, setup: Setup) -> None:
        """Sizes; forgets history: a new session begins. What was learnt or restored before stays if it fits.

        Raises:
            ConfigError: it was learnt for other sizes.
        """
        if self.fitted:
            agree("poisson decoder", (self._features, self._outputs), setup)
        self._features, self._outputs, self._setup = setup.features, len(setup.intent), setup
        self._clicks = [i for i, name in enumerate(setup.intent) if name == "select"]
        self._moves = [i for i in range(len(setup.intent)) if i not in self._clicks]
        self._reach = [k for k, i in enumerate(self._moves) if _AXES.get(setup.intent[i], 99) < setup.workspace.shape[1]]
        self._axes = [_AXES[setup.intent[self._moves[k]]] for k in self._reach]
        self._place = np.zeros(len(self._axes))
        self.spec = Spec(Port(setup.features, "1/bin"), Port(len(setup.intent), "", setup.intent), setup.bin_ns)
        if self.fitted:
            self._take(self.arrays())

    # --- learning ---

    def fit(
        self,
        X: NDArray[Any],
        mask: Bool | None,
        y: NDArray[Any],
        segments: NDArray[Any] | None = None,
        places: NDArray[Any] | None = None,
    ) -> Poisson:
        """Fit on counts `X` `[bins, features]`, `y` `[bins, k]`, and places of the body `[bins, d]`, m (none: centre).

        Raises:
            InputError: shapes that do not fit, too few bins, values that are not finite.
        """
        x, mask, y, past = training(X, mask, y, segments, self._features, self._outputs)
        x = np.maximum(x, 0.0)
        at = np.zeros((len(x), len(self._axes))) if places is None else self._placed(np.asarray(places, np.float64))
        scale = np.abs(y[:, self._moves]).max(0, initial=0.0)
        if self._reach:
            scale[self._reach] = np.linalg.norm(y[:, [self._moves[k] for k in self._reach]], axis=1).max()
        scale = np.where(scale > 0, scale, 1.0)
        v, press = y[:, self._moves] / scale, (y[:, self._clicks] > 0.5).astype(float)
        phi = regressors(v, press, at)
        seen = np.full(self._features, len(x)) if mask is None else (~mask).sum(0)
        belief = Belief.none(phi.shape[1], x.sum(0) / np.maximum(seen, 1))
        batch, poisson = Batch(phi, x, mask, np.ones(len(x))), np.ones(self._features)
        first = belief.learn(batch, poisson)
        common = self._noise(first.mean, batch)
        wary = belief.learn(batch, common.trust, first.mean)
        # How sure it is follows from the noise there is; the mean is the Poisson one, or few presses would teach no click.
        belief = Belief(first.mean, wary.precision)
        follows = past[1:] > 1
        before, after = v[:-1][follows], v[1:][follows]
        keep = np.clip((before * after).sum(0) / np.maximum((before**2).sum(0), 1e-9), 0.3, 0.995)
        spread = np.maximum((v**2).mean(0), _LEAST)
        begins = float((np.diff(press[:, 0].astype(int)) > 0).sum()) if self._clicks else 0.0
        click = np.array([(begins + 0.1) / len(x), min(0.9, (begins + 0.1) / (float(press.sum()) + 0.5))])
        model = self._model(belief.mean, common, keep, spread, click)
        self._usual = belief.mean[0]
        return self._take(self._kept(belief, model, scale), night=False)

    def _bins(self, seconds: float) -> int:
        return max(1, round(seconds * NS_PER_S / self._setup.bin_ns))

    def _noise(self, tuning: Float64, batch: Batch) -> _common_noise.Common:
        """Shared and own noise, from what a tuning leaves."""
        c, ms = self.config, self._setup.bin_ns / NS_PER_MS
        expected = np.exp(np.minimum(batch.phi @ tuning, CEILING))
        counts = batch.counts if batch.missing is None else np.where(batch.missing, expected, batch.counts)
        few = max(1, round(c.factor_ms / ms))
        return _common_noise.find(counts, expected, c.factors, few, max(few, round(c.own_ms / ms)))

    def _model(self, tuning: Float64, noise: _common_noise.Common, keep: Float64, spread: Float64, click: Float64) -> Model:
        """The filter's, from the movement's persistence and variance."""
        every = np.concatenate((keep, noise.keep))
        wide = np.concatenate((spread, np.ones(len(noise.keep))))
        fresh = (1 - every**2) * wide
        fresh[: len(keep)] *= self.config.quick
        return Model(tuning, noise.loadings, noise.trust, every, wide, fresh, click)

    def _placed(self, position: Float64) -> Float64:
        """-1..1 along the longest axis of the workspace, `[..., d]`."""
        low, high = self._setup.workspace[:, self._axes]
        return np.asarray((2 * position[..., self._axes] - low - high) / (high - low).max(initial=1e-9))

    def place(self, body: BodyState) -> None:
        """Where the body is in the coming bin."""
        if self._axes:
            self._place = self._placed(body.position)

    def observe(self, body: BodyState, aim: Float32 | None) -> None:
        """The coming bin may be learnt from: with this label, or once it is known what was selected."""
        self._told = (np.array(body.position, np.float64), aim)

    def selected(self, position: Float64 | None) -> None:
        """Something was selected, at this position, or what was to be selected went away (None)."""
        found = self._retrospect.selected(position)
        if found is not None:
            self._add(*found)

    def _label(self, at: Float64, aim: Float64) -> Float64:
        """Regressors of bins `[bins, d]` at positions, m, with intents `[bins, k]`."""
        v, press = aim[:, self._moves] / self._scale, (aim[:, self._clicks] > 0.5).astype(float)
        return regressors(v, press, self._placed(at) if self._axes else np.zeros((len(at), 0)))

    def _add(self, counts: Float64, at: Float64, aim: Float64) -> None:
        """Labelled bins: learnt from when there are enough."""
        self._recent.add(self._label(at, aim), counts)
        if self._recent.fresh >= min(self._bins(self.config.batch_s), self._bins(_SOON_S) + self._day // 4):
            self._update()

    def _update(self) -> None:
        """The belief after a batch, and the filter's model of it."""
        c, batch, old = self.config, self._recent.batch(), self._filter.model
        minutes = len(batch.phi) * self._setup.bin_ns / NS_PER_S / 60
        parts = len(self._belief.mean) - 1
        drift = math.sqrt(minutes) * np.array([c.rate_sd, *[c.depth_sd] * parts])
        if self._slept:
            drift, self._slept = np.array([c.night_rate_sd, *[c.night_depth_sd] * parts]), False
        self._belief = self._belief.widened(drift).learn(batch, old.trust)
        self._day += len(batch.phi)
        share = len(batch.phi) / (self._day + self._bins(_DAY_S))
        self._usual = self._usual + share * (self._belief.mean[0] - self._usual)
        m = old.moves
        noise = _common_noise.Common(old.loadings, old.keep[m:], old.trust)
        if self._recent.since >= self._bins(c.recent_s):
            noise = self._noise(self._belief.mean, self._recent.all())
            self._recent.since = 0
        self._filter.use(self._model(self._belief.mean, noise, old.keep[:m], old.spread[:m], old.click))

    # --- running ---

    def step(self, x: Float32, mask: Bool) -> Float32:
        """One bin."""
        if not self.fitted:
            raise unfitted("poisson decoder")
        counts, seen = np.maximum(np.asarray(x, np.float64), 0.0), ~np.asarray(mask, bool)
        self._filter.step(counts, seen, self._place)
        self._place = np.zeros(len(self._axes))
        v = self._filter.v * np.linalg.norm(self._filter.v) ** self.config.acceleration
        out = np.empty(self._outputs, np.float32)
        out[self._moves] = v * self._scale * self.config.top
        out[self._clicks] = self._filter.click
        if self._told is not None:
            (at, aim), self._told = self._told, None
            row = np.where(seen, counts, np.nan)
            if aim is None:
                self._retrospect.add(row, at, out.astype(np.float64))
            else:
                self._add(row[None], at[None], np.asarray(aim, np.float64)[None])
        return out

    def predict(self, X: NDArray[Any], mask: Bool | None = None, segments: NDArray[Any] | None = None) -> Float32:
        """`[bins, features]` -> `[bins, k]`, as repeated `step`; afterwards the history is forgotten."""
        if not self.fitted:
            raise unfitted("poisson decoder")
        x, missing = inputs(X, mask, self._features)
        out = by_steps(self, x, missing, history(segments, len(x)), self._outputs)
        self.reset()
        return out

    def reset(self) -> None:
        """Forget history, keep what was learnt."""
        self._told = None
        self._place = np.zeros(len(self._axes))
        if self.fitted:
            self._filter.reset()
            self._retrospect.forget()

    # --- keeping ---

    def _kept(self, belief: Belief, model: Model, scale: Float64) -> dict[str, NDArray[Any]]:
        own = (belief.mean, belief.precision, scale, self._usual, np.array(self._outputs))
        return {**dict(zip(_OWN, own, strict=True)), **model.arrays()}

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Everything learnt; nothing before `fit`."""
        if not self.fitted:
            return {}
        return {name: np.array(a) for name, a in self._kept(self._belief, self._filter.model, self._scale).items()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take it back.

        Raises:
            InputError: something is missing or does not fit together.
        """
        given = saved("poisson decoder", arrays, (*_OWN, *MODEL))
        d, channels = np.atleast_2d(given["tuning"]).shape
        factors, n = np.atleast_2d(given["loadings"]).shape[1], given["keep"].size
        shapes: dict[str, tuple[int, ...]] = {"mean": (d, channels), "tuning": (d, channels), "click": (2,)}
        shapes |= {
            "precision": (channels, d, d),
            "loadings": (channels, factors),
            "trust": (channels,),
            "scale": (n - factors,),
        }
        shapes |= dict.fromkeys(("keep", "spread", "fresh"), (n,))
        shaped("poisson decoder", given, {**shapes, "outputs": ()})
        outputs = int(given["outputs"])
        if self._features and (channels, outputs) != (self._features, self._outputs):
            raise InputError(
                f"the saved poisson decoder is for {channels} features and {outputs} intents, "
                f"but here are {self._features} and {self._outputs}"
            )
        self._features, self._outputs = channels, outputs
        self._take(given)

    def _take(self, arrays: Mapping[str, NDArray[Any]], night: bool = True) -> Poisson:
        """Derive everything that `step` needs; a session begins, before which there was perhaps a night."""
        self._belief = Belief(np.array(arrays["mean"], np.float64), np.array(arrays["precision"], np.float64))
        self._scale = np.array(arrays["scale"], np.float64)
        model = Model.restored(arrays)
        self._filter = Filter(model, self._outputs > model.moves, self.config.worth)
        c, slow = self.config, self.config.slow_s
        reach = [self._moves[k] for k in self._reach]
        top = float(self._scale[self._reach].max(initial=0.0))
        self._retrospect = Retrospect(reach, self._axes, top, slow, self._bins(c.react_s), self._bins(c.recall_s))
        self._recent = Remembered(self._bins(c.recent_s))
        self._day = 0
        self._usual = np.array(arrays["usual"], np.float64)
        if night:
            self._belief = Belief(np.vstack((self._usual, self._belief.mean[1:])), self._belief.precision)
            self._filter.use(model.tuned(self._belief.mean))
        self._slept = night
        self.fitted = True
        self.reset()
        return self
