"""The link: delays, losses and queue as configured, the same for the same seed."""

import numpy as np
import pytest

from volition.channel._radio import _IN_FLIGHT, Radio, RadioConfig
from volition.errors import ConfigError

MS = 1_000_000
CLEAN = {"latency_ms": 0.0, "jitter_ms": 0.0, "loss": 0.0}


def made(seed=0, **config):
    return Radio(RadioConfig(**config), np.random.default_rng(seed))


def run(radio, packets=4000, every_ms=20, size=50):
    """Arrivals as (time, number)."""
    for k in range(packets):
        radio.send(k.to_bytes(4, "little") + bytes(size - 4), k * every_ms * MS)
    return [(t, int.from_bytes(d[:4], "little")) for t, d in radio.receive(10**15)]


def test_a_clean_link_only_takes_the_time_of_the_bits():
    radio = made(**CLEAN, rate_bit_s=1e5)
    radio.send(bytes(50), 7 * MS)
    assert radio.receive(11 * MS - 1) == []
    assert radio.receive(11 * MS) == [(11 * MS, bytes(50))]
    assert radio.in_flight == 0


def test_delay_is_latency_and_jitter():
    delay = np.array([t - k * 20 * MS for t, k in run(made(loss=0.0, latency_ms=3.0, jitter_ms=5.0))]) / MS
    beyond = delay - 3.0 - 0.4  # 400 bits at 1 Mbit/s
    assert beyond.min() >= 0
    assert np.sqrt((beyond**2).mean()) == pytest.approx(5.0, rel=0.05)


def test_packets_overtake_only_if_they_may():
    free = [k for _, k in run(made(jitter_ms=30.0))]
    assert free != sorted(free)
    kept = run(made(jitter_ms=30.0, overtake=False))
    assert [k for _, k in kept] == sorted(k for _, k in kept)


@pytest.mark.parametrize("burst", [1.0, 5.0])
def test_loss_and_its_bursts(burst):
    radio = made(loss=0.1, burst_packets=burst)
    there = np.zeros(4000, bool)
    there[[k for _, k in run(radio)]] = True
    lost = ~there
    assert lost.sum() == radio.lost
    assert lost.mean() == pytest.approx(0.1, abs=0.03)
    runs = (np.diff(lost.astype(int)) == 1).sum()
    assert lost.sum() / runs == pytest.approx(max(burst, 1 / 0.9), rel=0.15)


def test_all_and_nothing():
    assert len(run(made(loss=0.0))) == 4000
    assert run(made(loss=1.0)) == []


def test_a_full_transmitter_drops_and_counts():
    radio = made(**CLEAN, rate_bit_s=10_000, queue_ms=30.0)  # half of what is offered: 400 bits every 20 ms
    arrived = run(radio, 1000)
    assert radio.dropped == pytest.approx(500, abs=5)
    assert len(arrived) == 1000 - radio.dropped
    assert max(t - k * 20 * MS for t, k in arrived) <= (30 + 40) * MS  # the wait and the packet itself
    assert radio.sent_bits == 400 * len(arrived)


def test_a_link_that_nobody_reads_forgets():
    radio = made(**CLEAN)
    for k in range(_IN_FLIGHT + 100):
        radio.send(bytes(10), k * MS)
    assert radio.in_flight == _IN_FLIGHT
    assert radio.dropped == 100


def test_bit_errors():
    radio = made(**CLEAN, bit_error=1e-3)
    for k in range(500):
        radio.send(bytes(100), k * 20 * MS)
    packets = [d for _, d in radio.receive(10**15)]
    wrong = sum(int.from_bytes(d, "little").bit_count() for d in packets)
    assert wrong == pytest.approx(400, abs=80)
    assert sum(any(d) for d in packets) == radio.damaged > 0


def test_the_same_seed_is_the_same_link():
    assert run(made(seed=3)) == run(made(seed=3))
    assert run(made(seed=3)) != run(made(seed=4))


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate_bit_s": 0.0},
        {"rate_bit_s": float("inf")},
        {"latency_ms": -1.0},
        {"jitter_ms": float("nan")},
        {"queue_ms": 1e9},
        {"loss": 1.1},
        {"bit_error": -0.1},
        {"burst_packets": 0.5},
    ],
)
def test_what_is_no_link_is_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        RadioConfig(**wrong)
