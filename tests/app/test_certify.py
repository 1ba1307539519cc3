import json
import subprocess
import sys
import time

import numpy as np
import pytest

from volition import cli
from volition.app import _certify_run
from volition.app._certify_link import LiveN1, PacedClock, Wire, mail_rows, pack, unpack
from volition.app.certify import Certify, _check
from volition.channel.n1 import N1, N1Config
from volition.decoder.kalman import Kalman
from volition.errors import ConfigError, MissingExtraError
from volition.io.shm import RingReader, RingWriter
from volition.signal import EndOfInput, Spikes, Stim
from volition.stage import Setup

BIN_NS, FS, CHANNELS = 20_000_000, 30_000.0, 32


def command(folder, *options):
    return subprocess.run(
        [sys.executable, "-m", "volition", "certify", "--output", str(folder), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run against one limit that nothing can keep and two that nothing can miss."""
    folder = tmp_path_factory.mktemp("certify")
    limits = ("--limit-p50-ms", "0", "--limit-p99-ms", "60000", "--limit-lost", "1000000")
    return folder, command(folder, "--channels", "64", "--seconds", "2", *limits)


def test_a_missed_limit_is_1_and_named(done):
    folder, found = done
    assert found.returncode == 1, found.stderr
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert [row["ok"] for row in report["limits"]] == [False, True, True]
    assert not report["passed"]
    assert "MISSED" in (folder / "report.txt").read_text(encoding="utf-8")


def test_the_report_tells_of_every_stage_and_of_every_frame(done):
    folder, _ = done
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    rows = {row["stage"]: row for row in report["latency_ms"]}
    for name in ("end to end", "channel, last chunk awaited", "decoder", "effector", "feedback"):
        row = rows[name]
        assert 0 < row["p50"] <= row["p99"] <= row["p99.9"] <= row["max"]
        assert row["jitter"] == pytest.approx(row["p99"] - row["p50"])
    assert rows["end to end"]["n"] == 100  # bins of 20 ms in 2 s
    assert report["frames"] == 100 + round(report["dropped_ms"] / 20)
    assert report["lost"] == report["held"] + round(report["dropped_ms"] / 20)
    assert report["source"]["bins"] >= 100
    # What lies between the last sample and the command is part of it.
    assert rows["end to end"]["max"] >= rows["decoder"]["p50"] + rows["person (simulated)"]["p50"]
    assert rows["front end, a chunk"]["n"] >= 900  # the front end works as the chunks come, not once a bin
    assert 0 < report["cpu_loop"] < 2
    assert "last voltage sample" in (folder / "report.txt").read_text(encoding="utf-8")
    assert str(folder) not in (folder / "report.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--channels", "0"], "--channels"),
        (["--fs", "100"], "--fs"),
        (["--chunk-ms", "50"], "--chunk-ms"),
        (["--seconds", "nan"], "--seconds"),
        (["--load", "-1"], "--load"),
        (["--no-such-option"], "no-such-option"),
    ],
)
def test_bad_options_are_one_line_and_2(options, word, tmp_path, capsys):
    assert cli.main(["certify", "--output", str(tmp_path / "x"), *options]) == 2
    error = capsys.readouterr().err
    assert word in error
    assert error.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_a_folder_that_cannot_be_written_is_found_before_the_run(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    start = time.monotonic()
    assert cli.main(["certify", "--output", str(tmp_path / "file" / "x"), "--channels", "16"]) == 2
    assert time.monotonic() - start < 2
    assert "--output" in capsys.readouterr().err


def test_large_sizes_want_the_compiled_kernels(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"volition\[fast\]"):
        _check(Certify())
    _check(Certify(channels=16))  # the numpy twin follows


def test_messages_to_the_source_come_back():
    counts = np.arange(CHANNELS)
    pulses = [(0, 3, 16_000), (599, 31, 4_000)]
    message = pack(counts, pulses, mail_rows(CHANNELS, 64))
    back, sent = unpack(message)
    assert back.tolist() == counts.tolist()
    assert sent.tolist() == [list(p) for p in pulses]
    assert unpack(pack(counts, [], 50))[1].shape == (0, 3)


def test_every_sample_is_due_at_its_time():
    wire = Wire(19_531.0, BIN_NS, first=7)  # bins of 390 or 391 samples
    wire.origin_ns = 1_000
    for k in (7, 8, 20):
        a, b = wire.clock.edge(k), wire.clock.edge(k + 1)
        assert wire.due_ns(k, b) == wire.bin_ends_ns(k) == 1_000 + (k - 6) * BIN_NS
        assert wire.due_ns(k, a) == wire.bin_ends_ns(k - 1)


@pytest.fixture
def wired():
    """The live implant, and beside it the same one whose electrodes are here: what the source process has."""
    setup = Setup(seed=3, channels=CHANNELS, electrodes=8)
    config = N1Config(electrodes=8, array_size=0, engine="numpy", warm_ms=40)
    live, whole = LiveN1(config, chunks=4), N1(config)
    live.prepare(setup)
    whole.prepare(setup)
    name = "volition-test-certify"
    rows = mail_rows(CHANNELS, 8)
    with (
        RingWriter(name, CHANNELS, 160, 16) as ring,
        RingWriter(f"{name}-s", CHANNELS, rows, 16, dtype="int32") as mail,
        RingReader(name) as voltage,
        RingReader(f"{name}-s") as heard,
    ):
        live.connect(voltage, mail, time.monotonic_ns() - BIN_NS)
        yield live, whole, ring, heard


def bin_of(live, whole, ring, counts):
    """Voltage of one bin, written chunk by chunk as the source does."""
    samples = whole._samples()
    start = live._front.sample
    x = whole._electrodes.voltage(counts, samples)
    for a in range(0, samples, samples // 4):
        ring.write(x[a : a + samples // 4], start + a)
    return x


def test_features_are_those_of_the_same_implant_in_one_process(wired):
    live, whole, ring, heard = wired
    rng = np.random.default_rng(0)
    for i in range(5):
        live.target = live._front.bin
        counts = rng.poisson(1.0, CHANNELS).astype(np.uint16)
        x = bin_of(live, whole, ring, counts)
        (expected,) = whole._front.process(x)
        found = live.read(Spikes((i + 1) * BIN_NS, counts))
        assert found.mask.tolist() == expected.mask.tolist()
        assert found.x[~found.mask].tolist() == expected.counts[~expected.mask].tolist()
        message = heard.read()
        assert message.t_ns == live._front.sample  # for the bin that comes
        assert unpack(message.samples)[0].tolist() == counts.tolist()


def test_pulses_are_sent_for_the_coming_bin_and_held_there(wired):
    """As the implant in one process: the same artefacts in its voltage, the same crossings outside the held samples."""
    live, whole, ring, heard = wired
    zero = np.zeros(8)
    stim = Stim(0, np.where(np.arange(8) < 2, 10.0, 0.0), zero + 100.0, zero + 200.0)
    counts = np.ones(CHANNELS, np.uint16)
    for i in range(4):
        live.target = live._front.bin
        if i > 1:
            sent = unpack(heard.read().samples)[1]
            start = live._front.sample
            assert len(sent) == 4  # two electrodes, 100 Hz, 20 ms
            for offset, channel, current in sent.tolist():
                assert current == 10_000
                whole._electrodes.stimulate(start + offset, np.array([channel]), np.array([current / 1e3]))
            whole._front.hold(np.unique(sent[:, 0]) + start)
        elif i == 1:
            heard.read()
        x = bin_of(live, whole, ring, counts)
        (expected,) = whole._front.process(x)
        found = live.read(Spikes((i + 1) * BIN_NS, counts))
        assert live.exposure == expected.exposure
        good = ~expected.mask
        np.testing.assert_allclose(found.x[good] * expected.exposure, expected.counts[good], rtol=1e-6)
        live.write(stim)
    assert live.exposure == pytest.approx(1 - 2 * 0.74 / 20, abs=0.005)


def test_samples_that_never_came_are_counted_and_their_bins_missing(wired):
    live, whole, ring, _ = wired
    counts = np.ones(CHANNELS, np.uint16)
    samples = whole._samples()
    lost = whole._electrodes.voltage(counts, samples)
    x = whole._electrodes.voltage(counts, samples)
    start = live._front.sample
    ring.write(lost[:160], start)  # three of four chunks of this bin are lost
    for a in range(0, samples, 150):
        ring.write(x[a : a + 150], start + samples + a)
    live.target = live._front.bin
    assert live.read(Spikes(BIN_NS, counts)).mask.all()
    assert live.gaps == samples - 160
    live.target += 1
    found = live.read(Spikes(2 * BIN_NS, counts))
    assert found.mask.mean() < 0.5  # and the channels are not taken for stuck
    assert live._front.sample == start + 2 * samples


def test_a_bin_that_is_not_there_in_time_is_missing_not_waited_for(wired):
    live, *_ = wired
    live.target = live._front.bin
    start = time.monotonic()
    assert live.read(Spikes(BIN_NS, np.ones(CHANNELS, np.uint16))).mask.all()
    assert time.monotonic() - start < 1


def test_a_source_that_is_gone_ends_the_run(wired):
    live, _, ring, _ = wired
    ring.close()
    live.target = live._front.bin
    with pytest.raises(EndOfInput):
        live.read(Spikes(BIN_NS, np.ones(CHANNELS, np.uint16)))


def test_a_source_that_fails_is_one_line(monkeypatch):
    broken = [sys.executable, "-c", "import sys; sys.exit('no such implant')"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    monkeypatch.setattr(_certify_run, "_source", lambda how: subprocess.Popen(broken, **pipes))
    monkeypatch.setattr(_certify_run, "_fitted", lambda options: Kalman())
    with pytest.raises(ConfigError, match="source of voltage failed: no such implant"):
        _certify_run.certify(Certify(channels=16, seconds=1))


def test_a_loop_that_falls_behind_gives_up_whole_bins(wired):
    live, *_ = wired
    first = live.wire.first
    live.wire.origin_ns = time.monotonic_ns() - 10 * BIN_NS  # ten bins have gone by, nothing was done
    clock = PacedClock(live, max_lag_ms=60)
    assert clock.lag_ns(0) > 9 * BIN_NS
    clock.wait(0)
    assert clock.dropped_ns % BIN_NS == 0
    assert clock.dropped_ns >= 9 * BIN_NS
    assert live.target == first + clock.dropped_ns // BIN_NS  # the tick is about the bin that ends now
    assert 0 <= clock.lag_ns(0) < BIN_NS
    before = clock.dropped_ns
    clock.wait(BIN_NS)  # in time again: nothing more is given up
    assert clock.dropped_ns == before
    assert live.target == first + 1 + before // BIN_NS


def test_limits_are_checked_by_value():
    with pytest.raises(ConfigError, match="--limit-lost"):
        _check(Certify(limit_lost=-1))
