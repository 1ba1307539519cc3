"""The bench of the radio measures what it says, on little data."""

import pytest

from volition.app import bench
from volition.app._bench import radio


def test_the_radio_keeps_its_goals_and_what_hurts_is_seen_to_hurt():
    rows = {item.what: bench.measure(item) for item in radio.measures(quick=True)}
    assert rows["bit rate of counts, headers and copies counted, busiest person"]["ok"]
    assert 2 < rows["wait for a bin's counts, median"]["value"] < 10
    lost = {what: row["value"] for what, row in rows.items() if what.startswith("R²")}
    name = "R² of kalman lost to the radio"
    assert lost[name] < 0.02  # 6 s of data; the real bench has 8 people of 60 s
    assert lost[f"{name}, the receiver waits for a whole bin"] > 0.05
    assert all(0.3 < float(row["note"].split()[2].rstrip(",")) < 1 for what, row in rows.items() if what in lost)


def test_a_link_that_brings_nothing_cannot_be_decoded():
    found = radio._decoding(1, 12.0, radio._ONE, {"loss": 1.0})
    assert found.value > 0.3
    assert "missing 100.00 %" in found.extra["note"]


def test_bit_rate_counts_copies():
    once, twice = ({"copies": n, "loss": 0.0} for n in (1, 2))
    setup, spikes, _ = radio._person(0, 6.0)
    rates = [radio._through(setup, spikes, link)[2].bit_rate for link in (once, twice)]
    assert rates[1] == pytest.approx(2 * rates[0])
