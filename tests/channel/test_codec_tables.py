from importlib import resources
from importlib.util import find_spec

import numpy as np
import pytest

from volition.channel._codec_dense import log2, probability
from volition.channel._codec_tables import build_dense_tables, dense_tables, learnt, log2_fixed

needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="numba (extra [fast]) is not installed")


def test_the_shipped_tables_are_small():
    folder = resources.files("volition.channel")
    size = sum(
        len(p.read_bytes()) for p in folder.iterdir() if p.name.startswith("_codec_tables") and p.name.endswith(".npz")
    )
    assert 0 < size <= 8192


def test_the_converter_is_as_uneven_as_measured():
    # 511 never occurs, 510 is a tenth as wide as the others; spread 0.3 LSB around mid-scale
    width = learnt().widths / 4096
    assert width[511] < 0.05
    assert 0.03 < width[510] < 0.2
    assert 0.25 < np.delete(width[450:600], [60, 61]).std() < 0.45
    assert (np.diff(dense_tables().edges) > 0).all()


def test_the_logarithm_in_integers_is_one():
    t = dense_tables()
    a = np.unique(np.round(2 ** np.linspace(0, 29, 400)).astype(np.int64))
    exact = np.log2(a)
    assert np.abs(log2_fixed(a, t.logarithm) / 65536 - exact).max() < 2e-3
    assert [log2(int(v), t.logarithm) for v in a] == log2_fixed(a, t.logarithm).tolist()


def test_the_squash_is_the_inverse_of_log_odds():
    t = dense_tables()
    odds = np.linspace(-9, 9, 181)
    p = np.array([probability(int(x * 65536), t.squash) for x in odds]) / 65536
    np.testing.assert_allclose(p, 1 / (1 + 2.0**-odds), atol=6e-4)
    assert 0 < probability(-(1 << 40), t.squash) < probability(1 << 40, t.squash) < 65536


def test_the_residual_distribution_is_one():
    cumulative = build_dense_tables(learnt()).distribution
    assert (np.diff(cumulative) >= 0).all()
    assert cumulative[len(cumulative) // 2] == pytest.approx(cumulative[-1] / 2, abs=1)
    assert cumulative[0] >= 0


@needs_numba
def test_learning_finds_the_widths_of_a_converter_it_has_not_seen():
    from volition.train.codec_tables import learn

    rng = np.random.default_rng(0)
    true = np.tile(rng.uniform(0.4, 1.6, 32), 32)
    edges = np.cumsum(true)[:-1]
    files = []
    for _ in range(2):
        slow = 15 * np.sin(np.arange(25_000) / 400 + rng.uniform(0, 6))
        x = edges[526] + slow + 6 * rng.standard_normal(25_000)
        files.append(np.searchsorted(edges, x, side="right").astype(np.int64))
    found = learn(files)
    near = slice(505, 550)
    assert np.corrcoef(found.widths[near], true[near])[0, 1] > 0.97
    assert found.limits.shape[0] + 1 == found.shapes.shape[0]
