"""How a simulated population differs from a recorded one: rates, tuning, noise, and how well movement is decoded from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from volition.brain._preset import PROPERTIES, TUNING, Preset
from volition.brain._variability import averaged
from volition.decoder.wiener import Wiener, WienerConfig
from volition.signal import NS_PER_S, Float64, Recording
from volition.train import _person_encoding as encoding
from volition.train import _person_noise as noise
from volition.train import metrics
from volition.train.evaluate import setup_of, target_of
from volition.train.person import LEAST_SPIKES, fit, simulate
from volition.train.split import chronological

WIDTHS_MS = (50.0, 500.0)
SIZES = (25, 50, 100)
# One history and one penalty for every size: near what the inner validation takes on recordings, at a tenth of its time.
_WIENER = WienerConfig(history_ms=(300.0,), penalties=(1000.0,), ratios=(1.0,))
_LEAST_STRETCHES = 50
_SEEN_BINS = 40_000
_DECODED = 8  # populations, and subsets of the recorded units, from which movement is decoded to choose an exponent
_AS_GOOD = 0.01  # R² that exponents must differ by to be told apart
_SHORT = 2000  # bins: a shorter recording tells little of its noise, so more populations are measured


@dataclass(frozen=True, eq=False)
class Measured:
    """What a population's spikes are like.

    Attributes:
        rate_hz: `[n]` of all units.
        depth: `[m]` length of the velocity tuning of those that fire enough, log-rate per full speed.
        direction: `[m]` preferred direction, rad.
        fano: width in ms -> `[m]` variance of the residuals over the mean count.
        correlation: width in ms -> `[pairs]` of the residuals.
        chance: width in ms -> standard deviation of a correlation by chance.
        bits: `[m]` information on movement, bit a spike (Brillinger 1988; log-likelihood above a constant rate).
    """

    rate_hz: Float64
    depth: Float64
    direction: Float64
    fano: dict[float, Float64]
    correlation: dict[float, Float64]
    chance: dict[float, float]
    bits: Float64


def measure(recording: Recording, lead_ms: float | None = None, exponent: float = 1.0) -> Measured:
    """Rates, tuning, and what tuning leaves, in bins of 50 and 500 ms (or the recording's own, where they are wider)."""
    counts = recording.counts.astype(np.float64)
    enough = counts.sum(axis=0) >= LEAST_SPIKES
    movement = encoding.Movement.of(recording)
    found = encoding.fit(counts[:, enough], movement, lead_ms, exponent)
    drive, known = movement.drive(found.lead_ms, exponent)
    n, mu = counts[known][:, enough], found.expected(drive[known])
    residual = noise.Residual(n - mu, mu, movement.segment[known], movement.bin_ms)
    fano: dict[float, Float64] = {}
    correlation: dict[float, Float64] = {}
    chance: dict[float, float] = {}
    for width in WIDTHS_MS:
        e, expected = residual.sums(width)
        if len(e) < _LEAST_STRETCHES:
            continue
        fano[width] = e.var(axis=0) / expected.mean(axis=0)
        correlation[width] = np.asarray(np.corrcoef(e.T))[np.triu_indices(e.shape[1], 1)]
        chance[width] = 1.0 / np.sqrt(len(e))
    flat = n.mean(axis=0)
    gained = (n * (np.log(mu) - np.log(flat))).sum(axis=0) - (mu - flat).sum(axis=0)
    return Measured(
        rate_hz=measure_rates(recording),
        depth=np.hypot(found.weights[:, 0], found.weights[:, 1]),
        direction=np.arctan2(found.weights[:, 1], found.weights[:, 0]),
        fano=fano,
        correlation=correlation,
        chance=chance,
        bits=gained / np.log(2) / n.sum(axis=0),
    )


def measure_rates(recording: Recording) -> Float64:
    """Mean rate of every unit, Hz."""
    return np.asarray(recording.counts.mean(axis=0) * NS_PER_S / recording.bin_ns)


def calibrated(
    recording: Recording, rounds: int = 2, populations: int = 0, about: str = "", exponent: float | None = None
) -> Preset:
    """`person.fit`, and then the noise scaled until simulated populations vary, and vary together, as the recorded units do.

    The method of simulated moments (McFadden 1989): what is fitted in log-rates is seen in counts through rates that
    movement changes, which no formula gets quite right for deeply tuned units. Mean and root mean square of the noise
    correlations in the narrowest bins are matched, by the mean and the spread of the loadings; the mean Fano factor in the
    widest, by the variance of the units' own gains. The exponent of the speed is chosen in the same way, among those from
    the most likely one to 1: the nearest to 1 of those with which movement is decoded from simulated units as well as from
    the recorded.

    Args:
        recording: what is fitted.
        rounds: how often the noise is scaled.
        populations: drawn in a round; 0: as many as make `_SEEN_BINS`, since in a short recording each tells little.
        about: as `person.fit` takes it.
        exponent: of the speed in the tuning; None: chosen.
    """
    if exponent is not None:
        return _scaled(fit(recording, about, exponent), recording, rounds, populations)
    likely = fit(recording, about)
    made = [fit(recording, about, e) for e in encoding.EXPONENTS if e > likely.exponent] + [likely]
    made = [_scaled(preset, recording, rounds, populations) for preset in made]
    if len(made) == 1:
        return made[0]
    sizes = [k for k in SIZES[:2] if k < recording.channels] + [recording.channels]
    wanted = _curve([recording] * _DECODED, sizes)
    off = [
        float(np.abs(_curve([simulate(p, recording, seed=50 + i) for i in range(_DECODED)], sizes) - wanted).mean())
        for p in made
    ]
    return made[int(np.flatnonzero(np.array(off) <= min(off) + _AS_GOOD)[0])]  # nearest to 1 of those as good


def _curve(of: Sequence[Recording], sizes: Sequence[int]) -> Float64:
    """Mean R² of velocity from so many units, of one subset of each recording."""
    rng = np.random.default_rng(0)
    every = [[decoded(r, sorted(rng.permutation(r.channels)[:k])) for k in sizes] for r in of]
    return np.asarray(np.mean(every, axis=0))


def _scaled(preset: Preset, recording: Recording, rounds: int, populations: int) -> Preset:
    """The preset with its noise scaled to the recording."""
    populations = populations or int(np.clip(_SEEN_BINS // recording.bins, 5, 50))
    how = preset.velocity_lead_ms, preset.exponent
    goal = measure(recording, *how)
    for k in range(rounds):
        made = [measure(simulate(preset, recording, seed=100 * k + i), *how) for i in range(populations)]
        preset = _as_variable(preset, goal, made)
        wanted, seen = _correlations([goal]), _correlations(made)
        if wanted is None or seen is None:
            break
        mean, spread = (float(np.clip(np.sqrt(a / b), 0.5, 1.5)) for a, b in zip(wanted, seen, strict=True))
        by = np.r_[np.ones(TUNING), np.full(len(preset.factor_ms), np.sqrt(spread))]
        preset = replace(
            preset,
            mean=preset.mean * np.where(np.arange(len(by)) < TUNING, 1.0, mean),
            covariance=preset.covariance * np.outer(by, by),
        )
    return preset


def _as_variable(preset: Preset, goal: Measured, made: Sequence[Measured]) -> Preset:
    """Own noise scaled by what the mean Fano factor of simulated units wants: it adds its variance times E rate² / E rate.

    Only where there are wide bins: in narrow ones regularity and gain are hardly told apart.
    """
    if len(goal.fano) < 2:
        return preset
    width = max(goal.fano)
    own = preset.quantiles[PROPERTIES.index("own_excess")]
    adds = float(np.interp(np.linspace(0, 1, 201), preset.probability, own).mean())
    adds *= float(averaged(width / preset.own_ms)) * width / 1e3
    lacks = float(np.mean(goal.fano[width]) - np.mean(np.concatenate([m.fano[width] for m in made])))
    quantiles = preset.quantiles.copy()
    quantiles[PROPERTIES.index("own_excess")] *= float(np.clip(1 + lacks / max(adds, 1e-3), 0.5, 2.0))
    return replace(preset, quantiles=quantiles)


def _correlations(of: Sequence[Measured]) -> tuple[float, float] | None:
    """Mean, and mean square above chance, of the noise correlations in the narrowest bins; None where they are no more."""
    width = min(of[0].correlation, default=None)
    if width is None:
        return None
    values = np.concatenate([m.correlation[width] for m in of])
    mean, square = float(np.nanmean(values)), float(np.nanmean(values**2)) - of[0].chance[width] ** 2
    return (mean, square) if min(mean, square) > 0 else None


def decoded(recording: Recording, units: Sequence[int], folds: int = 3) -> float:
    """Variance-weighted R² of velocity from some units: wiener, fitted on all but one of some stretches, scored on that one.

    Every bin is decoded once: the last fifth alone, as `volition decode` scores it, is one minute of a half.
    """
    target, split = target_of(recording, "velocity"), chronological(recording)
    target = replace(target, y=target.y[:, :2], axes=target.axes[:2])
    setup = replace(setup_of(recording, target, split), channels=len(units), features=len(units))
    X, y = recording.counts[:, list(units)], target.y
    fold = np.arange(recording.bins) * folds // recording.bins
    segments = np.cumsum(np.diff(recording.segment * folds + fold, prepend=0) != 0)
    guess = np.empty_like(y)
    for k in range(folds):
        decoder = Wiener(_WIENER)
        decoder.prepare(setup)
        decoder.fit(X[fold != k], None, y[fold != k], segments[fold != k])
        guess[fold == k] = decoder.predict(X[fold == k], None, segments[fold == k])
    return metrics.r2(y, guess)


def ks(a: Float64, b: Float64) -> float:
    """Kolmogorov-Smirnov distance of two samples."""
    at = np.concatenate((a, b))
    sides = [np.searchsorted(np.sort(x), at, side="right") / len(x) for x in (a, b)]
    return float(np.abs(sides[0] - sides[1]).max())


def ks_bound(rates: Float64, draws: int = 2000, seed: int = 0) -> float:
    """95th percentile of the distance between a sample and resamples of it."""
    rng = np.random.default_rng(seed)
    return float(np.quantile([ks(rates, rng.choice(rates, len(rates))) for _ in range(draws)], 0.95))


@dataclass(frozen=True, eq=False)
class Comparison:
    """A recording, and populations drawn from a preset that its movement drove.

    Attributes:
        recorded: what was measured of it.
        simulated: the same of each population.
        reference: the same of what the preset was fitted to, where that is at hand.
        bound: of the rates' distance: 95th percentile between the recording and resamples of it.
        curve: units -> R² of velocity from so many units, of each subset of the recorded and of each simulated population.
        other_day: what was fitted was recorded on another day, so that rates may differ by as much as the two days do.
    """

    recorded: Measured
    simulated: Sequence[Measured]
    reference: Measured | None
    bound: float
    curve: Mapping[int, tuple[Float64, Float64]] = field(default_factory=dict)
    other_day: bool = False

    @property
    def distance(self) -> float:
        """Median Kolmogorov-Smirnov distance of the rates."""
        return float(np.median([ks(m.rate_hz, self.recorded.rate_hz) for m in self.simulated]))

    @property
    def reference_distance(self) -> float:
        """Distance of the rates between the recording and what was fitted; NaN where that is not at hand."""
        return ks(self.reference.rate_hz, self.recorded.rate_hz) if self.reference is not None else float("nan")

    def pooled(self, what: Callable[[Measured], Float64]) -> Float64:
        """Some measure of all simulated units (or pairs)."""
        return np.concatenate([what(m) for m in self.simulated])

    def rows(self) -> list[dict[str, Any]]:
        """What is compared, as a table: figure, recorded, simulated, of the fitted part, limit and whether it holds."""
        limit = max(self.bound, self.reference_distance) if self.other_day else self.bound
        near = self.distance <= limit
        rows = [_row("rates, KS distance", float("nan"), self.distance, self.reference_distance, f"<= {limit:.3f}", near)]
        for width in self.recorded.fano:
            for name, of in (
                ("Fano factor", partial(_fano, width=width)),
                ("noise correlation", partial(_noise, width=width)),
            ):
                a, b, before = self._three(of, np.nanmean)
                rows.append(_row(f"{name}, {width:g} ms", a, b, before, "within 20 %", abs(b - a) <= 0.2 * abs(a)))
        for units, (recorded, simulated) in self.curve.items():
            a, b = float(np.mean(recorded)), float(np.mean(simulated))
            rows.append(_row(f"R² of velocity, {units} units", a, b, float("nan"), "within .05", abs(a - b) <= 0.05))
        rows.append(_row("tuning depth, median", *self._three(lambda m: m.depth, np.median), "", None))
        rows.append(_row("information, median bit a spike", *self._three(lambda m: m.bits, np.median), "", None))
        return rows

    def _three(self, of: Callable[[Measured], Float64], mean: Callable[[Float64], Any]) -> tuple[float, float, float]:
        """Recorded, simulated, and of what was fitted (NaN where that is not at hand)."""
        before = np.empty(0) if self.reference is None else of(self.reference)
        return (
            float(mean(of(self.recorded))),
            float(mean(self.pooled(of))),
            float(mean(before)) if before.size else float("nan"),
        )


def _fano(m: Measured, width: float) -> Float64:
    return m.fano.get(width, np.empty(0))


def _noise(m: Measured, width: float) -> Float64:
    return m.correlation.get(width, np.empty(0))


def _row(what: str, recorded: float, simulated: float, fitted: float, limit: str, holds: bool | None) -> dict[str, Any]:
    values = {"recorded": recorded, "simulated": simulated, "fitted part": fitted}
    return {"what": what, **{k: round(v, 4) for k, v in values.items()}, "limit": limit, "holds": holds}


def compare(
    recording: Recording,
    preset: Preset,
    reference: Recording | None = None,
    *,
    populations: int = 20,
    sizes: Sequence[int] = SIZES,
    seed: int = 0,
    other_day: bool = False,
    watch: Callable[[float], None] | None = None,
) -> Comparison:
    """Draw populations, drive them with the recording's movement, and measure them as the recording.

    Args:
        recording: not the one the preset was fitted to.
        preset: distributions.
        reference: what it was fitted to, for the distance that one recording has from another.
        populations: how many are drawn and decoded, and how many subsets of the recorded units are; up to three times as
            many are measured if the recording is short.
        sizes: numbers of units to decode from, besides all; empty: nothing is decoded.
        seed: of everything drawn.
        other_day: `reference` was recorded on another day.
        watch: told the share that is done.
    """
    rng = np.random.default_rng(seed)
    found: list[Measured] = []
    how = preset.velocity_lead_ms, preset.exponent
    n = recording.channels
    counts = [k for k in sizes if k < n] + ([n] if sizes else [])
    curve: dict[int, tuple[list[float], list[float]]] = {k: ([], []) for k in counts}
    for i in range(populations):
        made = simulate(preset, recording, seed=seed * 1000 + i)
        found.append(measure(made, *how))
        for k, (recorded, simulated) in curve.items():
            if k < n or not recorded:  # all units are all units
                recorded.append(decoded(recording, sorted(rng.permutation(n)[:k])))
            simulated.append(decoded(made, sorted(rng.permutation(n)[:k])))
        if watch is not None:
            watch((i + 1) / populations)
    more = min(2 * populations, populations * _SHORT // recording.bins - populations)
    found += [measure(simulate(preset, recording, seed=seed * 1000 + populations + i), *how) for i in range(more)]
    return Comparison(
        recorded=measure(recording, *how),
        simulated=found,
        reference=None if reference is None else measure(reference, *how),
        bound=ks_bound(measure_rates(recording)),
        curve={k: (np.array(a), np.array(b)) for k, (a, b) in curve.items()},
        other_day=other_day,
    )
