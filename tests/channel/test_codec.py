import os
import struct
import wave
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volition.channel import _codec
from volition.channel._codec import decode, decode_file, encode, encode_file
from volition.channel._codec_map import MAP, codes_from_samples, parse_wav, samples_from_codes
from volition.channel._codec_measure import measure_files, measure_stream, read_folder, stretches
from volition.channel._codec_tables import dense_tables
from volition.errors import ConfigError, InputError

needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="numba (extra [fast]) is not installed")
MODES = ["dense", "stream"]


def voltage(samples, channels=1, seed=0, noise=6.0):
    """A slow potential and white noise, seen by the uneven converter: codes `[samples, channels]`."""
    rng = np.random.default_rng(seed)
    slow = 20 * np.sin(2 * np.pi * 7 * np.arange(samples) / 19_531)[:, None] * rng.uniform(0.5, 1.5, channels)
    x = dense_tables().middles[527] / 32 + slow + noise * rng.standard_normal((samples, channels))
    return (np.searchsorted(dense_tables().edges[1:-1], x * 32, side="right")).astype(np.uint16)


def wav_bytes(path, samples, channels=1):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(19_531)
        file.writeframes(samples.astype("<i2").tobytes())
    return path.read_bytes()


def test_the_map_is_one_to_one_and_known_at_its_ends():
    codes = np.arange(1024, dtype=np.uint16)
    assert len(np.unique(MAP)) == 1024
    assert (MAP[0], MAP[1], MAP[1023]) == (-32768, -32703, 32767)
    np.testing.assert_array_equal(codes_from_samples(samples_from_codes(codes)), codes)


def test_samples_of_another_converter_are_refused():
    with pytest.raises(InputError, match="sample 1 is 5, which is no value"):
        codes_from_samples(np.array([MAP[3], 5], np.int16))
    with pytest.raises(InputError, match="int16"):
        codes_from_samples(np.zeros(3))


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_any_codes_come_back_without_numba(mode, data):
    shape = data.draw(st.tuples(st.integers(0, 12), st.integers(0, 19)))
    codes = data.draw(st.lists(st.integers(0, 1023), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    codes = np.array(codes, np.uint16).reshape(shape)
    np.testing.assert_array_equal(decode(encode(codes, mode, fast=False), fast=False), codes)


@needs_numba
@pytest.mark.parametrize("mode", MODES)
def test_compiled_and_plain_give_the_same_bytes(mode):
    codes = np.hstack([voltage(260, 2, noise=3.0), voltage(260, 1, 1, noise=150.0), np.full((260, 1), 700, np.uint16)])
    codes[100:104, 0] = 0, 1023, 5, 1000
    fast = encode(codes, mode, fast=True)
    assert fast == encode(codes, mode, fast=False)
    np.testing.assert_array_equal(decode(fast, fast=False), codes)
    np.testing.assert_array_equal(decode(fast, fast=True), codes)


@needs_numba
@pytest.mark.parametrize(("mode", "excess"), [("dense", 0.01), ("stream", 0.05)])
def test_white_steps_cost_their_entropy(mode, excess):
    # x_t = x_t-1 + e, e normal: what an ideal coder that knows the last value and the converter pays per sample
    samples, sigma, channels = 6_000, 5.0, 16
    rng = np.random.default_rng(3)
    edges, middles = dense_tables().edges / 32, dense_tables().middles / 32
    codes = np.empty((samples, channels), np.uint16)
    last, bits = np.full(channels, 527), 0.0
    for t in range(samples):
        pull = 0.02 * (middles[527] - middles[last])
        x = middles[last] + pull + sigma * rng.standard_normal(channels)
        now = np.searchsorted(edges[1:-1], x, side="right")
        bits -= np.log2(
            normal(edges[now + 1] - middles[last] - pull, sigma) - normal(edges[now] - middles[last] - pull, sigma)
        ).sum()
        codes[t] = last = now
    spent = 8 * len(encode(codes, mode))
    assert bits < spent < (1 + excess) * bits + 16 * 8 * 70


def normal(x, sigma):
    from scipy.special import ndtr

    return ndtr(x / sigma)


@needs_numba
def test_a_stuck_channel_costs_next_to_nothing():
    codes = np.full((20_000, 1), 700, np.uint16)
    assert len(encode(codes, "dense")) < 20_000 * 0.1 / 8
    assert len(encode(np.repeat(codes, 8, 1), "stream")) < 8 * 20_000 * 0.5 / 8


@pytest.mark.parametrize("mode", MODES)
def test_wrong_arrays_are_refused(mode):
    with pytest.raises(InputError, match="uint16 array"):
        encode(np.zeros((3, 3), np.int16), mode)
    with pytest.raises(InputError, match="uint16 array"):
        encode(np.zeros(3, np.uint16), mode)
    with pytest.raises(InputError, match="code 1024 at sample 1, channel 0"):
        encode(np.array([[0], [1024]], np.uint16), mode)


def test_unknown_mode_is_refused():
    with pytest.raises(ConfigError, match="known: dense, stream"):
        encode(np.zeros((1, 1), np.uint16), "tiny")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_wav_file_comes_back_byte_for_byte(tmp_path, mode, channels):
    raw = wav_bytes(tmp_path / "x.wav", samples_from_codes(voltage(60, channels)), channels)
    tail = b"LIST\x04\x00\x00\x00abcd"
    for file in (raw, raw + tail, raw[:12] + tail + raw[12:]):
        assert decode_file(encode_file(file, mode, fast=False), fast=False) == file
    assert len(encode_file(raw, mode, fast=False)) < len(raw)


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=200))
def test_any_other_file_comes_back_too(raw):
    assert decode_file(encode_file(raw)) == raw
    cut = b"RIFF\x10\x00\x00\x00WAVE" + raw
    assert decode_file(encode_file(cut)) == cut


