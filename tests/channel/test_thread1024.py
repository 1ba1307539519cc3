"""Threads and radio: what is lost is masked at the stated rate, never zero."""

from dataclasses import replace

import numpy as np
import pytest

from volition.channel.thread1024 import Thread1024, Thread1024Config
from volition.errors import ConfigError, InputError
from volition.signal import Broadband, Spikes, Stim
from volition.stage import Setup, check

MS = 1_000_000
SETUP = Setup(channels=1024, seed=5)
COUNTS = np.random.default_rng(0).poisson(2.0, 1024).astype(np.uint16)
PERFECT = Thread1024Config(dead_thread_fraction=0.0, dead_fraction=0.0, lost_probability=0.0, late_probability=0.0)


def made(config=None, setup=SETUP):
    channel = Thread1024(config)
    channel.prepare(setup)
    return channel


def masks(channel, bins):
    out = []
    for k in range(bins):
        features = channel.read(Spikes((k + 1) * 20 * MS, COUNTS, segment=4))
        assert np.isnan(features.x[features.mask]).all()
        assert np.array_equal(features.x[~features.mask], COUNTS[~features.mask].astype(np.float32))
        assert features.segment == 4
        out.append(features.mask)
    return np.array(out)


def test_contract():
    assert check(Thread1024()) == []
    assert made().spec.gives.size == 1024


def test_without_losses_everything_arrives():
    channel = made(PERFECT)
    assert not masks(channel, 50).any()
    assert channel.lost_packets == channel.late_packets == 0


def test_packets_are_lost_at_the_stated_rate_and_whole():
    channel = made(replace(PERFECT, lost_probability=0.05, late_probability=0.02))
    seen = masks(channel, 5000).reshape(5000, 4, 256)
    packets = seen.any(axis=2)
    assert np.array_equal(packets, seen.all(axis=2))
    n = packets.size
    assert packets.sum() == channel.lost_packets + channel.late_packets
    for found, p in ((channel.lost_packets, 0.05), (channel.late_packets, 0.02)):
        assert abs(found - n * p) < 4 * np.sqrt(n * p * (1 - p))
    together = (packets[:, 0] & packets[:, 1]).mean()
    assert together == pytest.approx(0.07**2, abs=0.004)  # each packet has its own luck


def test_dead_threads_and_electrodes():
    channel = made(replace(PERFECT, dead_thread_fraction=0.25))
    threads = channel.dead_channels.reshape(64, 16)
    assert np.array_equal(threads.any(axis=1), threads.all(axis=1))
    assert threads.all(axis=1).sum() == 16
    assert np.array_equal(masks(channel, 3), np.tile(channel.dead_channels, (3, 1)))
    assert made(replace(PERFECT, dead_fraction=0.1)).dead_channels.sum() == 102


def test_a_seed_decides_everything():
    a, b, c = made(), made(), made(setup=replace(SETUP, seed=6))
    first = masks(a, 400)
    assert np.array_equal(first, masks(b, 400))
    assert not np.array_equal(first, masks(c, 400))
    lost = a.lost_packets
    a.prepare(SETUP)
    assert a.lost_packets == 0
    assert np.array_equal(first, masks(a, 400))
    assert a.lost_packets == lost


def test_nobody_else_can_change_what_is_dead():
    features = made(replace(PERFECT, dead_fraction=0.1)).read(Spikes(0, COUNTS))
    with pytest.raises(ValueError, match="read-only"):
        features.mask[:] = False


def pulse(t_ns, ua=10.0):
    row = np.zeros(64)
    row[3] = ua
    return Stim(t_ns, row, np.full(64, 100.0), np.full(64, 200.0))


def test_commands_pass_the_gate_on_the_clock_of_the_bins():
    channel = made(PERFECT)
    channel.read(Spikes(20 * MS, COUNTS))
    assert channel.write(pulse(20 * MS)).amplitude_ua[3] == 10.0
    channel.read(Spikes(40 * MS, COUNTS))
    assert channel.write(pulse(40 * MS, 17.0)).amplitude_ua.max() == 0.0  # 1012 µC/cm² on 336 µm²
    assert channel.gate.reason == "density"


def test_a_command_not_renewed_ends():
    channel = made(PERFECT)
    held = pulse(20 * MS)
    flows = []
    for k in range(1, 10):
        channel.read(Spikes(k * 20 * MS, COUNTS))
        flows.append(bool(channel.write(held).amplitude_ua.any()))
    assert flows == [True] * 6 + [False] * 3


def test_a_new_run_does_not_open_a_latched_gate():
    channel = made(PERFECT)
    channel.write(pulse(0, 1000.0))
    channel.prepare(SETUP)
    assert channel.gate.latched
    assert not channel.write(pulse(0)).amplitude_ua.any()
    channel.gate.arm()
    assert channel.write(pulse(0)).amplitude_ua.any()


def test_errors():
    channel = made()
    with pytest.raises(ConfigError, match="takes spike counts"):
        channel.read(Broadband(0, np.zeros((20, 1024), np.int16)))
    with pytest.raises(InputError, match="expected"):
        channel.read(Spikes(0, COUNTS[:96]))
    with pytest.raises(ConfigError, match="1024 electrodes"):
        Thread1024().prepare(Setup(channels=96))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"lost_probability": 1.5}, "lost_probability"),
        ({"lost_probability": 0.6, "late_probability": 0.6}, "must not exceed 1"),
        ({"packet_channels": 100}, "divide 1024"),
        ({"packet_channels": 0}, "divide 1024"),
        ({"dead_fraction": float("nan")}, "dead_fraction"),
        ({"electrodes": -1}, "electrodes"),
        ({"profile": "none"}, "known: strict"),
    ],
)
def test_bad_configuration(config, words):
    with pytest.raises(ConfigError, match=words):
        Thread1024Config(**config)
