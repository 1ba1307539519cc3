"""The promise of CONTRIBUTING.md: a decoder is added in one file."""

import re
from pathlib import Path

import pytest

import volition
from volition import cli

CONTRIBUTING = Path(__file__).parents[1] / "CONTRIBUTING.md"


@pytest.fixture
def mine(tmp_path, monkeypatch) -> Path:
    """`mine.py` as the page shows it, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", CONTRIBUTING.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    return tmp_path / "mine.py"


def test_the_decoder_of_the_page_keeps_the_contract(mine):
    assert volition.check(volition.find("decoder", str(mine))()) == []


def test_the_command_of_the_page_runs_it(mine, capsys):
    (command,) = re.findall(r"^(volition run .*)$", CONTRIBUTING.read_text(encoding="utf-8"), re.MULTILINE)
    _, *args = command.split()
    assert cli.main([*args, "--output", "r"]) == 0
    out = capsys.readouterr().out
    assert "mine" in out.splitlines()[0]
    success = float(re.search(r"^  success +([\d.]+)$", out, re.MULTILINE)[1])
    assert success > 0.6  # chance is below 0.1


def test_it_takes_its_configuration_from_the_command_line(mine, capsys):
    assert cli.main(["run", "--decoder", "./mine.py", "--set", "decoder.rigde=1"]) == 2
    assert "did you mean 'ridge'?" in capsys.readouterr().err
