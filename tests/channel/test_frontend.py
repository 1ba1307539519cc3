import os
import wave
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt

from volition.channel._frontend import FrontEnd, FrontEndConfig
from volition.channel._frontend_design import BinClock, array_edges, band_pass, regression_weights
from volition.errors import ConfigError, InputError

needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="numba (extra [fast]) is not installed")
ENGINES = [pytest.param("numba", marks=needs_numba), "numpy"]
FS = 30_000


def voltage(samples=24_000, channels=32, seed=0, spikes=400):
    """White noise on a slow common potential, an offset per channel, and spikes well above the threshold."""
    rng = np.random.default_rng(seed)
    slow = 80 * np.sin(2 * np.pi * 7 * np.arange(samples) / FS)[:, None] * rng.uniform(0.8, 1.2, channels)
    x = slow + rng.standard_normal((samples, channels)) * 9 + rng.integers(-40, 40, channels)
    shape = -np.hanning(14) * 90
    for t, c in zip(rng.integers(0, samples - 14, spikes), rng.integers(0, channels, spikes), strict=True):
        x[t : t + 14, c] += shape * rng.uniform(0.4, 1.5)
    return np.clip(np.rint(x), -500, 500).astype(np.int16)


def run(x, chunk=300, fs=FS, pulses=None, **config):
    front = FrontEnd(FrontEndConfig(**config), x.shape[1], fs)
    front.warm_up()
    if pulses is not None:
        front.hold(pulses)
    bins = []
    for a in range(0, len(x), chunk):
        bins += front.process(x[a : a + chunk])
    return bins, front


def events(bins):
    return np.concatenate([b.sample * 10_000 + b.channel for b in bins])


def offline(x, fs, size, dead, tau, times=4.5, floor=1.0, settle=0):
    """The definition in float64, the whole stretch at once, by nothing but scipy's filter and plain loops."""
    u = x.astype(float)
    for a in range(0, x.shape[1], size):
        u[:, a : a + size] -= u[:, a : a + size].mean(axis=1, keepdims=True)
    u -= u[0]
    y = sosfilt(butter(4, [250, 5000], "bandpass", fs=fs, output="sos"), u, axis=0)
    power = np.abs(sosfilt(butter(2, [300, 1000], "bandpass", fs=fs, output="sos"), u, axis=0))
    found = []
    for c in range(x.shape[1]):
        m, limit, last, was = 0.0, np.inf, -(10**9), False
        for n in range(len(y)):
            below = y[n, c] < -limit
            if below and not was and n >= settle and n - last >= dead:
                found.append(n * 10_000 + c)
                last = n
            was = below
            if (n + 1) % dead == 0:
                m += max(dead / (n + 1), dead / (tau * fs)) * ((y[n + 1 - dead : n + 1, c] ** 2).mean() - m)
                limit = max(times * np.sqrt(m), floor)
    return np.sort(found), power


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fs", [30_000, 19_531])
def test_equals_an_offline_float64_reference(engine, fs):
    x = voltage(samples=9_000, channels=32, spikes=260)
    bins, _ = run(x, engine=engine, fs=fs, array_size=16, settle_ms=100.0, rms_time_s=0.2)
    found, power = offline(x, fs, 16, round(fs * 1e-3), 0.2, settle=round(0.1 * fs))
    stop = BinClock(fs, 20_000_000).edge(len(bins))
    found = found[found < stop * 10_000]
    assert len(found) > 120
    np.testing.assert_array_equal(events(bins), found)
    edges = [BinClock(fs, 20_000_000).edge(k) for k in range(len(bins) + 1)]
    expected = np.array([power[a:b].mean(axis=0) for a, b in pairwise(edges)])
    np.testing.assert_allclose([b.power for b in bins], expected, rtol=1e-5)
    for b in bins:
        np.testing.assert_array_equal(b.counts, np.bincount(b.channel, minlength=32))
        assert ((b.sample >= edges[b.index]) & (b.sample < edges[b.index + 1])).all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("reference", ["common_average", "regression", "none"])
def test_chunk_size_changes_nothing(engine, reference):
    x = voltage(samples=6_000, channels=32)
    x[2_000:2_700, 5] = 511
    outputs = []
    for chunk in (30, 210, 300, 3_000, 77):
        front = FrontEnd(FrontEndConfig(engine=engine, reference=reference, array_size=16, settle_ms=20.0), 32, FS)
        if reference == "regression":
            front.fit_reference(x[:2_000])
        front.hold(np.arange(3_000, 4_000, 100))
        bins = [b for a in range(0, len(x), chunk) for b in front.process(x[a : a + chunk])]
        outputs.append([(b.counts.tobytes(), b.power.tobytes(), b.mask.tobytes(), b.sample.tobytes()) for b in bins])
    if engine == "numba":
        assert all(o == outputs[0] for o in outputs)
    else:  # float64 sums may be grouped differently: the same to 1e-12
        assert all([o[i][::2] for i in range(10)] == [outputs[0][i][::2] for i in range(10)] for o in outputs)


