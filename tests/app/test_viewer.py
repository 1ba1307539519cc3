import io
import json
import os
import socket
import subprocess
import sys
import time

import pytest

from volition.app._viewer import Both, announce, opened
from volition.errors import ConfigError
from volition.loop.loop import Loop
from volition.view.server import Page
from volition.view.terminal import Terminal


def nothing():
    return


def loop():
    return Loop(channel="ideal", decoder="random")


@pytest.mark.parametrize(("name", "kind"), [("none", type(None)), ("terminal", Terminal), ("page", Page), ("auto", Both)])
def test_each_name_opens_its_viewer(name, kind):
    with opened(name, 0, nothing) as view:
        assert type(view) is kind


def test_the_address_is_said(capsys):
    with opened("auto", 0, nothing) as view:
        announce(view)
        assert capsys.readouterr().out == f"watch it at {view.url}\n"
        announce(None)
        announce(Terminal())
        assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["page", "auto"])
def test_a_port_that_was_asked_for_and_is_taken_is_refused(name):
    with socket.create_server(("127.0.0.1", 0)) as other:
        view = opened(name, other.getsockname()[1], nothing)
        with pytest.raises(ConfigError, match="--port"):
            view.__enter__()


def test_where_nothing_can_listen_the_terminal_is_left(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr(socket, "create_server", refuse)
    with opened("auto", 0, nothing) as view:
        assert type(view) is Terminal


def test_a_page_that_nobody_opens_does_not_hold_the_loop_up():
    with opened("auto", 0, nothing) as view, view:
        view.expect(5.0, 1.0)
        begin = time.monotonic()
        loop().run(5.0, view)
        assert time.monotonic() - begin < 4


def test_an_open_page_sets_the_pace_and_the_terminal_does_not_count_that_as_the_loops_time():
    page, stream = Page(), io.StringIO()
    with page:
        both = Both(Terminal(stream=stream), page)
        page._socket.pages = 1  # as if somebody looked on
        with both:
            both.expect(1.0, 1.0)
            begin = time.monotonic()
            loop().run(1.0, both)
            took = time.monotonic() - begin
    assert took > 0.9
    assert both.cost_s > 0.5
    speed = both._terminal._sim_s / both._terminal._busy_s
    assert speed > 2  # of the loop itself, without the waiting
    assert "run" in stream.getvalue()


def test_a_run_that_is_watched_is_the_same_run_to_the_byte(tmp_path, monkeypatch, capsys):
    from volition import cli

    monkeypatch.chdir(tmp_path)
    quick = ["run", "--oracle", "--seconds", "1"]
    for viewer in ("none", "page"):
        assert cli.main([*quick, "--viewer", viewer, "--output", viewer]) == 0
    out = capsys.readouterr().out
    assert out.count("watch it at http://127.0.0.1:") == 1
    assert (tmp_path / "none" / "signals.vlog").read_bytes() == (tmp_path / "page" / "signals.vlog").read_bytes()
    speed = json.loads((tmp_path / "page" / "report.json").read_text())["speed"]
    assert speed > 2  # the waiting for the eye is not the loop's time


_SHOW = """
import sys, time
sys.stdout.isatty = lambda: {tty}
from volition.app._viewer import show
show("http://127.0.0.1:1/")
time.sleep(1.0)
"""


@pytest.mark.skipif(os.name != "posix", reason="the browser of this test is a shell script")
@pytest.mark.parametrize(
    ("tty", "env", "opens"),
    [
        (True, {"DISPLAY": ":99"}, True),
        (True, {}, False),
        (False, {"DISPLAY": ":99"}, False),
        (True, {"DISPLAY": ":99", "SSH_CONNECTION": "a"}, False),
    ],
)
def test_the_page_is_opened_where_somebody_looks(tmp_path, tty, env, opens):
    browser, opened_at = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened_at}\n', encoding="utf-8")
    browser.chmod(0o755)
    plain = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION")}
    command = [sys.executable, "-c", _SHOW.format(tty=tty)]
    done = subprocess.run(
        command, env={**plain, **env, "BROWSER": str(browser)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert opened_at.exists() is opens
    if opens:
        assert opened_at.read_text(encoding="utf-8") == "http://127.0.0.1:1/\n"
