"""The page's server without a browser: what it gives, whom it lets in, what it does to the loop and what it never does."""

import contextlib
import json
import random
import re
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from volition.errors import ConfigError
from volition.loop.loop import Loop
from volition.view.server import Page, PageConfig


@contextlib.contextmanager
def running(seconds=1000.0, speed=1.0, **config):
    """A loop that runs in a thread with a page; (page, loop)."""
    stopped = threading.Event()

    def check():
        if stopped.is_set():
            raise KeyboardInterrupt

    loop = Loop(channel="ideal", decoder="random", effector="arm", feedback="linear")
    failures = []

    def work():
        try:
            loop.run(seconds, page)
        except KeyboardInterrupt:
            pass
        except BaseException as error:
            failures.append(error)

    with Page(PageConfig(speed=speed, **config), check) as page:
        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield page, loop
        finally:
            stopped.set()
            thread.join(5)
    assert not thread.is_alive()
    assert not failures


def join(page, token=None, origin=None, **options):
    host = page.url.removeprefix("http://").split("/")[0]
    token = page._socket.token if token is None else token
    origin = f"http://{host}" if origin is None else origin
    options = {"compression": None, "close_timeout": 0.3, **options}
    return connect(f"ws://{host}/socket?token={token}", origin=origin, **options)