@needs_numba
@pytest.mark.parametrize("channels", [3, 16, 40])
@pytest.mark.parametrize("reference", ["common_average", "regression"])
def test_kernel_equals_twin_with_everything_on(channels, reference):
    x = voltage(samples=12_000, channels=channels, seed=channels)
    x[4_000:4_800, 1] = -512
    x[6_000:7_000, 2] = x[6_000, 2]
    both = []
    for engine in ("numba", "numpy"):
        front = FrontEnd(
            FrontEndConfig(engine=engine, reference=reference, array_size=0, settle_ms=50.0, recover_ms=40.0), channels, FS
        )
        if reference == "regression":
            front.fit_reference(x[:3_000])
        front.hold(np.arange(8_000, 10_000, 150))
        both.append([b for a in range(0, len(x), 300) for b in front.process(x[a : a + 300])])
    np.testing.assert_array_equal(events(both[0]), events(both[1]))
    for a, b in zip(*both, strict=True):
        np.testing.assert_array_equal(a.mask, b.mask)
        assert a.exposure == b.exposure
        np.testing.assert_allclose(a.power[~a.mask], b.power[~a.mask], rtol=1e-5)


@needs_numba
@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(1, 900), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_any_cutting_gives_the_same_bytes(cuts, seed):
    x = voltage(samples=2_400, channels=16, seed=seed, spikes=80)
    whole, _ = run(x, chunk=len(x), engine="numba", settle_ms=5.0)
    front = FrontEnd(FrontEndConfig(engine="numba", settle_ms=5.0), 16, FS)
    parts, a = [], 0
    for cut in (*cuts, len(x)):
        parts += front.process(x[a : a + cut])
        a += cut
    assert [b.power.tobytes() for b in parts] == [b.power.tobytes() for b in whole]
    np.testing.assert_array_equal(events(parts), events(whole))


@pytest.mark.parametrize("engine", ENGINES)
def test_railed_and_stuck_channels_are_masked_leave_the_reference_and_return(engine):
    x = voltage(samples=30_000, channels=16, spikes=0)
    x[9_000:12_000:2, 3] = 511
    x[9_000:12_000, 7] = 40
    bins, _ = run(x, engine=engine, settle_ms=100.0, recover_ms=200.0)
    clean, _ = run(voltage(samples=30_000, channels=16, spikes=0), engine=engine, settle_ms=100.0)
    masks = np.array([b.mask for b in bins])
    bad = np.array([3, 7])
    assert masks[:5].all()  # settling
    assert not masks[5:15].any()
    assert masks[15:20][:, bad].all()
    assert masks[20:30][:, bad].all()  # recovering
    assert not masks[31:].any()
    assert not np.delete(masks[5:], bad, axis=1).any()
    # in the first bad bin the rail is still in the common average; from the second the others lose nothing but two of 16
    others = np.delete(np.arange(16), bad)
    ratio = np.array([b.power[others] / c.power[others] for b, c in zip(bins, clean, strict=True)])[17:20]
    assert np.abs(ratio - 1).max() < 0.5


@pytest.mark.parametrize("engine", ENGINES)
def test_hold_hides_the_artefact_of_a_pulse_and_says_what_is_missing(engine):
    x = voltage(samples=30_000, channels=16, spikes=0, seed=3)
    pulses = np.arange(15_000, 27_000, 300)
    dirty = x.astype(np.int32)
    shape = np.r_[900, -900, 800 * np.exp(-np.arange(18) / 4.0)].astype(int)
    for p in pulses:
        dirty[p : p + 20] += shape[:, None]
    dirty = np.clip(dirty, -512, 511).astype(np.int16)
    held, _ = run(dirty, engine=engine, pulses=pulses, reference="none")
    unheld, _ = run(dirty, engine=engine, reference="none")
    clean, _ = run(x, engine=engine, reference="none")
    during = slice(26, 44)
    loud, quiet = (sum(b.sample.size for b in bins[during]) for bins in (unheld, held))
    assert loud > 400
    assert quiet < 0.03 * loud
    assert not any(b.mask.any() for b in held[26:])
    assert {round(b.exposure, 4) for b in held[during]} == {round(1 - 2 * 22 / 600, 4)}  # 740 us are 22 samples
    power = np.array([h.power / c.power for h, c in zip(held, clean, strict=True)])[during]
    assert abs(power.mean() - 1) < 0.15
    everything, _ = run(x, engine=engine, pulses=np.arange(0, 30_000, 20))
    assert all(b.mask.all() and b.exposure == 0 and np.isfinite(b.power).all() for b in everything)


