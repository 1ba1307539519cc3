"""Fitted populations: distributions that the channels of a simulated person are drawn from, never unit by unit.

A preset is what `volition calibrate` finds in a recording (`train/person.py`): quantiles of five properties of a unit
(firing rate, size of its tuning, size of its share in the common noise, regularity, own noise), how they go together (a
Gaussian copula), and mean and covariance of the tuning vectors and of the loadings on the common noise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from volition.errors import InputError, UnknownNameError
from volition.signal import Float64

_HERE = Path(__file__).parent / "presets"
PROPERTIES = ("log_rate", "tuning_size", "loading_size", "log_regularity", "own_excess")
TUNING = 5  # velocity x and y, speed, position x and y
_MOST_SHARED = 1.0  # variance of the log-rate by common noise, and
_MOST_OWN = 2.0  # of the gain by own noise: what is per root of the rate would be without bound in slow units
_MOST_PEAKED = 3.0
_LEAST_FACTOR = 0.05
LEAST_SPEED = 0.01  # of the full one: below it log-rates go with the velocity itself, whatever the exponent
_EDGE = 1e-3  # probability that the ends of the quantiles stand for


@dataclass(frozen=True, eq=False)
class Units:
    """Channels as drawn; log-rate per unit of drive, see `Population`.

    Attributes:
        log_rate: `[n]` mean rate during movement such as was recorded, log of Hz.
        velocity: `[n, axes]` per full speed.
        speed: `[n]` per full speed.
        position: `[n, axes]` per full reach.
        loading: `[n, factors]` on common noise of unit variance.
        regularity: `[n]` shape of the interval's gamma distribution: 1 Poisson, above it more regular.
        own_variance: `[n]` variance of the gain that belongs to the channel alone.
    """

    log_rate: Float64
    velocity: Float64
    speed: Float64
    position: Float64
    loading: Float64
    regularity: Float64
    own_variance: Float64

    def scaled(self, tuning: float) -> Units:
        """The same channels with `tuning` times the depth."""
        parts = {name: tuning * getattr(self, name) for name in ("velocity", "speed", "position")}
        return self if tuning == 1.0 else replace(self, **parts)


@dataclass(frozen=True, eq=False)
class Preset:
    """Distributions of a population, and what was recorded when they were fitted.

    Attributes:
        about: where it is from.
        probability: `[q]` at which the quantiles stand, 0 first, 1 last.
        quantiles: `[5, q]` of `PROPERTIES`; sizes are what a unit's deviation from the mean is multiplied with (a scale
            mixture of normals: few units carry much), own_excess the variance of the own gain times E rate² / E rate in Hz.
        copula: `[5, 5]` correlation of their normal scores.
        mean: `[5 + factors]` of tuning (velocity x, y, speed, position x, y) and of loadings times the root of
            E rate² / E rate in Hz (noise goes with the root of the mean: Lee et al. 1998), and
        covariance: `[5 + factors, 5 + factors]`.
        factor_ms: `[factors]` time constant of each common noise.
        own_ms: time constant of the channels' own noise.
        drift_sd: of the log-rate within the recording, and
        drift_min: its time constant, min.
        drive_mean: `[5]` what the tuning was multiplied with in the recording, and
        drive_covariance: `[5, 5]`.
        peak_hz: highest rate of any unit at full speed in its preferred direction; none that is drawn fires faster there.
        deepest: largest log-rate above rest there; none that is drawn is tuned more.
        velocity_lead_ms: how much later the encoded velocity was, ms, and
        position_lead_ms: the encoded position.
        exponent: of the speed that tuning to velocity and speed is multiplied with; 1: linear, as in Wang et al. 2007.
    """

    about: str
    probability: Float64
    quantiles: Float64
    copula: Float64
    mean: Float64
    covariance: Float64
    factor_ms: Float64
    own_ms: float
    drift_sd: float
    drift_min: float
    drive_mean: Float64
    drive_covariance: Float64
    peak_hz: float
    deepest: float
    velocity_lead_ms: float
    position_lead_ms: float
    exponent: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what no population can be drawn from.

        Raises:
            ValueError: shapes that do not fit, values that are not finite, a negative variance or time.
        """
        q, d = len(self.probability), TUNING + len(self.factor_ms)
        p = len(PROPERTIES)
        shapes = {"quantiles": (p, q), "copula": (p, p), "mean": (d,), "covariance": (d, d)}
        shapes |= {"drive_mean": (TUNING,), "drive_covariance": (TUNING, TUNING), "factor_ms": (d - TUNING,)}
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value.shape != shape or not np.isfinite(value).all():
                raise ValueError(f"{name} must be {list(shape)} finite numbers")
        if q < 2 or self.probability[0] != 0 or self.probability[-1] != 1 or (np.diff(self.probability) <= 0).any():
            raise ValueError("probability must rise from 0 to 1")
        if (np.diff(self.quantiles) < 0).any() or (self.quantiles[[1, 2, 4]] < 0).any():
            raise ValueError("quantiles must not fall, sizes and variances not be negative")
        if not (
            min(self.peak_hz, self.deepest) > 0
            and self.own_ms > 0
            and self.drift_min > 0
            and self.drift_sd >= 0
            and 0 < self.exponent <= 1
            and (self.factor_ms > 0).all()
        ):
            raise ValueError("times must be positive, drift_sd not negative, the exponent above 0 and at most 1")

    def as_json(self) -> str:
        """Text, 5 significant digits; what is as usual is left out."""

        def plain(value: Any) -> Any:
            if isinstance(value, np.ndarray):
                return [plain(v) for v in value]
            return value if isinstance(value, str) else float(f"{float(value):.5g}")

        usual = self._usual()
        told = {k: v for k, v in asdict(self).items() if k not in usual or v != usual[k]}
        body = ",\n".join(f"{json.dumps(k)}: {json.dumps(plain(v))}" for k, v in told.items())
        return f"{{\n{body}\n}}\n"

    @classmethod
    def _usual(cls) -> dict[str, Any]:
        """What a text need not tell, and what it is then."""
        return {f.name: f.default for f in fields(cls) if f.default is not MISSING}

    @classmethod
    def from_json(cls, text: str, where: str) -> Preset:
        """Read it back.

        Raises:
            InputError: the text is no preset.
        """
        try:
            given: Mapping[str, Any] = json.loads(text)
            kinds = {f.name: f.type for f in fields(cls)}
            if not isinstance(given, dict) or {*given, *cls._usual()} != set(kinds):
                raise ValueError(f"it must have exactly {', '.join(kinds)}")
            values: dict[str, Any] = {k: np.array(v, np.float64) if kinds[k] == "Float64" else v for k, v in given.items()}
            for name in (k for k in values if kinds[k] == "float"):
                values[name] = float(values[name])
            return cls(**values)
        except (ValueError, TypeError) as error:
            raise InputError(f"{where}: not a preset of a person ({error})") from None

    @classmethod
    def load(cls, name: str) -> Preset:
        """One that ships with the package, or a file ending in .json.

        Raises:
            UnknownNameError: nothing is called so.
            InputError: the file is not there, or no preset.
        """
        path = Path(name) if name.endswith(".json") else _HERE / f"{name}.json"
        if not path.is_file():
            raise InputError(f"preset {name}: no such file") if name.endswith(".json") else unknown(name)
        try:
            return cls.from_json(path.read_text(encoding="utf-8"), str(path) if name.endswith(".json") else name)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"preset {name}: cannot be read ({error})") from None

    def draw(self, channels: int, axes: int, rng: np.random.Generator) -> Units:
        """Channels of a new population; rates from equal slices of their distribution: small ones have its quantiles.

        Args:
            channels: n.
            axes: 1..3; recordings are planar, the third axis gets the mean variance of the two.
            rng: decides who they are.
        """
        properties = self._properties(channels, rng)
        root = _root(self.covariance)
        theta = rng.standard_normal((channels, len(root))) @ root
        theta[:, :TUNING] *= properties[1][:, None]
        theta[:, TUNING:] *= properties[2][:, None]
        theta += self.mean
        theta[:, :TUNING] *= self._bearable(properties[0], theta[:, :TUNING])[:, None]
        root_hz = np.sqrt(np.exp(properties[0]) * peakedness(theta[:, :TUNING], self.drive_covariance))
        return Units(
            log_rate=properties[0],
            velocity=_in_space(theta[:, :2], axes, rng),
            speed=theta[:, 2],
            position=_in_space(theta[:, 3:5], axes, rng),
            loading=_capped(theta[:, TUNING:] / root_hz[:, None]),
            regularity=np.exp(properties[3]),
            own_variance=np.minimum(properties[4] / root_hz**2, _MOST_OWN),
        )

    def _properties(self, channels: int, rng: np.random.Generator) -> Float64:
        """`[5, channels]` of `PROPERTIES`."""
        normal = NormalDist()
        at = np.array([normal.inv_cdf(min(max(p, _EDGE), 1 - _EDGE)) for p in self.probability.tolist()])
        slices = (rng.permutation(channels) + rng.random(channels)) / channels
        first = np.array([normal.inv_cdf(min(max(p, 1e-9), 1 - 1e-9)) for p in slices.tolist()])
        with_rate = self.copula[0, 1:]
        rest = rng.standard_normal((channels, len(with_rate))) @ _root(self.copula[1:, 1:] - np.outer(with_rate, with_rate))
        scores = np.column_stack((first, first[:, None] * with_rate + rest))
        out = np.array([np.interp(z, at, q) for z, q in zip(scores.T, self.quantiles, strict=True)])
        out[0] = np.interp(slices, self.probability, self.quantiles[0])
        return out

    def _bearable(self, log_rate: Float64, tuning: Float64) -> Float64:
        """Largest factor up to 1 for the tuning of each channel with which it keeps to `peak_hz` and `deepest`, `[n]`."""
        spread = np.einsum("ni,ij,nj->n", tuning, self.drive_covariance, tuning)
        slope, most = at_best(tuning) - tuning @ self.drive_mean, np.log(self.peak_hz)
        factor = np.full(len(tuning), _LEAST_FACTOR)
        for c in np.arange(_LEAST_FACTOR, 1.0 + 1e-9, _LEAST_FACTOR):
            factor = np.where(log_rate + c * slope - c**2 * spread / 2 <= most, c, factor)
        return np.asarray(np.minimum(factor, self.deepest / np.maximum(at_best(tuning), 1e-9)))

    def excess(self, units: Units) -> Float64:
        """Log E exp(tuning . drive) over the movement that was recorded, `[n]`: from a mean rate to the one at rest.

        The drive is taken as normally distributed; the third axis as the mean of the two.
        """
        axes = units.velocity.shape[1]
        take = [min(a, 1) for a in range(axes)]
        index = [*take, 2, *(3 + a for a in take)]
        W = np.column_stack((units.velocity, units.speed, units.position))
        covariance = self.drive_covariance[np.ix_(index, index)].copy()
        for block in (range(2, axes), range(axes + 3, 2 * axes + 1)):  # a third axis moves by itself
            for i in block:
                variance = covariance[i, i]
                covariance[i], covariance[:, i] = 0.0, 0.0
                covariance[i, i] = variance
        return np.asarray(W @ self.drive_mean[index] + 0.5 * np.einsum("ni,ij,nj->n", W, covariance, W))


