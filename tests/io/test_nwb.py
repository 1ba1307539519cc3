import dataclasses
import json
import sys
from datetime import UTC, datetime

import numpy as np
import pytest

from volition.errors import InputError, MissingExtraError
from volition.io.nwb import write_nwb
from volition.io.read import read
from volition.signal import Recording

pynwb = pytest.importorskip("pynwb", reason="the extra [nwb] is not installed")


def session(**change):
    rng = np.random.default_rng(7)
    bins = 50
    whole = {
        "counts": rng.poisson(1, (bins, 6)).astype(np.uint8),
        "bin_ns": 50_000_001,
        "kinematics": {"velocity": rng.normal(size=(bins, 2)), "position": rng.normal(size=(bins, 3)) * 1e-17},
        "units": {"velocity": "cm/s", "position": "m"},
        "segment": np.repeat([0, 1, 2, 5], [10, 20, 15, 5]).astype(np.int32),
        "trial": np.repeat([0, -1, 1, 3], [10, 20, 15, 5]).astype(np.int32),
        "target": np.array([3, 1, 9, 2], np.uint8),
        "t_ns": np.cumsum(rng.integers(50_000_001, 90_000_000, bins)),
        "name": "monkey day 1",
        "sha256": "ab" * 32,
        "info": {"subject": "Jöhn", "species": "Macaca mulatta", "task": "reaching", "date": "20120305", "odd": 'a"b\n'},
    }
    return Recording(**(whole | change))


def assert_equal(a, b):
    """Every field, bit by bit, type by type."""
    for field in dataclasses.fields(Recording):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if field.name == "kinematics":
            assert list(x) == list(y)
            pairs = [(x[key], y[key]) for key in x]
        elif field.name == "spike_t_ns":
            assert (x is None) == (y is None)
            pairs = list(zip(x or (), y or (), strict=True))
        elif isinstance(x, np.ndarray):
            pairs = [(x, y)]
        else:
            assert x == y, field.name
            pairs = []
        for one, other in pairs:
            assert one.dtype == other.dtype, field.name
            np.testing.assert_array_equal(one, other, err_msg=field.name)


VARIANTS = {
    "full": {},
    "text targets": {"target": np.array(["left", "right", "up", "döwn"])},
    "two numbers a target": {"target": np.arange(8.0).reshape(4, 2)},
    "no targets": {"target": None},
    "no trials": {"target": None, "trial": None},
    "targets without trials": {"trial": None},
    "no movement": {"kinematics": {}, "units": {}},
    "nothing known": {"name": "x", "sha256": "", "info": {}, "units": {}},
    "spike times": {
        "spike_t_ns": tuple(np.sort(np.random.default_rng(k).integers(0, 3 * 10**9, 9 * (k != 2))) for k in range(6))
    },
    "a silent array": {"spike_t_ns": tuple(np.empty(0, np.int64) for _ in range(6))},
    "a clock that counts from 1970": {
        "t_ns": 1_700_000_000_123_456_789 + 50_000_001 * np.arange(50),
        "spike_t_ns": tuple(1_700_000_000_123_456_781 + np.arange(3) for _ in range(6)),
    },
    "one bin": {
        "counts": np.ones((1, 1)),
        "kinematics": {},
        "segment": np.zeros(1, np.int32),
        "trial": np.zeros(1, np.int32),
        "target": np.zeros(1),
        "t_ns": np.array([5]),
    },
}


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_what_is_written_is_read_exactly_and_is_valid(tmp_path, variant):
    recording = session(**VARIANTS[variant])
    path = write_nwb(recording, tmp_path / "a.nwb")
    assert pynwb.validate(path=str(path)) == []
    assert_equal(recording, read(path))
    assert [p.name for p in tmp_path.iterdir()] == ["a.nwb"]


def test_the_validator_does_find_faults(tmp_path):
    import h5py

    path = write_nwb(session(), tmp_path / "a.nwb")
    with h5py.File(path, "r+") as file:
        del file["processing/volition/counts/data"].attrs["unit"]
    assert [error.name for error in pynwb.validate(path=str(path))] == ["TimeSeries/data/unit"]


