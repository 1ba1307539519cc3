"""The bench of 77 days: what its rows say of what was decoded."""

import numpy as np
import pytest

from volition.app import bench
from volition.app._bench import across as across_bench
from volition.train import metrics
from volition.train.across import Across


@pytest.fixture
def decoded(monkeypatch) -> Across:
    """Invented: within the day the best has half the noise of what twenty labels alone give."""
    rng = np.random.default_rng(0)
    y, trial = rng.normal(size=(200, 2)), np.repeat(np.arange(40), 5)

    def runs(noise: float, count: int) -> np.ndarray:
        return y + noise * rng.normal(size=(count, 200, 2))

    found = Across(
        y,
        trial,
        {"same": runs(0.3, 1), "wiener": runs(0.35, 1)},
        runs(0.4, 10),
        runs(0.35, 10),
        runs(0.6, 1),
        {"same": runs(0.6, 10), "wiener": runs(0.7, 10)},
    )
    monkeypatch.setattr(across_bench, "_found", lambda count: (found, "same", "same"))
    return found


def test_shares_are_of_the_best_decoder_within_the_day(decoded):
    found = across_bench._share("few", 10)
    within = metrics.r2(decoded.y, decoded.within["same"][0])
    few = np.mean([metrics.r2(decoded.y, guess) for guess in decoded.few])
    assert found.value == pytest.approx(100 * few / within)
    assert found.extra["low"] < found.value < found.extra["high"]
    assert across_bench._within(10).extra["r2_wiener"] < across_bench._within(10).value


def test_a_gain_counts_by_the_lower_end_of_its_interval(decoded):
    for setting, sure in (("few", True), ("few_and_rest", True), ("unlabelled", False)):
        found = across_bench._least_gain(setting, 10, "best")
        assert found.value == found.extra["low"] <= found.extra["gain"] <= found.extra["high"]
        assert (found.value > 0) is sure


def test_rows_and_goals_and_the_reason_why_there_are_none_here(monkeypatch, tmp_path):
    rows = list(across_bench.measures(quick=False))
    assert [m.goal for m in rows if "share" in m.what] == [">= 85"] * 3
    assert [m.goal for m in rows if "gained" in m.what] == [">= 0"] * 6
    assert len({m.what for m in rows}) == len(rows) == 2 + 3 * 4
    across_bench._found.cache_clear()
    monkeypatch.delenv(across_bench.DATA, raising=False)
    first = bench.measure(rows[0])
    assert "VOLITION_DATA is not set" in first["note"] or "PyTorch" in first["note"]
