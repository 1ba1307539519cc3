"""Days and drift: the same person later, by as much as the configuration says, and not at all where it says 0."""

from dataclasses import fields

import numpy as np
import pytest

from volition.brain._instability import Drift, InstabilityConfig, later
from volition.brain._preset import Preset
from volition.brain._tuning import Population, PopulationConfig
from volition.stage import Setup

UTAH = Preset.load("utah_m1")
STILL = {
    "day_rate_sd": 0.0,
    "day_array_sd": 0.0,
    "day_turn_deg": 0.0,
    "day_depth_sd": 0.0,
    "units_lost": 0.0,
    "units_won": 0.0,
}


def drawn(n=2000):
    return UTAH.draw(n, 2, np.random.default_rng(0))


def on(day, units=None, seed=1, **config):
    return later(units or drawn(), UTAH, InstabilityConfig(day=day, **config), np.random.default_rng(seed))


def same(a, b):
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))


def population(day, seed=0, **config):
    setup = Setup(seed=seed, channels=96, max_speed=0.3)
    return Population(PopulationConfig(day=day, **config), (0, 1), True, setup, setup.rng("brain"))


def test_the_reference_day_is_who_was_drawn_and_a_day_does_not_depend_on_how_far_one_looks():
    units = drawn()
    assert same(on(0, units), units)
    config = {"units_lost": 0.1, "units_won": 0.1}
    two = on(2, units, **config)
    rng = np.random.default_rng(1)
    first, second = rng.spawn(2)
    by_hand = later(units, UTAH, InstabilityConfig(day=1, **config), np.random.default_rng(1))
    assert same(by_hand, on(1, units, **config))
    assert not same(two, by_hand)
    assert first.random() != second.random()


def test_without_changes_a_later_day_is_the_same():
    units = drawn()
    old = on(9, units, **STILL)
    assert np.array_equal(old.log_rate, units.log_rate)
    assert np.allclose(old.velocity, units.velocity)
    assert np.allclose(old.position, units.position)


def test_the_same_seed_is_the_same_person_on_another_day():
    zero, one, far = (population(d) for d in (0, 1, 9))
    assert np.array_equal(zero.click, far.click)
    alive = far.units.log_rate > -20
    near = np.corrcoef(zero.units.velocity[alive].ravel(), one.units.velocity[alive].ravel())[0, 1]
    later_on = np.corrcoef(zero.units.velocity[alive].ravel(), far.units.velocity[alive].ravel())[0, 1]
    other = population(9, seed=1).units.velocity[alive].ravel()
    assert 1 > near > later_on > 0.4
    assert abs(np.corrcoef(zero.units.velocity[alive].ravel(), other)[0, 1]) < 0.4
    steps = [
        np.array([p.step(k, (0.1, 0.0), (0.0, 0.0)).counts for k in range(200)]) for p in (zero, population(0, **STILL))
    ]
    assert np.array_equal(*steps)  # what may happen later does not show today
    assert not np.array_equal(steps[0], [population(1, **STILL).step(k, (0.1, 0.0), (0.0, 0.0)).counts for k in range(200)])


def test_rates_and_tuning_walk_by_what_is_written_down():
    units = drawn()
    moved = on(4, units, **{**STILL, "day_rate_sd": 0.2, "day_depth_sd": 0.1, "day_turn_deg": 6.0})
    assert (moved.log_rate - units.log_rate).std() == pytest.approx(0.4, rel=0.08)
    length = np.hypot(*moved.velocity.T) / np.hypot(*units.velocity.T)
    assert np.log(length).std() == pytest.approx(0.2, rel=0.08)
    angle = [np.arctan2(u.velocity[:, 1], u.velocity[:, 0]) for u in (units, moved)]
    turned = np.degrees(np.angle(np.exp(1j * (angle[1] - angle[0]))))
    assert turned.std() == pytest.approx(12.0, rel=0.1)
    shared = on(1, units, **{**STILL, "day_array_sd": 0.5}).log_rate - units.log_rate
    assert np.ptp(shared) < 1e-9 < abs(shared[0])


def test_units_are_lost_and_won():
    units = drawn()
    lost = on(5, units, **{**STILL, "units_lost": 0.05})
    gone = lost.log_rate < -20
    assert gone.mean() == pytest.approx(1 - 0.95**5, abs=0.02)
    assert np.array_equal(lost.log_rate[~gone], units.log_rate[~gone])
    both = on(5, units, **{**STILL, "units_lost": 0.05, "units_won": 0.05})
    assert (both.log_rate < -20).mean() < 0.02  # as many come as go
    new = (both.loading != units.loading).any(axis=1)
    assert new.mean() == pytest.approx(gone.mean(), abs=0.03)
    assert np.exp(both.log_rate[new]).mean() == pytest.approx(np.exp(units.log_rate).mean(), rel=0.35)


def test_a_lost_unit_is_silent():
    pop = population(30, units_lost=1.0, units_won=0.0)
    assert sum(int(pop.step(k, (0.3, 0.0), (0.0, 0.0)).counts.sum()) for k in range(500)) == 0


def drift(minutes, channels=400, **config):
    d = Drift(InstabilityConfig(**config), UTAH, channels, 20_000_000, np.random.default_rng(2))
    out = [d.log_rate]
    for k in range(round(minutes * 60 * 50)):
        if d.step() and k % 500 == 499:
            out.append(d.log_rate)
    return np.array(out)


def test_rates_wander_within_a_session_as_written_down():
    x = drift(5.0, drift_sd=0.4, drift_min=1.0, jumps_per_hour=0.0)
    assert (x[0] == 0).all()  # a session begins where the day left it
    assert x[-1].std() == pytest.approx(0.4, rel=0.12)
    assert np.exp(x[-1]).mean() == pytest.approx(1.0, abs=0.08)
    late = x[18:]
    assert np.corrcoef(late[:-6].ravel(), late[6:].ravel())[0, 1] == pytest.approx(np.exp(-1.0), abs=0.08)


def test_drift_is_off_at_zero_and_as_fitted_below():
    assert not drift(0.5, drift_sd=0.0, jumps_per_hour=0.0).any()
    assert 0 < drift(5.0, drift_sd=-1.0, jumps_per_hour=0.0)[-1].std() < 2 * UTAH.drift_sd + 1e-9


def test_the_array_jumps_as_one():
    x = drift(2.0, drift_sd=0.0, jumps_per_hour=200.0, jump_sd=0.3)
    steps = np.diff(x, axis=0)
    jumped = np.abs(steps).max(1) > 0
    assert jumped.any()
    assert np.abs(x[-1].mean()) > 3 * x[-1].std() / 20  # far more than independent channels would move together
