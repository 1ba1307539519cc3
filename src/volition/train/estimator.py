"""Decoders with the face of scikit-learn: `fit(X, y)`, `predict(X)`, `score(X, y)`, `get_params`, `set_params`.

scikit-learn is not needed; where it is installed, `cross_val_score`, `GridSearchCV`, `clone` and pipelines take an
`Estimator` as one of theirs. Rows are bins in the order of time: split them with `TimeSeriesSplit` or
`KFold(shuffle=False)`, never shuffled, or history is nonsense and the score flatters.
"""

from __future__ import annotations

import importlib
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from volition.errors import ConfigError, InputError
from volition.signal import NS_PER_MS, Float32, Float64
from volition.stage import Setup, Trainable, find
from volition.train import metrics


class Estimator:
    """Any decoder that learns, by name.

    Args:
        decoder: a component's name, "module:Class" or a file ending in .py.
        bin_ms: width of a bin, ms.
        seed: for decoders that draw random numbers.
        config: fields of the decoder's configuration.

    Attributes:
        decoder_: the fitted decoder (after `fit`).
        n_features_in_: channels that it was fitted on.

    Raises:
        ConfigError: no such decoder or field.
    """

    _estimator_type = "regressor"
    _OWN = ("decoder", "bin_ms", "seed")

    def __init__(self, decoder: str = "wiener", *, bin_ms: float = 20.0, seed: int = 0, **config: Any) -> None:
        self.decoder, self.bin_ms, self.seed = decoder, bin_ms, seed
        self._config = dict(config)
        self._known()

    def _known(self) -> None:
        names = [f.name for f in fields(find("decoder", self.decoder).Config)]
        for key in self._config:
            if key not in names:
                raise ConfigError(f"decoder {self.decoder} has no {key!r}; it has {', '.join(names) or 'none'}")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Everything that the constructor takes; fields left at their default are shown with it."""
        cls = find("decoder", self.decoder).Config
        usual = cls()
        config = {f.name: self._config.get(f.name, getattr(usual, f.name)) for f in fields(cls)}
        return {**{name: getattr(self, name) for name in self._OWN}, **config}

    def set_params(self, **params: Any) -> Estimator:
        """Change parameters; another decoder begins with its own defaults.

        Raises:
            ConfigError: no such decoder or field; nothing is changed.
        """
        own = {name: params[name] for name in self._OWN if name in params}
        config = {name: value for name, value in params.items() if name not in own}
        same = own.get("decoder", self.decoder) == self.decoder
        fresh = Estimator(
            **{**{name: getattr(self, name) for name in self._OWN}, **own, **(self._config if same else {}), **config}
        )
        self.__dict__.update(fresh.__dict__)
        return self

    def fit(self, X: ArrayLike, y: ArrayLike, segments: ArrayLike | None = None) -> Estimator:
        """Learn `y` `[bins, k]` (or `[bins]`) from counts `X` `[bins, channels]`; NaN is missing.

        Args:
            X: counts.
            y: what is to be decoded.
            segments: number of the unbroken stretch that each bin belongs to; by default one stretch.

        Raises:
            ConfigError: the decoder learns nothing, or a value of its configuration is out of range.
            InputError: shapes that do not fit.
        """
        x, mask = self._input(X)
        target = np.asarray(y, np.float64)
        self._flat = target.ndim == 1
        target = target[:, None] if self._flat else target
        if target.ndim != 2 or len(target) != len(x):
            raise InputError(f"y must be [bins] or [bins, k] with {len(x)} bins, got shape {np.shape(y)}")
        cls = find("decoder", self.decoder)
        decoder = cls(cls.Config(**self._config))
        if not isinstance(decoder, Trainable):
            raise ConfigError(f"decoder {self.decoder} learns nothing: it cannot be fitted")
        fastest = float(np.linalg.norm(target, axis=1).max()) or 1.0
        names = tuple(f"reach.{letter}" for letter in "xyz"[: target.shape[1]]) if target.shape[1] <= 3 else ()
        names = names or tuple(f"y.{i}" for i in range(target.shape[1]))
        bin_ns, channels = round(self.bin_ms * NS_PER_MS), x.shape[1]
        decoder.prepare(Setup(self.seed, bin_ns, channels, channels, names, max_speed=fastest))  # type: ignore[attr-defined]
        decoder.fit(x, mask, target, None if segments is None else np.asarray(segments))
        self.decoder_, self.n_features_in_ = decoder, channels
        return self

    def predict(self, X: ArrayLike, segments: ArrayLike | None = None) -> Float32 | Float64:
        """Decode counts `[bins, channels]` causally, history beginning with the first bin.

        Raises:
            InputError: another number of channels.
            ConfigError: not fitted.
        """
        if not hasattr(self, "decoder_"):
            raise ConfigError("this estimator is not fitted yet: call fit(X, y)")
        x, mask = self._input(X)
        if x.shape[1] != self.n_features_in_:
            raise InputError(f"the decoder was fitted on {self.n_features_in_} channels, got {x.shape[1]}")
        decoder: Any = self.decoder_
        guess: Float32 = decoder.predict(x, mask, None if segments is None else np.asarray(segments))
        return guess[:, 0] if self._flat else guess

    def score(self, X: ArrayLike, y: ArrayLike, segments: ArrayLike | None = None) -> float:
        """Variance-weighted R² of `predict(X)`."""
        target = np.asarray(y, np.float64)
        guess = np.asarray(self.predict(X, segments), np.float64)
        return metrics.r2(target.reshape(len(target), -1), guess.reshape(len(guess), -1))

    @staticmethod
    def _input(X: ArrayLike) -> tuple[Float32, Any]:
        x = np.asarray(X, np.float32)
        if x.ndim != 2:
            raise InputError(f"X must be [bins, channels], got shape {x.shape}")
        missing = np.isnan(x)
        return x, missing if missing.any() else None

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "decoder_")

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn (1.6 and later) asks of an estimator; only it calls this."""
        tags: Any = importlib.import_module("sklearn.utils")
        return tags.Tags(
            estimator_type="regressor",
            target_tags=tags.TargetTags(required=True, multi_output=True, single_output=True),
            regressor_tags=tags.RegressorTags(),
            input_tags=tags.InputTags(allow_nan=True, positive_only=False),
        )

    def __repr__(self) -> str:
        given = {"decoder": self.decoder, "bin_ms": self.bin_ms, "seed": self.seed, **self._config}
        return f"Estimator({', '.join(f'{k}={v!r}' for k, v in given.items())})"
