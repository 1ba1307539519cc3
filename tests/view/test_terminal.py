import io
import os
import pty
import struct
import sys
import time

import numpy as np
import pytest

from volition import Loop, LoopConfig
from volition.view._frame import HEIGHT, Pace, draw, groups, number, score_line
from volition.view.terminal import Terminal, TerminalConfig


def oracle(**how):
    return Loop(decoder="still", config=LoopConfig(oracle=True), **how)


class Tty(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def eighty(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_a_picture_fits_into_80_by_24_and_tells_the_loop():
    loop, view = oracle(channel="thread1024", feedback="linear"), Terminal(stream=io.StringIO())
    loop.run(6, watch=view)
    while np.hypot(*(loop.last.body.position - loop.last.goal.position)) < 0.05:  # they must not cover each other
        loop.step()
    lines = draw(loop, view.gather, Pace(50, 200, 400, 0.5, 12), view.gather.preferred()).text()
    text = "\n".join(lines)
    assert len(lines) == HEIGHT <= 23
    assert max(map(len, lines)) <= 80
    for word in (
        "person → thread1024 → still → cursor → linear",
        "run",
        "6.0 of 12 s",
        "intended",
        "decoded",
        "bit/s",
        "●",
        "+",
    ):
        assert word in text
    assert f"{len(loop.task.trials())} trials" in text
    assert "missing" in text  # of 1,024 channels some are dead


def test_the_smallest_width_is_drawn_too():
    loop, view = oracle(), Terminal(stream=io.StringIO())
    loop.run(1, watch=view)
    assert max(map(len, draw(loop, view.gather, Pace(), view.gather.preferred(), 60).text())) <= 60


def test_groups_hold_every_tuned_channel_once():
    import numpy as np

    angle = np.append(np.random.default_rng(0).uniform(-np.pi, np.pi, 99), np.nan)
    parts = groups(angle)
    assert sorted(np.concatenate([m for _, m in parts]).tolist()) == list(range(99))
    right = dict(parts)["→"]
    assert (np.abs(angle[right]) <= np.pi / 8 + 1e-9).all()
    untuned = groups(np.full(20, np.nan))
    assert sum(len(m) for _, m in untuned) == 20


def test_without_a_terminal_it_writes_lines_and_no_control_characters():
    stream = io.StringIO()
    loop = oracle()
    with Terminal(TerminalConfig(line_s=0.0), stream) as view:
        view.expect(3.0)
        loop.run(3, watch=view)
    lines = stream.getvalue().splitlines()
    assert not view.live
    assert "\x1b" not in stream.getvalue()
    assert lines[-1].startswith("run")
    assert "100%" in lines[-1]
    assert "real time" in lines[-1]


def test_on_a_terminal_it_draws_at_most_ten_times_a_second_and_leaves_it_clean(eighty):
    stream = Tty()
    with Terminal(stream=stream) as view:
        assert view.live
        view.expect(1.0, speed=2.0)
        start = time.perf_counter()
        oracle().run(1, watch=view)
        took = time.perf_counter() - start
    out = stream.getvalue()
    assert took >= 0.45  # held back for the eye
    assert 2 <= out.count("real time") <= took * 10 + 2
    assert out.rindex("\x1b[?1049l") > out.rindex("\x1b[?1049h")
    assert out.rindex("\x1b[?25h") > out.rindex("\x1b[?25l")


def test_an_exception_leaves_the_terminal_clean(eighty):
    stream = Tty()

    def interrupt(loop):
        view(loop)
        if loop.t_ns > 100_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Terminal(stream=stream) as view:
        oracle().run(5, watch=interrupt)
    out = stream.getvalue()
    assert out.rindex("\x1b[?1049l") > out.rindex("\x1b[?1049h")
    assert out.rindex("\x1b[?25h") > out.rindex("\x1b[?25l")


def test_too_small_a_terminal_gets_lines(eighty, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    with Terminal(stream=Tty()) as view:
        assert not view.live


def test_drawing_takes_its_share_and_no_more(eighty):
    config = TerminalConfig(frame_s=0.0, share=0.2)
    with Terminal(config, Tty()) as view:
        start = time.perf_counter()
        oracle().run(60, watch=view)
        took = time.perf_counter() - start
    assert view.drawn_s < 0.35 * took + 0.05  # it may only look back: the last picture can come dearer


def test_numbers_and_scores_are_short():
    assert number(float("inf")) == "–"
    assert number(1e-7) == "1.0e-07"
    assert score_line({"success": 0.5, "bit_rate_bit_s": float("nan")}, 4) == "4 trials   50% hit"


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals here")
def test_a_real_pseudo_terminal(monkeypatch):
    import fcntl
    import termios

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("LINES", raising=False)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with os.fdopen(slave, "w", encoding="utf-8") as stream, Terminal(TerminalConfig(frame_s=10.0), stream) as view:
        assert view.live
        oracle().run(0.2, watch=view)
        shown = os.read(master, 1 << 16).decode()
    os.close(master)
    assert "volition" in shown
