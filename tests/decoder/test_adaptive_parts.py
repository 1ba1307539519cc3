"""The parts that keep a decoder good: moments, normalisation, alignment, inferred targets, drift."""

import numpy as np
import pytest

from volition.decoder._drift import Drift, divergence
from volition.decoder._moments import FULL, Moments, precision
from volition.decoder._normalise import Normaliser
from volition.decoder._stabilise import Aligner, Factors, align, factor_analysis, procrustes
from volition.decoder._targets import Targets

NOTHING = np.zeros(6, bool)


def linear(rng, bins, channels=6, states=2):
    """z = B's + q with s = [intention, 1]."""
    B = rng.normal(size=(states + 1, channels))
    root = rng.normal(size=(channels, channels)) * 0.3
    Q = root @ root.T + 0.2 * np.eye(channels)
    s = np.hstack((rng.normal(size=(bins, states)), np.ones((bins, 1))))
    return s, s @ B + rng.multivariate_normal(np.zeros(channels), Q, bins), B, Q


# --- moments ---


def test_moments_give_least_squares_and_the_covariance_of_its_residuals():
    s, z, _, _ = linear(np.random.default_rng(0), 400)
    m = Moments.none(3, 6)
    for part in np.array_split(np.arange(400), 7):
        m.add(s[part], z[part], np.ones(len(part)))
    found = m.solve(1e-9)
    B, *_ = np.linalg.lstsq(s, z, rcond=None)
    np.testing.assert_allclose(found.B, B, atol=1e-6)
    np.testing.assert_allclose(found.Q, (z - s @ B).T @ (z - s @ B) / 400, atol=1e-6)


def test_moments_forget_with_their_half_life():
    rng = np.random.default_rng(1)
    s, z, B, _ = linear(rng, 4000)
    m = Moments.none(3, 6)
    m.add(s, z + 5.0, np.ones(4000))  # another rate at rest, long ago
    m.forget(2.0**-12)  # twelve half-lives
    m.add(s, z, np.ones(4000))
    assert m.n == pytest.approx(4000 * (1 + 2.0**-12))
    np.testing.assert_allclose(m.solve(1e-9).B, B, atol=0.1)


def test_a_channel_that_is_away_keeps_its_tuning_and_its_noise():
    s, z, _, _ = linear(np.random.default_rng(2), 3000)
    m = Moments.none(3, 6)
    m.add(s, z, np.ones(3000))
    before = m.solve(1e-9)
    missing = np.zeros(z.shape, bool)
    missing[:, 4] = True
    m.forget(0.5)
    m.add(s, np.where(missing, np.nan, z), np.ones(3000), missing, before)
    after = m.solve(1e-9)
    np.testing.assert_allclose(after.B[:, 4], before.B[:, 4], atol=1e-6)
    assert after.variance[4] == pytest.approx(before.variance[4], rel=1e-3)


def test_above_so_many_channels_variances_are_learnt_and_correlations_kept():
    rng = np.random.default_rng(3)
    n = FULL + 1
    s, z = np.hstack((rng.normal(size=(500, 2)), np.ones((500, 1)))), rng.normal(size=(500, n))
    m = Moments.none(3, n)
    m.add(s, z, np.ones(500))
    found = m.solve(1.0)
    assert found.Q.shape == (n,)
    C = np.full((n, n), 0.3) + 0.7 * np.eye(n)
    sd = np.sqrt(found.Q)
    np.testing.assert_allclose(np.linalg.inv(precision(found, 1.0, np.linalg.inv(C))), C * sd * sd[:, None], atol=1e-9)


