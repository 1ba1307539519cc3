import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from volition import Loop, LoopConfig
from volition.loop.calibrate import Calibration
from volition.view._gather import Gather
from volition.view.report import render, save, story_of, success

VOID = {"meta", "br"}


class Strict(HTMLParser):
    """Every tag that is opened is closed, in order; what would be loaded is collected."""

    def __init__(self, text):
        super().__init__()
        self.open, self.loads, self.words = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.loads += [v for k, v in attrs if k in ("src", "href", "xlink:href", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.loads += [v for k, v in attrs if k in ("src", "href", "xlink:href", "data")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def ran():
    gather = Gather()
    with Loop(channel="thread1024", decoder="still", feedback="linear", config=LoopConfig(oracle=True), seed=3) as loop:
        loop.calibrate(Calibration(2.0, (0.0,), 1.0), gather)
        report = loop.run(12, gather)
        other = Loop(decoder="random", seed=3).run(6)
        story = story_of(loop, report, gather, {"random": other}, {"version": "9.9", "cpu": "one <fast> & cheap"})
        yield story, render(story)


def test_it_is_well_formed_self_contained_and_small(ran):
    page = Strict(ran[1])
    assert page.open == []
    assert page.loads
    assert all(load.startswith("data:image/png;base64,") for load in page.loads)
    assert not re.search(r"https?:|@import|url\(|<script", ran[1])
    assert len(ran[1].encode()) < 1_000_000


def test_it_holds_the_figures_of_the_report(ran):
    story, _ = ran
    words = [w.strip() for w in Strict(ran[1]).words if w.strip()]
    report = story.report
    hits = sum(t["outcome"] == "reached" for t in report.trials)
    assert f"{100 * hits / len(report.trials):.0f} %" in words
    for key in ("bit_rate_bit_s", "throughput_bit_s", "time_to_target_s", "path_efficiency"):
        assert f"{report.score[key]:.2f}" in words
    for stage, row in report.latency.items():
        assert stage in words
        assert f"{row['n']:.0f}" in words
    assert any("9.9" in w for w in words)
    assert "one <fast> & cheap" in words
    assert "random" in words


@pytest.mark.parametrize(
    ("score", "shown", "word"), [(0.9, "0.900", "no need to calibrate again"), (2.1, "2.10", "calibrate again")]
)
def test_it_tells_the_drift_where_the_decoder_does(ran, score, shown, word):
    assert "drift of the activity" not in ran[1]
    report = replace(ran[0].report, decoder={"drift_nats": score, "drift_limit_nats": 1.5})
    words = [w for w in Strict(render(replace(ran[0], report=report))).words if w.strip()]
    at = words.index("drift of the activity")
    assert words[at + 1 : at + 3] == [shown, f"nats, limit 1.50: {word}"]


def test_it_says_what_is_simulated(ran):
    assert "Recorded: nothing" in ran[1]
    assert "Simulated: the person" in ran[1]


def test_a_replayed_recording_is_called_recorded():
    import numpy as np

    from volition.brain.replay import Replay
    from volition.signal import Recording

    recording = Recording(np.ones((100, 5), int), 20_000_000, {}, {}, np.zeros(100, np.int32))
    gather = Gather()
    loop = Loop(brain=Replay(recording=recording), decoder="still")
    text = render(story_of(loop, loop.run(1, gather), gather))
    assert "Recorded: the spikes" in text
    assert Strict(text).open == []


def test_a_page_of_a_run_that_nobody_watched_has_its_tables():
    loop = Loop(decoder="still")
    text = render(story_of(loop, loop.run(0.5), Gather()))
    assert Strict(text).open == []
    assert "<svg" not in text


def test_success_tells_its_interval(ran):
    rate, below = success(ran[0].report)
    assert rate.endswith("%")
    assert "95 % interval" in below


def test_saving_writes_the_page(ran, tmp_path):
    save(tmp_path / "a" / "report.html", ran[0])
    assert (tmp_path / "a" / "report.html").read_text(encoding="utf-8") == ran[1]
