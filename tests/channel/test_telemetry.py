"""Frames: byte exact, and nothing damaged is taken for true."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volition.channel._telemetry import OVERHEAD, Frame, Mode, decode_frame, encode_frame
from volition.errors import InputError

frames = st.builds(
    Frame, st.sampled_from(Mode), st.integers(0, 65_535), st.integers(0, (1 << 63) - 1), st.binary(max_size=80)
)


@given(frames, st.integers(-2_000_000_000, 2_000_000_000))
def test_every_frame_comes_back_whatever_the_receivers_clock_says_within_2_s(frame, off):
    data = encode_frame(frame)
    assert len(data) == OVERHEAD + len(frame.payload)
    assert decode_frame(data, frame.t_ns + off) == frame


@given(frames, st.sets(st.integers(0, 7 + 80 + 4 * 8 - 1), min_size=1, max_size=40))
def test_wrong_bits_are_found(frame, where):
    data = encode_frame(frame)
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    bits[[w % len(bits) for w in where]] ^= 1
    damaged = np.packbits(bits).tobytes()
    if damaged != data:
        with pytest.raises(InputError, match="checksum"):
            decode_frame(damaged, frame.t_ns)


@pytest.mark.parametrize("width", [1, 2, 9, 17, 32])
def test_every_burst_of_up_to_32_bits_is_found(width):
    data = encode_frame(Frame(Mode.COUNTS, 7, 123_456_789_000, bytes(range(50))))
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    for at in range(len(bits) - width + 1):
        wrong = bits.copy()
        wrong[at : at + width] ^= 1
        with pytest.raises(InputError):
            decode_frame(np.packbits(wrong).tobytes(), 123_456_789_000)


@given(frames, st.data())
def test_cut_off_and_lengthened_frames_are_found(frame, data):
    whole = encode_frame(frame)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(InputError):
        decode_frame(whole[:cut], frame.t_ns)
    with pytest.raises(InputError):
        decode_frame(whole + data.draw(st.binary(min_size=1, max_size=8)), frame.t_ns)


@given(st.binary(max_size=200), st.integers(0, 1 << 62))
def test_noise_is_no_frame(noise, clock):
    with pytest.raises(InputError):
        decode_frame(noise, clock)


def test_a_clock_that_is_wrong_finds_no_time_rather_than_a_wrong_one():
    frame = Frame(Mode.COUNTS, 1, 50_000_000_000, b"abc")
    for off in (3_000_000_000, 5_000_000_000, 1 << 40, -3_000_000_000):
        with pytest.raises(InputError, match="another time"):
            decode_frame(encode_frame(frame), frame.t_ns + off)


def test_another_version_and_a_negative_time_are_refused():
    import struct
    import zlib

    body = struct.pack("<BHI", 2 << 4 | Mode.COUNTS, 0, 0)
    data = body + struct.pack("<I", zlib.crc32(bytes(4), zlib.crc32(body)))
    with pytest.raises(InputError, match="version 2"):
        decode_frame(data, 0)
    with pytest.raises(InputError, match="time"):
        encode_frame(Frame(Mode.COUNTS, 0, -1, b""))


def test_the_sequence_goes_round():
    data = encode_frame(Frame(Mode.COUNTS, 65_536 + 5, 0, b""))
    assert decode_frame(data, 0).sequence == 5
