"""Against pylsl in another process, which is killed, started again, stopped, and changed."""

import ast
import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import volition
from volition import Loop, LoopConfig
from volition.brain.lsl import Lsl, LslConfig
from volition.errors import ConfigError, MissingExtraError
from volition.loop.clock import RealTime
from volition.loop.replay import replay
from volition.signal import Broadband, Spikes, Stim, View
from volition.stage import Setup

PACKAGE = Path(volition.__file__).parent
try:
    import pylsl
except (ImportError, RuntimeError):
    pylsl = None
needs_pylsl = pytest.mark.skipif(pylsl is None, reason="pylsl (extra [lsl]) is not installed")

SENDER = """
    import sys, time
    import numpy as np, pylsl
    here = "[multicast]\\nResolveScope = machine\\n[lab]\\nKnownPeers = {127.0.0.1}\\n[log]\\nlevel = -3\\n"
    pylsl.set_config_content(here)
    name, kind, channels, rate, form = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5]
    chunk, n, stamps_hz = int(sys.argv[6]), int(sys.argv[7]), float(sys.argv[8])
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(name, kind, channels, rate, form, "id-" + name))
    print("ready", flush=True)
    sys.stdin.readline()
    outlet.wait_for_consumers(20)
    start = pylsl.local_clock()
    for k in range(0, n, chunk):
        at = start + (k + chunk) / stamps_hz
        time.sleep(max(0, at - pylsl.local_clock()))
        index = np.arange(k, k + chunk)
        rows = index[:, None] % 1000 if channels == 1 else (index[:, None] + np.arange(channels)) % 1000
        stamps = (start + (index + 1) / stamps_hz).tolist()
        outlet.push_chunk(rows % 8 if rate == 0 else rows, stamps)
    time.sleep(30)
"""


@contextmanager
def sender(name, kind="Counts", channels=4, rate=100.0, form="int16", chunk=1, n=100_000, hz=None, go=True):
    """A stream of another process: channel c of sample k is k + c (of events: k % 8); it starts when somebody listens."""
    args = [name, kind, channels, rate, form, chunk, n, hz or rate]
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SENDER), *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout.readline() == "ready\n"
        if go:
            start(child)
        yield child
    finally:
        child.kill()
        child.communicate(timeout=10)


def start(child):
    child.stdin.write("\n")
    child.stdin.flush()


def unique(stem):
    return f"{stem}-{os.getpid()}-{time.monotonic_ns()}"


class Drive:
    """Steps a brain on the real clock; notes what it gave, its states, and how long a step took."""

    def __init__(self, brain, bin_ns=10_000_000):
        self.brain, self.bin_ns, self.clock, self.t_ns = brain, bin_ns, RealTime(), 0
        self.signals, self.states, self.took = [], [], []

    def until(self, done, limit_s=8.0):
        """Until `done()`, which must come true in time."""
        end = time.monotonic() + limit_s
        while not done():
            assert time.monotonic() < end, f"{self.brain.state}: {self.brain.note}; {self.states}, {self.brain.losses}"
            self.clock.wait(self.t_ns)
            began = time.monotonic()
            self.signals.append(self.brain.step(View(self.t_ns, None, None), Stim.zero(self.t_ns, 0)))
            self.took.append(time.monotonic() - began)
            if not self.states or self.states[-1] != self.brain.state:
                self.states.append(self.brain.state)
            self.t_ns += self.bin_ns

    @property
    def good(self):
        return [s for s in self.signals if (s.samples.size if isinstance(s, Broadband) else not s.missing.any())]


@contextmanager
def listening(**config):
    brain = Lsl(LslConfig(**{"bin_ms": 10.0, "resolve_s": 10.0, **config}))
    brain.prepare(Setup(bin_ns=10_000_000))
    try:
        yield brain, Drive(brain)
    finally:
        brain.close()


PATIENT = {"slack_bins": 10_000, "max_age_ms": 60_000.0}  # nothing is dropped, however loaded the machine


@needs_pylsl
def test_counts_of_another_process_come_equal_in_order_and_once():
    name, n = unique("counts"), 150
    with sender(name, n=n), listening(name=name, **PATIENT) as (brain, drive):
        assert brain.spec.gives.size == 4
        assert brain.spec.gives.unit == "counts"
        drive.until(lambda: len(drive.good) == n)
        assert np.array_equal([s.counts for s in drive.good], np.arange(n)[:, None] + np.arange(4))
        assert drive.states[:2] == ["waiting", "streaming"]
        times = np.array([s.t_ns for s in drive.signals])
        assert (np.diff(times) > 0).all()
        assert set(brain.losses) <= {"missed"}
        assert not brain.intended().any()


