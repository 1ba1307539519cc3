from importlib.util import find_spec

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from volition.channel._electrodes import Electrodes, ElectrodesConfig
from volition.channel._electrodes_design import (
    BANDS_HZ,
    POTENTIAL_HZ,
    TOP_HZ,
    artefact,
    filtered_templates,
    rates,
    seeds,
    templates,
)
from volition.channel._electrodes_preset import Preset
from volition.errors import ConfigError, InputError, UnknownNameError
from volition.signal import Spikes

needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="numba (extra [fast]) is not installed")
ENGINES = [pytest.param("numba", marks=needs_numba), "numpy"]
FS = 30_000


def make(channels=32, fs=FS, seed=1, **config):
    return Electrodes(ElectrodesConfig(array_size=16, **config), channels, fs, np.random.default_rng(seed))


def table(tmp_path, power, channels=16, trough=50.0, rate_hz=0.0):
    """A preset of `channels` equal electrodes."""
    n = np.ones(channels)
    preset = Preset(np.tile(power, (channels, 1)), 0 * n, rate_hz * n, trough * n, np.zeros(channels, int), 0.0)
    path = tmp_path / "flat.json"
    path.write_text(preset.as_json())
    return str(path)


def eventful(e, cuts):
    """The same half second, however it is cut: spontaneous spikes, stimulation, announced per 20 ms."""
    parts = []
    for k in range(5):
        e.add(e.spontaneous(600), 600)
        e.stimulate(600 * k + 123, np.array([3, 20]), np.array([10.0, 5.0]))
        parts += [e.voltage(None, c) for c in cuts]
    return np.concatenate(parts)


@needs_numba
@pytest.mark.parametrize("channels", [5, 32, 40])
@pytest.mark.parametrize("fs", [30_000, 19_531])
def test_kernel_and_twin_give_the_same_bytes(channels, fs):
    a, b = (
        Electrodes(ElectrodesConfig(engine=e, railed=0.1, dead=0.1), channels, fs, np.random.default_rng(3))
        for e in ("numba", "numpy")
    )
    for k in range(4):
        for e in (a, b):
            e.stimulate(390 * k + 77, np.array([2]), np.array([20.0]))
        x, y = a.voltage(a.spontaneous(390) + np.uint16(1), 390), b.voltage(b.spontaneous(390) + np.uint16(1), 390)
        np.testing.assert_array_equal(x, y)
        assert x.dtype == np.int16
        assert x.shape == (390, channels)
        assert x.flags.c_contiguous


@pytest.mark.parametrize("engine", ENGINES)
def test_how_the_samples_are_cut_changes_nothing(engine):
    whole = eventful(make(engine=engine), [600])
    for cuts in ([30] * 20, [77, 523], [1, 299, 300]):
        np.testing.assert_array_equal(eventful(make(engine=engine), cuts), whole)


def test_the_seed_decides_and_no_two_channels_are_alike():
    quiet = {"shared_potential": 0.0, "line_lsb": 0.0}
    a, b, c = (make(seed=s, **quiet).voltage(None, 3_000) for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a != c).mean() > 0.9
    fast = np.diff(a.astype(float), axis=0)
    fast = (fast - fast.mean(axis=0)) / fast.std(axis=0)
    spectra = np.fft.rfft(fast, n=8_192, axis=0)
    for i in range(31):  # at no lag do two channels share their noise
        against = np.fft.irfft(spectra[:, i, None].conj() * spectra[:, i + 1 :], axis=0) / 3_000
        assert np.abs(against).max() < 0.12
    steps = seeds(np.random.default_rng(0), 4_096)[2]
    assert len(np.unique(steps)) == 4_096
    assert (steps % 2 == 1).all()


@pytest.mark.parametrize("fs", [30_000, 19_531])
@pytest.mark.parametrize("process", range(6))
def test_each_process_has_its_power_in_its_band(tmp_path, fs, process):
    power = np.zeros(6)
    power[process] = 400.0
    cfg = ElectrodesConfig(preset=table(tmp_path, power, 64), line_lsb=0.0, adc="ideal", array_size=0, shared_potential=0.0)
    e = Electrodes(cfg, 64, fs, np.random.default_rng(5))
    compiled = find_spec("numba") is not None
    if not compiled and process < 3:
        pytest.skip("slow processes need seconds of voltage: numba (extra [fast]) is not installed")
    warm, seconds = (1.0, 4.0) if compiled else (0.3, 0.7)
    x = e.voltage(None, round((warm + seconds) * fs))[round(warm * fs) :].astype(float)
    window = np.hanning(len(x))[:, None]
    density = np.abs(np.fft.rfft((x - x.mean(axis=0)) * window, axis=0)) ** 2 * 2 / (window**2).sum() / len(x)
    f = np.fft.rfftfreq(len(x), 1 / fs)
    edges = (*BANDS_HZ, TOP_HZ)
    band = (f >= edges[process]) & (f < edges[process + 1])
    assert density[band].sum(axis=0).mean() == pytest.approx(400.0, rel=0.12)


