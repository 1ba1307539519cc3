"""What the documentation shows works when it is typed in, in an empty folder; the site builds without a warning."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import volition
from volition import cli

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
_PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
_SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def blocks(page: str, pattern: re.Pattern[str]) -> list[str]:
    return pattern.findall((DOCS / page).read_text(encoding="utf-8"))


def type_in(page: str) -> list[str]:
    """Every `volition` command of a page, in order, as its reader would type it."""
    lines = [line for block in blocks(page, _SHELL) for line in block.splitlines()]
    return [line for line in lines if line.startswith("volition ")]


def run(command: str, capsys) -> str:
    _, *args = shlex.split(command, comments=True)
    code = cli.main(args)
    out = capsys.readouterr()
    assert code == 0, f"{command}: {out.err}"
    return out.out


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_tutorial_from_top_to_bottom(folder, capsys):
    first, breaking, decoder = blocks("tutorial.md", _PYTHON)
    exec(compile(first, "tutorial", "exec"), {})
    assert re.search(r"^\d+% of the targets, [\d.]+ bit/s$", capsys.readouterr().out, re.MULTILINE)
    exec(compile(breaking, "tutorial", "exec"), {})
    whole, hurt, lost = map(int, re.findall(r"(\d+)%", capsys.readouterr().out))
    assert whole >= hurt >= lost == 0
    assert whole > 80
    (folder / "mine.py").write_text(decoder, encoding="utf-8")
    ours = [run(command, capsys) for command in type_in("tutorial.md") if "--decoder ./mine.py" in command]
    assert len(ours) == 2
    assert all(float(re.search(r"^ +success +([\d.]+)", out, re.MULTILINE)[1]) > 0.6 for out in ours)


def test_the_other_commands_of_the_tutorial(folder, capsys):
    commands = [c for c in type_in("tutorial.md") if "./mine.py" not in c]
    outs = [run(command, capsys) for command in commands]
    assert "every byte equal" in "".join(outs)


def test_the_decoder_of_the_tutorial_is_short():
    code = blocks("tutorial.md", _PYTHON)[-1].splitlines()
    assert sum(bool(line.strip()) for line in code) <= 20


@pytest.mark.parametrize(("page", "kind", "name"), [("my-robot", "effector", "cart"), ("my-task", "task", "follow")])
def test_a_how_to_keeps_the_contract_and_its_command_runs(page, kind, name, folder, capsys):
    (code,) = blocks(f"how-to/{page}.md", _PYTHON)
    (folder / f"{name}.py").write_text(code, encoding="utf-8")
    assert volition.check(volition.find(kind, f"./{name}.py")()) == []
    (command,) = type_in(f"how-to/{page}.md")
    out = run(command, capsys)
    if kind == "effector":
        assert float(re.search(r"^ +success +([\d.]+)", out, re.MULTILINE)[1]) > 0.6
    else:
        assert float(re.search(r"^ +on_target +([\d.]+)", out, re.MULTILINE)[1]) > 0.3  # blind: a sixth of it


def test_the_site_builds_offline_without_a_warning(tmp_path):
    pytest.importorskip("sphinx", reason="Sphinx is not installed: the site is not built")
    build = ["-m", "sphinx", "-q", "-W", "--keep-going", "-d", str(tmp_path / "trees"), str(DOCS), str(tmp_path / "site")]
    done = subprocess.run([sys.executable, *build], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for page in ("index", "tutorial", "reference/decoder", "how-to/my-robot", "explanation/what-is-simulated"):
        text = (tmp_path / "site" / f"{page}.html").read_text(encoding="utf-8")
        assert not re.search(r"(src|href)=\"https?://(?!volition)[^\"]*\.(js|css|woff)", text), (
            page
        )  # nothing from elsewhere
