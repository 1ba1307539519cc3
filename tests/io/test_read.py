import gzip
import hashlib
import zipfile

import numpy as np
import pytest
from scipy.io import savemat

from volition.errors import InputError, UnknownNameError
from volition.io.read import read, read_decoder

JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000") + b"\x11" * 400
LAYOUT = """
match = ["spikes", "vel"]
[counts]
variable = "spikes"
[bin]
ms = 50
[kinematics.velocity]
variable = "vel"
unit = "cm/s"
"""


@pytest.fixture
def layout(tmp_path):
    path = tmp_path / "lab.toml"
    path.write_text(LAYOUT, encoding="utf-8")
    return path


def session(bins=60, units=4):
    rng = np.random.default_rng(3)
    return {"spikes": rng.poisson(1, (bins, units)).astype(np.uint8), "vel": rng.normal(size=(bins, 2))}


def write(path, arrays):
    if path.suffix == ".mat":
        savemat(path, arrays)
    else:
        np.savez(path, **arrays)
    return path


def refused(message, path, *args, **kwargs):
    with pytest.raises(InputError, match=message) as caught:
        read(path, *args, **kwargs)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert len(text) < 500
    return text


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
def test_what_was_saved_is_what_is_read(tmp_path, layout, suffix):
    arrays = session()
    path = write(tmp_path / f"mine{suffix}", arrays)
    recording = read(path, layout)
    assert recording.counts.dtype == np.uint16
    assert recording.counts.flags.c_contiguous
    np.testing.assert_array_equal(recording.counts, arrays["spikes"])
    np.testing.assert_array_equal(recording.kinematics["velocity"], arrays["vel"])
    assert recording.name == "mine"
    assert recording.units == {"velocity": "cm/s"}
    assert recording.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert recording.t_ns[0] == recording.bin_ns == 50_000_000
    assert not recording.segment.any()


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.97])
def test_truncated_files(tmp_path, layout, suffix, share):
    whole = write(tmp_path / f"whole{suffix}", session()).read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(whole[: int(len(whole) * share)])
    refused(": ", path, layout)


@pytest.mark.parametrize("suffix", [".mat", ".npz", ".csv", ".csv.gz", ".nwb", ".dat"])
def test_empty_missing_and_folder(tmp_path, suffix):
    empty = tmp_path / f"empty{suffix}"
    empty.write_bytes(b"")
    refused("the file is empty", empty)
    refused("no such file", tmp_path / f"gone{suffix}")
    folder = tmp_path / f"folder{suffix}"
    folder.mkdir()
    refused("is a folder", folder)
    refused("no such file", empty / f"below{suffix}")


@pytest.mark.parametrize("suffix", [".mat", ".npz", ".csv", ".csv.gz", ".nwb", ".dat"])
@pytest.mark.parametrize(
    ("content", "what"), [(JPEG, "a JPEG image"), (b"\0" * 600, "unknown data"), (b"%PDF-1.7 \n" * 40, "a PDF document")]
)
def test_foreign_files(tmp_path, suffix, content, what):
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(content)
    refused(what, path)


def test_text_under_a_binary_name(tmp_path):
    for suffix in (".npz", ".nwb", ".csv.gz"):
        (tmp_path / f"t{suffix}").write_text("hello\n" * 50)
        refused("holds text", tmp_path / f"t{suffix}")
    (tmp_path / "t.mat").write_text("hello\n" * 50)
    refused("not a readable MATLAB file", tmp_path / "t.mat")


def test_content_decides_where_the_suffix_says_nothing(tmp_path, layout):
    path = write(tmp_path / "a.npz", session()).rename(tmp_path / "a.data")
    assert read(path, layout).bins == 60
    (tmp_path / "b.data").write_text("1,2,3")
    refused("holds text; readable are .mat", tmp_path / "b.data")