def opening(page):
    """The bytes that open a socket."""
    host = f"127.0.0.1:{page._socket.port}"
    return (
        f"GET /socket?token={page._socket.token} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def drain(client):
    """What a closed connection still held."""
    found = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            found.append(client.recv(timeout=3))
    return found


def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come about"
        time.sleep(0.01)


def act(client, name, value=None):
    client.send(json.dumps({"act": name} if value is None else {"act": name, "value": value}))


def fetch(url, host=None):
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.read().decode(), answer.headers


def test_the_page_is_served_whole_and_needs_nothing_from_elsewhere():
    with Page() as page:
        text, headers = fetch(page.url)
        assert page._socket.token in text
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        names = {"main.js"} | set(re.findall(r'(?:src|href)="([^":]+)"', text))
        seen = set()
        while names - seen:
            name = (names - seen).pop()
            seen.add(name)
            content, _ = fetch(f"{page.url}/{name}")
            names |= {n.removeprefix("./") for n in re.findall(r'from "([^"]+)"', content)}
            text += content
        assert seen == {path.strip("/") for path in page._socket._files} - {""}
        assert not re.findall(r"https?://|url\(|import\(|eval\(|innerHTML", text)


@pytest.mark.parametrize("path", ["/server.py", "/../server.py", "/%2e%2e/server.py", "/page/index.html", "//etc/passwd"])
def test_nothing_but_the_page_is_served(path):
    with Page() as page, pytest.raises(urllib.error.HTTPError) as error:
        fetch(page.url + path)
    assert error.value.code == 404
    error.value.close()


def test_a_name_that_is_not_ours_gets_nothing():
    with Page() as page:
        for host in ("evil.example", f"evil.example:{page._socket.port}", "127.0.0.1", ""):
            with pytest.raises(urllib.error.HTTPError) as error:
                fetch(page.url, host or "x")
            assert error.value.code == 403
            error.value.close()


@pytest.mark.parametrize(
    ("token", "origin"),
    [("", None), ("wrong", None), ("ü", None), (None, "http://evil.example"), (None, "null"), (None, "http://127.0.0.1:1")],
)
def test_a_wrong_token_or_a_foreign_origin_is_refused(token, origin):
    with Page() as page:
        with pytest.raises(InvalidStatus) as error:
            join(page, token, origin)
        assert error.value.response.status_code == 403
        assert page._socket.refused == 1
        assert page._socket.pages == 0


def test_bound_elsewhere_the_page_wants_the_token_too():
    with Page(PageConfig(host="0.0.0.0")) as page:
        port, token = page._socket.port, page._socket.token
        assert page.url.endswith(f"/?token={token}")
        with pytest.raises(urllib.error.HTTPError) as error:
            fetch(f"http://127.0.0.1:{port}/")
        assert error.value.code == 403
        error.value.close()
        assert token in fetch(f"http://127.0.0.1:{port}/?token={token}")[0]


def test_a_port_that_is_taken_is_one_clear_line_and_by_default_another_is_found():
    with Page() as first:
        with pytest.raises(ConfigError, match="--port"), Page(PageConfig(port=first._socket.port)):
            pass
        with Page() as second:
            assert second.url != first.url
    with pytest.raises(ConfigError):
        PageConfig(port=70_000)


def test_greeting_first_then_frames_at_the_pace_of_the_loop():
    with running() as (page, loop), join(page) as client:
        assert json.loads(client.recv(timeout=3))["hello"] == 1
        frames, texts, end = 0, [], time.monotonic() + 1.5
        while time.monotonic() < end:
            message = client.recv(timeout=3)
            if isinstance(message, str):
                texts.append(json.loads(message))
            else:
                frames += 1
        assert frames / 1.5 >= 25
        assert any("status" in text for text in texts)
        before = loop.t_ns
        time.sleep(1.0)
        assert 0.5 < (loop.t_ns - before) / 1e9 < 1.3  # real time


def test_every_act_reaches_the_loop():
    with running() as (page, loop), join(page) as client:
        until(lambda: page._socket.pages == 1)
        for name in ("assist", "drop", "kill"):
            act(client, name, 0.5)
        act(client, "touch", False)
        act(client, "oracle", True)
        until(lambda: (loop.assist, loop.injector.drop, loop.injector.kill) == (0.5, 0.5, 0.5))
        until(lambda: not loop.injector.touch and loop.config.oracle)
        act(client, "pause")
        until(lambda: page._paused)
        time.sleep(0.1)
        at = loop.ticks
        time.sleep(0.2)
        assert loop.ticks == at
        act(client, "step")
        until(lambda: loop.t_ns // 20_000_000 > at * loop._tick_ns // 20_000_000)
        time.sleep(0.1)
        assert (loop.ticks - at) * loop._tick_ns == 20_000_000  # one bin
        act(client, "resume")
        act(client, "speed", 0)
        until(lambda: loop.t_ns > 3e9)
        act(client, "speed", 1)
        until(lambda: page._wanted() == 1)
        act(client, "restart")
        until(lambda: loop.last.goal.trial <= 1)


def test_nonsense_changes_nothing_and_who_sends_it_is_shown_the_door():
    rng = random.Random(0)
    with running() as (page, loop):
        before = {name: getattr(loop.injector, name) for name in ("drop", "kill", "touch")}
        for _ in range(3):
            with join(page) as client, contextlib.suppress(ConnectionClosed):
                for _ in range(40):
                    size = rng.randrange(200)
                    kind = rng.randrange(3)
                    if kind == 0:
                        client.send(rng.randbytes(size))
                    elif kind == 1:
                        client.send(rng.randbytes(size).decode("latin-1"))
                    else:
                        client.send(json.dumps({"act": rng.choice(["arm", "stim", "kill", "assist"]), "value": [size]}))
                until(lambda client=client: client.recv(timeout=2) is None)
        assert page._socket.refused >= 60
        assert {name: getattr(loop.injector, name) for name in before} == before
        until(lambda: page._socket.pages == 0)
        at = loop.t_ns
        until(lambda: loop.t_ns > at + 100_000_000)


def test_a_flood_of_good_messages_is_cut_off():
    with running() as (page, _), join(page) as client:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(100_000):
                act(client, "assist", 0.5)
            pytest.fail("nobody minded")
        until(lambda: page._socket.pages == 0)


def test_a_message_that_is_too_long_ends_its_connection_only():
    with running() as (page, loop), join(page) as other:
        with join(page) as client:
            with contextlib.suppress(ConnectionClosed):
                client.send("x" * 10_000_000)
            drain(client)
            assert client.close_code in (1009, 1006)
        other.recv(timeout=2)
        at = loop.t_ns
        until(lambda: loop.t_ns > at + 100_000_000)


def test_raw_rubbish_and_a_gigabyte_that_is_only_announced():
    with running() as (page, loop):
        port, upgrade = page._socket.port, opening(page)
        gigabyte = b"\x82\xff" + (1 << 30).to_bytes(8, "big") + b"\0\0\0\0"
        for data in (
            b"\0" * 20_000,
            b"GET / HTTP/9\r\n\r\n",
            b"POST / HTTP/1.1\r\n\r\n",
            b"a: b\r\n" * 5000,
            upgrade + gigabyte,
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as raw, contextlib.suppress(OSError):
                raw.sendall(data)
                while raw.recv(65536):
                    pass
        at = loop.t_ns
        until(lambda: loop.t_ns > at + 100_000_000)


def test_of_a_thousand_connections_few_stay_and_the_loop_goes_on():
    with running() as (page, loop), contextlib.ExitStack() as stack:
        at = time.monotonic(), loop.t_ns
        kept = []
        for _ in range(1000):
            with contextlib.suppress(OSError):
                kept.append(stack.enter_context(socket.create_connection(("127.0.0.1", page._socket.port), timeout=5)))
        alive = 0
        for raw in kept:
            raw.settimeout(0.0005)
            try:
                alive += raw.recv(1) != b""
            except TimeoutError:
                alive += 1
            except OSError:
                pass
        assert alive <= 64
        speed = (loop.t_ns - at[1]) / 1e9 / (time.monotonic() - at[0])
        assert speed > 0.5


def test_the_ninth_page_is_refused():
    with Page() as page, contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(join(page))
        until(lambda: page._socket.pages == 8)
        with pytest.raises(InvalidStatus) as error:
            join(page)
        assert error.value.response.status_code == 503


def test_a_page_that_does_not_read_loses_frames_and_the_loop_no_time():
    with running() as (page, loop), contextlib.ExitStack() as stack:
        raw = stack.enter_context(socket.socket())
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", page._socket.port))
        raw.sendall(opening(page))
        until(lambda: page._socket.pages == 1)
        with join(page, max_queue=1) as well:
            act(well, "speed", 50)
            received, end, start = 0, time.monotonic() + 3, loop.t_ns
            while time.monotonic() < end:
                received += isinstance(well.recv(timeout=2), bytes)
            assert received >= 3 * 25  # the other one is served as before
            assert (loop.t_ns - start) / 1e9 > 20
        at = page._socket.sent
        time.sleep(0.5)
        assert page._socket.sent - at <= 1  # the deaf one is not even tried


def test_a_page_costs_little_of_the_loops_time():
    with running() as (page, _), join(page) as client:
        busy, bins, end = page.busy_s, page.gather.bins, time.monotonic() + 2
        while time.monotonic() < end:
            client.recv(timeout=2)
        per_bin = (page.busy_s - busy) / (page.gather.bins - bins)
        assert per_bin < 2e-3  # a tenth of a bin, on a machine that does other things too; 0.2 ms on an idle one


def test_ctrl_c_ends_a_paused_loop():
    asked = threading.Event()

    def check():
        if asked.is_set():
            raise KeyboardInterrupt

    loop = Loop(channel="ideal", decoder="random")
    with Page(check=check) as page:
        page._paused = True
        threading.Timer(0.2, asked.set).start()
        with pytest.raises(KeyboardInterrupt):
            loop.run(10, page)


def test_at_the_end_the_page_is_told():
    loop = Loop(channel="ideal", decoder="random")
    with Page() as page, join(page) as client:
        until(lambda: page._socket.pages == 1)
        loop.run(0.3, page)
        page.__exit__(None, None, None)
        last = [json.loads(message) for message in drain(client) if isinstance(message, str)][-1]
        assert last["ended"] is True
        assert client.close_code == 1001
