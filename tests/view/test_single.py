import base64
import json
import re
import zlib

import pytest

from volition.errors import InputError
from volition.loop.played import PlayedRun
from volition.view import single


def data(text, name):
    return re.search(rf'<script type="[\w/]+" id="{name}">(.*?)</script>', text, re.DOTALL).group(1)


def test_all_of_the_run_is_inside_and_nothing_is_fetched(kept):
    text = single.render([PlayedRun(kept)])
    contents = json.loads(data(text, "run-0"))
    assert contents["whole"]
    for number in range(contents["pieces"]):
        zlib.decompress(base64.b64decode(data(text, f"run-0-{number}")))
    assert "default-src 'none'" in text
    assert not re.findall(r"https?://|url\(|<link rel=.stylesheet|src=", text)
    assert not re.search(r"^\s*(?:import|export) ", text, re.MULTILINE)
    assert "{token}" not in text
    assert "{mode}" not in text


def test_it_becomes_no_larger_than_asked(kept):
    run = PlayedRun(kept)
    whole = len(single.render([run]))
    small = single.render([run], most_mb=0.6 * whole / 1e6)
    assert len(small) <= 0.6 * whole
    assert json.loads(data(small, "run-0"))["every"] > 1
    with pytest.raises(InputError, match="too few"):
        single.render([run], most_mb=0.05)


def test_a_stretch_of_it(kept):
    contents = json.loads(data(single.render([PlayedRun(kept)], 4, 6), "run-0"))
    assert (contents["begin"], contents["bins"], contents["pieces"]) == (200, 100, 1)
    with pytest.raises(InputError, match="nothing lies between"):
        single.render([PlayedRun(kept)], 100, 200)


def test_a_name_cannot_become_markup(kept, tmp_path):
    import shutil

    folder = tmp_path / "<!--<script>"
    shutil.copytree(kept, folder)
    text = single.render([PlayedRun(folder)], 0, 1)
    assert "<!--" not in text
    assert json.loads(data(text, "run-0"))["name"] == folder.name


def test_the_file_is_there_whole_or_not_at_all(kept, tmp_path):
    single.save(tmp_path / "a.html", [PlayedRun(kept)], 0, 1)
    assert (tmp_path / "a.html").read_text().endswith("</html>\n")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        single.save(tmp_path / "file" / "a.html", [PlayedRun(kept)], 0, 1)
