import json
import shutil

import numpy as np
import pytest

from volition import Loop
from volition.errors import LogError
from volition.loop.calibrate import Calibration
from volition.loop.log import BlockFile
from volition.loop.played import WALL_ROWS, PlayedRun
from volition.loop.replay import play


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded") / "run"
    with Loop(channel="utah96", effector="arm", feedback="linear", seed=2, record=folder) as loop:
        loop.calibrate(Calibration(observe_s=4, assist=(0.5,), block_s=2))
        loop.act("kill", share=0.25)
        loop.close(loop.run(6))
    return folder


@pytest.fixture
def run(recorded, tmp_path):
    shutil.copytree(recorded, tmp_path / "run")
    return tmp_path / "run"


def test_every_bin_is_there_once_with_what_was_recorded_of_it(recorded):
    run = PlayedRun(recorded)
    bins = list(run.read())
    assert [at.number for at in bins] == list(range(run.bins)) == list(range(600))
    assert run.seconds == 12
    assert not run.truncated
    counts = [signal.counts for name, signal in play(recorded) if name == "spikes"]
    assert all(np.array_equal(at.get("spikes").counts, c) for at, c in zip(bins, counts, strict=True))
    decoded = [signal for name, signal in play(recorded) if name == "decoded"]
    assert all(np.array_equal(at.get("decoded"), d) for at, d in zip(bins, decoded, strict=True))
    assert [act["act"] for at in bins for act in at.acts].count("kill") == 1


@pytest.mark.parametrize(("begin", "end"), [(0, 1), (49, 52), (300, 301), (599, 600), (590, 9999), (600, 700)])
def test_any_stretch_is_found_at_once(recorded, begin, end):
    run = PlayedRun(recorded)
    assert [at.number for at in run.read(begin, end)] == list(range(begin, min(end, 600)))


def test_a_bin_far_into_the_run_costs_a_few_blocks_not_all(recorded, monkeypatch):
    run, read = PlayedRun(recorded), []
    records = BlockFile.records
    monkeypatch.setattr(BlockFile, "records", lambda self, number: read.append(number) or records(self, number))
    next(run.read(450))
    assert len(run._blocks) >= 10
    assert len(set(read)) <= 5


def test_phases_acts_and_targets_are_told_at_their_times(recorded):
    run = PlayedRun(recorded)
    assert run.story.whole is False
    story = run.tell()
    assert story.whole
    assert story.phases == [(0.0, "observe"), (4.0, "assist 0.5"), (6.0, "run")]
    assert [story.phase(t) for t in (0, 4.1, 11)] == ["observe", "assist 0.5", "run"]
    assert [what for _, what in story.acts] == ["kill 0.25"]
    assert story.trials[0] == (0.0, 0)
    last = [(t, n) for t, n in story.trials if t >= 6]
    assert [n for _, n in last] == list(range(len(last)))
    assert len(last) in (len(run.report["trials"]), len(run.report["trials"]) + 1)


def test_wall_clock_times_are_of_the_bins_asked_for(recorded):
    run = PlayedRun(recorded)
    wall = run.wall_us(100, 150)
    assert wall.shape == (50, len(WALL_ROWS))
    assert (wall[:, -1] > wall[:, 0]).all()  # the whole bin takes longer than the brain
    assert run.wall_us(590, 700).shape[0] == 10


@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
def test_a_torn_log_is_there_as_far_as_it_is_whole(run, share):
    log = run / "signals.vlog"
    log.write_bytes(log.read_bytes()[: int(share * log.stat().st_size)])
    torn = PlayedRun(run)
    assert torn.truncated
    bins = [at.number for at in torn.read()]
    assert bins == list(range(torn.bins))
    assert share * 600 - 100 < torn.bins < 600
    torn.tell()


def test_a_damaged_block_ends_the_run_there(run):
    log = run / "signals.vlog"
    data = bytearray(log.read_bytes())
    at = [i for i in range(len(data)) if data[i : i + 4] == b"VLOG"][5]
    data[at + 60] ^= 255
    log.write_bytes(data)
    damaged = PlayedRun(run)
    numbers = [b.number for b in damaged.read()]
    assert numbers == list(range(len(numbers)))
    assert 0 < len(numbers) < 600
    assert damaged.truncated


def test_without_what_is_to_be_shown_it_is_made_up(run):
    kept = PlayedRun(run).shown
    (run / "shown.json").unlink()
    made = PlayedRun(run)
    assert made.bins == 600
    assert made.shown["scene"] is None
    for key in ("features", "electrodes", "bin_ns"):
        assert made.shown[key] == kept[key]
    assert len(made.shown["intent"]) == len(kept["intent"])
    assert len(made.shown["taxels"]) == len(kept["taxels"])


def test_what_is_no_run_is_one_clear_line(run, tmp_path):
    with pytest.raises(LogError, match="holds no run"):
        PlayedRun(tmp_path)
    (run / "signals.vlog").write_bytes(b"volition-log 1\n")
    with pytest.raises(LogError, match="nothing was recorded"):
        PlayedRun(run)
    (run / "run.json").write_text(json.dumps({"stages": 1}))
    with pytest.raises(LogError, match="damaged"):
        PlayedRun(run)


def test_the_body_is_kept_as_it_stood(recorded):
    run = PlayedRun(recorded)
    bodies = run.shown["scene"]["bodies"]
    for at in run.read(100, 110):
        poses = at.get("poses")
        assert poses.shape == (bodies, 7)
        assert np.allclose(np.linalg.norm(poses[:, 3:], axis=1), 1, atol=1e-5)
