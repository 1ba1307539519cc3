"""Recorded runs in a headless Chromium: the player, the file that plays by itself, and what restarts a demo."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from volition.loop.loop import Loop
from volition.loop.played import PlayedRun
from volition.loop.replay import replay
from volition.view import single
from volition.view.player import Player
from volition.view.server import Page

PEN = "document.getElementById"
READY = "window.volition && volition.runs && volition.runs.every((r) => r.at > 0 && r.show.stats.drawn > 0)"


def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come about"
        time.sleep(0.002)


def seek(tab, seconds):
    tab.eval(f"{PEN}('seek').value = {seconds}; {PEN}('seek').oninput()")
    tab.wait(f"volition.state.ready && Math.abs(volition.state.at - {seconds}) < 0.03", 10)


def test_any_moment_of_a_run_is_shown_as_it_was_recorded(tab, kept, shot):
    run = PlayedRun(kept)
    with Player([run]) as player:
        tab.open(player.url)
        tab.wait(READY, 10)
        tab.wait("volition.runs[0].contents.whole && volition.runs[0].contents.order !== null", 10)
        before = tab.eval("volition.state.at")
        tab.wait(f"volition.state.at > {before} + 0.5")  # it plays by itself
        tab.eval(f"{PEN}('play').click()")
        for seconds in (17.0, 3.0, 10.02):
            seek(tab, seconds)
            at = next(run.read(round(seconds / 0.02) - 1))
            where = "[...volition.frame.body.slice(0, 2), ...volition.frame.goal.slice(0, 2)]"
            shown = json.loads(tab.eval(f"JSON.stringify({where})"))
            assert shown == pytest.approx([*at.get("body").position, *at.get("goal").position], abs=1e-6)
            places = json.loads(tab.eval("JSON.stringify([...volition.frame.position])"))
            assert places == pytest.approx(at.get("poses")[:, :3].ravel().tolist(), abs=1e-6)
            mask = at.get("features").mask
            lost = tab.eval("[...volition.panes.raster.row(volition.panes.raster.seen - 1)].map((v) => v === 3)")
            assert lost == mask.tolist()
        assert tab.eval(f"{PEN}('phase').textContent") == "run, paused"
        seek(tab, 14.0)
        time.sleep(0.3)
        assert "hits: " in tab.eval(f"{PEN}('score-note').textContent")
        assert tab.eval(f"{PEN}('latency').children.length") >= 5
        shot(tab, "view")
    assert tab.complaints == []


def test_the_keyboard_alone_plays(tab, kept):
    with Player([PlayedRun(kept)]) as player:
        tab.open(player.url)
        tab.wait(READY, 10)
        tab.key(" ", "Space")
        tab.wait("!volition.state.playing")
        seek(tab, 10.0)
        for key, to in ((".", 10.02), (",", 10.0), ("ArrowRight", 11.0), ("ArrowLeft", 10.0), ("End", 18.0), ("Home", 0.02)):
            tab.key(key, key if len(key) > 1 else "")
            tab.wait(f"Math.abs(volition.state.at - {to}) < 0.011 && volition.state.ready", 10)
        tab.wait("volition.runs[0].contents.whole", 10)
        for key, to in (("]", 6.02), ("]", 9.02), ("[", 6.02)):
            tab.key(key)
            tab.wait(f"Math.abs(volition.state.at - {to}) < 0.011", 10)
        tab.key("+")
        assert tab.eval(f"{PEN}('speed-play').value") == "2"
        tab.key(" ", "Space")
        tab.wait("volition.state.playing")
        buttons = "[...document.querySelectorAll('#transport button, #transport input')]"
        assert tab.eval(f"{buttons}.every((e) => e.tabIndex === 0)")
        assert tab.eval("[...document.querySelectorAll('#controls *')].every((e) => !e.offsetParent)")  # of a loop that runs
    assert tab.complaints == []


@pytest.mark.parametrize(("width", "theme"), [(1280, "dark"), (390, "light")])
def test_two_runs_side_by_side_one_of_them_torn(tab, kept, other, shot, width, theme):
    tab.size(width, 720, mobile=width < 500)
    tab.theme(theme)
    with Player([PlayedRun(kept), PlayedRun(other)]) as player:
        tab.open(player.url)
        tab.wait(READY, 10)
        tab.eval(f"{PEN}('play').click()")
        seek(tab, 8.0)
        assert tab.eval("volition.runs.map((r) => r.at)") == [400, 400]
        seek(tab, 17.0)
        bins = PlayedRun(other).bins
        assert tab.eval("volition.runs.map((r) => r.at)") == [850, bins]  # the shorter one waits at its end
        time.sleep(0.3)
        assert "log torn" in tab.eval(f"{PEN}('phase').textContent")
        assert tab.eval("volition.runs[1].show.hello.features") == 1024
        assert tab.eval("document.documentElement.scrollWidth") <= width
        tops = tab.eval("['body', 'body-2'].map((id) => document.getElementById(id).getBoundingClientRect().top)")
        assert (tops[0] == tops[1]) is (width > 900)
        shot(tab, f"two-{width}")
    assert tab.complaints == []


def test_the_file_plays_without_a_server_and_without_a_network(tab, kept, other, tmp_path, shot):
    single.save(tmp_path / "two.html", [PlayedRun(kept), PlayedRun(other)])
    page, whole = len(single._page("")), len(single.render([PlayedRun(kept)], 9.0, 18.0))
    single.save(tmp_path / "one.html", [PlayedRun(kept)], 9.0, 18.0, most_mb=(page + 0.6 * (whole - page)) / 1e6)
    tab.call("Network.enable")
    tab.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
    tab.open((tmp_path / "two.html").as_uri())
    tab.wait(READY, 10)
    tab.eval(f"{PEN}('play').click()")
    seek(tab, 11.0)
    assert tab.eval("volition.runs.map((r) => r.at)") == [550, 550]
    body = next(PlayedRun(kept).read(549)).get("body").position
    assert tab.eval("[...volition.frame.body.slice(0, 2)]") == pytest.approx(body.tolist(), abs=1e-6)
    assert tab.complaints == []
    tab.open(f"{(tmp_path / 'one.html').as_uri()}#t=4")  # paused at that moment
    tab.wait(READY, 10)
    tab.wait("volition.state.ready")
    assert tab.eval("volition.state.at") == 4
    tab.eval(f"{PEN}('play').click()")
    assert tab.eval("volition.runs[0].contents.every") > 1
    tab.wait("volition.state.at > 5")
    tab.wait(f"Number.parseFloat({PEN}('time').textContent) > 14")  # of the run
    shot(tab, "file")
    assert tab.complaints == []


def test_a_push_from_the_page_moves_the_body_and_is_replayed(tab, tmp_path):
    stopped = threading.Event()

    def check():
        if stopped.is_set():
            raise KeyboardInterrupt

    loop = Loop(channel="ideal", decoder="still", effector="arm", record=tmp_path / "run")

    def work():
        with pytest.raises(KeyboardInterrupt):
            loop.run(1000, page)

    with Page(check=check) as page:
        thread = threading.Thread(target=work)
        thread.start()
        try:
            tab.open(page.url)
            tab.wait("window.volition && volition.stats.drawn > 0 && volition.status !== null")
            assert tab.eval(f"!{PEN}('push').hidden && {PEN}('choose').hidden")
            tab.wait("Math.abs(volition.frame.body[1]) < 1e-4")
            tab.eval(f"{PEN}('push').click()")
            tab.wait("volition.frame.body[1] > 0.005")  # away from the eye
            until(lambda: abs(loop.last.body.velocity[1]) < 1e-3)
            before = loop.last.body.position[1]
            tab.key("p")
            until(lambda: loop.last.body.position[1] > before + 0.003)
        finally:
            stopped.set()
            thread.join(5)
            loop.close()
    verdict = replay(tmp_path / "run")
    assert verdict.equal, str(verdict)
    assert [what.split()[0] for _, what in PlayedRun(tmp_path / "run").tell().acts].count("push") == 2
    assert tab.complaints == []


def test_choosing_a_decoder_begins_the_demo_anew(tab, tmp_path):
    command = [sys.executable, "-m", "volition", "demo", "--viewer", "page", "--no-controls", "--channel", "utah96"]
    with subprocess.Popen(
        [*command, "--effector", "cursor", "--task", "reach"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as demo:
        try:
            tab.open(demo.stdout.readline().split()[-1])
            tab.wait("window.volition && volition.link.hello && volition.status !== null", 10)
            offered = tab.eval("volition.link.hello.choices")
            assert {"wiener", "kalman"} <= set(offered["decoder"])
            assert {"arm", "cursor"} <= set(offered["effector"])
            assert "lsl" not in str(offered)
            tab.eval("volition.link.act('choose', ['decoder', 'no/such.py'])")  # nothing that was not offered
            tab.eval("volition.link.act('choose', ['brain', 'lsl'])")

            def choose(kind, name):
                box = f"{PEN}('choose-{kind}')"
                tab.eval(f"{box}.value = '{name}'; {box}.dispatchEvent(new Event('change'))")
                stage = f"volition.link.hello.stages.find((s) => s[0] === '{kind}')[1] === '{name}'"
                tab.wait(f"volition.link.hello.seed === {name}" if kind == "person" else stage, 10)
                assert tab.eval(f"{box}.value") == name  # the box shows what runs

            choose("decoder", "wiener")
            choose("person", "7")
            choose("channel", "thread1024")
            tab.wait("volition.frame && volition.frame.t > 0.5", 10)
            assert tab.complaints == []
        finally:
            demo.send_signal(signal.SIGINT)
            demo.stdout.read()
    assert sorted(os.listdir(tmp_path / "runs")) == ["demo", "demo-2", "demo-3", "demo-4"]
    assert json.loads((tmp_path / "runs" / "demo-4" / "run.json").read_text())["seed"] == 7
