import zlib
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volition.channel import _codec_kernels as kernels
from volition.channel import _codec_twin as twin
from volition.channel._codec_stream import HEADER, StreamDecoder, StreamEncoder, warm_up
from volition.channel._codec_tables import stream_tables
from volition.errors import ConfigError, InputError

needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="numba (extra [fast]) is not installed")
ENGINES = [pytest.param(True, marks=needs_numba, id="numba"), pytest.param(False, id="numpy")]


def noise(samples, channels, seed=0, scale=6.0):
    rng = np.random.default_rng(seed)
    return np.clip(np.rint(527 + scale * rng.standard_normal((samples, channels))), 0, 1023).astype(np.uint16)


@pytest.mark.parametrize("fast", ENGINES)
def test_blocks_of_any_length_come_back(fast):
    encoder, decoder = StreamEncoder(37, fast=fast), StreamDecoder(37, fast=fast)
    for i, samples in enumerate([1, 7, 20, 3, 64, 1]):
        codes = noise(samples, 37, i, scale=[1, 6, 300][i % 3])
        assert decoder.number == i
        np.testing.assert_array_equal(decoder.decode(encoder.encode(codes)), codes)


@needs_numba
def test_compiled_and_numpy_give_the_same_blocks():
    fast, slow = StreamEncoder(260, 3, fast=True), StreamEncoder(260, 3, fast=False)
    back = StreamDecoder(260, fast=True)
    for i in range(5):
        codes = noise(20, 260, i, scale=[2, 9, 40, 200, 0.1][i])
        block = fast.encode(codes)
        assert block == slow.encode(codes)
        np.testing.assert_array_equal(back.decode(block), codes)


def test_the_loops_as_they_stand_do_what_the_twin_does():
    # the source of the compiled kernels, run by the interpreter: no numba needed
    t, codes, lanes = stream_tables(), noise(12, 5, scale=30.0), 2
    codes[4, 1] = 1000
    state = {
        name: (np.full(5, 527, np.uint16), np.full(5, 384, np.int32), np.zeros(5, np.int32)) for name in ("loop", "twin")
    }
    entry, side = twin.model(codes, *state["twin"], t.class_of, t.table)
    loop_entry, loop_side = np.zeros((12, 5), np.int32), np.zeros(60, np.uint16)
    row, index = np.zeros(5, np.int32), np.zeros(5, np.uint32)
    n = kernels.model(codes, *state["loop"], t.class_of, t.table, row, index, loop_entry, loop_side)
    np.testing.assert_array_equal(loop_entry, entry)
    np.testing.assert_array_equal(loop_side[:n], side)
    ends = [np.full(lanes, 1 << 15, np.int32) for _ in range(2)]
    words = twin.encode_lanes(entry, ends[0])
    out = np.zeros(200, np.uint16)
    first = int(kernels.encode_lanes(entry, ends[1], out, 200, np.zeros(5, np.int32)))
    np.testing.assert_array_equal(out[first:], words)
    np.testing.assert_array_equal(ends[0], ends[1])
    back, data = np.zeros_like(codes), np.append(words, np.zeros(lanes, np.uint16))
    start = np.full(5, 527, np.uint16), np.full(5, 384, np.int32), np.zeros(5, np.int32)
    used = kernels.decode_lanes(back, *start, t.class_of, t.table, t.lookup, ends[1], data, np.zeros(5, np.int32), row, side)
    assert used == (len(words), len(side))
    np.testing.assert_array_equal(back, codes)


def test_every_row_of_the_table_fills_its_slots():
    t = stream_tables()
    rows = t.table.reshape(-1, kernels.SYMBOLS)
    frequency, start = rows & 0xFFFF, rows >> 16
    assert (frequency.sum(1) == 1 << kernels.PROBABILITY_BITS).all()
    np.testing.assert_array_equal(start, np.cumsum(frequency, 1) - frequency)
    assert (frequency[:, 0] > 0).all()
    assert (frequency[:, [1, -1]] == 0).all()
    assert 0 < t.least_bits < np.log2((1 << kernels.PROBABILITY_BITS) / frequency.max())


def test_a_code_that_never_occurs_gets_no_slots_and_still_comes_back():
    # 511 does not occur in the recordings; a converter of another make may give it
    codes = np.full((50, 8), 511, np.uint16)
    np.testing.assert_array_equal(StreamDecoder(8, False).decode(StreamEncoder(8, fast=False).encode(codes)), codes)


def test_the_past_helps_and_a_restart_costs_little():
    codes = noise(60, 64) + np.uint16(150)
    blocks = [codes[i : i + 20] for i in range(0, 60, 20)]
    alone, chained = StreamEncoder(64, 1, fast=False), StreamEncoder(64, fast=False)
    sizes = [(len(alone.encode(b)), len(chained.encode(b))) for b in blocks]
    assert sizes[0][0] == sizes[0][1]
    assert all(a > c for a, c in sizes[1:])


def make(channels, blocks, restart_every):
    encoder = StreamEncoder(channels, restart_every, fast=False)
    codes = [noise(10, channels, i) for i in range(blocks)]
    return codes, [encoder.encode(c) for c in codes]


