"""Calibrate a simulated person to a recording: fit the distributions that its neurons are drawn from, and compare.

preset = fit(recording)                          # distributions, no units
made = simulate(preset, recording, seed=0)       # recorded movement drives a drawn population
measure(recording), measure(made)                # the same measures of both
"""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np

from volition.brain._preset import TUNING, Preset, at_best, peakedness
from volition.brain._tuning import Population, PopulationConfig
from volition.errors import InputError
from volition.signal import NS_PER_S, Bool, Float64, Recording
from volition.stage import Setup
from volition.train import _person_encoding as encoding
from volition.train import _person_noise as noise

LEAST_SPIKES = 50
_LEAST_UNITS = 8
_SURE_SPIKES = 1000  # make a tuning sure; in short recordings the busiest 30 % must do
_PROBABILITY = np.r_[0.0, 0.02, np.arange(0.05, 0.96, 0.05), 0.98, 1.0]
_SILENT_HZ = 0.01  # a unit of which nothing was heard counts as this slow
_DRIFT_MIN = 10.0
_SIZES = np.geomspace(0.05, 6.0, 25)
_EM_STEPS = 100  # early stopping: the distribution stays smooth


def fit(recording: Recording, about: str = "", exponent: float | None = None) -> Preset:
    """Distributions of a recording's units.

    Args:
        recording: counts and kinematics.
        about: what to say of it; by default its name and size.
        exponent: of the speed in the tuning; None: the most likely one.

    Raises:
        InputError: too few units fire, too few bins, nothing moves.
    """
    counts = recording.counts.astype(np.float64)
    enough = counts.sum(axis=0) >= LEAST_SPIKES
    if (units := int(enough.sum())) < _LEAST_UNITS:
        raise InputError(f"{recording.name}: {units} units fire {LEAST_SPIKES} spikes; a person wants {_LEAST_UNITS}")
    movement = encoding.Movement.of(recording)
    found = encoding.fit(counts[:, enough], movement, exponent=exponent)
    drive, known = movement.drive(found.lead_ms, found.exponent)
    mu = found.expected(drive[known])
    residual = noise.Residual(counts[known][:, enough] - mu, mu, movement.segment[known], movement.bin_ms)
    rest = noise.find(residual)
    rates = np.log(np.maximum(counts.mean(axis=0) * NS_PER_S / recording.bin_ns, _SILENT_HZ))
    fano = (residual.e**2).mean(axis=0) / residual.mean
    k = len(rest.factor_ms)
    drive_covariance = np.cov(drive[known].T)
    hz = np.exp(rates[enough]) * peakedness(found.weights, drive_covariance)
    errors = _errors(found.covariance * np.maximum(fano, 1.0)[:, None, None], rest.error * hz, k)
    spikes = counts[:, enough].sum(axis=0)
    sure = spikes >= min(_SURE_SPIKES, float(np.quantile(spikes, 0.7)))
    theta = np.column_stack((found.weights, rest.loading * np.sqrt(hz)[:, None]))
    weights = np.column_stack((*[residual.mean / fano] * TUNING, *[1 / fano] * k))
    mean, covariance = _moments(theta, errors, weights)
    sizes = [
        _sizes((theta - mean)[:, p], errors[:, p, p], covariance[p, p]) for p in (slice(0, TUNING), slice(TUNING, None))
    ]
    logs = [np.log(expected) for expected, _ in sizes]
    properties = np.array([rates[enough], *logs, np.log(rest.regularity), rest.own_variance * hz])
    quantiles = np.quantile(properties, _PROBABILITY, axis=1).T
    quantiles[0] = np.quantile(rates, _PROBABILITY)
    quantiles[1:3] = [of for _, of in sizes]
    return Preset(
        about=about or f"{recording.name}: {recording.channels} units, {recording.bins} bins of {movement.bin_ms:g} ms",
        probability=_PROBABILITY,
        quantiles=quantiles,
        copula=_copula(properties),
        mean=mean,
        covariance=covariance,
        factor_ms=rest.factor_ms,
        own_ms=rest.own_ms,
        drift_sd=rest.drift_sd,
        drift_min=_DRIFT_MIN,
        drive_mean=drive[known].mean(axis=0),
        drive_covariance=drive_covariance,
        peak_hz=float(np.exp(found.bias + at_best(found.weights))[sure].max()) * NS_PER_S / recording.bin_ns,
        deepest=float(at_best(found.weights)[sure].max()),
        velocity_lead_ms=found.lead_ms,
        position_lead_ms=found.lead_ms - encoding.BEHIND_MS,
        exponent=found.exponent,
    )


def _errors(tuning: Float64, loading: Float64, factors: int) -> Float64:
    """Covariance of each unit's errors, `[n, d, d]`, of its tuning `[n, 5, 5]`, and a variance for its loadings."""
    d = TUNING + factors
    out = np.zeros((len(tuning), d, d))
    out[:, :TUNING, :TUNING] = tuning
    out[:, range(TUNING, d), range(TUNING, d)] = loading[:, None]
    return out


