import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace as with_fields

import numpy as np
import pytest

from volition import Loop, LoopConfig
from volition.errors import ConfigError, InputError, LogError
from volition.loop.calibrate import Calibration
from volition.loop.replay import play, replay
from volition.signal import Spikes
from volition.stage import Port, Spec

SHORT = Calibration(observe_s=10, assist=(0.5,), block_s=5)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded") / "run"
    with Loop(channel="thread1024", effector="arm", feedback="linear", seed=2, record=folder) as loop:
        loop.close(loop.calibrate(SHORT).run(3))
    return folder


@pytest.fixture
def run(recorded, tmp_path):
    shutil.copytree(recorded, tmp_path / "run")
    return tmp_path / "run"


def test_a_run_replays_to_the_byte_calibration_included(run):
    verdict = replay(run)
    assert verdict.equal, str(verdict)
    assert verdict.seconds == pytest.approx(17.98)
    assert verdict.compared["body"] == 18 * 200
    assert verdict.compared["act"] >= 7
    assert json.loads((run / "report.json").read_text())["seed"] == 2


def test_a_changed_stage_is_found_and_named_and_does_not_spread(run):
    content = json.loads((run / "run.json").read_text())
    content["stages"]["effector"]["config"]["mass_kg"] = 80.0
    (run / "run.json").write_text(json.dumps(content))
    verdict = replay(run)
    assert not verdict.equal
    assert {"body"} <= set(verdict.differing) <= {"body", "touch", "poses"}
    assert verdict.first.startswith(("body", "touch"))


def test_a_fitted_decoder_travels_with_the_run(tmp_path):
    decoder = Loop(seed=4).calibrate(SHORT).decoder
    with Loop(decoder=decoder, seed=5, record=tmp_path / "run") as loop:
        loop.run(3)
    assert (tmp_path / "run" / "decoder.npz").exists()
    verdict = replay(tmp_path / "run")
    assert verdict.equal, str(verdict)


def test_play_shows_what_was_recorded_and_executes_nothing(run):
    names = [name for name, _ in play(run)]
    assert names.count("spikes") == 18 * 50
    body = [s for name, s in play(run) if name == "body"]
    assert body[-1].t_ns == 18 * 10**9


def test_a_killed_run_reopens_and_replays(tmp_path):
    program = textwrap.dedent(f"""
        from volition import Loop, LoopConfig
        loop = Loop(decoder="still", config=LoopConfig(oracle=True), record={str(tmp_path / "run")!r})
        while True:
            loop.advance(1.0)
            print(loop.t_ns, flush=True)
    """)
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for _ in range(8):
        reached = int(child.stdout.readline())
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    verdict = replay(tmp_path / "run")
    assert verdict.equal, str(verdict)
    assert verdict.seconds >= reached / 1e9 - 1.1


def test_a_run_with_late_answers_replays(tmp_path):
    with Loop(decoder="still", config=LoopConfig(clock="real", oracle=True), record=tmp_path / "run") as loop:
        loop.run(0.3)
    assert replay(tmp_path / "run").equal


def test_a_folder_is_used_once(run):
    with pytest.raises(InputError, match="holds a run already"):
        Loop(decoder="still", record=run)


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(LogError, match="holds no run"):
        replay(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(LogError, match="damaged"):
        replay(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda run: [],
        lambda run: {k: v for k, v in run.items() if k != "seed"},
        lambda run: {**run, "seed": "1"},
        lambda run: {**run, "config": None},
        lambda run: {**run, "stages": {**run["stages"], "task": None}},
        lambda run: {**run, "stages": {**run["stages"], "decoder": {"class": 5, "config": {}}}},
    ],
)
def test_a_damaged_description_of_a_run_is_refused(run, change):
    path = run / "run.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(LogError, match=r"run\.json is damaged"):
        replay(run)


def test_a_start_that_is_interrupted_leaves_nothing(tmp_path, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("volition.loop.record.write_json", stop)
    with pytest.raises(KeyboardInterrupt):
        Loop(decoder="still", record=tmp_path / "run")
    assert not list((tmp_path / "run").iterdir())


def test_a_run_that_was_killed_before_its_first_block_says_so(tmp_path):
    with Loop(decoder="still", record=tmp_path / "run"):
        pass
    assert "nothing was recorded" in str(replay(tmp_path / "run"))


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot make the folder"):
        Loop(decoder="still", record=tmp_path / "file" / "run")


def test_wall_clock_times_stand_apart(run):
    wall = np.fromfile(run / "wall.bin", np.int64).reshape(-1, 8)
    assert len(wall) == 18 * 50
    assert (wall[:, -1] > 0).all()


def test_a_decoder_of_ones_own_file_replays(tmp_path):
    mine = tmp_path / "my_own.py"
    mine.write_text(
        textwrap.dedent("""
            from __future__ import annotations
            from dataclasses import dataclass
            from volition.decoder.still import Still

            @dataclass(frozen=True)
            class MyOwnConfig:
                gain: float = 1.0

            class MyOwn(Still):
                Config = MyOwnConfig
        """)
    )
    with Loop(decoder=(str(mine), {"gain": 2.0}), record=tmp_path / "run") as loop:
        loop.run(1)
    assert replay(tmp_path / "run").equal


class Wired:
    """A brain whose input cannot come again: another one each time, of a width that it learns in `prepare`."""

    Config = None
    made = 0

    def __init__(self):
        self.spec = Spec(period_ns=20_000_000, live=True)

    def prepare(self, setup):
        self.spec = with_fields(self.spec, gives=Port(24, "counts"))
        Wired.made += 1
        self._rng, self._t_ns, self._width = np.random.default_rng(Wired.made), 0, len(setup.intent)

    def step(self, view, stim):
        self._t_ns += 20_000_000
        if 280 <= self._t_ns / 1e6 <= 340:
            time.sleep(0.05)  # the answers of these bins are late
        if self._t_ns == 100_000_000:
            raise RuntimeError("a fault of its own")
        lost = self._t_ns == 200_000_000
        counts = self._rng.poisson(2.0, 24).astype(np.uint16)
        return Spikes(self._t_ns, counts, missing=np.ones(24, bool) if lost else np.zeros(0, bool))

    def intended(self):
        return self._rng.normal(size=self._width).astype(np.float32)


def test_a_live_brain_is_not_asked_again_but_all_that_follows_is(tmp_path):
    config = LoopConfig(clock="real", oracle=True)
    with Loop(brain=Wired(), decoder="random", seed=3, config=config, record=tmp_path / "run") as loop:
        assert loop.setup.channels == loop.setup.features == 24
        report = loop.run(0.4)
        assert report.faults["channel"]["lost"] == 1
        assert report.faults["brain"] == {"exception": 1}
        assert report.faults["decoder"]["late"] >= 3  # by themselves no reason to stop: not in the replay either
        assert report.stops == 0
    verdict = replay(tmp_path / "run")
    assert verdict.equal, str(verdict)
    assert verdict.live
    assert "was live" in str(verdict)
    assert "spikes" not in verdict.compared
    assert verdict.compared["features"] == verdict.compared["body"] == 20


def test_a_live_brain_wants_the_real_clock():
    with pytest.raises(ConfigError, match="real clock"):
        Loop(brain=Wired(), decoder="still")


def test_a_live_brain_of_another_width_than_the_implant_is_refused():
    with pytest.raises(ConfigError, match="24 channels, but channel utah96 has 96"):
        Loop(brain=Wired(), channel="utah96", decoder="still", config=LoopConfig(clock="real"))