@needs_pylsl
def test_events_of_another_process_fall_into_their_bins():
    name, n = unique("events"), 400
    how = {"kind": "Markers", "channels": 1, "rate": 0.0, "form": "int32", "chunk": 4, "hz": 400.0}
    with (
        sender(name, n=n, **how),
        listening(name=name, channels=8, delay_ms=300.0, silence_ms=0.0) as (brain, drive),
    ):
        drive.until(lambda: sum(int(s.counts.sum()) for s in drive.good) == n)
        total = sum(s.counts.astype(int) for s in drive.good)
        assert total.tolist() == [n // 8] * 8
        assert np.array_equal(np.concatenate([s.channel for s in drive.good]), np.arange(n) % 8)
        times = np.concatenate([s.event_t_ns for s in drive.good])
        # to the jitter of the clock's correction and of where the loop's clock began
        assert np.allclose(np.diff(times), 2_500_000, atol=1_500_000)
        for s in drive.good:
            assert np.array_equal(np.bincount(s.channel, minlength=8), s.counts)
            assert ((s.event_t_ns <= s.t_ns) & (s.event_t_ns > s.t_ns - 12_000_000)).all()
        assert "late" not in brain.losses


@needs_pylsl
def test_voltage_of_another_process_comes_whole():
    name, n = unique("voltage"), 10_000
    with (
        sender(name, kind="raw", channels=3, rate=10_000.0, chunk=50, n=n),
        listening(name=name, **PATIENT) as (brain, drive),
    ):
        assert brain.spec.gives.unit == "LSB"
        drive.until(lambda: len(drive.good) == n // 100)
        samples = np.concatenate([s.samples for s in drive.good])
        assert samples.dtype == np.int16
        assert np.array_equal(samples, (np.arange(n)[:, None] + np.arange(3)) % 1000)
        assert {s.segment for s in drive.signals} == {0}
        assert drive.signals[0].samples.shape == (0, 3)  # nothing had come yet


@needs_pylsl
def test_a_sender_that_is_killed_comes_back_at_another_rate_then_with_other_channels():
    name = unique("killed")
    with sender(name) as first, listening(name=name) as (brain, drive):
        drive.until(lambda: len(drive.good) > 20)
        os.kill(first.pid, signal.SIGKILL)
        drive.until(lambda: brain.state == "lost")
        before = len(drive.good)
        with sender(name, rate=200.0) as second:
            drive.until(lambda: brain.state == "restarted")
            drive.until(lambda: brain.state == "streaming" and len(drive.good) > before + 10)
            sums = [int(s.counts[1]) - int(s.counts[0]) for s in drive.good[before + 3 :]]
            assert set(sums) <= {2, -998}  # two samples a bin now, each with channel 1 one more than channel 0
            os.kill(second.pid, signal.SIGKILL)
            drive.until(lambda: brain.state == "lost")
        with sender(name, channels=5):
            drive.until(lambda: "5 channels now" in brain.note)
            assert brain.state == "lost"
        assert drive.states == ["waiting", "streaming", "lost", "restarted", "streaming", "lost"]
        assert brain.losses["restart"] == 1
        segments = [s.segment for s in drive.good]
        assert segments == sorted(segments)
        assert len(set(segments)) >= 2
        assert max(drive.took) < 0.5  # never a hang; a step waits 5 ms at most, a loaded machine adds its own
        assert np.quantile(drive.took, 0.5) < 0.01


@needs_pylsl
def test_a_sender_that_hangs_is_lost_and_what_it_held_back_is_dropped():
    name = unique("hung")
    with sender(name) as child, listening(name=name) as (brain, drive):
        drive.until(lambda: len(drive.good) > 20)
        os.kill(child.pid, signal.SIGSTOP)
        drive.until(lambda: brain.state == "lost", limit_s=2)
        stopped = drive.t_ns
        drive.until(lambda: drive.t_ns > stopped + 500_000_000)
        os.kill(child.pid, signal.SIGCONT)
        drive.until(lambda: brain.state == "streaming")
        drive.until(lambda: drive.t_ns > stopped + 1_000_000_000)
        assert brain.losses["late"] > 20  # what it sent at once is older than 80 ms
        assert drive.good[-1].segment > drive.good[0].segment
        assert drive.good[-1].t_ns > drive.t_ns - 200_000_000


@needs_pylsl
def test_a_stream_faster_than_its_header_says_so():
    name = unique("fast")
    with sender(name, rate=100.0, hz=200.0), listening(name=name) as (brain, drive):
        drive.until(lambda: brain.losses["rate"] > 20)
        drive.until(lambda: brain.state == "lost")
        assert "200" in brain.note


@needs_pylsl
def test_a_population_that_is_wholly_silent_is_missing_not_zero():
    name = unique("silent")
    how = {"kind": "Markers", "channels": 1, "rate": 0.0, "form": "int32", "hz": 200.0}
    with sender(name, n=100, **how), listening(name=name, channels=8) as (brain, drive):
        drive.until(lambda: brain.state == "streaming")
        drive.until(lambda: brain.state == "lost")
        assert drive.signals[-1].missing.all()


@needs_pylsl
def test_which_stream_must_be_plain():
    name = unique("two")
    with sender(name + "-a", kind="Pair"), sender(name + "-b", kind="Pair"):
        with pytest.raises(ConfigError, match=r"no stream name='.*-c' within"), listening(name=name + "-c", resolve_s=0.3):
            pass
        with pytest.raises(ConfigError, match=r"several streams fit .*brain\.source_id"), listening(type="Pair"):
            pass
        with pytest.raises(ConfigError, match="less than one sample a bin"):
            Lsl(LslConfig(name=name + "-a", bin_ms=5.0, wait_ms=1.0)).prepare(Setup(bin_ns=5_000_000))


@needs_pylsl
@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"kind": "Markers", "channels": 1, "rate": 0.0, "form": "int32", "hz": 10.0}, "set brain.channels"),
        ({"rate": 150.0}, "do not fill a bin evenly"),
        ({"kind": "Intent"}, "no stream"),
        ({"kind": "Stimulation"}, "no stream"),  # our own outputs never come in again
    ],
)
def test_what_cannot_be_taken_is_refused_before_the_run(how, words):
    name = unique("odd")
    with sender(name, **how), pytest.raises(ConfigError, match=words), listening(name=name, resolve_s=1.0):
        pass


