import numpy as np
import pytest

from volition.channel.n1 import N1, N1Config
from volition.errors import ConfigError, InputError
from volition.signal import Broadband, Spikes, Stim
from volition.stage import Setup, check

BIN = 20_000_000


def ready(channels=32, seed=0, **config):
    channel = N1(N1Config(array_size=16, **{"railed": 0.0, "electrodes": 4, **config}))
    channel.prepare(Setup(seed=seed, channels=channels, bin_ns=BIN))
    return channel


def drive(channel, rates, bins, stim=None, seed=1):
    """Counts fired and features read, bin by bin."""
    rng = np.random.default_rng(seed)
    fired, read = [], []
    for k in range(bins):
        counts = rng.poisson(rates).astype(np.uint16)
        t = (k + 1) * BIN
        read.append(channel.read(Spikes(t, counts)))
        fired.append(counts)
        if stim is not None:
            channel.write(Stim(t, *stim))
    return np.array(fired), read


def test_keeps_the_contract():
    assert check(N1(N1Config(array_size=16)), Setup(channels=16)) == []


def test_a_clear_unit_is_found_and_a_silent_one_is_not():
    channel = ready(snr=9.0)
    rates = np.r_[np.full(8, 0.5), np.zeros(24)]  # 25 Hz on the first eight
    fired, read = drive(channel, rates, 150)
    x = np.array([f.x for f in read])
    assert not np.array([f.mask for f in read]).any()
    for c in range(8):
        assert np.corrcoef(fired[:, c], x[:, c])[0, 1] > 0.75
        assert 0.75 < x[:, c].sum() / fired[:, c].sum() < 1.1
    assert x[:, 16:].sum() < 0.05 * x[:, :8].sum()


def test_power_is_a_second_half():
    channel = ready(power=True, snr=8.0)
    assert channel.spec.gives.size == 64
    assert channel.spec.gives.names[32] == "power.0"
    _, read = drive(channel, np.r_[np.full(4, 1.0), np.zeros(28)], 40)
    x = np.array([f.x for f in read])
    assert x.shape == (40, 64)
    assert (x[:, 32:] > 0).all()


def test_broken_electrodes_are_found_and_masked():
    channel = ready(dead=0.07, railed=0.07)
    broken = channel.dead_channels
    assert broken.sum() == 4
    _, read = drive(channel, np.full(32, 0.3), 30)
    masks = np.array([f.mask for f in read])
    assert masks[:, broken].mean() > 0.9
    assert not masks[:, ~broken].any()
    for f in read:
        assert np.isnan(f.x[f.mask]).all()
        assert np.isfinite(f.x[~f.mask]).all()


def test_stimulation_leaves_no_spikes_behind():
    quiet, stimulated = ready(), ready()
    stim = (np.full(4, 15.0), np.full(4, 100.0), np.full(4, 200.0))
    _, before = drive(quiet, np.zeros(32), 60)
    _, during = drive(stimulated, np.zeros(32), 60, stim=stim)
    assert stimulated.exposure == pytest.approx(1 - 2 * 22 / 600, abs=0.01)  # two pulses a bin, 740 us each
    assert not stimulated.gate.latched
    found = [np.nansum([f.x for f in read]) for read in (before, during)]
    assert found[1] < found[0] + 40  # 3,840 pulse-channels
    assert not np.array([f.mask for f in during[1:]]).any()


def test_same_seed_same_bytes_and_voltage_may_come_from_outside():
    a, b = (drive(ready(seed=3), np.full(32, 0.3), 10)[1] for _ in range(2))
    assert all(x.x.tobytes() == y.x.tobytes() for x, y in zip(a, b, strict=True))
    channel = ready(sampling_hz=19_531.0)
    lengths = []
    for k in range(4):
        n = channel._samples()
        lengths.append(n)
        samples = (np.random.default_rng(k).standard_normal((n, 32)) * 9).astype(np.int16)
        assert channel.read(Broadband((k + 1) * BIN, samples)).x.shape == (32,)
    assert set(lengths) == {390, 391}
    with pytest.raises(InputError, match="sampling_hz"):
        channel.read(Broadband(5 * BIN, np.zeros((600, 32), np.int16)))


def test_voltage_that_never_came_is_masked_and_what_follows_has_no_history():
    def voltage(k):
        return (np.random.default_rng(k).standard_normal((600, 32)) * 9).astype(np.int16)

    channel, fresh = ready(sampling_hz=30_000.0), ready(sampling_hz=30_000.0)
    for k in range(3):
        channel.read(Broadband((k + 1) * BIN, voltage(k)))
    gap = channel.read(Broadband(4 * BIN, np.empty((0, 32), np.int16)))
    assert gap.mask.all()
    assert np.isnan(gap.x).all()
    fresh._front.reset()
    after = [c.read(Broadband(5 * BIN, voltage(9))) for c in (channel, fresh)]
    assert after[0].x.tobytes() == after[1].x.tobytes()
    border = channel.read(Broadband(6 * BIN, voltage(9), segment=1))
    assert border.x.tobytes() == after[1].x.tobytes()
    assert border.segment == 1


def test_bad_settings():
    for bad in ({"warm_ms": -1.0}, {"reference": "regression"}, {"dead": 2.0}, {"engine": "gpu"}, {"threshold_rms": 0.0}):
        with pytest.raises(ConfigError):
            N1Config(**bad)
