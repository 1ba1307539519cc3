"""The real recordings, through the layouts that ship."""

import os
from pathlib import Path

import numpy as np
import pytest

from volition.decoder.linear import Linear
from volition.errors import InputError
from volition.io.read import read, read_decoder


@pytest.fixture(scope="module")
def motor():
    folder = os.environ.get("VOLITION_DATA")
    if not folder:
        pytest.skip("VOLITION_DATA is not set: real recordings are not here")
    return Path(folder, "motor")


# file: layout, bins, units, bin ms, stretches, trials, unit of the velocity
RECORDINGS = {
    "m1_stevenson_2011.mat": ("stevenson2011", 15536, 171, 50, 1, None, "m/s"),
    "s1_data.mat": ("spykesml_s1", 35129, 52, 50, 414, None, "cm/s"),
    "chewie_20131003_bin50ms_moving.npz": ("chewie", 1731, 174, 50, 172, 159, "cm/s"),
    "chewie_20131003_bin100ms_whole_trial.npz": ("chewie", 1640, 174, 100, 159, 159, "cm/s"),
    "chewie_20131219_bin100ms_moving.npz": ("chewie", 835, 155, 100, 187, 180, "cm/s"),
    "golub2018_bci_learning_exampleData.mat": ("golub2018", 1104, 86, 45, 1104, 16, None),
    "mc_maze_trial_748_1kHz.csv.gz": ("mc_maze_csv", 3236, 182, 1, 1, 1, "mm/s"),
    "mc_maze_trial_1356_1kHz.csv.gz": ("mc_maze_csv", 3566, 182, 1, 1, 1, "mm/s"),
}


@pytest.mark.parametrize("name", sorted(RECORDINGS))
def test_every_recording_is_found_by_its_variables(motor, name):
    layout, bins, units, bin_ms, stretches, trials, unit = RECORDINGS[name]
    recording = read(motor / name)
    assert recording.info["layout"] == layout
    assert recording.counts.shape == (bins, units)
    assert recording.bin_ns == bin_ms * 1_000_000
    assert recording.segment[0] == 0
    assert recording.segment[-1] + 1 == len(np.unique(recording.segment)) == stretches
    assert (None if recording.trial is None else recording.trial.max() + 1) == trials
    assert recording.units.get("velocity") == unit
    assert (np.diff(recording.t_ns) > 0).all()
    assert all(value.dtype == np.float64 for value in recording.kinematics.values())
    shipped = (motor.parent / "SOURCES.md").read_text(encoding="utf-8")
    assert f"`{recording.sha256}`" in shipped


def test_every_file_of_the_folder_is_accounted_for(motor):
    others = {"russo2018_cycling_EMG_sampleData.mat", "russo2018_cycling_kinematic_sampleData.mat"}
    assert {path.name for path in motor.iterdir()} == others | set(RECORDINGS)


@pytest.mark.parametrize("what", ["EMG", "kinematic"])
def test_recordings_without_spikes_are_known_and_refused(motor, what):
    path = motor / f"russo2018_cycling_{what}_sampleData.mat"
    with pytest.raises(InputError, match=r"zero units: layout russo2018_.* without any spikes") as caught:
        read(path)
    assert str(caught.value).startswith(str(path))


def test_the_seams_of_s1_are_where_the_hand_jumps(motor):
    recording = read(motor / "s1_data.mat")
    position, velocity = recording.kinematics["position"], recording.kinematics["velocity"]
    excess = np.linalg.norm(np.diff(position, axis=0) / 0.05 - velocity[1:], axis=1)
    seam = np.diff(recording.segment) != 0
    assert seam.sum() == 413
    assert excess[seam].min() > 20
    assert excess[~seam].max() <= 20
    assert np.median(np.bincount(recording.segment)) == pytest.approx(56, abs=2)


@pytest.mark.parametrize("name", [name for name in RECORDINGS if name.startswith("chewie")])
def test_borders_of_chewie_lie_where_bins_are_missing_and_nowhere_else(motor, name):
    recording = read(motor / name)
    raw = np.load(motor / name)
    number, trial = raw["bin_in_trial"].astype(int), raw["trial"]
    follows = (np.diff(trial) == 0) & (np.diff(number) == 1)
    np.testing.assert_array_equal(np.diff(recording.segment) == 0, follows)
    within = np.diff(recording.trial) == 0
    np.testing.assert_array_equal(np.diff(recording.t_ns)[within] // recording.bin_ns, np.diff(number)[within])
    np.testing.assert_array_equal(recording.target[recording.trial], raw["target_dir"])
    # inside a stretch the position moves as the velocity says: no seam was overlooked
    position, velocity = recording.kinematics["position"], recording.kinematics["velocity"]
    mean = (velocity[1:] + velocity[:-1]) / 2
    excess = np.linalg.norm(np.diff(position, axis=0) * 1e9 / recording.bin_ns - mean, axis=1)
    assert excess[follows].max() < 5


def test_golub_before_and_after(motor):
    recording = read(motor / "golub2018_bci_learning_exampleData.mat")
    np.testing.assert_array_equal(np.bincount(recording.trial), [69] * 16)
    np.testing.assert_array_equal(recording.target, [*range(0, 360, 45)] * 2)
    # the intended direction of each step lies within its group's 45 degrees
    direction = recording.kinematics["direction"]
    angle = np.degrees(np.arctan2(direction[:, 1], direction[:, 0]))
    off = (angle - recording.target[recording.trial] + 180) % 360 - 180
    assert np.abs(off).max() < 23


@pytest.mark.parametrize("name", ["intuitive", "perturbed"])
def test_the_decoders_of_golub_give_the_stored_single_step_velocities(motor, name):
    path = motor / "golub2018_bci_learning_exampleData.mat"
    recording, arrays = read(path), read_decoder(path, name)
    stored = recording.kinematics[f"velocity_{name}"]  # mm/s
    computed = recording.counts @ arrays["M2"].T + arrays["m0"]
    assert np.abs(computed - stored).max() < 1e-6  # mm/s

    decoder = Linear()
    decoder.restore(arrays)
    given = decoder.predict(recording.counts, None, recording.segment)  # m/s, float32
    assert np.abs(stored).max() > 100
    assert np.abs(given - stored * 1e-3).max() < 1e-7


def test_a_trial_at_1_khz_joins_to_20_ms(motor):
    fine = read(motor / "mc_maze_trial_748_1kHz.csv.gz")
    coarse = read(motor / "mc_maze_trial_748_1kHz.csv.gz", bin_ms=20)
    assert coarse.bins == 161
    np.testing.assert_array_equal(coarse.counts.sum(0), fine.counts[:3220].sum(0))
    assert coarse.t_ns[0] - fine.t_ns[0] == 19_000_000
