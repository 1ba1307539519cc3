"""Broadband frames: every sample back in all three ways; a lost block of the codec is an error, not wrong voltage."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volition.channel._telemetry import Frame, Mode, decode_frame, encode_frame
from volition.channel._telemetry_voltage import VoltageDecoder, VoltageEncoder, decode_wired, encode_wired
from volition.errors import ConfigError, InputError

WAYS = [(Mode.WIRED, 16), (Mode.WIRED, 10), (Mode.LOSSLESS, 16)]


def voltage(chunks=6, samples=40, channels=16):
    walk = np.random.default_rng(0).normal(0, 6, (chunks, samples, channels)).cumsum(1)
    return np.clip(walk, -512, 511).astype(np.int16)


@pytest.mark.parametrize(("mode", "bits"), WAYS)
def test_every_sample_comes_back(mode, bits):
    encoder, decoder = VoltageEncoder(mode, 16, bits), VoltageDecoder(16)
    for k, chunk in enumerate(voltage()):
        frame = encoder.encode(chunk, (k + 1) * 1_000_000)
        assert (frame.mode, frame.sequence) == (mode, k)
        back = decoder.decode(decode_frame(encode_frame(frame), frame.t_ns))
        assert back.dtype == np.int16
        assert np.array_equal(back, chunk)


def test_the_modes_cost_what_they_promise():
    size = {way: len(VoltageEncoder(way[0], 16, way[1]).encode(voltage(1, 400)[0], 0).payload) for way in WAYS}
    assert size[WAYS[0]] == 6 + 2 * 400 * 16
    assert size[WAYS[1]] == 6 + 400 * 16 * 10 // 8
    assert size[WAYS[2]] < 0.8 * size[WAYS[1]]


def test_after_a_lost_block_the_codec_waits_for_a_restart_and_wired_goes_on():
    for mode, readable in ((Mode.WIRED, [0, 2, 3, 4, 5]), (Mode.LOSSLESS, [0, 3, 4, 5])):
        encoder, decoder = VoltageEncoder(mode, 16, 16, restart_every=3), VoltageDecoder(16)
        found = []
        for k, chunk in enumerate(voltage()):
            frame = encoder.encode(chunk, k)
            if k == 1:
                continue
            try:
                assert np.array_equal(decoder.decode(frame), chunk)
                found.append(k)
            except InputError:
                assert decoder.waiting
        assert found == readable


@given(st.integers(0, 9), st.integers(0, 9), st.sampled_from([10, 16]), st.randoms())
def test_any_shape(samples, channels, bits, random):
    low, high = (-512, 511) if bits == 10 else (-32_768, 32_767)
    chunk = np.array([random.randint(low, high) for _ in range(samples * channels)], np.int16).reshape(samples, channels)
    assert np.array_equal(decode_wired(encode_wired(chunk, bits)), chunk)


@given(st.binary(max_size=60))
def test_noise_is_refused_or_some_voltage(noise):
    with contextlib.suppress(InputError):
        assert decode_wired(noise).ndim == 2
    with pytest.raises(InputError):
        VoltageDecoder(16).decode(Frame(Mode.LOSSLESS, 0, 0, noise))


def test_cut_off_and_lengthened_payloads_are_refused():
    for bits in (10, 16):
        payload = encode_wired(voltage(1, 3, 3)[0], bits)
        for wrong in (payload[:-1], payload + b"\0", payload[:3]):
            with pytest.raises(InputError):
                decode_wired(wrong)
    dirty = bytearray(encode_wired(voltage(1, 3, 3)[0], 10))
    dirty[-1] |= 1
    with pytest.raises(InputError, match="zeros"):
        decode_wired(bytes(dirty))


def test_what_does_not_fit_is_refused():
    loud = np.full((4, 16), 600, np.int16)
    for call in (lambda: encode_wired(loud, 10), lambda: VoltageEncoder(Mode.LOSSLESS, 16).encode(loud, 0)):
        with pytest.raises(InputError, match="10 bits"):
            call()
    with pytest.raises(InputError):
        encode_wired(loud.astype(np.float32))
    with pytest.raises(InputError, match="65535"):
        encode_wired(np.zeros((65_536, 1), np.int16))
    with pytest.raises(InputError, match="expected 8"):
        VoltageEncoder(Mode.WIRED, 8).encode(loud, 0)
    with pytest.raises(InputError, match="expected 8"):
        VoltageDecoder(8).decode(VoltageEncoder(Mode.WIRED, 16).encode(loud, 0))
    with pytest.raises(InputError, match="no voltage"):
        VoltageDecoder(8).decode(Frame(Mode.COUNTS, 0, 0, b""))
    with pytest.raises(ConfigError):
        encode_wired(loud, 12)
    with pytest.raises(ConfigError):
        VoltageEncoder(Mode.COUNTS, 16)