def at_best(tuning: Float64) -> Float64:
    """Log-rate above rest at full speed in the preferred direction, `[n]`."""
    return np.asarray(np.hypot(tuning[:, 0], tuning[:, 1]) + np.maximum(tuning[:, 2], 0.0))


def peakedness(tuning: Float64, drive_covariance: Float64) -> Float64:
    """E mu² / (E mu)² of log-linear units under normal drive, `[n]`, bounded: noise of a gain shows where rates are high."""
    return np.asarray(np.exp(np.minimum(np.einsum("ni,ij,nj->n", tuning, drive_covariance, tuning), _MOST_PEAKED)))


def unknown(name: str) -> UnknownNameError:
    """No preset is called so."""
    return UnknownNameError("preset", name, ["auto", *shipped()])


def shipped() -> list[str]:
    """Names of the presets in the package."""
    return sorted(p.stem for p in _HERE.glob("*.json"))


def _capped(loading: Float64) -> Float64:
    """Loadings whose squares add up to no more than `_MOST_SHARED`."""
    power = (loading**2).sum(axis=1, keepdims=True)
    return np.asarray(loading * np.sqrt(_MOST_SHARED / np.maximum(power, _MOST_SHARED)))


def _root(covariance: Float64) -> Float64:
    """R with R'R = covariance; what is negative by rounding or estimation counts as 0."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))).T)


def _in_space(plane: Float64, axes: int, rng: np.random.Generator) -> Float64:
    """Vectors of a plane, `[n, 2]`, for another number of axes."""
    if axes <= 2:
        return plane[:, :axes]
    depth = np.sqrt(0.5) * np.linalg.norm(plane, axis=1) * rng.standard_normal(len(plane))
    return np.column_stack((plane, depth))