@needs_pylsl
def test_a_live_run_replays_to_the_byte(tmp_path):
    name = unique("run")
    brain = ("lsl", {"name": name, "resolve_s": 10.0})
    with sender(name, channels=8, rate=50.0):
        config = LoopConfig(clock="real")
        with Loop(brain=brain, decoder="random", config=config, seed=1, record=tmp_path / "run") as loop:
            assert loop.setup.channels == loop.setup.features == 8
            report = loop.run(2.0)
            assert report.faults["channel"]["lost"] > 0  # before the first bin came
            assert loop.brain.state == "streaming"
    verdict = replay(tmp_path / "run")
    assert verdict.live
    assert verdict.equal, str(verdict)


def test_without_pylsl_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pylsl", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'volition\[lsl\]'"):
        Lsl().prepare(Setup())


@pytest.mark.parametrize(
    "wrong",
    [{"what": "spikes"}, {"bin_ms": 0}, {"wait_ms": 11}, {"delay_ms": -1}, {"name": "it's"}, {"lost_ms": float("nan")}],
)
def test_impossible_configurations_are_refused(wrong):
    with pytest.raises(ConfigError, match="lsl"):
        LslConfig(**wrong)


def test_nothing_is_imported_or_opened_before_prepare():
    brain = Lsl()
    assert brain.spec.live
    assert brain.spec.gives.size == 0
    assert "package:pylsl" in brain.spec.requires
    assert brain.state == "waiting"
    assert not brain.losses
    brain.close()


LISTENS = {"StreamInlet", "ContinuousResolver", "resolve_bypred", "resolve_byprop", "resolve_streams", "resolve_stream"}
LISTENS |= {"pull_sample", "pull_chunk"}


def uses(path):
    """Names and attributes that a file uses in code (not in annotations, which are text under `annotations`)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    noted = set()
    for node in ast.walk(tree):
        for note in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            noted |= {id(n) for n in ast.walk(note)} if note is not None else set()
    found = set()
    for node in ast.walk(tree):
        if id(node) in noted:
            continue
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Name):
            found.add(node.id)
    return found


def test_no_stimulation_command_can_come_in_over_lsl():
    listeners = {p for p in PACKAGE.rglob("*.py") if uses(p) & LISTENS}
    assert {p.name for p in listeners} == {"_lsl_link.py", "lsl.py"}
    assert {p.parent.name for p in listeners} == {"brain"}
    for path in (PACKAGE / "brain").glob("*lsl*.py"):  # what listens makes no command and knows no gate
        assert not uses(path) & {"Stim", "zero", "pass_", "write", "Gate", "stim"}, path
        assert "volition.channel" not in path.read_text(encoding="utf-8")
    assert set(Lsl.step.__annotations__["return"].split(" | ")) == {Spikes.__name__, Broadband.__name__}