@pytest.mark.parametrize("engine", ENGINES)
def test_dead_time_and_threshold_floor(engine):
    x = np.zeros((12_000, 16), np.int16)
    rng = np.random.default_rng(5)
    x[:, :] = (rng.random((12_000, 16)) < 0.5).astype(np.int16)  # one-bit flicker: RMS below 0.5 LSB
    for t in range(6_000, 12_000, 20):  # 1.5 kHz train: every second one falls into the dead time
        x[t : t + 3, 0] -= 60
    bins, _ = run(x, engine=engine, reference="none", settle_ms=50.0, rms_time_s=1e3, threshold_floor_lsb=8.0)
    found = np.concatenate([b.sample[b.channel == 0] for b in bins])
    assert len(found) > 50
    assert np.diff(found).min() >= 30
    assert not any((b.channel > 0).any() for b in bins)


@pytest.mark.parametrize("fs", [19_531, 30_000])
@pytest.mark.parametrize(("order", "band"), [(4, (250.0, 5000.0)), (2, (300.0, 1000.0))])
def test_sections_are_scipys_filter(fs, order, band):
    design = band_pass(order, band, fs)
    x = np.random.default_rng(0).standard_normal(3_000)
    want = sosfilt(butter(order, band, "bandpass", fs=fs, output="sos"), x)
    np.testing.assert_allclose(sosfilt(design.sos, x), want, atol=1e-9)
    y = np.diff(x, prepend=0.0) * design.gain  # the notation of the kernels
    for a2, kappa in design.high.astype(float):
        last, total, out = 0.0, 0.0, []
        for d in y:
            v = a2 * last - kappa * total + d
            total += v
            out.append(v)
            last = v
        y = np.diff(out, prepend=0.0)
    y = np.cumsum(y)
    for a1, a2 in design.low.astype(float):
        y = sosfilt([[1, 2, 1, 1, a1, a2]], y)
    np.testing.assert_allclose(y, want, atol=2e-5)


def test_regression_removes_what_the_array_shares_unequally():
    rng = np.random.default_rng(2)
    gains = rng.uniform(0.2, 3.0, 32)
    du = rng.standard_normal((4_000, 32)) + 20 * rng.standard_normal((4_000, 1)) * gains
    edges = array_edges(32, 16)
    w = regression_weights(du, edges)
    rest = du.copy()
    for a, b in ((0, 16), (16, 32)):
        rest[:, a:b] -= du[:, a:b] @ w[:, a:b]
        assert (np.diag(w[:, a:b]) == 0).all()
    average = du - du.reshape(-1, 2, 16).mean(axis=2).repeat(16, axis=1)
    assert rest.std() < 1.2
    assert average.std() > 5


def test_bins_never_drift():
    clock = BinClock(19_531, 20_000_000)
    assert [clock.edge(k) for k in (0, 1, 2, 50, 180_000)] == [0, 390, 781, 19_531, 19_531 * 3_600]


def test_bad_input_says_what_to_do():
    front = FrontEnd(FrontEndConfig(engine="numpy"), 4, FS)
    with pytest.raises(InputError, match="int16"):
        front.process(np.zeros((10, 4)))
    with pytest.raises(InputError, match="samples, 4"):
        front.process(np.zeros((4, 10), np.int16))
    assert front.process(np.zeros((0, 4), np.int16)) == []
    for bad in (
        {"reference": "car"},
        {"engine": "gpu"},
        {"rms_time_s": 0.0},
        {"rail_low": 9, "rail_high": 3},
        {"min_exposure": 0.0},
    ):
        with pytest.raises(ConfigError):
            FrontEndConfig(**bad)
    for bad in ({"array_size": 24}, {"band_hz": (250.0, 20_000.0)}):
        with pytest.raises(ConfigError):
            FrontEnd(FrontEndConfig(**bad), 64, FS)
    with pytest.raises(ConfigError, match="regression"):
        front.fit_reference(np.zeros((10, 4), np.int16))


@needs_numba
@pytest.mark.parametrize(("reference", "times"), [("none", 4.5), ("common_average", 4.5), ("common_average", 2.0)])
def test_real_recordings_kernel_equals_reference(reference, times):
    root = os.environ.get("VOLITION_DATA")
    if not root:
        pytest.skip("VOLITION_DATA is not set: real recordings are not here")
    columns = []
    for path in sorted(Path(root, "broadband_neuralink").glob("*.wav")):
        with wave.open(str(path)) as w:
            columns.append(np.frombuffer(w.readframes(40_000), "<i2") >> 6)
    x = np.ascontiguousarray(np.stack(columns, axis=1), np.int16)
    fast, _ = run(x, chunk=195, fs=19_531, engine="numba", reference=reference, threshold_rms=times, array_size=0)
    exact, _ = run(x, chunk=len(x), fs=19_531, engine="numpy", reference=reference, threshold_rms=times, array_size=0)
    assert len(events(exact)) > (30_000 if times == 2.0 else 200)
    assert np.setxor1d(events(fast), events(exact)).size <= 1e-5 * len(events(exact))
    for a, b in zip(fast, exact, strict=True):
        np.testing.assert_array_equal(a.mask, b.mask)
        good = ~a.mask
        np.testing.assert_allclose(a.power[good], b.power[good], rtol=1e-5)
    assert np.array([a.mask for a in fast])[30:].any(axis=0).sum() >= 1  # at least one of the 120 electrodes sits at a rail
