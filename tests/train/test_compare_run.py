"""Comparisons that are killed, interrupted, damaged: each unit is done once, and is in the table once."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from volition.errors import ConfigError
from volition.train import _compare_run
from volition.train.compare import compare, plan

SECONDS = {"seconds": 0.5, "open_s": 0.0}
CLI = [sys.executable, "-c", "import sys; from volition.cli import main; sys.exit(main())", "compare"]


def units(marker, seeds=4, **config):
    return plan({"mark": marker.choice(**config)}, seeds=range(seeds), **SECONDS)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


def command(folder, marker, seeds, sleep_s):
    decoder = f"{marker.path},log={json.dumps(str(marker.log))},sleep_s={sleep_s}"
    told = ["--decoders", decoder, "--seeds", str(seeds), "--seconds", "0.5", "--open-seconds", "0"]
    return [*CLI, *told, "--workers", "2", "--output", str(folder)]


def test_two_processes_do_each_unit_once_and_keep_it(marker, tmp_path):
    seen = []
    rows = compare(units(marker), tmp_path / "out", workers=2, watch=lambda done, total: seen.append((done, total)))
    assert [row["seed"] for row in rows] == [0, 1, 2, 3]
    assert all(row["score"]["block_s"] == 0.5 for row in rows)
    assert len(marker.pids) == 4
    assert len(set(marker.pids)) == 2
    assert os.getpid() not in marker.pids
    assert (seen[0], seen[-1]) == ((0, 4), (4, 4))
    assert not any(map(alive, marker.pids))
    again = compare(units(marker), tmp_path / "out", workers=2)
    assert again == rows
    assert len(marker.pids) == 4  # nothing was done again
    more = compare(units(marker, seeds=5), tmp_path / "out", workers=2)
    assert more[:4] == rows
    assert len(marker.pids) == 5  # only what was new


def test_a_unit_whose_worker_is_killed_is_done_again_once(marker, tmp_path):
    rows = compare(units(marker, die=1), tmp_path / "out", workers=2)
    assert [row["seed"] for row in rows] == [0, 1, 2, 3]
    assert not any("error" in row for row in rows)
    assert len(marker.pids) == 5  # four and the one that died
    assert len(list((tmp_path / "out" / "units").iterdir())) == 4


def test_a_unit_that_kills_its_worker_twice_is_given_up_and_tried_anew_the_next_time(marker, tmp_path):
    (row,) = compare(units(marker, seeds=1, die=2), tmp_path / "out", workers=1)
    assert row["error"] == "its worker died twice: SIGKILL"
    assert not list((tmp_path / "out" / "units").iterdir())
    (row,) = compare(units(marker, seeds=1, die=2), tmp_path / "out", workers=1)
    assert "score" in row


def test_an_error_of_a_component_is_the_units_and_one_line(marker, tmp_path):
    bad = units(marker, seeds=1) + plan({"w": ("wiener", {"folds": -1})}, seeds=[0], **SECONDS)
    good, failed = compare(bad, tmp_path / "out", workers=1)
    assert "score" in good
    assert "folds" in failed["error"]
    assert "\n" not in failed["error"]


def test_a_comparison_that_is_killed_leaves_no_process_and_goes_on(marker, tmp_path):
    out = tmp_path / "out"
    first = subprocess.Popen(command(out, marker, 6, 0.4), cwd=tmp_path, stderr=subprocess.PIPE)
    wait_for(lambda: len(list(out.glob("units/*.json"))) >= 2)
    first.kill()
    first.communicate()
    wait_for(lambda: not any(map(alive, marker.pids)), 5.0)
    kept = {path: path.stat().st_mtime_ns for path in out.glob("units/*.json")}
    assert 2 <= len(kept) < 6
    for path in kept:
        json.loads(path.read_text())  # whole
    assert subprocess.run(command(out, marker, 6, 0.4), cwd=tmp_path, capture_output=True, check=False).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept  # not done again
    assert len(list((out / "units").iterdir())) == 6
    assert len(marker.pids) <= 6 + 2  # at most the two in work were begun twice
    (row,) = json.loads((out / "table.json").read_text())["rows"]
    assert (row["seeds"], row["failed"]) == (6, 0)


def test_ctrl_c_ends_between_results_and_says_what_is_kept(marker, tmp_path):
    out = tmp_path / "out"
    child = subprocess.Popen(command(out, marker, 6, 0.4), cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(list(out.glob("units/*.json"))) >= 1)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=20)
    assert child.returncode == 130
    kept = list((out / "units").iterdir())
    assert said == f"volition: interrupted: {len(kept)} of 6 units are kept in {out}; the same command goes on from there\n"
    assert all(path.suffix == ".json" for path in kept)
    assert sorted(p.name for p in out.iterdir()) == ["units"]
    wait_for(lambda: not any(map(alive, marker.pids)), 5.0)


def test_a_folder_belongs_to_one_comparison_at_a_time(marker, tmp_path):
    with (
        _compare_run.Store(tmp_path / "out"),
        pytest.raises(ConfigError, match="another comparison is at work here"),
    ):
        compare(units(marker), tmp_path / "out")
    assert marker.pids == []


def test_folders_that_hold_something_else_are_left_alone(marker, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("chapter 1")
    with pytest.raises(ConfigError, match="holds no comparison"):
        compare(units(marker), tmp_path / "mine")
    with pytest.raises(ConfigError, match="is a file"):
        compare(units(marker), tmp_path / "mine" / "thesis.txt")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("content", ["", "{", '{"row": 3}', '{"unit": {}}'])
def test_a_damaged_result_is_one_line(content, marker, tmp_path):
    with _compare_run.Store(tmp_path / "out") as store:
        (store.folder / f"{units(marker)[0].key}.json").write_text(content)
    with pytest.raises(ConfigError, match="damaged; remove it"):
        compare(units(marker), tmp_path / "out")


def test_what_a_killed_write_left_is_cleared_away(marker, tmp_path):
    with _compare_run.Store(tmp_path / "out") as store:
        (store.folder / ".abc.json.123.part").write_text("{")
    compare(units(marker, seeds=1), tmp_path / "out", workers=1)
    assert len(list(store.folder.iterdir())) == 1


def test_a_worker_of_another_version_is_refused(marker, tmp_path):
    from dataclasses import replace

    other = [replace(unit, code="other") for unit in units(marker, seeds=1)]
    (row,) = compare(other, tmp_path / "out", workers=1)
    assert "another version of volition" in row["error"]
    assert marker.pids == []