@pytest.mark.parametrize("channels", [6, FULL + 1])
def test_sums_can_be_made_again_from_a_model_and_scaled_to_other_rates(channels):
    rng = np.random.default_rng(5)
    s = np.hstack((rng.normal(size=(3000, 2)), np.ones((3000, 1))))
    s[:, :2] -= s[:, :2].mean(0)
    z = s @ rng.normal(size=(3, channels)) + rng.normal(size=(3000, channels))
    m = Moments.none(3, channels)
    m.add(s, z, np.ones(3000))
    found = m.solve(1e-9)
    again = Moments.of(found, m.about_mean(), m.n).solve(1e-9)
    np.testing.assert_allclose(again.B, found.B, atol=1e-6)
    np.testing.assert_allclose(again.Q, found.Q, atol=1e-6)
    faster = found.at_rates(np.full(channels, 4.0))
    np.testing.assert_allclose(faster.B, found.B * [[4.0], [4.0], [1.0]])
    np.testing.assert_allclose(faster.Q, found.Q * 4.0)


# --- normalisation ---


def test_the_mean_follows_with_its_half_life_and_fast_in_a_new_session():
    x = np.random.default_rng(0).normal(2.0, 1.0, (5000, 6))
    for new, share in ((False, 0.5), (True, 60 / 75)):  # one half-life; 60 s against the 15 s that the old mean is worth
        front = Normaliser.of(x, None, 0.02, 60.0)
        before = front.mean.copy()
        if new:
            front.begin()
        for _ in range(3000):
            front.update(np.full(6, 7.0), NOTHING)
        np.testing.assert_allclose((front.mean - before) / (7.0 - before), share, atol=0.01)


def test_what_is_missing_changes_nothing_and_what_is_wanted_is_no_change_of_rate():
    x = np.random.default_rng(0).normal(2.0, 1.0, (5000, 6))
    front = Normaliser.of(x, None, 0.02, 60.0)
    before = front.mean.copy(), front.variance.copy()
    mask = NOTHING.copy()
    mask[2] = True
    for _ in range(50):
        front.update(np.where(mask, np.nan, 9.0), mask)
    assert front.mean[2] == before[0][2]
    assert front.variance[2] == before[1][2]
    assert (front.mean[~mask] > before[0][~mask]).all()
    level = front.mean.copy()
    front.shift(np.zeros(6), np.full(6, 300.0), x[:300])
    np.testing.assert_array_equal(front.mean, level)


# --- alignment ---


def population(rng, channels=60, latents=4):
    L = rng.normal(size=(channels, latents))
    return L, rng.uniform(0.5, 2.0, channels)


def sampled(rng, L, psi, f):
    return f @ L.T + rng.normal(size=(len(f), len(psi))) * np.sqrt(psi)


def test_factor_analysis_finds_the_covariance_and_procrustes_the_rotation():
    rng = np.random.default_rng(0)
    L, psi = population(rng)
    S = L @ L.T + np.diag(psi)
    found = factor_analysis(S, 4)
    np.testing.assert_allclose(found.L @ found.L.T + np.diag(found.psi), S, atol=0.05)
    turn, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    np.testing.assert_allclose(procrustes(L @ turn, L), turn.T, atol=1e-9)


def test_stable_electrodes_are_told_from_those_that_changed():
    rng = np.random.default_rng(1)
    L, psi = population(rng)
    changed = np.arange(60) < 20
    day = L.copy()
    day[changed] = rng.normal(size=(20, 4))
    turn, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    found, stable = align(Factors(day @ turn, psi), Factors(L, psi), keep=0.67)
    assert stable.sum() == 40
    assert (stable & changed).sum() <= 2
    np.testing.assert_allclose(found.L[~changed], L[~changed], atol=0.15)


def test_alignment_recovers_the_latents_of_a_day_whose_electrodes_changed():
    """A decoder of latents, fitted on the reference, on a new day: without and with the alignment, no label used."""
    rng = np.random.default_rng(2)
    L, psi = population(rng)
    f = rng.normal(size=(3000, 4))
    z = sampled(rng, L, psi, f)
    arrays = Aligner.reference(z, None, 4)
    reference = Aligner(arrays, 0.67)
    W, *_ = np.linalg.lstsq(reference.latents(z, None), f[:, :2], rcond=None)
    day = L.copy()
    day[:24] = rng.normal(size=(24, 4))  # 40 % of the electrodes
    g = rng.normal(size=(3000, 4))
    today = sampled(rng, day, psi, g)

    def r2(aligner):
        return 1 - ((g[:, :2] - aligner.latents(today, None) @ W) ** 2).sum() / (g[:, :2] ** 2).sum()

    fixed, aligner = Aligner(arrays, 0.67), Aligner(arrays, 0.5)
    best = 1 - ((f[:, :2] - reference.latents(z, None) @ W) ** 2).sum() / (f[:, :2] ** 2).sum()
    aligner.follow(today, np.zeros(today.shape, bool), 0.999)
    assert aligner.stable[24:].mean() > 2 * aligner.stable[:24].mean()
    assert r2(fixed) < best - 0.2
    assert r2(aligner) > best - 0.05


