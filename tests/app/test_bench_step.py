import os

import pytest

from volition.app._bench import step

if os.environ.get("VOLITION_TORCH") == "required":
    import onnx  # noqa: F401
    import torch  # noqa: F401
pytest.importorskip("torch", reason="networks are made with PyTorch (extra [train])")
pytest.importorskip("onnx", reason="networks are written with onnx (extra [train])")


@pytest.fixture
def one_small(monkeypatch):
    small = {"small": ("transformer", {"units": 16, "layers": 1, "feedforward": 16, "context": 5})}
    monkeypatch.setattr(step, "SHAPES", small)
    monkeypatch.setattr(step, "_GOALS", {"small": 20.0})
    monkeypatch.setattr(step, "WARM", 3)
    for stored in (step.network, step.decoder, step._times):
        stored.cache_clear()
    yield
    for stored in (step.network, step.decoder, step._times):
        stored.cache_clear()


def test_latency_equality_and_int8_are_measured(one_small):
    found = {m.what: (m, m.run()) for m in step.measures(quick=True)}
    assert len(found) == 5
    wall, median = found["step, small, median, wall"]
    assert wall.holds(median.value)
    assert 0 < median.value <= median.extra["p99"] <= median.extra["max"]
    assert wall.parameters["channels"] == 1024
    same, difference = found["run time against PyTorch, small, largest difference"]
    assert same.holds(difference.value)
    assert found["step, small, int8, median, wall"][0].goal == ""


def test_the_goals_are_those_of_the_networks_in_the_list():
    assert set(step._GOALS) <= set(step.SHAPES)
    goals = [m.what for m in step.measures(quick=True) if m.goal.startswith("<= ") and m.unit == "ms"]
    assert goals == ["step, GRU-256, median, wall", "step, transformer 4 x 256, 50 bins, median, wall"]
