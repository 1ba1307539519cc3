import contextlib
import os
import signal
import struct
import subprocess
import sys
import textwrap
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from volition.errors import LogError
from volition.loop.log import MAGIC, LogReader, LogWriter, decode, encode
from volition.signal import Features, Stim

ARRAYS = hnp.arrays(
    st.sampled_from([np.uint8, np.uint16, np.int64, np.float32, np.float64, np.bool_]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
)


@given(ARRAYS)
@settings(max_examples=60, deadline=None)
def test_any_array_comes_back_to_the_byte(array):
    (back,) = decode(encode(array))
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


@given(st.binary(max_size=40))
@settings(max_examples=100, deadline=None)
def test_garbage_is_an_error_or_arrays_never_a_crash(payload):
    with contextlib.suppress(LogError):
        decode(payload)


def write(path, n, **options):
    log = LogWriter(path, **options)
    for k in range(n):
        log.write("features", Features(k, np.full(8, k, np.float32), np.zeros(8, bool)))
        log.write("stim", Stim.zero(k, 3) if k % 2 else None)
        log.tick(k * 20_000_000)
    return log


def test_signals_come_back_in_order(tmp_path):
    write(tmp_path / "a.vlog", 100).close()
    reader = LogReader(tmp_path / "a.vlog")
    rows = list(reader)
    assert [name for name, _ in rows] == ["features", "stim"] * 100
    assert not reader.truncated
    assert reader.read("features")["x"].shape == (100, 8)
    assert len(reader.read("stim")["t_ns"]) == 50  # nothing came in the other half


def test_equal_signals_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name, 200).close()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_any_cut_loses_at_most_the_last_block(tmp_path):
    whole = tmp_path / "whole"
    write(whole, 300).close()
    data = whole.read_bytes()
    reader = LogReader(whole)
    total, blocks = len(list(reader)), reader.blocks
    assert blocks >= 5
    for cut in np.linspace(len(b"volition-log 1\n"), len(data) - 1, 60).astype(int):
        torn = tmp_path / "torn"
        torn.write_bytes(data[:cut])
        again = LogReader(torn)
        rows = list(again)
        assert rows == [] or rows[-1][0] in ("features", "stim")
        assert len(rows) <= total
        assert again.blocks >= blocks * cut / len(data) - 2


def test_a_damaged_block_ends_the_log_there(tmp_path):
    path = tmp_path / "a"
    write(path, 300).close()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    reader = LogReader(path)
    n = len(list(reader))
    assert 0 < n < 600
    assert reader.truncated


def block(raw, packed=None):
    packed = zlib.compress(raw) if packed is None else packed
    return MAGIC + struct.pack("<4sIIII", b"VLOG", len(raw), len(packed), 0, zlib.crc32(packed)) + packed


@pytest.mark.parametrize(
    "raw",
    [
        b"\x01",  # ends inside the head of a record
        b"\x01\x00\xff\xff\xff\x7f" + bytes(10),  # a record longer than its block
        b"\x01\x00\x00\x00\x00\x00",  # a stream that was never named
        b"\x00\x00\x01\x00\x00\x00{",  # a name that is not JSON
        b"\x00\x00\x02\x00\x00\x00{}",  # a name that lacks its parts
    ],
)
def test_a_block_with_a_good_checksum_and_nonsense_in_it_is_an_error_of_the_log(tmp_path, raw):
    (tmp_path / "a").write_bytes(block(raw))
    with pytest.raises(LogError, match="block 0"):
        list(LogReader(tmp_path / "a"))


def test_a_block_that_cannot_be_unpacked_ends_the_log(tmp_path):
    (tmp_path / "a").write_bytes(block(b"abc", b"not packed"))
    reader = LogReader(tmp_path / "a")
    assert not list(reader)
    assert reader.truncated


def test_foreign_and_missing_files_are_refused(tmp_path):
    with pytest.raises(LogError, match="cannot read"):
        LogReader(tmp_path / "none")
    (tmp_path / "foreign").write_bytes(b"GIF89a")
    with pytest.raises(LogError, match="not a volition log"):
        LogReader(tmp_path / "foreign")


def test_an_existing_log_is_never_overwritten(tmp_path):
    write(tmp_path / "a", 1).close()
    with pytest.raises(LogError, match="cannot write"):
        LogWriter(tmp_path / "a")


def test_after_kill_9_all_but_the_last_block_is_there(tmp_path):
    path = tmp_path / "killed"
    program = textwrap.dedent(f"""
        import numpy as np
        from pathlib import Path
        from volition.loop.log import LogWriter
        log, k = LogWriter(Path({str(path)!r})), 0
        while True:
            log.write("x", np.full(100, k))
            log.tick(k * 20_000_000)
            k += 1
            if k % 50 == 0:
                print(k, flush=True)
    """)
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    reported = 0
    for _ in range(20):
        reported = int(child.stdout.readline())
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    values = LogReader(path).read("x")["value"][:, 0]
    assert np.array_equal(values, np.arange(len(values)))
    assert len(values) >= reported - 51  # one block is a second: 50 records


def test_any_block_can_be_read_alone(tmp_path):
    write(tmp_path / "a.vlog", 300).close()
    data = (tmp_path / "a.vlog").read_bytes()
    cuts = [at for at in range(len(data)) if data[at : at + 4] == b"VLOG"]
    assert len(cuts) >= 5
    magic, raw, packed, _, crc = struct.unpack_from("<4sIIII", data, cuts[3])
    alone = struct.pack("<4sIIII", magic, raw, packed, 0, crc) + data[cuts[3] + 20 : cuts[4]]
    (tmp_path / "b.vlog").write_bytes(MAGIC + alone)
    rows = list(LogReader(tmp_path / "b.vlog"))
    assert {name for name, _ in rows} == {"features", "stim"}
    assert rows[0][1]["x"].shape == (8,)