def test_noise_is_nearly_gaussian_and_white_before_its_filter(tmp_path):
    cfg = ElectrodesConfig(preset=table(tmp_path, [0, 0, 0, 0, 0, 2_500.0]), line_lsb=0.0, adc="ideal")
    x = Electrodes(cfg, 16, FS, np.random.default_rng(6)).voltage(None, 15_000)[600:].astype(float)
    pole = rates(FS).hash_pole
    white = x[1:] - pole * x[:-1]  # the floor shifts this a little from white
    white = (white - white.mean(axis=0)) / white.std(axis=0)
    assert abs((white**4).mean() - 3) < 0.7  # sums of two bytes: 2.4
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    assert abs((z**4).mean() - 3) < 0.3
    lags = [np.abs((white[k:] * white[:-k]).mean(axis=0)).mean() for k in range(2, 60)]
    assert max(lags) < 0.02


@pytest.mark.parametrize("engine", ENGINES)
def test_spikes_stand_where_they_were_announced(tmp_path, engine):
    cfg = ElectrodesConfig(
        preset=table(tmp_path, np.zeros(6), 32, trough=100.0), line_lsb=0.0, adc="ideal", height_jitter=0.0, engine=engine
    )
    e = Electrodes(cfg, 32, FS, np.random.default_rng(7))
    bin_ns = 20_000_000
    when = np.array([3_000_000, 11_000_000], np.int64)
    counts = np.zeros(32, np.uint16)
    counts[[4, 16]] = 1
    x = e.voltage(Spikes(bin_ns, counts, 0, np.array([4, 16], np.int32), when), 600)
    lag = round(0.35e-3 * FS)
    for channel, t in ((4, when[0]), (16, when[1])):
        assert abs(int(x[:, channel].argmin()) - (t * FS / 1e9 + lag)) <= 1.5
        assert x[:, channel].min() == pytest.approx(-100, abs=2)
    assert x[:, 5].min() == pytest.approx(-20, abs=2)  # first neighbour 0.2
    assert x[:, 6].min() == pytest.approx(-5, abs=2)
    assert x[:, 15].min() >= -1  # the next thread begins at 16
    assert x[:, 17].min() == pytest.approx(-20, abs=2)
    assert (x[:80] == x[0]).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_counts_are_strewn_with_refractory_times(tmp_path, engine):
    cfg = ElectrodesConfig(preset=table(tmp_path, np.zeros(6), 16), engine=engine, line_lsb=0.0, refractory_ms=2.0)
    e = Electrodes(cfg, 16, FS, np.random.default_rng(8))
    times: list[list[float]] = [[] for _ in range(16)]
    total = np.zeros(16, int)
    rng = np.random.default_rng(9)
    for k in range(200):
        counts = rng.poisson(1.5, 16).astype(np.uint16)
        total += counts
        channel, at = e._strew(counts.astype(np.int64), 600)
        assert ((at >= 600 * k) & (at < 600 * (k + 1))).all()
        for c, t in zip(channel, at, strict=True):
            times[c].append(t)
        e._known += 600
    assert min(np.diff(np.sort(t)).min() for t in times) >= 60 - 1e-6
    made = np.array([len(t) for t in times])
    assert (made <= total).all()
    assert made.sum() > 0.97 * total.sum()
    place = np.concatenate([np.array(t) % 600 for t in times])
    assert abs(place.mean() - 300) < 12


