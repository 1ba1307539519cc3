import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from volition import cli
from volition.app import bench
from volition.app._bench import SkipError, _channel_peers, channel
from volition.app._bench import _channel_exact as exact
from volition.app._bench._channel_speed import _Detect, measured, scipy_front, speeds
from volition.channel._electrodes import Electrodes
from volition.channel._frontend import FrontEnd, FrontEndConfig

needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="numba (extra [fast]) is not installed")
FS = 30_000.0


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """Neither recordings nor others' packages, and nothing measured before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VOLITION_DATA", raising=False)
    monkeypatch.delenv(_channel_peers.PEERS, raising=False)
    for cached in (_channel_peers.peers, _channel_peers._measured, channel._exact, channel._codec, channel._certified):
        cached.cache_clear()


def voltage(channels=32, seconds=0.5, seed=0):
    electrodes = Electrodes(None, channels, FS, np.random.default_rng(seed))
    samples = round(seconds * FS)
    return electrodes.voltage(electrodes.spontaneous(samples), samples)


@needs_numba
def test_quick_works_without_others_and_without_recordings():
    cli.main(["bench", "channel", "--quick", "--json", "rows.json"])
    rows = {row["what"]: row for row in json.loads(Path("rows.json").read_text(encoding="utf-8"))["rows"]}
    assert not Path(".bench/peers").exists()  # no environment is made for a quick look
    ours = rows["front end, 64 channels x 30 kHz, chunks of 10 ms"]
    assert ours["value"] > 1
    assert ours["low"] <= ours["value"] <= ours["high"]
    assert rows["front end, 64 channels x 30 kHz, chunks of 10 ms, over scipy sosfilt float32"]["value"] > 1
    assert 30 < rows["voltage, 64 channels x 30 kHz, chunks of 10 ms, peak memory"]["value"] < 1000
    others = [row for what, row in rows.items() if "ezmsg" in what]
    assert len(others) == 3
    assert all(row["ok"] is None and "VOLITION_PEERS" in row["note"] for row in others)
    recorded = [row for what, row in rows.items() if "recorded" in what or what.startswith("codec")]
    assert len(recorded) == 18
    assert all("VOLITION_DATA is not set" in row["note"] for row in recorded)
    assert rows["crossings that differ from float64, simulated voltage, threshold 2.0 RMS"]["ok"]


def test_without_compiled_kernels_the_rows_say_so(monkeypatch):
    monkeypatch.setattr(channel, "find_spec", lambda name: None)
    for item in channel.measures(quick=True):
        assert "numba is not installed" in bench.measure(item)["note"]


def test_the_goals_are_those_promised():
    goals = {item.what: item.goal for item in channel.measures(quick=False)}
    size = "1024 channels x 30 kHz"
    assert goals[f"front end, {size}, chunks of 10 ms"] == ">= 12"
    assert goals[f"front end, {size}, chunks of 1 ms"] == ">= 7"
    assert goals[f"front end, {size}, chunks of 10 ms, over ezmsg-sigproc"] == ">= 5"
    assert goals[f"voltage, {size}, chunks of 10 ms, over ezmsg-simbiophys"] == ">= 6"
    assert goals["codec, dense, files not learnt from, against 16 bit"] == ">= 3.5"
    assert goals["codec, stream, all files, against 16 bit"] == ">= 3.34"
    assert goals["last sample of a bin to command, 1,024 channels x 30 kHz, p99"] == "<= 20"


def test_an_environment_that_does_not_exist_is_a_reason(monkeypatch):
    monkeypatch.setenv(_channel_peers.PEERS, "no/such/python")
    assert _channel_peers.peers(make=True) == (sys.executable, "VOLITION_PEERS is not a file")
    with pytest.raises(SkipError, match="not a file"):
        _channel_peers.rates({"missing": {"ezmsg": "No module named 'ezmsg'"}, "speeds": {}}, "ezmsg", make=True)


def test_an_environment_that_cannot_be_made_is_a_reason(monkeypatch):
    def fails(command, **how):
        raise subprocess.CalledProcessError(1, command, stderr="ERROR: no matching distribution\n")

    monkeypatch.setattr(subprocess, "run", fails)
    python, why = _channel_peers.peers(make=True)
    assert python == sys.executable
    assert "no matching distribution" in why
    assert not Path(".bench/peers/ready").exists()


def test_a_measuring_process_that_fails_is_a_reason():
    with pytest.raises(SkipError, match="measuring process failed"):
        _channel_peers.measured(False, part="front")


def test_a_speed_is_data_over_cpu_time():
    def busy():
        return sum(range(200_000))  # a few ms

    found = speeds({"one": busy, "two": lambda: (busy(), busy())}, chunk_s=0.01, seconds=0.1, rounds=3)
    assert [len(values) for values in found.values()] == [3, 3]
    assert np.median(found["one"]) / np.median(found["two"]) == pytest.approx(2, rel=0.5)


def test_what_cannot_be_imported_is_missing_not_an_error():
    how = {"part": "front", "channels": 16, "fs": FS, "chunk_ms": 10, "seconds": 0.02, "rounds": 1}
    without = ["ours", "regression", "scipy"] + ([] if find_spec("ezmsg") is None else ["ezmsg"])
    found = measured({**how, "without": without})
    assert found["speeds"] == {}
    assert set(found["missing"]) == ({"ezmsg"} if find_spec("ezmsg") is None else set())


def test_the_other_side_does_the_same_work():
    """The crossings of scipy's side are about those of ours: it is not paid for doing less."""
    x = voltage(64, 1.0)
    process = scipy_front(x, FS)
    theirs = sum(len(process(x[a : a + 300])[0]) for a in range(0, len(x), 300))
    front = FrontEnd(FrontEndConfig(engine="numpy", settle_ms=0.0), 64, FS)
    ours = sum(int(b.counts.sum()) for a in range(0, len(x), 300) for b in front.process(x[a : a + 300]))
    assert ours > 50
    assert theirs == pytest.approx(ours, rel=0.25)


def test_crossings_are_first_samples_below():
    detect = _Detect(1, FS)
    y = np.zeros((1000, 1), np.float32)
    y[300:306] = -10  # RMS 0.8
    assert detect(y)[:, 0].tolist() == [300]
    y[:] = 0
    y[-3:] = -10
    assert detect(y)[:, 0].tolist() == [997]
    y[:] = 0
    y[:2] = -10
    assert detect(y)[:, 0].tolist() == []  # still below


@needs_numba
def test_a_wrong_kernel_is_found_out(monkeypatch):
    x = voltage()
    good = exact.exactness(x, FS, threshold_rms=2.0)
    assert good.crossings > 500
    assert (good.differ, good.unexplained, good.chunks) == (0, 0, 0)
    assert 0 < good.power < 1e-5
    run = exact._run

    def wrong(x, fs, engine, chunk, how):
        if engine == "numba":  # another threshold, and an output that depends on the chunk
            how = {**how, "threshold_rms": 2.05 + chunk * 1e-5}
        return run(x, fs, engine, chunk, how)

    monkeypatch.setattr(exact, "_run", wrong)
    bad = exact.exactness(x, FS, threshold_rms=2.0)
    assert bad.differ > 10
    assert bad.unexplained > 10
    assert bad.chunks == 3


def test_recordings_named_but_not_there_are_a_reason(monkeypatch, tmp_path):
    monkeypatch.setenv("VOLITION_DATA", str(tmp_path))
    with pytest.raises(SkipError, match="broadband_neuralink is not below"):
        channel._recordings()
