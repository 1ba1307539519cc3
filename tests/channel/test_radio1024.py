"""Counts through the radio: exact or masked, never wrong, never late, the same for the same seed."""

from dataclasses import replace

import numpy as np
import pytest

from volition.channel.radio1024 import Radio1024, Radio1024Config
from volition.errors import ConfigError, InputError
from volition.loop.calibrate import Calibration
from volition.loop.loop import Loop
from volition.signal import Broadband, Spikes, Stim
from volition.stage import Setup, check

BIN = 20_000_000
SETUP = Setup(channels=1024, seed=5)
PERFECT = Radio1024Config(dead_fraction=0.0, loss=0.0, jitter_ms=0.0)
COUNTS = np.random.default_rng(0).poisson(0.06, (200, 1024)).astype(np.uint16)


def made(config=None, setup=SETUP):
    channel = Radio1024(config)
    channel.prepare(setup)
    return channel


def run(channel, bins=200, segment=4):
    """Each bin's features: what is not masked is exactly what was sent for that time."""
    masks = []
    for k in range(bins):
        features = channel.read(Spikes((k + 1) * BIN, COUNTS[k % 200], segment))
        sent = features.t_ns // BIN - 1
        assert features.segment == segment
        assert np.isnan(features.x[features.mask]).all()
        assert np.array_equal(features.x[~features.mask], COUNTS[sent % 200][~features.mask])
        masks.append(features.mask)
    return np.array(masks)


@pytest.mark.parametrize("config", [None, PERFECT, Radio1024Config(playout_ms=45.0, loss=0.3, bit_error=1e-3)])
def test_contract(config):
    assert check(Radio1024(config)) == []


def test_a_perfect_link_loses_nothing_and_delays_nothing():
    channel = made(PERFECT)
    assert not run(channel).any()
    assert channel.receiver.missed == channel.lost_packets == channel.late_packets == 0
    assert channel.receiver.duplicates == 200
    assert channel.gate.counts == {}


def test_the_default_link_loses_little_within_its_rate():
    channel = made()
    masks = run(channel, 3000)
    missing = masks.all(1)
    assert 0 < missing.mean() < 0.01
    assert missing.sum() == channel.receiver.missed
    assert (masks[~missing] == channel.dead_channels).all()
    assert channel.dead_channels.sum() == 16
    assert 20_000 < channel.bit_rate < 50_000
    assert channel.receiver.backlog == 0
    assert channel.radio.in_flight <= 4


def test_copies_are_worth_more_than_they_lose():
    once = run(made(replace(PERFECT, loss=0.1, copies=1)), 2000).all(1).mean()
    twice = run(made(replace(PERFECT, loss=0.1, copies=2)), 2000).all(1).mean()
    assert once == pytest.approx(0.1, abs=0.03)
    assert twice == pytest.approx(0.01, abs=0.008)


def test_what_comes_after_the_wait_is_dropped_and_counted():
    channel = made(replace(PERFECT, latency_ms=25.0))
    assert run(channel).all()
    assert channel.receiver.missed == 200
    assert channel.late_packets == pytest.approx(198, abs=2)
    assert channel.receiver.backlog == 0


def test_a_longer_wait_hands_out_older_bins():
    channel = made(replace(PERFECT, latency_ms=25.0, playout_ms=45.0))
    masks = run(channel).all(1)
    assert masks[:2].all()
    assert not masks[2:].any()
    features = channel.read(Spikes(201 * BIN, COUNTS[0], 4))
    assert features.t_ns == 199 * BIN


def test_damaged_frames_are_missing_not_wrong():
    channel = made(replace(PERFECT, copies=1, bit_error=1e-3))
    missing = run(channel, 1000).all(1)
    assert missing.sum() == channel.receiver.corrupt == channel.radio.damaged > 100


def test_a_radio_that_is_too_narrow_drops_instead_of_queueing():
    channel = made(replace(PERFECT, rate_bit_s=20_000.0, copies=1, playout_ms=60.0, latency_ms=0.0))
    missing = run(channel, 1000).all(1)
    assert 0.05 < missing[3:].mean() < 0.5
    assert channel.radio.dropped > 50
    assert channel.radio.in_flight <= 3


def test_the_same_seed_is_the_same_run_and_a_new_run_begins_anew():
    channel = made()
    first = run(channel, 400)
    channel.prepare(SETUP)
    assert channel.radio.sent == channel.receiver.received == 0
    assert channel.bit_rate == 0.0
    assert np.array_equal(run(channel, 400), first)
    assert not np.array_equal(run(made(setup=replace(SETUP, seed=6)), 400), first)


def test_a_new_segment_arrives_with_its_bin():
    channel = made(replace(PERFECT, playout_ms=20.0))
    found = [channel.read(Spikes((k + 1) * BIN, COUNTS[k], segment)).segment for k, segment in enumerate((0, 0, 7, 7))]
    assert found == [0, 0, 0, 7]


def test_a_person_is_decoded_through_the_radio_and_an_outage_stops_the_body():
    loop = Loop("person", "radio1024", "kalman", seed=1).calibrate(Calibration(observe_s=8.0, assist=(), block_s=1.0))
    loop.advance(4.0)
    assert set(loop.report().faults) <= {"channel"}
    assert np.abs(loop.last.intent.values).max() > 0
    loop.channel.receiver.take(1 << 60)  # from now on everything comes too late
    loop.advance(1.0)
    assert not loop.last.intent.values.any()
    assert loop.report().faults["channel"]["lost"] >= 50


def test_stimulation_passes_the_gate():
    channel = made(PERFECT)
    run(channel, 1)
    some = np.full(channel.electrodes, 1.0)
    assert channel.write(Stim(BIN, some, 100 * some, 100 * some)).amplitude_ua.any()
    assert not channel.write(Stim(BIN, 500 * some, 100 * some, 100 * some)).amplitude_ua.any()
    assert channel.gate.latched


@pytest.mark.parametrize(
    "wrong", [{"copies": 0}, {"spacing_ms": -1.0}, {"playout_ms": 501.0}, {"loss": 2.0}, {"dead_fraction": -0.1}]
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Radio1024Config(**wrong)


def test_sizes_voltage_and_slow_copies_are_refused():
    with pytest.raises(ConfigError, match="1024"):
        made(setup=Setup(channels=96))
    with pytest.raises(ConfigError, match="longer than a bin"):
        made(Radio1024Config(copies=6))
    channel = made()
    with pytest.raises(ConfigError, match="voltage"):
        channel.read(Broadband(BIN, np.zeros((600, 1024), np.int16)))
    with pytest.raises(InputError, match="shape"):
        channel.read(Spikes(BIN, np.zeros(96, np.uint16)))
