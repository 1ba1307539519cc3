"""NWB files that others write, in the manner of the Neural Latents Benchmark and of DANDI."""

from datetime import UTC, datetime

import numpy as np
import pytest

from volition.errors import InputError
from volition.io.nwb import write_nwb
from volition.io.read import read

pynwb = pytest.importorskip("pynwb", reason="the extra [nwb] is not installed")
SECONDS = 4.0


def empty():
    return pynwb.NWBFile(
        session_description="maze", identifier="x", session_start_time=datetime(2020, 1, 1, tzinfo=UTC), lab="Ours"
    )


def save(nwb, path):
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)
    return path


def spikes():
    rng = np.random.default_rng(2)
    return [np.sort(rng.uniform(0, SECONDS, n)) for n in (40, 0, 200)]


def benchmark(path, *, rate=1000.0, gap=None, intervals=None):
    """Units, trials with targets, hand position and velocity in a module called behavior."""
    nwb = empty()
    nwb.add_trial_column("target_dir", "direction")
    for k in range(4):
        nwb.add_trial(start_time=k + 0.0, stop_time=k + 0.5, target_dir=10.0 * k)
    for times in spikes():
        nwb.add_unit(spike_times=times, **({} if intervals is None else {"obs_intervals": intervals}))
    t = np.arange(1, int(SECONDS * rate) + 1) / rate
    values = np.stack([t, -2 * t], 1)
    if gap is not None:
        inside = (t > gap[0]) & (t <= gap[1])
        t, values = t[~inside], values[~inside]
    module = nwb.create_processing_module("behavior", "hand")
    module.add(pynwb.TimeSeries(name="hand_vel", data=values, unit="m/s", timestamps=t, conversion=0.001))
    module.add(
        pynwb.behavior.Position(
            spatial_series=pynwb.behavior.SpatialSeries(
                name="hand_pos", data=values, unit="m", timestamps=t, reference_frame="screen"
            )
        )
    )
    module.add(pynwb.TimeSeries(name="eye_pos", data=values[:, 0], unit="m", timestamps=t))
    return save(nwb, path)


def test_spikes_are_counted_once_and_movement_is_the_bins_mean(tmp_path):
    recording = read(benchmark(tmp_path / "nlb.nwb"))
    assert recording.counts.shape == (200, 3)
    assert recording.bin_ns == 20_000_000
    edges = np.arange(201) * 0.02
    for unit, times in enumerate(spikes()):
        np.testing.assert_array_equal(recording.counts[:, unit], np.histogram(times, edges)[0])
        np.testing.assert_array_equal(recording.spike_t_ns[unit], np.rint(times * 1e9))
    assert set(recording.kinematics) == {"velocity", "position", "eye_pos"}
    assert recording.info["velocity is"] == "hand_vel"
    assert recording.units == {"velocity": "m/s", "position": "m", "eye_pos": "m"}
    ends = recording.t_ns / 1e9
    np.testing.assert_allclose(ends, edges[1:])
    np.testing.assert_allclose(recording.kinematics["position"][:, 0], ends - 0.0095, rtol=1e-9)  # mean of 20 samples
    np.testing.assert_allclose(recording.kinematics["velocity"], recording.kinematics["position"] * 1e-3)
    assert not recording.segment.any()
    np.testing.assert_array_equal(recording.trial == 2, (ends > 2.00001) & (ends <= 2.50001))
    assert (recording.trial == -1).sum() == 100
    np.testing.assert_array_equal(recording.target, [0, 10, 20, 30])
    assert recording.info["lab"] == "Ours"


def test_a_gap_in_the_samples_is_a_border(tmp_path):
    recording = read(benchmark(tmp_path / "gap.nwb", gap=(1.0, 1.5)), bin_ms=10)
    assert recording.bins == 350
    assert list(np.flatnonzero(np.diff(recording.segment)) + 1) == [100]
    assert recording.t_ns[100] - recording.t_ns[99] == 510_000_000


def test_bins_outside_the_observed_intervals_are_left_out(tmp_path):
    recording = read(benchmark(tmp_path / "obs.nwb", intervals=[[0.0, 1.0], [3.0, 4.0]]))
    ends = recording.t_ns / 1e9
    assert recording.bins == 100
    assert ((ends <= 1.0001) | (ends > 3.0001)).all()
    assert recording.segment[-1] == 1


def test_samples_rarer_than_bins_are_interpolated(tmp_path):
    recording = read(benchmark(tmp_path / "slow.nwb", rate=20.0), bin_ms=10)
    ends = recording.t_ns / 1e9
    np.testing.assert_allclose(recording.kinematics["position"][:, 0], np.maximum(ends, 0.05), atol=1e-9)
    assert not recording.segment.any()


def test_spikes_alone(tmp_path):
    nwb = empty()
    for times in spikes():
        nwb.add_unit(spike_times=times)
    recording = read(save(nwb, tmp_path / "s.nwb"), bin_ms=50)
    assert recording.kinematics == {}
    assert recording.trial is None
    first, last = min(t[0] for t in spikes() if len(t)), max(t[-1] for t in spikes() if len(t))
    assert recording.bins == int((last - first) / 0.05)


def test_what_was_foreign_round_trips(tmp_path):
    recording = read(benchmark(tmp_path / "nlb.nwb"))
    path = write_nwb(recording, tmp_path / "ours.nwb")
    assert pynwb.validate(path=str(path)) == []
    again = read(path)
    np.testing.assert_array_equal(again.counts, recording.counts)
    for ours, theirs in zip(again.spike_t_ns, recording.spike_t_ns, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert again.sha256 == recording.sha256


def unusable():
    no_units = empty()
    no_units.add_acquisition(pynwb.TimeSeries(name="volts", data=[1.0, 2.0], unit="V", rate=1.0))
    silent = empty()
    silent.add_unit(spike_times=[])
    never = empty()
    never.add_unit(spike_times=[0.1, 0.5], obs_intervals=[[9.0, 10.0]])
    long = empty()
    long.add_unit(spike_times=[0.0, 1e9])
    nan = empty()
    nan.add_unit(spike_times=[0.0, np.nan])
    back = empty()
    back.add_unit(spike_times=[0.0, 1.0])
    series = pynwb.TimeSeries(name="vel", data=[1.0, 2.0, 3.0], unit="m/s", timestamps=[0.0, 2.0, 1.0])
    back.create_processing_module("behavior", "hand").add(series)
    return {
        "zero units: the file has no Units table": no_units,
        "zero spikes": silent,
        "no bin has samples": never,
        "choose another width": long,
        "spike times hold NaN": nan,
        "do not go up": back,
    }


@pytest.mark.parametrize("message", sorted(unusable()))
def test_files_nothing_can_be_decoded_from(tmp_path, message):
    path = save(unusable()[message], tmp_path / "a.nwb")
    with pytest.raises(InputError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
