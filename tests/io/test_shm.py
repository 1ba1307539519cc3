import gc
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from volition.errors import ConfigError, InputError
from volition.io.shm import RingReader, RingWriter

SEGMENTS = Path("/dev/shm")
needs_files = pytest.mark.skipif(not SEGMENTS.is_dir(), reason="shared memory shows as files on Linux only")

PRODUCER = """
    import sys, time
    import numpy as np
    from volition.io.shm import RingWriter
    with RingWriter({name!r}, columns={columns}, rows=30) as ring:
        print("ready", flush=True)
        sys.stdin.readline()
        chunk, due = np.zeros((30, {columns}), np.int16), time.monotonic_ns()
        for k in range({chunks}):
            chunk[:] = k
            ring.write(chunk, k * 1_000_000)
            due += 1_000_000
            time.sleep(max(0, due - time.monotonic_ns()) * 1e-9)
        time.sleep({linger})
"""


@pytest.fixture
def name():
    unique = f"volition-test-{os.getpid()}-{time.monotonic_ns()}"
    yield unique
    (SEGMENTS / unique).unlink(missing_ok=True)


@contextmanager
def program(code, **values):
    """A child that says "ready"; a line on its standard input lets it go on."""
    code = textwrap.dedent(code.format(**values))
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "ready\n"
        yield child
    finally:
        child.kill()
        child.communicate(timeout=10)


def go(child):
    child.stdin.write("\n")
    child.stdin.flush()


def drain(reader, seconds):
    chunks, end = [], time.monotonic() + seconds
    while time.monotonic() < end and reader.state not in ("ended", "dead"):
        chunk = reader.read(timeout_s=0.05)
        if chunk is not None:
            chunks.append(chunk)
    return chunks


def chunk(value, rows=4, columns=3):
    return np.full((rows, columns), value, np.int16)


def test_chunks_arrive_whole_and_in_order_with_their_times(name):
    with RingWriter(name, columns=3, rows=4, slots=8) as ring, RingReader(name) as reader:
        assert reader.read() is None
        for k in range(5):
            ring.write(chunk(k, rows=1 + k % 4), t_ns=10 * k)
        got = [reader.read() for _ in range(5)]
        assert [c.number for c in got] == list(range(5))
        assert [c.t_ns for c in got] == [0, 10, 20, 30, 40]
        assert [c.samples.shape for c in got] == [(1 + k % 4, 3) for k in range(5)]
        assert all((c.samples == k).all() for k, c in enumerate(got))
        assert reader.read() is None
        assert reader.lost == 0


def test_what_a_consumer_missed_is_counted_and_the_producer_never_waits(name):
    with RingWriter(name, columns=3, rows=4, slots=8) as ring, RingReader(name) as slow, RingReader(name) as fast:
        seen = []
        for k in range(100):
            ring.write(chunk(k))
            seen.append(fast.read().number)
        assert seen == list(range(100))
        late = []
        while (c := slow.read()) is not None:
            assert (c.samples == c.number).all()
            late.append(c.number)
        assert late == list(range(100 - len(late), 100))
        assert slow.lost == 100 - len(late)
        assert fast.lost == 0


def test_a_chunk_overwritten_while_it_is_copied_is_lost_not_torn(name):
    with RingWriter(name, columns=3, rows=4, slots=4) as ring, RingReader(name) as reader:
        ring.write(chunk(7))
        reader._views.words[0][0] += 1  # as if the producer had begun to write into this slot again
        assert reader.read() is None
        assert reader.lost == 1


def test_a_consumer_begins_with_what_comes_next(name):
    with RingWriter(name, columns=3, rows=4) as ring:
        ring.write(chunk(1))
        with RingReader(name) as reader:
            assert reader.read() is None
            ring.write(chunk(2))
            assert reader.read().number == 1


def test_the_end_is_told_after_the_last_chunk(name):
    ring = RingWriter(name, columns=3, rows=4)
    with RingReader(name) as reader:
        ring.write(chunk(1))
        ring.close()
        assert reader.state == "streaming"
        assert reader.read().number == 0
        assert reader.state == "ended"
        with pytest.raises(InputError, match="closed"):
            ring.write(chunk(1))
        with pytest.raises(InputError, match="no shared memory"):
            RingReader(name)