# --- inferred targets ---


def test_targets_are_inferred_from_a_noisy_push():
    rng = np.random.default_rng(3)
    space, top, slow, bin_s = np.array([[-0.1, -0.1], [0.1, 0.1]]), 0.3, 0.05, 0.02
    p, target, at, wanted = np.zeros(2), np.zeros(2), [], []
    for t in range(1500):
        if t % 50 == 0:
            target = rng.uniform(-0.1, 0.1, 2)
        off = target - p
        u = top * off / max(np.hypot(*off), slow)
        at.append(p)
        wanted.append(u)
        p = p + bin_s * u
    wanted = np.array(wanted)
    decoded = 0.7 * wanted + rng.normal(size=wanted.shape) * 0.12
    label, weight = Targets(space, top, slow, 4.0, 0.7).labels(np.array(at), decoded, bin_s)

    def wrong(v):
        return ((v - wanted) ** 2).sum() / (wanted**2).sum()

    assert wrong(label) < 0.35
    assert wrong(label) < 0.5 * wrong(decoded / 0.7)
    off = np.linalg.norm(label - wanted, axis=1)
    assert off[weight > np.median(weight)].mean() < off[weight <= np.median(weight)].mean()  # it knows what it knows


def test_where_targets_lie_anywhere_one_wants_to_go_inwards():
    targets = Targets(np.array([[-0.1, -0.1], [0.1, 0.1]]), 0.3, 0.05, 4.0, 1.0)
    label = targets.anywhere(np.array([[0.0, 0.0], [0.09, 0.0], [-0.09, -0.09]]))
    np.testing.assert_allclose(label[0], 0.0, atol=1e-12)
    assert label[1][0] < -0.1
    assert (label[2] > 0.1).all()


@pytest.mark.parametrize("d", [1, 2, 3])
def test_nothing_decoded_tells_nothing_but_where_the_workspace_lies(d):
    targets = Targets(np.array([[-1.0] * d, [1.0] * d]), 1.0, 0.2, 1e-9, 1.0)
    label, weight = targets.labels(np.zeros((100, d)), np.zeros((100, d)), 0.02)
    np.testing.assert_allclose(label, 0.0, atol=1e-9)
    assert (weight < 0.2).all()


# --- drift ---


def test_divergence_is_that_of_two_gaussians():
    m, S = np.array([1.0, 0.0]), np.diag([2.0, 1.0])
    assert divergence(m, S, m, S) == pytest.approx(0.0)
    assert divergence(m, S, np.zeros(2), np.eye(2)) == pytest.approx(0.5 * (3.0 + 1.0 - 2.0 - np.log(2.0)))


def test_the_drift_score_grows_with_the_drift_and_asks_only_then():
    rng = np.random.default_rng(4)
    L, psi = population(rng)
    z = sampled(rng, L, psi, rng.normal(size=(4000, 4)))
    arrays = Drift.reference(z)
    scores = []
    for share in (0.0, 0.3, 0.6):
        now, drift = L.copy(), Drift(arrays, 500)
        now[: int(60 * share)] = rng.normal(size=(int(60 * share), 4))
        for row in sampled(rng, now, psi, rng.normal(size=(500, 4))):
            drift.add(row)
        scores.append(drift.score)
        assert (drift.score > drift.limit) == (share > 0)
    assert scores == sorted(scores)
