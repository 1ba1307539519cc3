import base64
import re
import struct
import zlib

import numpy as np
import pytest

from volition.errors import InputError
from volition.view._page import escape, page, png, table, write


def test_what_a_user_writes_cannot_become_markup():
    hostile = '<script>alert(1)</script>&"'
    for text in (page(hostile, ""), table([hostile], [[hostile]]), escape(hostile)):
        assert "<script>" not in text


def test_numbers_stand_right_and_words_left():
    text = table(["a", "b"], [["x", "1.5"], ["y", "–"]])
    assert "<td>x</td>" in text
    assert '<td class="n">1.5</td>' in text


def test_a_picture_can_be_read_back():
    index = np.random.default_rng(0).integers(0, 3, (7, 11)).astype(np.uint8)
    raw = base64.b64decode(png(index, [(0, 0, 0, 0), (1, 2, 3, 255), (9, 9, 9, 9)]).split(",")[1])
    chunks, at = {}, 8
    while at < len(raw):
        (size,), kind = struct.unpack(">I", raw[at : at + 4]), raw[at + 4 : at + 8]
        data = raw[at + 8 : at + 8 + size]
        assert struct.unpack(">I", raw[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + data)
        chunks[kind], at = data, at + 12 + size
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(7, 12)
    assert np.array_equal(lines[:, 1:], index)
    assert struct.unpack(">II", chunks[b"IHDR"][:8]) == (11, 7)
    assert chunks[b"PLTE"] == bytes([0, 0, 0, 1, 2, 3, 9, 9, 9])


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    place = tmp_path / "new" / "page.html"
    write(place, "first")
    write(place, "second")
    assert place.read_text() == "second"
    assert [p.name for p in place.parent.iterdir()] == ["page.html"]
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=re.escape("cannot write")):
        write(tmp_path / "file" / "page.html", "x")
