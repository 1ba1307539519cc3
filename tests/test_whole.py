import os
import stat
import threading

import pytest

from volition._whole import write_whole


def test_a_file_is_replaced_and_nothing_stands_beside_it(tmp_path):
    path = tmp_path / "new" / "a.json"
    for content in (b"one", b"two"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["a.json"]


def test_what_cannot_be_written_leaves_what_was_there(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match=r"."):
        write_whole(tmp_path / "file" / "a", b"x")
    with pytest.raises(OSError, match=r"."):
        write_whole(tmp_path, b"x")
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_or_device_is_written_into_never_replaced(tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, b"through")
    reader.join(5)
    assert got == [b"through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
