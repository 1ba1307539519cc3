"""Payloads of counts and events: exact, small, and strict."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volition.channel._telemetry_counts import decode_counts, decode_events, encode_counts, encode_events
from volition.errors import InputError

BIN = 20_000_000
any_counts = st.one_of(
    st.lists(st.integers(0, 65_535), max_size=60),
    st.lists(st.sampled_from([0, 0, 0, 0, 0, 0, 1, 2, 65_535]), max_size=300),
    st.lists(st.just(1), max_size=100),
)


@given(any_counts, st.integers(0, 1 << 31))
def test_counts_and_segment_come_back(values, segment):
    counts = np.array(values, np.uint16)
    back, seg = decode_counts(encode_counts(counts, segment), len(counts))
    assert np.array_equal(back, counts)
    assert back.dtype == np.uint16
    assert seg == segment


@pytest.mark.parametrize("channels", [1, 96, 1024, 65_536])
@pytest.mark.parametrize("rate", [0.0, 0.001, 0.06, 1.0, 40.0])
def test_any_size_and_rate(channels, rate):
    counts = np.random.default_rng(0).poisson(rate, channels).astype(np.uint16)
    assert np.array_equal(decode_counts(encode_counts(counts), channels)[0], counts)


def test_the_widest_gap_and_the_largest_count():
    counts = np.zeros(65_536, np.uint16)
    counts[-1] = 65_535
    assert np.array_equal(decode_counts(encode_counts(counts), 65_536)[0], counts)


@pytest.mark.parametrize("rate", [0.01, 0.06, 0.3, 1.0])
def test_size_is_near_the_entropy(rate):
    """Independent Poisson channels of one rate: within 12 % of their entropy, and 40 bits for the head and the last byte."""
    from math import exp, factorial, log2

    p = [exp(-rate) * rate**k / factorial(k) for k in range(15)]
    entropy = -sum(q * log2(q) for q in p)
    rng = np.random.default_rng(1)
    bits = np.mean([8 * len(encode_counts(rng.poisson(rate, 1024).astype(np.uint16))) for _ in range(50)])
    assert 1024 * entropy < bits < 1.12 * 1024 * entropy + 40


@given(st.binary(max_size=120), st.sampled_from([0, 1, 16, 1024]))
def test_noise_is_refused_or_a_bin_of_so_many_channels(noise, channels):
    try:
        counts, segment = decode_counts(noise, channels)
    except InputError:
        return
    assert counts.shape == (channels,)
    assert segment >= 0


@given(st.lists(st.sampled_from([0, 0, 1, 3]), min_size=8, max_size=80), st.data())
def test_cut_off_and_lengthened_payloads_are_refused(values, data):
    payload = encode_counts(np.array(values, np.uint16), 9)
    with pytest.raises(InputError):
        decode_counts(payload + data.draw(st.binary(min_size=1, max_size=4)), len(values))
    cut = payload[: data.draw(st.integers(0, len(payload) - 1))]
    with pytest.raises(InputError):
        decode_counts(cut, len(values))


def test_another_number_of_channels_is_refused():
    with pytest.raises(InputError):
        decode_counts(encode_counts(np.ones(64, np.uint16)), 32)


@pytest.mark.parametrize(
    ("counts", "segment"),
    [
        (np.zeros(4, np.int64), 0),
        (np.zeros((2, 2), np.uint16), 0),
        (np.zeros(65_537, np.uint16), 0),
        (np.zeros(4, np.uint16), -1),
    ],
)
def test_what_is_no_bin_of_counts_is_refused(counts, segment):
    with pytest.raises(InputError):
        encode_counts(counts, segment)


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(1, BIN)), max_size=60))
def test_events_come_back_to_half_a_step(events):
    channel = np.array([c for c, _ in events], np.int32)
    times = 3 * BIN - np.array([late for _, late in events], np.int64)
    back, when, counts, segment = decode_events(encode_events(channel, times, 3 * BIN, BIN, 16, 4), 3 * BIN, BIN, 16)
    order = np.lexsort((times, channel))
    assert np.array_equal(back, channel[order])
    assert np.abs(when - times[order]).max(initial=0) <= BIN // 128 + 1
    assert np.array_equal(counts, np.bincount(channel, minlength=16))
    assert segment == 4


@given(st.binary(max_size=80))
def test_noise_is_refused_or_some_events(noise):
    try:
        channel, when, counts, _ = decode_events(noise, BIN, BIN, 16)
    except InputError:
        return
    assert len(channel) == len(when) == counts.sum(dtype=int)
    assert np.all((when > 0) & (when < BIN))


def test_events_outside_the_bin_or_of_no_channel_are_refused():
    for channel, t_ns in ((16, BIN - 1), (-1, BIN - 1), (0, BIN), (0, -1)):
        with pytest.raises(InputError):
            encode_events(np.array([channel]), np.array([t_ns]), BIN, BIN, 16)
    with pytest.raises(InputError):
        encode_events(np.zeros(2, int), np.zeros(1, int), BIN, BIN, 16)
    with pytest.raises(InputError, match="65535"):
        encode_events(np.zeros(65_536, int), np.zeros(65_536, int), BIN, BIN, 16)
    payload = encode_events(np.zeros(2, int), np.zeros(2, int), BIN, BIN, 16)
    for wrong in (payload + b"\0", payload[:-1]):
        with pytest.raises(InputError):
            decode_events(wrong, BIN, BIN, 16)
