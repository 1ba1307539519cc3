"""The player's server without a browser."""

import json
import urllib.error
import urllib.request

import pytest

from volition.errors import ConfigError
from volition.loop.played import PlayedRun
from volition.view.player import Player


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


def code(url):
    with pytest.raises(urllib.error.HTTPError) as error:
        fetch(url)
    error.value.close()
    return error.value.code


def test_page_contents_and_pieces_are_served_and_nothing_else(kept, other):
    with Player([PlayedRun(kept), PlayedRun(other)]) as player:
        assert b'name="mode" content="play"' in fetch(player.url)
        assert json.loads(fetch(f"{player.url}/runs")) == 2
        for run in (0, 1):
            contents = json.loads(fetch(f"{player.url}/run/{run}/contents"))
            assert contents["torn"] is bool(run)
            assert len(fetch(f"{player.url}/run/{run}/piece/{contents['pieces'] - 1}")) > 1000
            assert code(f"{player.url}/run/{run}/piece/{contents['pieces']}") == 404
        for path in (
            "run/2/contents",
            "run/-1/contents",
            "run/0/piece/-1",
            "run/0/piece/²",
            "run/0/piece/1e9",
            "run/0",
            "run",
        ):
            assert code(f"{player.url}/{urllib.request.quote(path)}") == 404


def test_off_the_loopback_everything_of_the_run_wants_the_token(kept):
    with Player([PlayedRun(kept)], host="0.0.0.0") as player:
        port, token = player._socket.port, player._socket.token
        for path in ("", "runs", "run/0/contents", "run/0/piece/0"):
            assert code(f"http://127.0.0.1:{port}/{path}") == 403
            assert fetch(f"http://127.0.0.1:{port}/{path}?token={token}")


def test_one_run_or_two(kept):
    for runs in ([], [PlayedRun(kept)] * 3):
        with pytest.raises(ConfigError, match="one run or two"):
            Player(runs)