def _moments(theta: Float64, errors: Float64, weights: Float64) -> tuple[Float64, Float64]:
    """Mean and covariance of true values from estimates and their errors.

    Units weigh as they do in what is compared. What a decoder gets goes with a unit's count over its Fano factor times the
    square of its tuning. A correlation of residuals goes with two units' loadings (per root of the rate) over the roots of
    their Fano factors; its mean therefore with the mean of those, its square with the mean square.

    Args:
        theta: `[n, d]`.
        errors: `[n, d, d]`.
        weights: `[n, d]` of each component's square; its mean weighs by the root.
    """
    root = np.sqrt(weights)
    mean = (root * theta).sum(axis=0) / root.sum(axis=0)
    away = root * (theta - mean)
    error = np.einsum("ni,nij,nj->ij", root, errors, root)
    S = (away.T @ away - error) / (root.T @ root)
    values, vectors = np.linalg.eigh(S)
    return mean, (vectors * np.maximum(values, 1e-3 * values[-1])) @ vectors.T


def _sizes(away: Float64, errors: Float64, covariance: Float64) -> tuple[Float64, Float64]:
    """What the deviations of units are multiples of: expected size of each unit, and quantiles of the sizes of all.

    A deviation is normal with covariance g² S + its error, g from a discrete distribution, found by maximum likelihood with
    expectation-maximisation (Kiefer & Wolfowitz 1956): estimates of slow units are poor, and taken at their face they would
    make a tail; shrunk as if all units were alike, they would hide it.
    """
    total = _SIZES[:, None, None] ** 2 * covariance + errors[:, None]  # [n, g, d, d]
    solved = np.linalg.solve(total, np.broadcast_to(away[:, None, :, None], (*total.shape[:3], 1)))[..., 0]
    score = -0.5 * (np.einsum("ni,ngi->ng", away, solved) + np.linalg.slogdet(total)[1])
    like = np.exp(score - score.max(axis=1, keepdims=True))
    weight = np.full(len(_SIZES), 1.0 / len(_SIZES))
    for _ in range(_EM_STEPS):
        posterior = like * weight
        posterior /= posterior.sum(axis=1, keepdims=True)
        weight = posterior.mean(axis=0)
    below = np.concatenate(([0.0], np.cumsum(weight)))
    half = 0.5 * np.log(_SIZES[1] / _SIZES[0])
    edges = np.concatenate((np.log(_SIZES) - half, [np.log(_SIZES[-1]) + half]))
    rising = below + 1e-9 * np.arange(len(below))
    at = np.minimum(_PROBABILITY, 1 - 0.5 / len(away))  # what no unit stands for is no size
    return np.exp(posterior @ np.log(_SIZES)), np.exp(np.interp(at, rising / rising[-1], edges))


def _copula(properties: Float64) -> Float64:
    """Correlation of normal scores, `[p, p]`."""
    n = properties.shape[1]
    normal = NormalDist()
    scores = np.array([normal.inv_cdf((i + 0.5) / n) for i in range(n)])
    ranks = properties.argsort(axis=1, kind="stable").argsort(axis=1)
    z = scores[ranks]
    out = z @ z.T / (z**2).sum(axis=1)[0]
    return np.asarray(out)


def simulate(
    preset: Preset | str, recording: Recording, *, channels: int = 0, seed: int = 0, config: PopulationConfig | None = None
) -> Recording:
    """The same recording with the spikes of a population drawn from a preset, driven by the recorded movement.

    Args:
        preset: one just fitted, or name or file.
        recording: whose movement.
        channels: 0: as many as were recorded.
        seed: who they are and when they fire.
        config: other constants; drift is as fitted unless one is given.
    """
    config = config or PopulationConfig(drift_sd=-1.0, jumps_per_hour=0.0)
    known = Preset.load(preset) if isinstance(preset, str) else preset
    movement = encoding.Movement.of(recording)
    n = channels or recording.channels
    setup = Setup(
        seed,
        recording.bin_ns,
        n,
        n,
        workspace=np.array([movement.centre - movement.reach, movement.centre + movement.reach]),
        max_speed=movement.full_speed,
    )
    population = Population(config, (0, 1), False, setup, setup.rng("brain"), known)
    velocity, position, _ = movement.ahead(known.velocity_lead_ms)
    rows = zip(recording.t_ns.tolist(), velocity.tolist(), position.tolist(), strict=True)
    counts = np.array([population.step(t, v, p).counts for t, v, p in rows])
    return replace(recording, counts=counts, spike_t_ns=None, name=f"{recording.name} (simulated)")


def part(recording: Recording, which: slice | Bool) -> Recording:
    """Some of a recording's bins."""
    trial = None if recording.trial is None else recording.trial[which]
    return replace(
        recording,
        counts=recording.counts[which],
        kinematics={k: v[which] for k, v in recording.kinematics.items()},
        segment=recording.segment[which],
        trial=trial,
        t_ns=recording.t_ns[which],
        spike_t_ns=None,
    )


def halves(recording: Recording, blocks: int = 2) -> tuple[Recording, Recording]:
    """Two halves that alternate in blocks: first and second half for 2 blocks; borders of blocks are borders of segments.

    Blocks end where a trial or segment ends, if the recording has those.
    """
    edges = np.linspace(0, recording.bins, blocks + 1).round().astype(int)
    labels = recording.segment if recording.trial is None else recording.trial
    borders = np.flatnonzero(np.diff(labels)) + 1
    if borders.size >= 2 * blocks:
        edges[1:-1] = borders[np.abs(borders[:, None] - edges[1:-1]).argmin(axis=0)]
    block = np.searchsorted(edges[1:-1], np.arange(recording.bins), side="right")
    new = (np.diff(block, prepend=0) != 0) | (np.diff(recording.segment, prepend=recording.segment[0]) != 0)
    cut = replace(recording, segment=np.cumsum(new).astype(np.int32))
    first, second = (part(cut, block % 2 == k) for k in (0, 1))
    return first, second
