"""Kalman filter that stays good over days: follows rates, infers targets, aligns latents, learns from labels.

A velocity Kalman filter (`kalman.py`) behind a running normalisation. How it adapts depends on what the loop tells it
(`LoopConfig.adapt`) and on the configuration:

    unsupervised  rates        follows the rates at rest, and with them depth of tuning and noise: what the person wants at
                               a place is taken to be the mean over targets anywhere (`_targets.py`, `_relearn.py`)
                  infer        the same, and infers the targets from where the cursor was pushed, and learns the tuning anew
                  normalise    follows mean and scale of each feature, whatever is wanted (`_normalise.py`)
                  stabilise    that, and aligns latents by stable electrodes (`_stabilise.py`)
    supervised    rml          learns from the labels it is given by recursive maximum likelihood (`_moments.py`)
                  smoothbatch  learns from each batch of them, and moves part of the way

`drift` is a label-free score of how far the activity is from that of the calibration (`_drift.py`), and
`asks_for_calibration` whether that is too far; both also work where nothing adapts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.decoder._drift import Drift
from volition.decoder._normalise import ARRAYS as FRONT
from volition.decoder._normalise import Normaliser
from volition.decoder._relearn import ARRAYS as LEARNER
from volition.decoder._relearn import Labelled, Relearner, Rows
from volition.decoder._sequence import agree, inputs, saved, shaped, training, unfitted
from volition.decoder._stabilise import ARRAYS as ALIGNER
from volition.decoder._stabilise import Aligner
from volition.decoder._targets import Field, Targets
from volition.decoder.kalman import Kalman, KalmanConfig
from volition.errors import ConfigError, InputError
from volition.signal import NS_PER_S, BodyState, Bool, Float32, Float64
from volition.stage import Port, Setup, Spec

_AXES = {"reach.x": 0, "reach.y": 1, "reach.z": 2}
_CORE = "core_"  # before the names of the filter's own arrays
_KALMAN = ("mean", "y_mean", "y_sd", "y_live", "A", "W", "S", "C", "V", "scale", "lead")
_KEPT = ("first_mean", "first_sd", "drift_axes", "drift_mean", "drift_cov", "drift_limit", "top_speed", "gain", "rest")
_PENALTY = 1.0  # ridge on the tuning, in bins


@dataclass(frozen=True)
class AdaptiveConfig:
    """How it adapts.

    Attributes:
        unsupervised: "rates", "infer", "stabilise", "normalise" or "off".
        supervised: "rml", "smoothbatch" or "off".
        normalise_s: half-life of the mean rates (of mean and scale in "normalise" and "stabilise"), s.
        half_life_s: half-life of what was learnt from labels (rml, smoothbatch), in s of data (1.5-5 min: Orsborn et al.
            2012, Dangi et al. 2014).
        inferred_s: the same for inferred labels, which are worth less.
        update_s: rml: the model is renewed so often, s.
        batch_s: smoothbatch: length of a batch, s (40-100 s: Orsborn et al. 2012).
        window_s: rates, infer and stabilise: the model is renewed so often, s.
        memory_s: rates and infer: so much is looked at each time, s.
        kappa: infer: concentration of decoded directions about the target's (2-8: Wilson et al. 2023).
        slow_m: an ideal user slows in proportion below this distance, m (as `task.slow_m` of reach).
        latents: factors of "stabilise" (10: Degenhart et al. 2020).
        keep: share of the electrodes that are taken for stable (60 of 90: Degenhart et al. 2020).
        drift_s: length of the window of the drift score, s.
        shrinkages: share by which the noise covariance is shrunk towards its diagonal, chosen on held-out blocks.
    """

    unsupervised: str = "rates"
    supervised: str = "rml"
    normalise_s: float = 90.0
    half_life_s: float = 150.0
    inferred_s: float = 600.0
    update_s: float = 2.0
    batch_s: float = 60.0
    window_s: float = 6.0
    memory_s: float = 60.0
    kappa: float = 4.0
    slow_m: float = 0.05
    latents: int = 10
    keep: float = 0.67
    drift_s: float = 60.0
    shrinkages: tuple[float, ...] = (0.1, 0.3, 1.0)

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        ways = ("rates", "infer", "stabilise", "normalise", "off")
        if self.unsupervised not in ways:
            raise ConfigError(f"unsupervised must be one of {', '.join(ways)}, got {self.unsupervised!r}")
        if self.supervised not in ("rml", "smoothbatch", "off"):
            raise ConfigError(f"supervised must be 'rml', 'smoothbatch' or 'off', got {self.supervised!r}")
        times = ("normalise", "half_life", "update", "batch", "window", "memory", "drift")
        for name in ("kappa", "slow_m", *(f"{what}_s" for what in times)):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be positive and finite, got {getattr(self, name)}")
        if self.latents < 1 or not 0 < self.keep <= 1:
            raise ConfigError("latents must be 1 or more, and keep above 0 and up to 1")
        KalmanConfig(shrinkages=self.shrinkages)  # refuses what it must


class Adaptive:
    """The decoder."""

    Config = AdaptiveConfig
    _front: Normaliser
    _aligner: Aligner | None
    _learner: Relearner
    _drift: Drift
    _rows: Rows
    _way: str
    _begun: bool
    _border: bool

    def __init__(self, config: AdaptiveConfig | None = None) -> None:
        self.config = config or AdaptiveConfig()
        self.spec = Spec()
        self.fitted = False
        self._features = self._outputs = 0
        self._setup = Setup()
        self._core = self._new_core()
        self._told: tuple[BodyState, Float32 | None] | None = None

    @property
    def confidence(self) -> float:
        """The filter's."""
        return self._core.confidence

    @property
    def chosen(self) -> dict[str, float]:
        """What the inner validation took."""
        return self._core.chosen

    @property
    def drift(self) -> float:
        """Distance of the last `drift_s` from the calibration, nats; 0 before there is so much."""
        return self._drift.score if self.fitted else 0.0

    @property
    def asks_for_calibration(self) -> bool:
        """Whether the drift is more than the calibration itself showed."""
        return self.fitted and self._drift.asks

    def figures(self) -> Mapping[str, float]:
        """Of the drift score, for the report; none before there is one."""
        return self._drift.figures() if self.fitted else {}

    def prepare(self, setup: Setup) -> None:
        """Sizes; forgets history: a new session begins. What was learnt or restored before stays if it fits.

        Raises:
            ConfigError: it was learnt for other sizes.
        """
        if self.fitted:
            agree("adaptive decoder", (self._features, self._outputs), setup)
        self._features, self._outputs, self._setup = setup.features, len(setup.intent), setup
        self._reach = [i for i, name in enumerate(setup.intent) if _AXES.get(name, 99) < setup.workspace.shape[1]]
        self._field = Field(setup.workspace, [_AXES[setup.intent[i]] for i in self._reach])
        self.spec = Spec(Port(setup.features, "1/bin"), Port(len(setup.intent), "", setup.intent), setup.bin_ns)
        if self.fitted:
            self._take(self.arrays())

    def _new_core(self) -> Kalman:
        """The filter; its noise is not scaled up: what open loop likes of that (R²) costs control."""
        core = Kalman(KalmanConfig(orders=(1,), leads=(0,), noises=(1.0,), shrinkages=self.config.shrinkages))
        core.prepare(replace(self._setup, features=max(self._width, 1)))
        return core

    @property
    def _aligning(self) -> bool:
        return self.config.unsupervised == "stabilise"

    @property
    def _width(self) -> int:
        """Features as the filter gets them: latents where they are aligned."""
        return min(self.config.latents, self._features) if self._aligning else self._features

    # --- learning ---

    def fit(self, X: NDArray[Any], mask: Bool | None, y: NDArray[Any], segments: NDArray[Any] | None = None) -> Adaptive:
        """Fit on `X` `[bins, features]`, `y` `[bins, k]`; what was adapted before is forgotten.

        Raises:
            InputError: shapes that do not fit, too few bins, values that are not finite.
        """
        x, mask, y, past = training(X, mask, y, segments, self._features, self._outputs)
        c, bin_s = self.config, self._setup.bin_ns / NS_PER_S
        front = Normaliser.of(x, mask, bin_s, c.normalise_s)
        z = front.apply(x) if mask is None else np.where(mask, 0.0, front.apply(x))
        sd = np.sqrt(np.maximum(front.variance, np.median(front.variance)))  # a silent channel may fire one day
        arrays = {**front.arrays(), "first_mean": front.mean, "first_sd": sd}
        arrays |= Drift.reference(((x if mask is None else np.where(mask, front.mean, x)) - front.mean) / sd)
        given, away = z, mask
        if self._aligning:
            arrays |= Aligner.reference(z, mask, self._width)
            given, away = Aligner(arrays, c.keep).latents(z, mask), None
        self._core = self._new_core()
        self._core.fit(given, away, y, segments)
        gone = np.zeros(given.shape, bool) if away is None else away
        learner = Relearner.of(
            self._core,
            Labelled(given, gone, y, np.ones(len(y)), past, np.zeros((len(y), self._field.space.shape[1]))),
            _PENALTY,
        )
        arrays |= {**{_CORE + name: a for name, a in self._core.arrays().items()}, **learner.arrays()}
        arrays["rest"] = front.mean if self._aligning else front.counts(learner.rest)
        arrays["gain"] = np.array(self._gain_of(self._core.predict(given, away, segments), y))
        arrays["top_speed"] = np.array(np.linalg.norm(y[:, self._reach], axis=1).max() if self._reach else 0.0)
        return self._take(arrays)

    def _gain_of(self, out: Float32, y: Float64) -> float:
        """How much of a wanted movement is decoded: regression of the one on the other."""
        wanted = y[:, self._reach]
        return float(np.clip((out[:, self._reach] * wanted).sum() / max((wanted**2).sum(), 1e-12), 0.1, 1.0))

    def observe(self, body: BodyState, aim: Float32 | None) -> None:
        """What is known of this bin beside the activity; the step that follows learns from it."""
        self._told = (body, aim)

    def _learn(
        self, seen: tuple[Float64, Bool], used: tuple[Float64, Bool], body: BodyState, aim: Float32 | None, out: Float32
    ) -> None:
        """Adapt after a bin that was observed: the features as seen, and as what learns gets them."""
        c = self.config
        if not self._begun:
            self._begun = True
            self._front.begin()
        way = c.supervised if aim is not None else c.unsupervised
        if way != self._way:
            self._way, self._rows = way, Rows()
        if way in ("normalise", "stabilise"):
            self._front.update(*seen)
        if way in ("normalise", "off"):
            return
        self._rows.add(*used, self._field.place(body.position), out if aim is None else aim, self._border)
        self._border = False
        seconds = {"rml": c.update_s, "smoothbatch": c.batch_s}.get(way, c.window_s)
        if self._rows.fresh * self._setup.bin_ns >= seconds * NS_PER_S:
            self._renew(way)

    def _renew(self, way: str) -> None:
        """Learn from a window of bins."""
        c, rows, bin_s = self.config, self._rows, self._setup.bin_ns / NS_PER_S
        data, forget = rows.labelled(), 2 ** (-bin_s / c.half_life_s)
        if way == "stabilise":
            assert self._aligner is not None
            self._aligner.follow(data.z, data.mask, forget)
            rows.used(0)
            return
        if way in ("rates", "infer"):
            recent, targets = 2 ** (-bin_s / c.normalise_s), self._targets()
            at = self._field.at(data.known)
            anywhere = data.y.copy()
            anywhere[:, self._reach] = targets.anywhere(at)
            self._learner.follow(replace(data, y=anywhere), self._rates, recent)
            if way == "infer":
                label = targets.label(data.y, self._reach, at, bin_s)
                self._learner.infer(data, label, rows.fresh, 2 ** (-bin_s / c.inferred_s))
                self._rest = self._front.counts(self._learner.rest)
            rows.used(round(c.memory_s / bin_s))
        elif way == "smoothbatch":
            self._learner.smooth(data, forget ** len(data.z))
            rows.used(0)
            self._rest = self._front.counts(self._learner.rest)
        else:
            off, bins = self._learner.residual(data)
            if self._aligner is None:
                data = replace(data, z=self._front.shift(off, bins, data.z))
            self._learner.recursive(data, forget)
            rows.used(0)
            self._rest = self._front.counts(self._learner.rest)
        self._of_place = self._learner.of_position

    def _rates(self, rest: Float64) -> Float64:
        """Rates at rest in units of those at the last fit to labels; latents have no rates."""
        if self._aligner is not None:
            return np.ones(len(rest))
        least = 0.01 * self._first_sd
        return np.asarray(np.maximum(self._front.counts(rest), least) / np.maximum(self._rest, least))

    def _targets(self) -> Targets:
        """What an ideal user would do, and where."""
        c = self.config
        if not self._reach or self._top_speed <= 0:
            raise ConfigError("adaptive: targets can be guessed only where reach.x, reach.y or reach.z is decoded")
        return Targets(self._field.space, self._top_speed, c.slow_m, c.kappa, self._gain)

    # --- running ---

    def step(self, x: Float32, mask: Bool) -> Float32:
        """One bin: normalised, perhaps turned into aligned latents, filtered; then learnt from, if it was observed."""
        if not self.fitted:
            raise unfitted("adaptive decoder")
        seen: Float64 = np.asarray(x, np.float64)
        z = self._front.apply(seen)
        given, away = (z, mask) if self._aligner is None else (self._aligner.latents(z, mask), self._nothing)
        known: Any = given if self._told is None else given - self._field.place(self._told[0].position) @ self._of_place
        out = self._core.step(known, away)
        self._drift.add((np.where(mask, self._first_mean, seen) - self._first_mean) / self._first_sd)
        if self._told is not None:
            body, aim = self._told
            self._told = None
            raw = self._aligner is not None and aim is None
            self._learn((seen, mask), (z, mask) if raw else (given, away), body, aim, out)
        return out

    def predict(self, X: NDArray[Any], mask: Bool | None = None, segments: NDArray[Any] | None = None) -> Float32:
        """`[bins, features]` -> `[bins, k]`, as repeated `step`; afterwards the history is forgotten."""
        if not self.fitted:
            raise unfitted("adaptive decoder")
        x, missing = inputs(X, mask, self._features)
        z = self._front.apply(x)
        if self._aligner is not None:
            z, missing = self._aligner.latents(z, missing), None
        out = self._core.predict(z, missing, segments)
        self.reset()
        return out

    def reset(self) -> None:
        """Forget history, keep what was learnt."""
        self._core.reset()
        self._border, self._told = True, None

    # --- keeping ---

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Everything learnt and adapted; nothing before `fit`."""
        if not self.fitted:
            return {}
        core = {_CORE + name: a for name, a in self._core.arrays().items()}
        aligned = {} if self._aligner is None else self._aligner.arrays()
        every = {**self._fixed, "rest": self._rest, **core, **self._learner.arrays(), **self._front.arrays(), **aligned}
        return {name: np.array(a) for name, a in every.items()}  # what goes on adapting is not what was kept

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take it back.

        Raises:
            InputError: something is missing or does not fit together.
        """
        core = tuple(_CORE + name for name in _KALMAN)
        names = (*_KEPT, *core, *LEARNER, *FRONT, *(ALIGNER if self._aligning else ()))
        given = saved("adaptive decoder", arrays, names)
        channels, outputs = given["running_mean"].size, given["core_y_mean"].size
        n, width = len(np.atleast_1d(given["core_A"])), given["core_mean"].size
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys((*FRONT, "first_mean", "first_sd", "rest"), (channels,))
        shapes |= {"core_C": (width, n), "top_speed": (), "gain": ()}
        m = len(np.atleast_1d(given["B"]))
        shapes |= {"B": (m, width), "S": (m, width), "R": (m, m), "T": given["Q"].shape, "labelled_Q": given["Q"].shape}
        shapes["labelled_B"] = (m, width)
        shapes |= dict.fromkeys(("frame_mean", "frame_scale"), (width,))
        axes = given["drift_mean"].size
        shapes |= {"drift_axes": (channels, axes), "drift_cov": (axes, axes), "drift_limit": ()}
        if self._aligning:
            shapes |= dict.fromkeys(("reference_L", "day_L"), (channels, width)) | {"day_cov": (channels, channels)}
            shapes |= dict.fromkeys(("reference_psi", "day_psi"), (channels,))
        elif width != channels:
            raise InputError("this saved adaptive decoder aligns latents: it needs unsupervised='stabilise'")
        shaped("adaptive decoder", given, shapes)
        if given["Q"].shape not in ((width, width), (width,)):
            raise InputError(f"the saved adaptive decoder's 'Q' has shape {given['Q'].shape}")
        if self._features and (channels, outputs) != (self._features, self._outputs):
            raise InputError(
                f"the saved adaptive decoder is for {channels} features and {outputs} intents, "
                f"but here are {self._features} and {self._outputs}"
            )
        self._features, self._outputs = channels, outputs
        self._take(given)

    def _take(self, arrays: Mapping[str, NDArray[Any]]) -> Adaptive:
        """Derive everything that `step` needs; a session begins."""
        c, bin_s = self.config, self._setup.bin_ns / NS_PER_S
        self._fixed = {name: arrays[name] for name in _KEPT}
        core = Kalman(self._core.config)
        core.restore({name: arrays[_CORE + name] for name in _KALMAN})
        core.chosen = self._core.chosen
        self._core = core
        self._learner = Relearner(core, arrays, _PENALTY)
        self._of_place = self._learner.of_position
        self._front = Normaliser.restored(arrays, bin_s, c.normalise_s)
        self._aligner = Aligner(arrays, c.keep) if self._aligning else None
        self._nothing = np.zeros(self._width, bool)
        self._drift = Drift(arrays, max(2, round(c.drift_s / bin_s)))
        self._first_mean, self._first_sd = arrays["first_mean"], arrays["first_sd"]
        self._rest = np.array(arrays["rest"], np.float64)
        self._top_speed, self._gain = float(arrays["top_speed"]), float(arrays["gain"])
        self._rows, self._way, self._begun = Rows(), "", False
        self.fitted = True
        self.reset()
        return self