def test_a_stranger_finds_trials_and_movement(tmp_path):
    recording = session()
    path = write_nwb(recording, tmp_path / "a.nwb")
    with pynwb.NWBHDF5IO(str(path), "r") as io:
        nwb = io.read()
        assert nwb.session_start_time == datetime(2012, 3, 5, tzinfo=UTC)
        assert nwb.subject.subject_id == "Jöhn"
        velocity = nwb.processing["behavior"]["BehavioralTimeSeries"]["velocity"]
        assert velocity.unit == "cm/s"
        np.testing.assert_array_equal(velocity.timestamps[:], recording.t_ns / 1e9)
        trials = nwb.trials.to_dataframe()
        assert list(trials.target) == [3, 1, 9, 2]
        assert trials.stop_time[1] == recording.t_ns[44] / 1e9
        assert trials.start_time[0] == pytest.approx((recording.t_ns[0] - recording.bin_ns) / 1e9)
        assert np.isnan(trials.start_time[2])  # no bin of it was recorded


def test_ours_is_joined_to_wider_bins(tmp_path):
    path = write_nwb(session(bin_ns=50_000_000), tmp_path / "a.nwb")
    assert read(path, bin_ms=100).bins == 5 + 10 + 7 + 2
    with pytest.raises(InputError, match=r"a\.nwb: .*cannot be joined to 70 ms"):
        read(path, bin_ms=70)


def test_unwritable_places_give_one_line_and_leave_nothing(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.nwb").mkdir()
    for path, reason in (
        (tmp_path / "file" / "a.nwb", "Not a directory"),
        (tmp_path / "gone" / "a.nwb", "No such file or directory"),
        (tmp_path / "folder.nwb", "is a folder"),
        (tmp_path / "a.mat", "must end in .nwb"),
        (tmp_path / f"{'a' * 300}.nwb", "File name too long"),
    ):
        with pytest.raises(InputError, match=reason) as caught:
            write_nwb(session(), path)
        assert str(caught.value).startswith(str(path))
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder.nwb"]


def test_when_writing_fails_the_older_file_stays(tmp_path):
    path = write_nwb(session(), tmp_path / "a.nwb")
    before = path.read_bytes()
    with pytest.raises(InputError, match="no series called 'hand/x'"):
        write_nwb(session(kinematics={"hand/x": np.zeros((50, 1))}), path)
    with pytest.raises(InputError, match="2 targets for 4 trials"):
        write_nwb(session(target=np.zeros(2)), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.nwb"]
    write_nwb(session(name="new"), path)
    assert read(path).name == "new"


def test_ctrl_c_while_writing_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(pynwb.NWBHDF5IO, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_nwb(session(), tmp_path / "a.nwb")
    assert not list(tmp_path.iterdir())


def test_without_pynwb(tmp_path, monkeypatch):
    path = write_nwb(session(), tmp_path / "a.nwb")
    monkeypatch.setitem(sys.modules, "pynwb", None)
    for call in (lambda: write_nwb(session(), tmp_path / "b.nwb"), lambda: read(path)):
        with pytest.raises(MissingExtraError, match=r"pip install 'volition\[nwb\]'"):
            call()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated(tmp_path, share):
    whole = write_nwb(session(), tmp_path / "a.nwb").read_bytes()
    path = tmp_path / "cut.nwb"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match="not a readable NWB file") as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_hdf5_that_is_not_nwb(tmp_path):
    import h5py

    with h5py.File(tmp_path / "a.nwb", "w") as file:
        file["x"] = np.arange(3)
    with pytest.raises(InputError, match=r"a\.nwb: not a readable NWB file"):
        read(tmp_path / "a.nwb")
    with pytest.raises(InputError, match="describe themselves"):
        read(tmp_path / "a.nwb", "chewie")


def test_ours_with_a_damaged_table(tmp_path):
    import h5py

    path = write_nwb(session(), tmp_path / "a.nwb")
    with h5py.File(path, "r+") as file:
        keys = [key.decode() for key in file["processing/volition/about/key"][:]]
        file["processing/volition/about/value"][keys.index("bin_ns")] = json.dumps(-1)
    with pytest.raises(InputError, match="bin width must be positive"):
        read(path)