def test_after_a_lost_block_it_waits_for_the_restart():
    codes, blocks = make(8, 8, 4)
    decoder = StreamDecoder(8, False)
    decoder.decode(blocks[0])
    with pytest.raises(InputError, match="block 2 came where block 1 should"):
        decoder.decode(blocks[2])
    assert decoder.waiting
    with pytest.raises(InputError, match="where a restart block should"):
        decoder.decode(blocks[3])
    np.testing.assert_array_equal(decoder.decode(blocks[4]), codes[4])
    assert not decoder.waiting
    np.testing.assert_array_equal(decoder.decode(blocks[5]), codes[5])


def test_a_damaged_block_can_be_sent_again():
    codes, blocks = make(8, 3, 100)
    decoder = StreamDecoder(8, False)
    decoder.decode(blocks[0])
    bad = bytearray(blocks[1])
    bad[-1] ^= 4
    with pytest.raises(InputError, match="block 1 is damaged"):
        decoder.decode(bytes(bad))
    np.testing.assert_array_equal(decoder.decode(blocks[1]), codes[1])


def test_every_block_stands_alone_where_each_is_a_restart():
    codes, blocks = make(8, 4, 1)
    decoder = StreamDecoder(8, False)
    for i in (2, 0, 3):
        np.testing.assert_array_equal(decoder.decode(blocks[i]), codes[i])


def test_blocks_of_two_streams_are_not_mixed():
    _, ours = make(8, 2, 100)
    other = StreamEncoder(8, fast=False)
    other.encode(noise(10, 8, 77))
    stranger = other.encode(noise(10, 8, 78))
    decoder = StreamDecoder(8, False)
    decoder.decode(ours[0])
    with pytest.raises(InputError, match="block 1 came where block 1 should"):
        decoder.decode(stranger)


_, BLOCKS = make(8, 2, 100)


@pytest.mark.parametrize("fast", ENGINES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_gives_an_error(fast, data):
    decoder = StreamDecoder(8, fast)
    decoder.decode(BLOCKS[0])
    good = BLOCKS[1]
    at = data.draw(st.integers(0, 8 * len(good) - 1))
    flipped = bytearray(good)
    flipped[at // 8] ^= 1 << at % 8
    for bad in (bytes(flipped), good[: at // 8], data.draw(st.binary(max_size=80)), b"VB\x01" + data.draw(st.binary())):
        with pytest.raises(InputError):
            decoder.decode(bad)


@pytest.mark.parametrize("fast", ENGINES)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_forged_blocks_never_crash(fast, data):
    bad = bytearray(BLOCKS[0])
    for _ in range(data.draw(st.integers(1, 4))):
        bad[data.draw(st.integers(3, len(bad) - 1))] = data.draw(st.integers(0, 255))
    crc = zlib.crc32(bad[HEADER.size :], zlib.crc32(bad[: HEADER.size - 4]))
    bad[HEADER.size - 4 : HEADER.size] = crc.to_bytes(4, "little")
    decoder = StreamDecoder(8, fast)
    try:
        codes = decoder.decode(bytes(bad))
    except InputError:
        return
    assert codes.max() <= 1023


@pytest.mark.parametrize("fast", ENGINES)
def test_forged_words_are_refused_at_their_end(fast):
    # all words gone, states kept: the lanes run dry at once
    fields = list(HEADER.unpack_from(BLOCKS[0]))
    fields[10], fields[5] = 0, 2
    body = BLOCKS[0][HEADER.size : HEADER.size + 4 * fields[7]]
    fields[9] = 0
    head = HEADER.pack(*fields)[:-4]
    crc = zlib.crc32(body, zlib.crc32(head))
    with pytest.raises(InputError, match=r"do not decode|cannot hold"):
        StreamDecoder(8, fast).decode(head + crc.to_bytes(4, "little") + body)


def test_a_block_cannot_promise_more_than_its_words_hold():
    fields = list(HEADER.unpack_from(BLOCKS[0]))
    fields[5] = 32_000
    head = HEADER.pack(*fields)[:-4]
    body = BLOCKS[0][HEADER.size :]
    crc = zlib.crc32(body, zlib.crc32(head))
    with pytest.raises(InputError, match="cannot hold 32000 x 8 samples"):
        StreamDecoder(8, False).decode(head + crc.to_bytes(4, "little") + body)


def test_wrong_sizes_are_refused():
    with pytest.raises(ConfigError, match="1 to 65535 channels"):
        StreamEncoder(0)
    with pytest.raises(ConfigError, match="restart_every"):
        StreamEncoder(4, 0)
    with pytest.raises(InputError, match=r"got shape \(3, 5\)"):
        StreamEncoder(4, fast=False).encode(np.zeros((3, 5), np.uint16))
    with pytest.raises(InputError, match="this decoder takes 9 channels"):
        StreamDecoder(9, False).decode(BLOCKS[0])


@needs_numba
def test_after_the_warm_up_no_block_waits_for_the_compiler():
    import time

    warm_up()
    encoder, decoder, codes = StreamEncoder(16), StreamDecoder(16), noise(20, 16)
    begin = time.process_time()
    np.testing.assert_array_equal(decoder.decode(encoder.encode(codes)), codes)
    assert time.process_time() - begin < 0.5