def test_a_wav_file_of_a_16_bit_converter_is_kept(tmp_path):
    raw = wav_bytes(tmp_path / "x.wav", np.arange(-50, 50))
    np.testing.assert_array_equal(parse_wav(raw).samples.ravel(), np.arange(-50, 50))
    assert decode_file(encode_file(raw)) == raw


def test_a_cut_off_wav_file_says_so(tmp_path):
    raw = wav_bytes(tmp_path / "x.wav", np.arange(50))
    with pytest.raises(InputError, match="cut off: 90 of 100 bytes"):
        parse_wav(raw[:-10])


def test_files_and_arrays_are_not_mixed_up():
    with pytest.raises(InputError, match="decode_file"):
        decode(encode_file(b"abc"))
    with pytest.raises(InputError, match="decode reads it"):
        decode_file(encode(np.zeros((1, 1), np.uint16), fast=False))


def readers(data):
    for read in (decode, decode_file):
        with pytest.raises(InputError) as caught:
            read(data, fast=False)
        assert "\n" not in str(caught.value)


SMALL = {mode: encode(voltage(40, 2), mode, fast=False) for mode in MODES}


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_flipped_bits_and_cuts_are_noticed(mode, data):
    good = SMALL[mode]
    at = data.draw(st.integers(0, 8 * len(good) - 1))
    flipped = bytearray(good)
    flipped[at // 8] ^= 1 << at % 8
    readers(bytes(flipped))
    readers(good[: at // 8])
    readers(good + data.draw(st.binary(min_size=1, max_size=9)))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=120), st.booleans())
def test_random_bytes_are_refused(raw, with_magic):
    readers(b"VL\x01" + raw if with_magic else raw)


def seal(data):
    """Give changed bytes the right checksum: what a forger would do."""
    size = _codec.HEADER.size
    head, body = data[: size - 4], data[size:]
    return head + struct.pack("<I", zlib.crc32(body, zlib.crc32(head))) + body


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_forged_contents_end_in_an_error_or_in_nothing_wrong(mode, data):
    good = SMALL[mode]
    bad = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        bad[data.draw(st.integers(3, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        result = decode(seal(bytes(bad)), fast=False)
    except InputError:
        return
    assert zlib.crc32(result.tobytes()) == _codec.HEADER.unpack_from(bytes(bad))[6]


def test_a_header_that_promises_too_much_is_refused_before_memory_is_taken():
    for mode in MODES:
        fields = list(_codec.HEADER.unpack_from(SMALL[mode]))
        fields[4] = 4_000_000_000
        forged = seal(_codec.HEADER.pack(*fields) + SMALL[mode][_codec.HEADER.size :])
        with pytest.raises(InputError, match="header"):
            decode(forged, fast=False)
    bomb = encode_file(bytes(10_000_000))
    fields = list(_codec.HEADER.unpack_from(bomb))
    fields[4] = 100
    with pytest.raises(InputError, match="longer"):
        decode_file(seal(_codec.HEADER.pack(*fields) + bomb[_codec.HEADER.size :]))


def test_stretches_are_different_parts_of_the_files(tmp_path):
    files = [wav_bytes(tmp_path / f"{i}.wav", samples_from_codes(voltage(1000 + i, 1, i))) for i in range(3)]
    cut = stretches(files, 8)
    assert cut.shape == (333, 8)
    assert len({column.tobytes() for column in cut.T}) == 8
    with pytest.raises(InputError, match="no WAV files"):
        read_folder(tmp_path / "nothing")


@needs_numba
def test_real_recordings_not_learnt_from():
    if "VOLITION_DATA" not in os.environ:
        pytest.skip("VOLITION_DATA is not set: real recordings are not here")
    files = read_folder(Path(os.environ["VOLITION_DATA"]) / "broadband_neuralink")[1::8]
    dense = measure_files(files[:4])
    assert dense.ratio16 > 3.3
    assert dense.ratio10 == pytest.approx(dense.ratio16 / 1.6)
    stream = measure_stream(stretches(files, 1024))
    assert stream.ratio16 > 3.38
