import numpy as np
import pytest

from volition.app.convert import Convert, main
from volition.cli import main as command
from volition.errors import InputError
from volition.io.read import read

pytest.importorskip("pynwb", reason="the extra [nwb] is not installed")


@pytest.fixture
def source(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "s1.npz"
    np.savez(path, spikes=rng.poisson(1, (40, 3)).astype(np.uint8), pos=np.zeros((40, 2)), vel=np.zeros((40, 2)))
    return path


def same(a, b):
    np.testing.assert_array_equal(a.counts, b.counts)
    np.testing.assert_array_equal(a.segment, b.segment)
    assert (a.bin_ns, a.name, a.sha256, dict(a.info)) == (b.bin_ns, b.name, b.sha256, dict(b.info))


def test_beside_the_input_by_default(source, capsys):
    assert main(Convert(source)) == 0
    output = source.with_suffix(".nwb")
    assert capsys.readouterr().out == f"{output}: 3 units, 40 bins of 50 ms, 1 unbroken stretch, position, velocity\n"
    same(read(source), read(output))


def test_into_a_folder_or_a_name(source, tmp_path):
    (tmp_path / "out").mkdir()
    main(Convert(source, tmp_path / "out"))
    main(Convert(source, tmp_path / "other.nwb", layout="spykesml_s1", bin_ms=100))
    same(read(source), read(tmp_path / "out" / "s1.nwb"))
    assert read(tmp_path / "other.nwb").bins == 20
    (tmp_path / "a.csv.gz").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.csv\.gz: the file is empty"):
        main(Convert(tmp_path / "a.csv.gz"))


def test_an_older_file_is_only_replaced_by_force(source):
    output = source.with_suffix(".nwb")
    output.write_text("precious")
    with pytest.raises(InputError, match="exists already; name another output or give --force"):
        main(Convert(source))
    assert output.read_text() == "precious"
    main(Convert(source, force=True))
    same(read(source), read(output))
    with pytest.raises(InputError, match="the same file"):
        main(Convert(output, force=True))


def test_force_keeps_the_older_file_when_the_input_is_bad(source):
    output = source.with_suffix(".nwb")
    output.write_text("precious")
    source.write_bytes(source.read_bytes()[:100])
    with pytest.raises(InputError, match="not a readable"):
        main(Convert(source, force=True))
    assert output.read_text() == "precious"


@pytest.mark.parametrize("bad", ["missing", "foreign", "unwritable"])
def test_bad_input_ends_in_one_line_code_2_and_no_file(source, tmp_path, capsys, bad):
    output = tmp_path / "new.nwb"
    if bad == "missing":
        source.unlink()
    elif bad == "foreign":
        source.write_bytes(bytes.fromhex("ffd8ffe0") + b"x" * 300)
    else:
        (tmp_path / "file").write_text("")
        output = tmp_path / "file" / "new.nwb"
    before = sorted(tmp_path.iterdir())
    assert command(["convert", str(source), str(output)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert str(output if bad == "unwritable" else source) in captured.err
    assert sorted(tmp_path.iterdir()) == before


def test_from_the_command_line(source, tmp_path, capsys):
    assert command(["convert", str(source), "--force", "--bin-ms", "200"]) == 0
    assert read(source.with_suffix(".nwb")).bins == 10
    assert "10 bins of 200 ms" in capsys.readouterr().out