def test_hdf5_mat_and_single_arrays_and_pickles(tmp_path, layout):
    (tmp_path / "new.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512, b" ") + b"\x89HDF\r\n\x1a\n")
    refused("version 7.3 is not read; save it again", tmp_path / "new.mat")
    np.save(tmp_path / "one.npy", np.ones(9))
    single = (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    refused("single NumPy array", single)
    np.savez(tmp_path / "evil.npz", spikes=np.array([{}], object), vel=np.ones(1))
    refused("pickled Python objects, which are never loaded", tmp_path / "evil.npz", layout)
    with zipfile.ZipFile(tmp_path / "zip.npz", "w") as archive:
        archive.writestr("notes.txt", "hello")
    refused(": ", tmp_path / "zip.npz", layout)


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spikes": np.full((60, 4), np.nan)}, "NaN or infinity"),
        ({"spikes": np.full((60, 4), -1)}, "negative"),
        ({"spikes": np.full((60, 4), 0.5)}, "whole numbers"),
        ({"spikes": np.full((60, 4), 70000)}, "above 65535"),
        ({"spikes": np.zeros((60, 4, 2))}, "at most two dimensions"),
        ({"spikes": np.array(["a", "b"])}, "must be numbers"),
        ({"vel": np.zeros((61, 2))}, r"velocity has shape \(61, 2\), but counts have 60 bins"),
        ({"vel": np.full((60, 2), np.nan)}, "velocity holds NaN"),
        ({"spikes": np.zeros((60, 0))}, "zero units"),
    ],
)
def test_contents_no_decoder_could_use(tmp_path, layout, suffix, change, message):
    path = write(tmp_path / f"bad{suffix}", session() | change)
    if suffix == ".mat" and message == "zero units":
        message = "zero (units|bins)"
    refused(message, path, layout)


def test_zero_bins(tmp_path, layout):
    refused("zero bins", write(tmp_path / "a.npz", {"spikes": np.zeros((0, 4)), "vel": np.zeros((0, 2))}), layout)


