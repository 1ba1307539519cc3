"""Presets: what is drawn has the distributions written down; the file's round trip; what is no preset."""

from dataclasses import replace

import numpy as np
import pytest

from volition.brain._preset import TUNING, Preset, peakedness, shipped
from volition.errors import InputError, UnknownNameError

UTAH = Preset.load("utah_m1")


def test_both_ship():
    assert shipped() == ["n1", "utah_m1"]


def test_small_populations_have_the_rates_of_large_ones():
    for n in (20, 100):
        rates = np.sort(UTAH.draw(n, 2, np.random.default_rng(n)).log_rate)
        middle = np.interp((np.arange(n) + 0.5) / n, UTAH.probability, UTAH.quantiles[0])
        assert np.abs(rates - middle).max() < 1.2  # within its slice of the distribution


def test_what_is_drawn_has_the_moments_and_correlations_written_down():
    one = np.ones(len(UTAH.probability))
    preset = replace(UTAH, quantiles=np.array([UTAH.quantiles[0], one, one, UTAH.quantiles[3], UTAH.quantiles[4]]))
    units = preset.draw(40_000, 2, np.random.default_rng(0))
    fast = units.log_rate > 2  # slow units' loadings are bounded
    tuning = np.column_stack([units.velocity, units.speed, units.position])
    root = np.sqrt(np.exp(units.log_rate) * peakedness(tuning, preset.drive_covariance))
    theta = np.column_stack([tuning, units.loading * root[:, None]])
    assert np.allclose(theta[fast].mean(0), preset.mean, atol=0.02)
    spread = np.sqrt(np.diag(preset.covariance))
    scale = np.outer(spread, spread)
    assert np.allclose(np.cov(theta[fast].T) / scale, preset.covariance / scale, atol=0.04)
    rank = [x.argsort().argsort() for x in (units.log_rate, units.regularity)]
    assert np.corrcoef(rank)[0, 1] == pytest.approx(preset.copula[0, 3], abs=0.05)


def test_sizes_multiply_what_differs_from_the_mean():
    one = np.ones(len(UTAH.probability))
    free = replace(UTAH, deepest=1e3, peak_hz=1e9)
    small, large = (
        replace(free, quantiles=np.array([UTAH.quantiles[0], s * one, one, *UTAH.quantiles[3:]])).draw(
            500, 2, np.random.default_rng(0)
        )
        for s in (1.0, 2.0)
    )
    assert np.allclose(large.velocity - UTAH.mean[:2], 2 * (small.velocity - UTAH.mean[:2]))
    assert np.array_equal(small.regularity, large.regularity)


def test_nothing_drawn_is_tuned_or_fires_beyond_the_recorded():
    bounded = replace(UTAH, deepest=1.0, peak_hz=50.0)
    units, wild = (p.draw(2000, 2, np.random.default_rng(0)) for p in (bounded, UTAH))
    best, free = (np.hypot(*u.velocity.T) + np.maximum(u.speed, 0) for u in (units, wild))
    assert best.max() <= 1 + 1e-9 < free.max() <= UTAH.deepest + 1e-9
    slow = units.log_rate < np.log(45)
    assert np.exp(units.log_rate - bounded.excess(units) + best)[slow].max() <= 50.1
    within = np.isclose(best, free)
    assert np.allclose(units.velocity[within], wild.velocity[within])


def test_a_file_reads_back():
    again = Preset.from_json(UTAH.as_json(), "again")
    assert again.as_json() == UTAH.as_json()
    assert again.exponent == 1.0
    bent = replace(UTAH, exponent=0.5)
    assert Preset.from_json(bent.as_json(), "bent").exponent == 0.5
    assert len(again.mean) == TUNING + len(again.factor_ms)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        UTAH.as_json().replace('"own_ms"', '"own"'),
        UTAH.as_json().replace('"own_ms": ', '"own_ms": -'),
        UTAH.as_json().replace('"copula": [[', '"copula": [[[1.0], ['),
        UTAH.as_json().replace('"probability": [0.0', '"probability": [0.5'),
        UTAH.as_json().replace('"drift_sd": ', '"drift_sd": "x" , "y": '),
    ],
)
def test_what_is_no_preset_is_one_line(text):
    with pytest.raises(InputError, match=r"^here: not a preset of a person \([^\n]*\)$"):
        Preset.from_json(text, "here")


def test_unknown_names_tell_the_nearest():
    with pytest.raises(UnknownNameError, match="utah_m1"):
        Preset.load("utah")
