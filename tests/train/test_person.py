"""Calibration: what was put into a population is found in its spikes; halves; and real recordings."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from volition.brain._preset import Preset
from volition.brain._variability import OwnNoise
from volition.errors import InputError
from volition.signal import Recording
from volition.train import _person_encoding as encoding
from volition.train import _person_noise as noise
from volition.train.person import fit, halves, part, simulate
from volition.train.person_compare import calibrated, compare, decoded, ks, ks_bound, measure

UTAH = Preset.load("utah_m1")
BINS = 6000


def movement(bins=BINS, seed=0):
    """Smooth planar movement, m and m/s, without spikes."""
    rng = np.random.default_rng(seed)
    v = np.zeros((bins, 2))
    for t in range(1, bins):
        v[t] = 0.85 * v[t - 1] + rng.standard_normal(2)
    v *= 0.1 / v.std()
    p = np.zeros((bins, 2))
    for t in range(1, bins):
        p[t] = 0.97 * p[t - 1] + 0.05 * v[t]
    counts = np.ones((bins, 1), np.uint16)
    return Recording(
        counts, 50_000_000, {"velocity": v, "position": p}, {"velocity": "m/s", "position": "m"}, np.zeros(bins, np.int32)
    )


@pytest.fixture(scope="module")
def made():
    """120 units of utah_m1."""
    return simulate(UTAH, movement(), channels=120, seed=3)


@pytest.fixture(scope="module")
def found(made):
    return fit(made)


def test_tuning_is_found(made):
    session = encoding.Movement.of(made)
    counts = made.counts.astype(float)
    busy = counts.sum(0) > 3000
    back = encoding.fit(counts[:, busy], session)
    assert back.lead_ms == pytest.approx(UTAH.velocity_lead_ms, abs=50)
    from volition.brain._tuning import Population, PopulationConfig
    from volition.stage import Setup

    setup = Setup(3, made.bin_ns, 120, 120, max_speed=session.full_speed)
    units = Population(PopulationConfig(), (0, 1), False, setup, setup.rng("brain"), UTAH).units
    assert np.corrcoef(back.weights[:, :2].ravel(), units.velocity[busy].ravel())[0, 1] > 0.95
    assert np.corrcoef(back.weights[:, 3:].ravel(), units.position[busy].ravel())[0, 1] > 0.7


def test_the_exponent_of_the_speed_is_found(made, found):
    assert found.exponent == 1.0
    bent = simulate(replace(UTAH, exponent=0.5), part(made, slice(0, 3000)), channels=60, seed=3)
    session = encoding.Movement.of(bent)
    back = encoding.fit(bent.counts.astype(float), session, UTAH.velocity_lead_ms, exponent=None)
    assert back.exponent in (0.35, 0.5, 0.65)


def test_the_distributions_are_found(found):
    assert ks(np.exp(found.quantiles[0]), np.exp(UTAH.quantiles[0])) < 0.1
    for block in (slice(0, 2), slice(2, 3), slice(3, 5)):
        ratio = np.trace(found.covariance[block, block]) / np.trace(UTAH.covariance[block, block])
        assert 0.4 < ratio < 2.5
    loud = [np.trace(p.covariance[5:, 5:]) + (p.mean[5:] ** 2).sum() for p in (found, UTAH)]
    assert loud[0] == pytest.approx(loud[1], rel=0.5)
    middle = [np.interp(0.5, p.probability, p.quantiles[3]) for p in (found, UTAH)]
    assert middle[0] == pytest.approx(middle[1], abs=0.4)  # regularity
    assert found.drift_sd < 0.25


def test_what_is_drawn_from_the_fit_is_like_what_was_fitted(made, found):
    result = compare(made, found, populations=3, sizes=(30,))
    rows = {r["what"]: r for r in result.rows()}
    assert rows["rates, KS distance"]["holds"]
    for width in ("50 ms", "500 ms"):
        row = rows[f"Fano factor, {width}"]
        assert row["simulated"] == pytest.approx(row["recorded"], rel=0.25)
    row = rows["R² of velocity, 30 units"]
    assert row["simulated"] == pytest.approx(row["recorded"], abs=0.12)


def test_nothing_is_copied(found):
    one, two = (found.draw(120, 2, np.random.default_rng(seed)) for seed in (0, 1))
    assert not np.isin(one.velocity, two.velocity).any()
    rows = (len(found.probability) * 5) + 2 * len(found.mean) ** 2
    assert len(found.as_json()) < 20 * rows  # distributions, not 120 units of a dozen numbers and their pairs


def test_regularity_and_own_noise_are_told_apart():
    rng = np.random.default_rng(0)
    mean = np.full(3, 2.0)
    table = noise.renewal(np.array([0.5, 1.0, 5.0]), mean)
    assert table[0] > table[1] > table[2]
    assert table[1] == pytest.approx(1.0, abs=0.03)
    mu = np.full((8000, 40), 2.0)
    own = OwnNoise(np.full(40, 0.2), 250.0, 50_000_000, rng)
    gain = np.array([own.step().copy() for _ in range(8000)])
    n = rng.poisson(mu * gain)
    alone = noise.find(noise.Residual(n - mu, mu, np.zeros(8000, np.int32), 50.0))
    assert np.median(alone.regularity) == pytest.approx(1.0, abs=0.35)
    assert np.median(alone.own_variance) == pytest.approx(0.2, rel=0.5)
    n = rng.poisson(mu)
    none = noise.find(noise.Residual(n - mu, mu, np.zeros(8000, np.int32), 50.0))
    assert np.median(none.own_variance) < 0.02


def test_halves_alternate_and_never_touch(made):
    first, second = halves(made, 6)
    assert first.bins + second.bins == made.bins
    assert set(first.t_ns.tolist()).isdisjoint(second.t_ns.tolist())
    for half in (first, second):
        jumps = np.diff(half.t_ns) != made.bin_ns
        assert jumps.sum() == 2
        assert np.array_equal(jumps, np.diff(half.segment) != 0)
    early, late = halves(made)
    assert early.t_ns.max() < late.t_ns.min()


def test_the_lead_does_not_cross_borders(made):
    session = encoding.Movement.of(replace(made, segment=(np.arange(made.bins) // 100).astype(np.int32)))
    _, _, known = session.ahead(100.0)
    assert np.array_equal(known, np.arange(made.bins) % 100 < 98)
    velocity, _, known = session.ahead(125.0)
    k = np.flatnonzero(known)[50]
    assert np.allclose(velocity[k], (made.kinematics["velocity"][k + 2] + made.kinematics["velocity"][k + 3]) / 2)


def test_distances():
    assert ks(np.arange(10.0), np.arange(10.0)) == 0.0
    assert ks(np.arange(10.0), np.arange(10.0) + 100) == 1.0
    assert 0.05 < ks_bound(np.random.default_rng(0).random(200), 300) < 0.15


def test_what_cannot_be_calibrated_to(made):
    with pytest.raises(InputError, match="velocity or position"):
        fit(replace(made, kinematics={}))
    with pytest.raises(InputError, match="nothing moves"):
        fit(replace(made, kinematics={"velocity": np.zeros((made.bins, 2))}))
    with pytest.raises(InputError, match="0 units fire"):
        fit(replace(made, counts=made.counts * 0))


def test_a_recording_of_positions_is_enough(made):
    position = {"position": made.kinematics["position"]}
    only = fit(replace(made, kinematics=position))
    assert np.trace(only.covariance[:2, :2]) > 0.3 * np.trace(UTAH.covariance[:2, :2])


def recording(name):
    if not (data := os.environ.get("VOLITION_DATA")):
        pytest.skip("VOLITION_DATA is not set: real recordings are not here")
    from volition.io.read import read

    return read(Path(data) / "motor" / name)


def test_m1_populations_are_like_the_half_that_was_not_fitted():
    learn, rest = halves(recording("m1_stevenson_2011.mat"), 40)
    preset = fit(learn)
    found = compare(rest, preset, learn, populations=3, sizes=())
    rows = {r["what"]: r for r in found.rows()}
    assert rows["rates, KS distance"]["holds"]
    for what in ("Fano factor, 50 ms", "Fano factor, 500 ms"):
        assert rows[what]["holds"], rows[what]
    for what in ("noise correlation, 50 ms", "noise correlation, 500 ms"):
        assert rows[what]["simulated"] == pytest.approx(rows[what]["recorded"], rel=0.35), rows[what]
    rng = np.random.default_rng(0)
    for units in (25, 50):
        pairs = [(rest, simulate(preset, rest, seed=s)) for s in range(3)]
        scores = np.array([[decoded(r, sorted(rng.permutation(r.channels)[:units])) for r in pair] for pair in pairs])
        assert abs(np.diff(scores.mean(0))[0]) < 0.12  # few draws: the bench makes twenty and wants .05


def test_the_next_session_has_rates_within_the_distance_of_the_two():
    first = recording("chewie_20131003_bin100ms_whole_trial.npz")
    second = recording("chewie_20131219_bin100ms_moving.npz")
    preset = fit(first)
    made = [simulate(preset, second, seed=s) for s in range(12)]
    distance = np.median([ks(measure(m).rate_hz, measure(second).rate_hz) for m in made])
    real = ks(measure(first).rate_hz, measure(second).rate_hz)
    assert distance <= max(real, ks_bound(measure(second).rate_hz))


def test_calibration_by_simulated_moments_brings_the_correlations_nearer(made):
    small = replace(part(made, slice(0, 3000)), counts=made.counts[:3000, :60])
    wanted = np.nanmean(measure(small).correlation[50.0])
    preset = calibrated(small, rounds=1, populations=3)
    seen = np.mean([np.nanmean(measure(simulate(preset, small, seed=50 + s)).correlation[50.0]) for s in range(4)])
    assert seen == pytest.approx(wanted, rel=0.6)
