import json

import pytest

from volition import cli
from volition._registry import KINDS, builtin


def test_everything_is_listed(capsys):
    assert cli.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    listed = {tuple(line.split()[:2]) for line in lines[1:]}
    assert listed >= {(kind, name) for kind in KINDS for name in builtin(kind)}


def test_one_kind(capsys, tmp_path):
    assert cli.main(["list", "channel", f"--json={tmp_path / 'rows.json'}"]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))["rows"]
    assert {row["name"] for row in rows} >= {"ideal", "utah96", "thread1024"}
    assert {row["kind"] for row in rows} == {"channel"}


def test_one_component_with_its_configuration(capsys):
    assert cli.main(["list", "effector", "cursor"]) == 0
    out = capsys.readouterr().out
    assert "half_width_m" in out
    assert "0.1" in out
    assert "[effector]" in out


@pytest.mark.parametrize("kind", KINDS)
def test_every_component_can_be_shown(kind, capsys):
    for name in builtin(kind):
        assert cli.main(["list", kind, name]) == 0
        assert len(capsys.readouterr().out) > 100


def test_help(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["list", "--help"])
    assert end.value.code == 0
    assert "KIND" in capsys.readouterr().out
