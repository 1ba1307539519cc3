"""Fixed linear dynamical decoder, such as one that was used online and came with its recording."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.errors import ConfigError, InputError
from volition.signal import Bool, Float32, Float64
from volition.stage import Port, Setup, Spec


@dataclass(frozen=True)
class LinearConfig:
    """Where the decoder's arrays come from.

    Attributes:
        file: .npz archive with M1, M2, m0 and, if known, mean and scale (see `Linear.restore`), read by `prepare`;
            "": none, the decoder holds still until `restore`.
        scale: factor from the arrays' unit to m/s, used where the arrays bring none (1e-3 for mm/s).
    """

    file: str = ""
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ConfigError(f"linear: scale must be positive and finite, got {self.scale}")


class Linear:
    """State of a linear dynamical system that the counts drive.

    x_t = M1 x_{t-1} + M2 u_t + m0, output scale * x_t, and x = 0 before the first bin: the form in which a steady-state
    velocity Kalman filter runs online (Golub et al. 2018, Nature Neuroscience 21:607, Methods; Sadtler et al. 2014).

    A missing channel counts as its mean: `mean` where the arrays have it, else the mean of what the channel gave since
    the last `reset`, and as long as that is nothing the channel adds nothing. `confidence` is the share of channels
    that were there.
    """

    Config = LinearConfig

    def __init__(self, config: LinearConfig | None = None) -> None:
        self.config = config or LinearConfig()
        self.confidence = 0.0
        self._setup: Setup | None = None
        self._given: dict[str, Float64] | None = None
        self._use(_still(0, 0))

    @property
    def spec(self) -> Spec:
        """Features in, intents out; the period is the brain's bin."""
        k, features = self._M2.shape
        names = self._setup.intent if self._setup else ()
        return Spec(takes=Port(features, "spikes"), gives=Port(k, "m/s", names))

    def prepare(self, setup: Setup) -> None:
        """Take the sizes and read the configured file; arrays from `restore` stay.

        Raises:
            ConfigError: the arrays do not fit the channel or the effector, or there is no such file.
            InputError: the file does not hold what it should.
        """
        self._setup = setup
        if self._given is None and self.config.file:
            self._given = _checked(_load(Path(self.config.file)))
        arrays = self._given or _still(len(setup.intent), setup.features)
        shape = (len(setup.intent), setup.features)
        if arrays["M2"].shape != shape:
            raise ConfigError(
                f"linear: the decoder has M2 {arrays['M2'].shape}, but there are {shape[0]} intents and {shape[1]} features"
            )
        self._use(arrays)

    def _use(self, arrays: Mapping[str, Float64]) -> None:
        self._M1, self._M2, self._m0 = arrays["M1"], arrays["M2"], arrays["m0"]
        self._mean = arrays.get("mean")
        self._scale = float(arrays["scale"][0]) if "scale" in arrays else self.config.scale
        self.reset()

    def reset(self) -> None:
        """Back to rest: x = 0, and no channel has been seen."""
        self._x = np.zeros(len(self._m0))
        self._sum = np.zeros(self._M2.shape[1])
        self._seen = np.zeros(self._M2.shape[1])

    def step(self, x: Float32, mask: Bool) -> Float32:
        """One bin.

        Args:
            x: `[features]` spikes in the bin.
            mask: `[features]`, True where missing.

        Returns:
            `[k]`, m/s.
        """
        missing = np.asarray(mask, np.bool_)
        u = np.asarray(x, np.float64)
        here = ~missing
        if missing.any():
            mean = self._mean if self._mean is not None else self._sum / np.maximum(self._seen, 1)
            u = np.where(missing, mean, u)
        if self._mean is None:
            self._sum[here] += u[here]
            self._seen += here
        self.confidence = float(here.mean())
        self._x = self._M1 @ self._x + self._M2 @ u + self._m0
        return (self._scale * self._x).astype(np.float32)

    def predict(self, X: NDArray[Any], mask: Bool | None = None, segments: NDArray[Any] | None = None) -> Float32:
        """Repeated `step` from rest, with `reset` where `segments` changes; `[bins, features]` -> `[bins, k]`.

        Raises:
            InputError: another number of features, or a mask of another shape.
        """
        features = self._M2.shape[1]
        if np.ndim(X) != 2 or np.shape(X)[1] != features:
            raise InputError(f"the decoder takes [bins, {features}], got an array of shape {np.shape(X)}")
        missing = np.zeros(np.shape(X), np.bool_) if mask is None else mask
        if np.shape(missing) != np.shape(X):
            raise InputError(f"the mask has shape {np.shape(missing)}, the features {np.shape(X)}")
        out = np.empty((len(X), len(self._m0)), np.float32)
        for t in range(len(X)):
            if t == 0 or (segments is not None and segments[t] != segments[t - 1]):
                self.reset()
            out[t] = self.step(X[t], missing[t])
        return out

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """M1 `[k, k]`, M2 `[k, features]`, m0 `[k]`, scale `[1]` and, where known, mean `[features]`."""
        known = {"M1": self._M1, "M2": self._M2, "m0": self._m0, "scale": np.array([self._scale])}
        return known if self._mean is None else {**known, "mean": self._mean}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Use these arrays from now on.

        Args:
            arrays: M1 `[k, k]` (no unit), M2 `[k, features]` (velocity per spike), m0 `[k]` (velocity); optional:
                mean `[features]` (spikes a bin), scale `[1]` (factor to m/s).

        Raises:
            InputError: one is missing, not finite, or of the wrong shape.
        """
        given = _checked(arrays)
        setup = self._setup
        wanted = given["M2"].shape if setup is None else (len(setup.intent), setup.features)
        if given["M2"].shape != wanted:
            raise InputError(f"linear: M2 has shape {given['M2'].shape}, expected {wanted} (intents, features)")
        self._given = given
        self._use(given)


def _still(k: int, features: int) -> dict[str, Float64]:
    """A decoder that never moves."""
    return {"M1": np.zeros((k, k)), "M2": np.zeros((k, features)), "m0": np.zeros(k)}


def _checked(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Float64]:
    missing = [key for key in ("M1", "M2", "m0") if key not in arrays]
    if missing:
        raise InputError(f"linear: {', '.join(missing)} missing; a linear decoder is M1, M2, m0 (and mean, scale)")
    found = {key: np.array(arrays[key], np.float64) for key in ("M1", "M2", "m0", "mean", "scale") if key in arrays}
    if found["M2"].ndim != 2:
        raise InputError(f"linear: M2 must be [k, features], got shape {found['M2'].shape}")
    k, features = found["M2"].shape
    want = {"M1": (k, k), "M2": (k, features), "m0": (k,), "mean": (features,), "scale": (1,)}
    for key, value in found.items():
        if value.shape != want[key]:
            raise InputError(f"linear: {key} has shape {value.shape}, expected {want[key]}")
        if not np.isfinite(value).all():
            raise InputError(f"linear: {key} holds NaN or infinity")
    return found


def _load(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        raise ConfigError(f"linear: {path}: no such file")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except Exception as error:  # zipfile, zlib and numpy each have their own
        raise InputError(f"linear: {path}: not a readable .npz archive with M1, M2, m0") from error