@needs_files
def test_the_segment_is_its_owners_alone_and_goes_with_close_or_with_the_object(name):
    ring = RingWriter(name, columns=3, rows=4)
    assert stat.S_IMODE((SEGMENTS / name).stat().st_mode) == 0o600
    del ring
    gc.collect()
    assert not (SEGMENTS / name).exists()


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros((5, 3), np.int16), "takes chunks"),
        (np.zeros((2, 4), np.int16), "takes chunks"),
        (np.zeros((0, 3), np.int16), "takes chunks"),
        (np.zeros((2, 3), np.float64), "takes int16"),
    ],
)
def test_another_shape_or_type_is_refused(name, samples, words):
    with RingWriter(name, columns=3, rows=4) as ring, pytest.raises(InputError, match=words):
        ring.write(samples)


@pytest.mark.parametrize("wrong", [{"columns": 0}, {"columns": 2, "slots": 1}, {"columns": 2, "dtype": "float64"}])
def test_impossible_sizes_are_refused(name, wrong):
    with pytest.raises(ConfigError, match="shared memory"):
        RingWriter(name, **wrong)


def test_a_name_in_use_is_refused(name):
    with RingWriter(name, columns=3), pytest.raises(ConfigError, match="being written by process"):
        RingWriter(name, columns=3)


@needs_files
def test_what_is_no_ring_is_refused_and_left_alone(name):
    (SEGMENTS / name).write_bytes(b"\0" * 8192)
    with pytest.raises(InputError, match="not a ring"):
        RingReader(name)
    with pytest.raises(ConfigError, match="choose another name"):
        RingWriter(name, columns=3)
    assert (SEGMENTS / name).exists()
    with pytest.raises(InputError, match="no shared memory"):
        RingReader(name + "-absent")


def test_a_kilohertz_of_chunks_of_1024_channels_crosses_processes(name):
    with program(PRODUCER, name=name, columns=1024, chunks=500, linger=5) as child, RingReader(name) as reader:
        go(child)
        got = []
        end = time.monotonic() + 5
        while len(got) + reader.lost < 500 and time.monotonic() < end:
            c = reader.read(timeout_s=0.1)
            if c is not None:
                got.append((c.number, time.monotonic_ns() - c.sent_ns))
                assert (c.samples == np.int16(c.number)).all()
        assert len(got) + reader.lost == 500
        assert len(got) > 250
        assert np.median([latency for _, latency in got]) < 20e6  # a bound that a loaded machine keeps; the bench measures


def test_a_killed_producer_is_noticed_and_its_successor_found(name):
    with program(PRODUCER, name=name, columns=8, chunks=10_000, linger=0) as child, RingReader(name) as reader:
        go(child)
        assert reader.read(timeout_s=2) is not None
        os.kill(child.pid, signal.SIGKILL)
        began = time.monotonic()
        drain(reader, 3)
        assert reader.state == "dead"
        assert time.monotonic() - began < 1
        with RingWriter(name, columns=8) as ring:  # replaces what the killed one left
            ring.write(chunk(5, columns=8))
            c = reader.read(timeout_s=2)
            assert c.number == 0
            assert (c.samples == 5).all()
            assert reader.restarts == 1
            assert reader.state == "streaming"


CONSUMER = """
    import sys
    from volition.io.shm import RingReader
    reader = RingReader({name!r})
    print("ready", flush=True)
    sys.stdin.readline()
    {end}
"""


@needs_files
@pytest.mark.parametrize("end", ["sys.exit(0)", "import os; os.kill(os.getpid(), 9)"])
def test_a_consumer_that_ends_or_crashes_takes_nothing_with_it(name, end):
    with RingWriter(name, columns=3, rows=4) as ring:
        with program(CONSUMER, name=name, end=end) as child:
            go(child)
            child.wait(timeout=10)
        time.sleep(0.2)  # a resource tracker of the child would unlink now
        assert (SEGMENTS / name).exists()
        with RingReader(name) as reader:
            ring.write(chunk(1))
            assert reader.read().number == 0


def test_a_silent_producer_that_lives_is_idle(name):
    with RingWriter(name, columns=3), RingReader(name) as reader:
        assert reader.read(timeout_s=0.12) is None
        assert reader.state == "idle"