def test_csv(tmp_path, layout):
    layout.write_text(
        LAYOUT.replace('"spikes", ', '"u*", ').replace('= "spikes"', '= "u*"').replace("[counts]", "nan='cut'\n[counts]")
    )
    text = "time,vel,u1,u2\n0,1.5,0,1\n1,,2,0\n2,0.5,0,3\n"
    (tmp_path / "a.csv").write_text(text)
    recording = read(tmp_path / "a.csv", layout)
    np.testing.assert_array_equal(recording.counts, [[0, 1], [0, 3]])  # the bin without a velocity is cut out
    np.testing.assert_array_equal(recording.segment, [0, 1])  # and leaves a border
    np.testing.assert_array_equal(recording.t_ns, [50_000_000, 150_000_000])
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
    np.testing.assert_array_equal(read(tmp_path / "a.csv.gz", layout).counts, recording.counts)
    assert read(tmp_path / "a.csv.gz", layout).name == "a"
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(text.encode() * 99)[:60])
    refused("gzip compression is damaged or truncated", tmp_path / "cut.csv.gz", layout)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vel,u1\n1,0\n1,0,0\n", "line 3 has 3 fields, line 1 names 2"),
        ("vel,u1\n1,0\n1,zero\n", "line 3: could not convert string to float: 'zero'"),
        ("vel,u1\n", "no numbers below"),
        ("vel,vel\n1,2\n", "name every column once"),
        ("vel,u1,\n1,2,3\n", "name every column once"),
        ("vel,u1\n1,2,3\n", "2 names in line 1|line 2 has 3 fields"),
    ],
)
def test_faulty_csv(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    refused(message, tmp_path / "a.csv")


def test_cells_are_stretches_and_struct_fields_have_dotted_names(tmp_path):
    layout = tmp_path / "cells.toml"
    layout.write_text(
        'match = ["d.s.n"]\n[counts]\nvariable = "d.s.n"\norder = "units x bins"\n[bin]\nms = 10\n'
        '[kinematics.velocity]\nvariable = "d.v"\norder = "dims x bins"\nunit = "m/s"\n'
        '[trials]\ncells = true\ntarget = "d.angle"\n'
    )
    cells, velocities = np.empty(3, object), np.empty(3, object)
    for k, n in enumerate((2, 5, 3)):
        cells[k], velocities[k] = np.full((4, n), k, np.uint8), np.full((2, n), 0.1 * k)
    savemat(tmp_path / "c.mat", {"d": {"s": {"n": cells}, "v": velocities, "angle": [0, 45, 90]}})
    recording = read(tmp_path / "c.mat", layout)
    assert recording.counts.shape == (10, 4)
    np.testing.assert_array_equal(recording.segment, np.repeat([0, 1, 2], [2, 5, 3]))
    np.testing.assert_array_equal(recording.trial, recording.segment)
    np.testing.assert_array_equal(recording.counts[:, 0], recording.segment)
    np.testing.assert_array_equal(recording.target, [0, 45, 90])
    velocities[1] = velocities[1][:, :4]
    savemat(tmp_path / "e.mat", {"d": {"s": {"n": cells}, "v": velocities, "angle": [0, 45, 90]}})
    refused("velocity has shape", tmp_path / "e.mat", layout)


def test_borders(tmp_path):
    layout = tmp_path / "b.toml"
    base = LAYOUT + '[kinematics.position]\nvariable = "pos"\nunit = "cm"\n'
    trials = '[trials]\nvariable = "trial"\ntarget = "goal"\n'
    bins = 30
    vel = np.full((bins, 2), 10.0)
    pos = np.cumsum(vel * 0.05, axis=0)
    pos[12:] += 5.0
    trial = np.repeat([7, -1, 3], 10)
    number = np.tile(np.arange(10), 3)
    number[25:] += 4
    arrays = {"spikes": np.ones((bins, 2)), "vel": vel, "pos": pos, "trial": trial, "number": number, "goal": trial * 2}
    path = write(tmp_path / "b.npz", arrays)

    def at(text):
        layout.write_text(base + text)
        return list(np.flatnonzero(np.diff(read(path, layout).segment)) + 1)

    assert at("") == []
    assert at("[borders.jump]\nthreshold = 20.0") == [12]
    assert at("[borders.jump]\nthreshold = 200.0") == []
    assert at(trials + "[borders]\ntrial = true") == [10, 20]
    assert at(trials + '[borders]\nskip = "number"') == [10, 20, 25]
    assert at("[borders]\nevery_bin = true") == list(range(1, bins))
    recording = read(path, layout)
    layout.write_text(base + trials + '[borders]\ntrial = true\nskip = "number"')
    recording = read(path, layout)
    np.testing.assert_array_equal(recording.trial, np.repeat([0, -1, 1], 10))
    np.testing.assert_array_equal(recording.target, [14, 6])
    assert recording.t_ns[25] - recording.t_ns[24] == 5 * recording.bin_ns  # the four that were left out took their time
    refused_layout = base + "[borders]\ntrial = true"
    layout.write_text(refused_layout)
    refused(r"no \[trials\]", path, layout)
    layout.write_text(base + '[trials]\nvariable = "trial"\ntarget = "number"')
    refused("number changes inside a trial", path, layout)


def test_time_sets_the_clock_and_borders(tmp_path):
    layout = tmp_path / "t.toml"
    layout.write_text(LAYOUT + '[time]\nvariable = "t"\nunit = "ms"\nat = "start"')
    t = 1000.0 + 50.0 * np.arange(60)
    t[40:] += 300
    path = write(tmp_path / "t.npz", session() | {"t": t})
    recording = read(path, layout)
    assert recording.t_ns[0] == 1_050_000_000
    assert list(np.flatnonzero(np.diff(recording.segment)) + 1) == [40]
    refused("t must go up", write(tmp_path / "u.npz", session() | {"t": t[::-1]}), layout)
    refused("must be 60 numbers", write(tmp_path / "v.npz", session() | {"t": t[:9]}), layout)


def test_rates_become_counts(tmp_path, layout):
    layout.write_text(LAYOUT.replace('variable = "spikes"', 'variable = "spikes"\nscale = 0.05'))
    arrays = session()
    path = write(tmp_path / "r.npz", arrays | {"spikes": arrays["spikes"] / 0.05})
    np.testing.assert_array_equal(read(path, layout).counts, arrays["spikes"])
    refused("whole numbers after `scale`", write(tmp_path / "s.npz", arrays), layout)


def test_wider_bins_add_counts_and_never_cross_a_border(tmp_path, layout):
    layout.write_text(LAYOUT + '[trials]\nvariable = "trial"\n[borders]\ntrial = true')
    arrays = session() | {"trial": np.repeat([0, 1], [25, 35])}
    path = write(tmp_path / "w.npz", arrays)
    wide = read(path, layout, bin_ms=100)
    assert wide.bins == 12 + 17
    np.testing.assert_array_equal(wide.segment, np.repeat([0, 1], [12, 17]))
    np.testing.assert_array_equal(wide.counts[:12], arrays["spikes"][:24].reshape(12, 2, 4).sum(1))
    np.testing.assert_array_equal(wide.counts[12:], arrays["spikes"][25:59].reshape(17, 2, 4).sum(1))
    np.testing.assert_allclose(wide.kinematics["velocity"][12], arrays["vel"][25:27].mean(0))
    assert wide.t_ns[12] == 27 * 50_000_000
    refused("50 ms cannot be joined to 70 ms", path, layout, bin_ms=70)
    refused("50 ms cannot be joined to 20 ms", path, layout, bin_ms=20)
    for none in (0, float("nan"), float("inf")):
        refused("wider than 0 ms", path, layout, bin_ms=none)
    refused("no unbroken stretch is as long", path, layout, bin_ms=5000)


def test_a_decoder_that_a_file_carries(tmp_path, layout):
    layout.write_text(LAYOUT + '[decoders.online]\nM1 = "a"\nM2 = "b"\nm0 = "c"\nunit = "mm/s"\n')
    arrays = session() | {"a": np.eye(2), "b": np.ones((2, 4)), "c": np.ones((2, 1))}
    path = write(tmp_path / "d.mat", arrays)
    found = read_decoder(path, "online", layout)
    assert {key: value.shape for key, value in found.items()} == {"M1": (2, 2), "M2": (2, 4), "m0": (2,), "scale": (1,)}
    assert found["scale"] == 1e-3
    with pytest.raises(UnknownNameError, match="unknown decoder of this file 'onlin'; did you mean 'online'"):
        read_decoder(path, "onlin", layout)
    for change, message in (({"a": np.eye(3)}, "M1 has shape"), ({"b": np.full((2, 4), np.nan)}, "b holds NaN")):
        bad = write(tmp_path / "bad.mat", arrays | change)
        with pytest.raises(InputError, match=message) as caught:
            read_decoder(bad, "online", layout)
        assert str(caught.value).startswith(str(bad))
    del arrays["c"]
    with pytest.raises(InputError, match="no numeric variable 'c'"):
        read_decoder(write(tmp_path / "e.mat", arrays), "online", layout)


def outcome(path, layout):
    try:
        read(path, layout)
    except InputError as error:
        return str(error)
    return "read"


def test_a_damaged_byte_anywhere_ends_in_an_input_error_or_in_nothing(tmp_path, layout):
    rng = np.random.default_rng(0)
    for compress in (False, True):
        savemat(tmp_path / f"{compress}.mat", session(20) | {"s": {"a": [1, 2], "b": "text"}}, do_compression=compress)
    np.savez_compressed(tmp_path / "packed.npz", **session(20))
    np.savez(tmp_path / "plain.npz", **session(20))
    for name in ("False.mat", "True.mat", "packed.npz", "plain.npz"):
        whole, path = (tmp_path / name).read_bytes(), tmp_path / f"hurt{name}"
        for _ in range(80):
            hurt = bytearray(whole)
            for place in rng.integers(0, len(hurt), 3):
                hurt[place] = rng.integers(256)
            path.write_bytes(hurt)
            assert "\n" not in outcome(path, layout)


@pytest.mark.parametrize("name", ["False.mat", "True.mat"])
def test_a_mat_file_cut_anywhere_is_refused(tmp_path, layout, name):
    savemat(tmp_path / name, session(6), do_compression=name == "True.mat")
    whole = (tmp_path / name).read_bytes()
    for length in range(1, len(whole), 7):
        (tmp_path / "cut.mat").write_bytes(whole[:length])
        assert outcome(tmp_path / "cut.mat", layout) != "read"
