"""What goes out as LSL, read back by pylsl."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from volition import Loop, LoopConfig
from volition.errors import ConfigError
from volition.signal import Spikes, Stim

pylsl = pytest.importorskip("pylsl", reason="pylsl (extra [lsl]) is not installed", exc_type=ImportError)

from volition.brain._lsl_library import library  # noqa: E402
from volition.io.lsl import MISSING, Implant, LoopOut  # noqa: E402

NS = 20_000_000


def unique(stem):
    return f"{stem}-{time.monotonic_ns()}"


def listen(name):
    found = library().resolve_bypred(f"name='{name}'", 1, 5.0)
    inlet = pylsl.StreamInlet(found[0], recover=False, as_numpy=True)
    inlet.open_stream(timeout=5.0)
    return inlet, inlet.info(timeout=5.0)


def collect(inlet, n):
    rows, stamps, end = [], [], time.monotonic() + 5
    while sum(map(len, rows)) < n and time.monotonic() < end:
        data, times = inlet.pull_chunk(0.1, max_samples=4096, min_samples=1)
        rows.append(data)
        stamps.append(times)
    return np.concatenate(rows), np.concatenate(stamps)


def test_counts_go_out_with_their_losses_and_their_description():
    name = unique("counts")
    out = Implant("counts", name, 3, NS, about={"source": "a test"})
    inlet, info = listen(name)
    assert (info.type(), info.channel_count(), info.nominal_srate()) == ("Counts", 3, 50.0)
    assert info.get_channel_labels() == ["e0", "e1", "e2"]
    assert info.get_channel_units() == ["spikes"] * 3
    about = info.desc().child("volition")
    told = [about.child_value(key) for key in ("what", "channels", "bin_ms", "source")]
    assert told == ["counts", "3", "20", "a test"]
    for k in range(5):
        out.counts(np.array([k, np.nan, 2 * k], np.float32), np.array([False, True, False]))
    rows, stamps = collect(inlet, 5)
    assert rows.tolist() == [[k, MISSING, 2 * k] for k in range(5)]
    assert np.allclose(np.diff(stamps), 0.02, atol=1e-6)
    assert out.outlet.sent == 5


def test_events_go_out_at_their_times_and_counts_are_strewn_over_their_bin():
    name = unique("events")
    out = Implant("events", name, 4, NS)
    inlet, info = listen(name)
    assert (info.channel_count(), info.nominal_srate()) == (1, 0.0)
    rng = np.random.default_rng(0)
    counts, mask = np.array([3, 0, 2, 5], np.uint16), np.array([False, False, False, True])
    before = library().local_clock()
    out.events(Spikes(NS, counts), mask, rng)
    rows, stamps = collect(inlet, 5)
    assert np.bincount(rows[:, 0], minlength=4).tolist() == [3, 0, 2, 0]  # electrode 3 was lost
    assert (np.diff(stamps) >= 0).all()
    assert before - 0.02 <= stamps[0] <= stamps[-1] <= before + 0.05
    known = Spikes(NS, counts, channel=np.array([2, 0], np.int32), event_t_ns=np.array([19_000_000, 4_000_000]))
    out.events(known, np.zeros(4, bool), rng)
    rows, stamps = collect(inlet, 2)
    assert rows[:, 0].tolist() == [0, 2]
    assert stamps[1] - stamps[0] == pytest.approx(0.015, abs=1e-6)
    out.events(Spikes(NS, np.zeros(4, np.uint16)), mask, rng)  # nothing fired: nothing is sent
    assert out.outlet.sent == 7


def test_voltage_goes_out_sample_by_sample():
    name = unique("voltage")
    out = Implant("voltage", name, 2, NS, rate_hz=1000.0)
    inlet, info = listen(name)
    assert (info.type(), info.nominal_srate()) == ("Broadband", 1000.0)
    sent = np.arange(120, dtype=np.int16).reshape(60, 2)
    for k in range(3):
        out.voltage(sent[20 * k : 20 * k + 20])
    rows, stamps = collect(inlet, 60)
    assert np.array_equal(rows, sent)
    assert np.allclose(np.diff(stamps), 1e-3, atol=1e-6)


def test_a_late_loop_sets_its_stamps_anew():
    name = unique("late")
    out = Implant("counts", name, 1, NS)
    inlet, _ = listen(name)
    for k in range(2):
        out.counts(np.array([k]), np.array([False]))
        time.sleep(0.2)
    _, stamps = collect(inlet, 2)
    assert stamps[1] - stamps[0] > 0.15


def test_intent_and_what_was_delivered_go_out_of_a_loop():
    name = unique("me")
    config = LoopConfig(oracle=True)
    with Loop(effector="arm", decoder="still", feedback="linear", config=config, seed=3) as loop:
        out = LoopOut(loop.setup, name)
        intent, about = listen(f"{name}-intent")
        stim, stim_about = listen(f"{name}-stim")
        assert about.type() == "Intent"
        assert about.get_channel_labels() == list(loop.setup.intent)
        assert about.get_channel_units()[0] == "m/s"
        n = loop.setup.electrodes
        assert stim_about.type() == "Stimulation"
        assert stim_about.channel_count() == 3 * n
        wanted, given = [], []

        def watch(loop):
            out(loop)
            wanted.append(loop.last.intent.values)
            s = loop.last.delivered
            given.append(np.concatenate([s.amplitude_ua, s.frequency_hz, s.pulse_width_us]))

        loop.run(8.0, watch)
        assert np.array_equal(collect(intent, len(wanted))[0], np.array(wanted, np.float32))
        assert np.array_equal(collect(stim, len(given))[0], np.array(given, np.float32))
        assert np.abs(wanted).max() > 0
        some = Stim(0, np.arange(n) * 1.0, np.full(n, 100.0), np.full(n, 200.0))
        out(SimpleNamespace(last=SimpleNamespace(intent=loop.last.intent, delivered=some)))
        assert collect(stim, 1)[0].tolist() == [[*range(n), *[100.0] * n, *[200.0] * n]]
    out.close()


def test_without_electrodes_there_is_nothing_to_monitor():
    name = unique("none")
    setup = SimpleNamespace(bin_ns=NS, intent=("reach.x", "finger.0"), electrodes=0)
    out = LoopOut(setup, name)
    assert out.stim is None
    out.close()


@pytest.mark.parametrize("name", ["", "it's"])
def test_a_name_that_nobody_could_ask_for_is_refused(name):
    with pytest.raises(ConfigError, match="name"):
        Implant("counts", name, 1, NS)


def test_this_process_has_chosen_this_machine_and_stays_there():
    library()
    with pytest.raises(ConfigError, match="this machine"):
        library(network=True)
