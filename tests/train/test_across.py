"""A decoder carried to another day with other units, on invented days whose truth is known."""

from types import SimpleNamespace

import numpy as np
import pytest

from volition.errors import InputError
from volition.signal import NS_PER_MS, Recording
from volition.train import metrics
from volition.train._match import align, habits
from volition.train._read_in import ReadIn, Session, movement
from volition.train.across import Averaged, Carried, across, alone, draws, moving

BIN = 100 * NS_PER_MS


def reaches(trials: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Bell-shaped reaches in eight directions: velocity `[bins, 2]`, trial of each bin."""
    parts, names = [], []
    for i in range(trials):
        bins, angle = int(rng.integers(6, 10)), 2 * np.pi * rng.integers(8) / 8 + rng.normal(0, 0.1)
        speed = 0.25 * np.sin(np.pi * (np.arange(bins) + 0.7) / (bins + 0.4)) * rng.uniform(0.8, 1.2)
        parts.append(speed[:, None] * [np.cos(angle), np.sin(angle)])
        names += [i] * bins
    return np.vstack(parts), np.array(names)


def population(units: int, rng: np.random.Generator) -> np.ndarray:
    """Rate, and tuning to the two axes (more units upwards, as recorded populations are uneven) and to speed."""
    depth, angle = rng.gamma(2, 2, units), np.pi / 2 + rng.normal(0, 1.6, units)
    return np.stack(
        [np.exp(rng.normal(-1.2, 1.2, units)), depth * np.cos(angle), depth * np.sin(angle), rng.normal(1, 3, units)]
    )


def day(who: np.ndarray, trials: int, seed: int) -> Session:
    rng = np.random.default_rng(seed)
    velocity, trial = reaches(trials, rng)
    drive = np.hstack((velocity, np.linalg.norm(velocity, axis=1, keepdims=True))) @ who[1:]
    return Session(rng.poisson(who[0] * np.exp(np.clip(drive, -3, 2))).astype(float), velocity, trial, trial)


@pytest.fixture(scope="module")
def days() -> SimpleNamespace:
    """Of 70 units 45 are found again on the second day, in their order; 25 are new."""
    rng = np.random.default_rng(1)
    first = population(70, rng)
    stays = np.sort(rng.choice(70, 45, replace=False))
    place = np.sort(rng.choice(70, 45, replace=False))
    second = population(70, rng)
    second[:, place] = first[:, stays]
    carried = Carried.fit(day(first, 110, 2), BIN, "wiener", repeats=3)
    later = day(second, 110, 3)
    return SimpleNamespace(
        carried=carried,
        earlier=later.only(np.arange(80)),
        test=later.only(np.arange(80, 110)),
        pairs=set(zip(stays, place, strict=True)),
    )


def r2(decoder, test: Session) -> float:
    return metrics.r2(test.velocity, decoder.predict(test.counts, None, test.segment))


def test_few_labels_and_the_first_day_are_worth_more_than_few_labels(days):
    some = days.earlier.only(np.arange(8))
    own = alone(some, BIN, "wiener", labelled=4, repeats=4)
    few, rest = days.carried.labelled(some), days.carried.labelled(some, days.earlier)
    assert r2(few, days.test) > r2(own, days.test) + 0.2
    assert r2(rest, days.test) > r2(few, days.test)


def test_two_averaged_say_the_mean_and_err_less_than_they_do_on_average(days):
    parts = [alone(days.earlier.only(np.arange(a, a + 20)), BIN, "wiener", labelled=12, repeats=2) for a in (0, 40)]
    both, test = Averaged(*parts), days.test
    whole = both.predict(test.counts, None, test.segment)
    assert whole == pytest.approx(sum(p.predict(test.counts, None, test.segment) for p in parts) / 2, abs=1e-6)
    assert r2(both, test) > np.mean([r2(p, test) for p in parts]) + 0.01
    mask = np.zeros(70, bool)
    for k, x in enumerate(test.counts[:30]):
        if k == 0 or test.segment[k] != test.segment[k - 1]:
            both.reset()
        assert both.step(x.astype(np.float32), mask) == pytest.approx(whole[k], abs=1e-6)


def test_without_labels_it_decodes_and_never_looks_at_the_velocity(days):
    free = days.carried.unlabelled(days.earlier)
    assert r2(free, days.test) > 0.7
    blind = days.earlier.moved(np.random.default_rng(0).normal(size=days.earlier.velocity.shape))
    assert r2(days.carried.unlabelled(blind), days.test) == r2(free, days.test)
    mixed = days.earlier.counts[:, np.random.default_rng(0).permutation(70)]  # the order is what it goes by
    lost = days.carried.unlabelled(Session(mixed, days.earlier.velocity, days.earlier.segment, days.earlier.trial))
    shuffled = days.test.counts[:, np.random.default_rng(0).permutation(70)]
    guess = lost.predict(shuffled, None, days.test.segment)
    assert metrics.r2(days.test.velocity, guess) < r2(free, days.test) - 0.5


def test_step_is_predict_and_a_missing_unit_does_what_it_does_on_average(days):
    decoder, test = days.carried.unlabelled(days.earlier), days.test.only(np.arange(80, 84))
    whole = decoder.predict(test.counts, None, test.segment)
    mask = np.zeros(70, bool)
    for k, x in enumerate(test.counts):
        if k == 0 or test.segment[k] != test.segment[k - 1]:
            decoder.reset()
        assert decoder.step(x.astype(np.float32), mask) == pytest.approx(whole[k], abs=1e-6)
    gone = np.zeros(test.counts.shape, bool)
    gone[:, 7] = True
    nonsense = test.counts.copy()
    nonsense[:, 7] = np.nan
    usual = test.counts.copy()
    usual[:, 7] = decoder.read_in.units.mean[7] ** 2
    a, b = (decoder.predict(x, m, test.segment) for x, m in ((nonsense, gone), (usual, None)))
    assert a == pytest.approx(b)


def test_pairs_are_in_order_and_mostly_the_true_ones(days):
    pairs, cost = align(days.carried.habits, habits(days.earlier))
    assert (np.diff(pairs, axis=0) > 0).all()
    right = len(days.pairs & {(int(i), int(j)) for i, j in pairs})
    assert right > 0.5 * len(days.pairs)
    others = habits(days.earlier)[np.random.default_rng(0).permutation(70)]
    assert cost < align(days.carried.habits, others)[1]


def test_alignment_is_the_cheapest_there_is():
    rng = np.random.default_rng(0)
    a, b, gap = rng.normal(size=(4, 2)), rng.normal(size=(5, 2)), 0.7
    each = ((a[:, None] - b[None]) ** 2).sum(-1)

    def cheapest(i: int, j: int) -> float:
        if i == 4 or j == 5:
            return gap * (4 - i + 5 - j)
        return min(each[i, j] + cheapest(i + 1, j + 1), gap + cheapest(i + 1, j), gap + cheapest(i, j + 1))

    pairs, cost = align(a, b, gap)
    assert cost == pytest.approx(cheapest(0, 0))
    assert cost == pytest.approx(sum(each[i, j] for i, j in pairs) + gap * (9 - 2 * len(pairs)))


def test_movement_round_a_bin_stays_within_its_stretch():
    velocity, segment = np.arange(10.0)[:, None] * [1.0, 0.0], np.repeat([3, 8], 5)
    m = movement(velocity, segment)
    assert m[:, 0].tolist() == [0, 0, 0, 1, 2, 5, 5, 5, 6, 7]  # two bins before
    assert m[:, 10].tolist() == [3, 4, 4, 4, 4, 8, 9, 9, 9, 9]  # three after
    assert m[:, 12].tolist() == list(range(10))  # speed


def test_a_read_in_recovers_the_movement_when_units_are_many():
    one = day(population(400, np.random.default_rng(0)), 100, 1)
    read_in = ReadIn.fit(one.only(np.arange(50)), one.counts)
    rest = one.only(np.arange(50, 100))
    estimate = read_in.apply(rest.counts)[:, 4:6]  # of the bin itself
    for axis in range(2):
        assert np.corrcoef(estimate[:, axis], rest.velocity[:, axis])[0, 1] > 0.95


def test_only_bins_of_movement_are_kept_and_a_gap_is_a_border():
    speed = np.array([1.0, 9, 9, 2, 9, 9] * 10)  # cm/s
    recording = Recording(
        np.ones((60, 3), int), BIN, {"velocity": np.stack([speed, 0 * speed], 1)}, {"velocity": "cm/s"},
        np.repeat(np.arange(10), 6), np.repeat(np.arange(10), 6),
    )  # fmt: skip
    kept = moving(recording)
    assert kept.velocity[:, 0] == pytest.approx(0.09)
    assert len(kept.counts) == 40
    assert kept.segment.tolist() == np.repeat(np.arange(20), 2).tolist()
    with pytest.raises(InputError, match="faster than"):
        moving(recording, slowest=1.0)


def test_draws_repeat_and_differ():
    a, b = (list(draws(np.arange(50), count=3)) for _ in range(2))
    assert all((x == y).all() for x, y in zip(a, b, strict=True))
    assert not (a[0] == a[1]).all()


def test_too_few_trials_are_refused(days):
    with pytest.raises(InputError, match="too few"):
        across(days.earlier, days.earlier.only(np.arange(50)), BIN, kind="wiener")
    with pytest.raises(InputError, match="too few to rehearse"):
        Carried.fit(days.earlier.only(np.arange(20)), BIN, "wiener")
