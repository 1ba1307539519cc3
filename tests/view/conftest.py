"""A headless Chromium, driven over its DevTools protocol by the websockets library that is here anyway."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from websockets.sync.client import connect

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--mute-audio",
    "--window-size=1280,720",
)


class Tab:
    """One page: `eval` runs JavaScript in it; `complaints` is what its console said."""

    def __init__(self, address: str) -> None:
        self._stack = contextlib.ExitStack()
        self._socket = self._stack.enter_context(
            connect(address, max_size=None, max_queue=None, compression=None, close_timeout=1)
        )
        self._number = 0
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=20))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, message):
        method, params = message.get("method", ""), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"])[:500])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(params["args"])[:500])
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])

    def eval(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait(self, expression, seconds=5.0):
        """Until the expression is true; how long that took."""
        begin = time.monotonic()
        while not self.eval(expression):
            assert time.monotonic() - begin < seconds, (expression, self.complaints)
            time.sleep(0.02)
        return time.monotonic() - begin

    def open(self, url):
        self.complaints.clear()
        self.call("Page.navigate", url=url)

    def size(self, width, height, mobile=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def theme(self, name):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def key(self, key, code=""):
        text = {"text": key} if len(key) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=code, **(text if kind == "keyDown" else {}))

    def picture(self):
        """A PNG of what is to be seen."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def close(self):
        self._stack.close()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """Address of a running Chromium's DevTools; skipped where there is none, unless VOLITION_BROWSER=required."""
    program = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    if program is None:
        if os.environ.get("VOLITION_BROWSER") == "required":
            pytest.fail("VOLITION_BROWSER=required, but no Chromium is installed")
        pytest.skip("no Chromium here (Debian, Ubuntu: apt install chromium): the page is not tried in a browser")
    home = tmp_path_factory.mktemp("chromium")
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            ["nice", "-n", "10", program, *FLAGS, f"--user-data-dir={home}", "about:blank"],
            stdout=log,
            stderr=log,
            env={**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home)},
        )
    port = home / "DevToolsActivePort"
    end = time.monotonic() + 20
    while not (port.exists() and port.read_text().count("\n")):
        assert process.poll() is None, (home / "log").read_text(errors="replace")
        assert time.monotonic() < end, "Chromium did not start within 20 s"
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port.read_text().splitlines()[0]}"
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
    if process.poll() is None:
        process.kill()
        process.wait(5)


@pytest.fixture
def tab(chromium):
    """A new page."""
    request = urllib.request.Request(f"{chromium}/json/new?about:blank", method="PUT")
    with urllib.request.urlopen(request) as answer:
        target = json.load(answer)
    page = Tab(target["webSocketDebuggerUrl"])
    page.size(1280, 720)
    yield page
    page.close()
    with contextlib.suppress(OSError):
        urllib.request.urlopen(f"{chromium}/json/close/{target['id']}").close()


@pytest.fixture
def shot(request):
    """Saves a picture where VOLITION_SHOTS says, to be looked at."""

    def save(tab, name):
        picture = tab.picture()
        assert picture.startswith(b"\x89PNG")
        folder = os.environ.get("VOLITION_SHOTS")
        if folder:
            (Path(folder) / f"{name}.png").write_bytes(picture)
        return picture

    return save


@pytest.fixture(scope="session")
def kept(tmp_path_factory):
    """A run of an arm that was calibrated, pushed and hurt: its folder."""
    from volition import Loop
    from volition.loop.calibrate import Calibration

    folder = tmp_path_factory.mktemp("kept") / "arm-run"
    with Loop(channel="utah96", effector="arm", feedback="linear", seed=2, record=folder) as loop:
        loop.calibrate(Calibration(observe_s=6, assist=(0.5,), block_s=3))
        loop.act("kill", share=0.25)
        loop.act("push", impulse=[0.6, 0.0, 0.0])
        loop.close(loop.run(9))
    return folder


@pytest.fixture(scope="session")
def other(tmp_path_factory):
    """A run of a cursor with 1,024 channels, its log torn."""
    from volition import Loop
    from volition.brain.person import Person, PersonConfig

    folder = tmp_path_factory.mktemp("other") / "cursor-run"
    with Loop(Person(PersonConfig(channels=1024)), "ideal", "random", "cursor", seed=3, record=folder) as loop:
        loop.run(12)
    log = folder / "signals.vlog"
    log.write_bytes(log.read_bytes()[:-1000])
    return folder