def test_broken_electrodes_and_artefacts():
    e = make(channels=64, dead=0.05, railed=0.05)
    x = e.voltage(None, 15_000)
    assert e.dead.sum() == 3
    assert e.railed.sum() == 3
    assert not (e.dead & e.railed).any()
    assert (np.ptp(x[:, e.dead], axis=0) == 0).all()
    at_rail = ((x <= -512) | (x >= 511)).mean(axis=0)
    assert (at_rail[e.railed] > 0.2).all()
    assert (at_rail[~e.railed] == 0).all()
    e.stimulate(15_100, np.array([20]), np.array([30.0]))
    y = e.voltage(None, 600).astype(int)
    well = ~(e.dead | e.railed)
    near = (np.arange(64) // 16 == 20 // 16) & well
    assert (y[100:106, near] == 511).all()
    assert (y[106:112, near] == -512).all()
    jump = (y[100] - y[99])[well & ~near]
    assert abs(np.median(jump) - 60) < 15
    assert (np.ptp(y[:, e.dead], axis=0) == 0).all()
    assert artefact(FS)[-1] == 0


def test_an_array_shares_its_potential(tmp_path):
    cfg = ElectrodesConfig(
        preset=table(tmp_path, [0, 300.0, 0, 0, 0, 0], 32), line_lsb=0.0, adc="ideal", array_size=16, shared_potential=0.7
    )
    x = Electrodes(cfg, 32, FS, np.random.default_rng(11)).voltage(None, 4 * FS if find_spec("numba") else 2 * FS)[15_000:]
    r = np.corrcoef(x.T)
    inside = np.r_[r[:16, :16][np.triu_indices(16, 1)], r[16:, 16:][np.triu_indices(16, 1)]]
    assert inside.mean() == pytest.approx(0.7, abs=0.12)
    assert abs(r[:16, 16:].mean()) < 0.35  # the two arrays' own parts: one slow process against another


def test_shapes():
    for fs in (30_000, 19_531):
        w = templates(fs)
        assert w.min(axis=2) == pytest.approx(-1.0)
        trough = w.argmin(axis=2) / fs * 1e3
        assert np.abs(trough - 0.35).max() < 0.08
        assert np.abs(w[:, :, -1]).max() < 0.02
        assert len(POTENTIAL_HZ) == 4


def test_the_shipped_table_and_its_text():
    preset = Preset.load("n1")
    again = Preset.from_json(preset.as_json(), "text")
    np.testing.assert_array_equal(again.power, preset.power)
    np.testing.assert_array_equal(again.width, preset.width)
    rows = preset.draw(1_024, np.random.default_rng(0))
    assert np.bincount(rows, minlength=len(preset.power)).min() >= 1_024 // len(preset.power)
    e = Electrodes(ElectrodesConfig(snr=6.0), 64, FS, np.random.default_rng(0))
    assert e.railed.sum() == round(preset.railed * 64)


def test_bad_input_says_what_to_do(tmp_path):
    with pytest.raises(UnknownNameError, match="n1"):
        make(preset="n2")
    with pytest.raises(InputError, match="no such file"):
        make(preset=str(tmp_path / "none.json"))
    bad = tmp_path / "bad.json"
    for text in ("{", "[]", '{"rows": [[1, 2]], "railed": 0}', '{"rows": [[-1,1,1,1,1,1,1,1,1,1]], "railed": 0}'):
        bad.write_text(text)
        with pytest.raises(InputError, match="not a table"):
            make(preset=str(bad))
    e = make()
    with pytest.raises(InputError, match="32 electrodes"):
        e.voltage(np.zeros(31, np.uint16), 600)
    with pytest.raises(InputError, match="channel 32"):
        e.voltage(Spikes(20_000_000, np.zeros(32, np.uint16), 0, np.array([32], np.int32), np.array([1], np.int64)), 600)
    e.voltage(None, 10)
    with pytest.raises(InputError, match="already"):
        e.stimulate(5, np.array([1]), np.array([1.0]))
    for wrong in ({"engine": "gpu"}, {"adc": "n2"}, {"dead": 2.0}, {"snr": -1.0}, {"railed": 1.5}, {"thread_size": 0}):
        with pytest.raises(ConfigError):
            ElectrodesConfig(**wrong)
    with pytest.raises(ConfigError, match="12 kHz"):
        Electrodes(None, 4, 1_000, np.random.default_rng(0))


def test_snr_is_what_is_asked_for():
    e = Electrodes(ElectrodesConfig(snr=6.0, adc="ideal", railed=0.0), 119, FS, np.random.default_rng(0))
    sos = butter(4, [250, 5_000], "bandpass", fs=FS, output="sos")
    quiet = sosfilt(sos, e.voltage(None, 6_000).astype(float), axis=0)[1_500:]
    noise = np.median(np.abs(quiet), axis=0) / 0.6745
    alone = np.ptp(filtered_templates(FS), axis=1)[e._sources.width[:119]] * e._sources.gain[:119].max(axis=1)
    np.testing.assert_allclose(np.median(alone / (2 * noise)), 6.0, rtol=0.06)
