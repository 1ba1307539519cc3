"""The bench of the person: its rows, that it skips what is not here, and the smallest recording for real."""

import os
from collections import Counter

import pytest

from volition.app._bench import SkipError
from volition.app._bench import person as bench


def test_rows_are_told_apart_and_have_goals():
    items = list(bench.measures(quick=False))
    assert max(Counter(i.what for i in items).values()) == 1
    assert sum(bool(i.goal) for i in items) == len(bench.SETS) * 9
    assert len(list(bench.measures(quick=True))) == 11


def test_without_recordings_it_skips(monkeypatch):
    monkeypatch.delenv("VOLITION_DATA", raising=False)
    with pytest.raises(SkipError, match="VOLITION_DATA"):
        next(iter(bench.measures(quick=True))).run()


def test_a_recording_is_compared():
    if not os.environ.get("VOLITION_DATA"):
        pytest.skip("VOLITION_DATA is not set: real recordings are not here")
    items = list(bench.measures(quick=True))
    found = items[0].run()
    assert 0 < found.value < 2
    assert found.extra["populations"] == 4
    assert items[1].run().extra["recorded"] == pytest.approx(0.96, abs=0.1)
    with pytest.raises(SkipError, match="500 ms"):  # its stretches are too short for that
        items[2].run()
    assert items[-1].run().value < 2000
