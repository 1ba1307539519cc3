"""The interval of a difference in R²."""

import numpy as np
import pytest

from volition.errors import InputError
from volition.train import metrics
from volition.train.bootstrap import gain


def session(trials: int = 40, bins: int = 8, seed: int = 0):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(trials * bins, 2)) + np.repeat(rng.normal(size=(trials, 2)), bins, axis=0)
    return rng, y, np.repeat(np.arange(trials), bins)


def test_it_is_the_difference_of_the_r2_that_the_evaluation_reports():
    rng, y, trial = session()
    a, b = y + rng.normal(0, 0.5, y.shape), y + rng.normal(0, 0.7, y.shape)
    found = gain(y, a, b, trial)
    assert found.ours == pytest.approx(metrics.r2(y, a), abs=1e-12)
    assert found.gain == pytest.approx(metrics.r2(y, a) - metrics.r2(y, b), abs=1e-12)
    assert found.low < found.gain < found.high
    assert found.low > 0  # half the error variance, forty trials: no doubt


def test_a_redraw_scores_what_scoring_the_drawn_trials_scores():
    rng, y, trial = session(6)
    a, b = y + rng.normal(0, 0.5, y.shape), y * 0.5
    differences = []
    for weights in np.random.default_rng(0).multinomial(6, np.full(6, 1 / 6), 4000):
        bins = np.concatenate([np.flatnonzero(trial == i) for i in range(6) for _ in range(weights[i])])
        differences.append(metrics.r2(y[bins], a[bins]) - metrics.r2(y[bins], b[bins]))
    found = gain(y, a, b, trial, seed=0)
    assert [found.low, found.high] == pytest.approx(np.percentile(differences, (2.5, 97.5)).tolist(), abs=1e-9)


def test_the_interval_covers_no_difference_about_as_often_as_it_says():
    held = 0
    for seed in range(200):
        rng, y, trial = session(30, seed=seed)
        a, b = y + rng.normal(0, 0.6, y.shape), y + rng.normal(0, 0.6, y.shape)
        found = gain(y, a, b, trial, resamples=400)
        held += found.low <= 0 <= found.high
    assert 0.90 <= held / 200 <= 0.99


def test_runs_are_taken_by_their_median_or_mean_and_may_be_redrawn():
    rng, y, trial = session()
    runs = np.stack([y + rng.normal(0, s, y.shape) for s in (0.2, 0.3, 2.0)])
    each = [metrics.r2(y, p) for p in runs]
    fixed = gain(y, runs, y * 0.9, trial)
    assert fixed.ours == pytest.approx(np.median(each))
    assert gain(y, runs, y * 0.9, trial, over="mean").ours == pytest.approx(np.mean(each))
    redrawn = gain(y, runs, y * 0.9, trial, over="mean", redraw_runs=True)
    assert redrawn.high - redrawn.low > fixed.high - fixed.low
    assert gain(y, runs, runs, trial, redraw_runs=True).high == 0.0  # the same runs are drawn of both


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y, t: (y, y[:5], y, t), "decoded values must have shape"),
        (lambda y, t: (y, y, y, t[:5]), "trial must have shape"),
        (lambda y, t: (y, y, y, t * 0), "1 trials are too few"),
        (lambda y, t: (y, y * np.nan, y, t), "NaN"),
    ],
)
def test_what_cannot_be_scored_is_refused(change, message):
    _, y, trial = session(10)
    with pytest.raises(InputError, match=message):
        gain(*change(y, trial))
