"""What recorded movement says of recorded spikes: the simulated person's encoding, fitted by maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from volition.brain._preset import LEAST_SPEED
from volition.errors import InputError
from volition.signal import NS_PER_MS, Bool, Float64, Recording

FULL = 0.99  # quantile of speed and reach that counts as full
LEAD_MS = 122.0  # velocity; position follows 41 ms behind it (Wang et al. 2007, abstract)
BEHIND_MS = 41.0
_LEADS_MS = tuple(range(-200, 301, 50))
EXPONENTS = (1.0, 0.8, 0.65, 0.5, 0.35)
_LEAST_BINS = 200
_MOST_BINS = 60_000
_RIDGE = 1.0
_LIMIT = 20.0


@dataclass(frozen=True, eq=False)
class Movement:
    """Kinematics of a recording, on the scales of the encoding.

    Attributes:
        velocity: `[bins, 2]`, m/s or the recording's unit.
        position: `[bins, 2]`; zeros where the recording has none.
        full_speed: its 99th percentile.
        centre: `[2]`, and
        reach: such that 99 % of the positions lie within centre +- reach on both axes.
        segment: `[bins]`.
        bin_ms: width of a bin.
    """

    velocity: Float64
    position: Float64
    full_speed: float
    centre: Float64
    reach: float
    segment: NDArray[np.int32]
    bin_ms: float

    @classmethod
    def of(cls, recording: Recording) -> Movement:
        """Planar movement of a recording; a third axis is left out.

        Raises:
            InputError: neither velocity nor position, or nothing moves.
        """
        bin_ms = recording.bin_ns / NS_PER_MS
        known = recording.kinematics
        if not ({"velocity", "position"} & set(known)):
            raise InputError(f"{recording.name}: a person is calibrated to velocity or position, the recording has neither")
        segment = recording.segment
        position = _plane(known["position"]) if "position" in known else np.zeros((recording.bins, 2))
        if "velocity" in known:
            velocity = _plane(known["velocity"])
        else:
            step = np.diff(position, axis=0, prepend=position[:1]) * 1e3 / bin_ms
            velocity = np.where(np.diff(segment, prepend=segment[:1])[:, None] != 0, 0.0, step)
        full = float(np.quantile(np.hypot(*velocity.T), FULL))
        if full <= 0:
            raise InputError(f"{recording.name}: nothing moves, so there is no tuning to fit")
        low, high = np.quantile(position, (1 - FULL, FULL), axis=0)
        reach = float((high - low).max()) / 2 or 1.0
        return cls(velocity, position, full, (low + high) / 2, reach, segment, bin_ms)

    def ahead(self, lead_ms: float) -> tuple[Float64, Float64, Bool]:
        """Velocity `lead_ms` later, position `BEHIND_MS` before it, and where both are known (elsewhere the nearest)."""
        velocity, a = self._shifted(self.velocity, lead_ms)
        position, b = self._shifted(self.position, lead_ms - BEHIND_MS)
        return velocity, position, a & b

    def drive(self, lead_ms: float, exponent: float = 1.0) -> tuple[Float64, Bool]:
        """`[bins, 5]` what tuning is multiplied with (velocity, speed, position, all over full), and where it is known.

        Speeds are raised to the power of `exponent`; directions stay.
        """
        velocity, position, known = self.ahead(lead_ms)
        v, p = velocity / self.full_speed, (position - self.centre) / self.reach
        if exponent != 1.0:
            v = v * np.maximum(np.hypot(*v.T), LEAST_SPEED)[:, None] ** (exponent - 1.0)
        return np.column_stack((v, np.hypot(*v.T), p)), known

    def _shifted(self, x: Float64, by_ms: float) -> tuple[Float64, Bool]:
        """Linear interpolation `by_ms` later within the segment."""
        bins = len(x)
        shift = by_ms / self.bin_ms
        whole = int(np.floor(shift))
        part = shift - whole
        borders = np.flatnonzero(np.diff(self.segment)) + 1
        start, stop = np.r_[0, borders], np.r_[borders, bins]
        run = np.repeat(np.arange(len(start)), stop - start)
        at = np.arange(bins) + whole
        after = at + (part > 1e-9)
        known = (at >= start[run]) & (after < stop[run])
        a, b = (np.clip(i, start[run], stop[run] - 1) for i in (at, after))
        return (1 - part) * x[a] + part * x[b], known


def _plane(x: Float64) -> Float64:
    """The first two axes."""
    x = np.asarray(x, np.float64)
    return np.column_stack((x, np.zeros(len(x))))[:, :2]


@dataclass(frozen=True, eq=False)
class Encoding:
    """Tuning of n units.

    Attributes:
        weights: `[n, 5]`.
        bias: `[n]` log of the expected count at rest.
        covariance: `[n, 5, 5]` of the weights' errors, were counts Poisson.
        lead_ms: of the velocity.
        exponent: of the speed.
    """

    weights: Float64
    bias: Float64
    covariance: Float64
    lead_ms: float
    exponent: float = 1.0

    def expected(self, drive: Float64) -> Float64:
        """`[bins, n]` expected counts."""
        return np.asarray(np.exp(np.clip(drive @ self.weights.T + self.bias, -_LIMIT, _LIMIT / 2)))


def fit(counts: Float64, movement: Movement, lead_ms: float | None = None, exponent: float | None = 1.0) -> Encoding:
    """Maximum likelihood of Poisson counts with log-linear tuning, by Newton's method; a weak ridge holds silent units.

    Args:
        counts: `[bins, n]`.
        movement: of the same bins.
        lead_ms: None: the one of a grid that explains most.
        exponent: None: the same, at that lead.

    Raises:
        InputError: too few bins.
    """
    if lead_ms is None:
        lead_ms = max(_LEADS_MS, key=lambda lead: _explained(counts, movement, float(lead)))
    if exponent is None:
        exponent = max(EXPONENTS, key=lambda power: _explained(counts, movement, float(lead_ms), power))
    drive, known = movement.drive(float(lead_ms), exponent)
    if known.sum() < _LEAST_BINS:
        raise InputError(f"{int(known.sum())} bins with known movement are too few to calibrate a person to")
    W, H = _newton(drive[known][:_MOST_BINS], counts[known][:_MOST_BINS], 30)
    return Encoding(W[1:].T, W[0], np.asarray(np.linalg.inv(H)[:, 1:, 1:], np.float64), float(lead_ms), exponent)


def _explained(counts: Float64, movement: Movement, lead_ms: float, exponent: float = 1.0) -> float:
    """Log-likelihood above that of constant rates, a bin."""
    drive, known = movement.drive(lead_ms, exponent)
    x, n = drive[known][:8000], counts[known][:8000]
    if len(x) < _LEAST_BINS:
        return -np.inf
    W, _ = _newton(x, n, 12)
    eta = np.clip(x @ W[1:] + W[0], -_LIMIT, _LIMIT / 2)
    mean = n.mean(axis=0)
    gain = (n * (eta - np.log(mean + 1e-9)) - np.exp(eta) + mean).sum()
    return float(gain) / len(x)


def _newton(drive: Float64, counts: Float64, steps: int) -> tuple[Float64, Float64]:
    """Weights `[1 + 5, n]` (bias first) and Hessians `[n, 6, 6]`."""
    X = np.column_stack((np.ones(len(drive)), drive))
    outer = (X[:, :, None] * X[:, None, :]).reshape(len(X), -1)
    ridge = np.diag([1e-3, *[_RIDGE] * drive.shape[1]])
    W = np.zeros((X.shape[1], counts.shape[1]))
    W[0] = np.log(counts.mean(axis=0) + 1e-6)
    start = W[0].copy()
    for _ in range(steps):
        mu = np.exp(np.clip(X @ W, -_LIMIT, _LIMIT / 2))
        H = (outer.T @ mu).T.reshape(-1, *ridge.shape) + ridge
        pull = ridge @ W
        pull[0] -= ridge[0, 0] * start
        move = np.linalg.solve(H, (X.T @ (counts - mu) - pull).T[..., None])[..., 0].T
        W += np.clip(move, -0.5, 0.5)
        if np.abs(move).max() < 1e-3:
            break
    return W, H
