"""The house rules that a program can check."""

import ast
import importlib
from pathlib import Path

import pytest

import volition
from volition.cli import commands
from volition.stage import KINDS, entries

PACKAGE = Path(volition.__file__).parent
ROOT = Path(__file__).parents[1]
SOURCES = sorted(PACKAGE.rglob("*.py"))
OURS = [*SOURCES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "examples").rglob("*.py"))]
HEAVY = {"sklearn", "pandas", "numba", "torch", "matplotlib", "pynwb", "h5py", "onnx"}
HEAVY_SCIPY = {"scipy.signal", "scipy.stats", "scipy.optimize"}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.relative_to(PACKAGE))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_there_is_something_to_check():
    assert len(SOURCES) > 20
    assert (PACKAGE / "loop" / "loop.py") in SOURCES


def test_modules_have_at_most_400_lines():
    long = {name(p): n for p in OURS if (n := len(p.read_text(encoding="utf-8").splitlines())) > 400}
    assert not long


def test_functions_have_at_most_60_lines():
    long = {}
    for path in OURS:
        for node in ast.walk(tree(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = node.end_lineno - node.lineno + 1
                if lines > 60:
                    long[f"{name(path)}:{node.name}"] = lines
    assert not long


def test_every_module_has_a_docstring_of_one_first_line():
    silent = [name(p) for p in SOURCES if not (ast.get_docstring(tree(p)) or "").split("\n")[0].strip()]
    # an empty __init__.py only says that a folder is a package
    assert [s for s in silent if not s.endswith("__init__.py") or (ROOT / s).read_text(encoding="utf-8").strip()] == []


def test_no_module_is_called_utils():
    assert not [name(p) for p in OURS if p.stem.strip("_") in ("util", "utils", "helper", "helpers", "misc", "common")]


def imported(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def test_nothing_heavy_is_imported_at_module_top():
    found = {}
    for path in SOURCES:
        for node in tree(path).body:
            heavy = [m for m in imported(node) if m.split(".")[0] in HEAVY or m in HEAVY_SCIPY]
            if heavy:
                found[name(path)] = heavy
    assert not found


def test_no_pickle_is_loaded():
    found = []
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        if "allow_pickle=True" in text or any(
            "pickle" in imported(n) for n in ast.walk(tree(path)) if isinstance(n, ast.stmt)
        ):
            found.append(name(path))
    assert not found


def test_examples_are_short():
    long = [
        name(p) for p in sorted((ROOT / "examples").glob("*.py")) if len(p.read_text(encoding="utf-8").splitlines()) > 100
    ]
    assert not long


def test_every_command_describes_itself():
    from volition._registry import first_line

    assert {"bench", "doctor", "list", "play", "replay", "run"} <= set(commands())
    for command, path in commands().items():
        assert 10 < len(first_line(path)) < 100, command


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_has_options_and_main(command):
    module = importlib.import_module(f"volition.app.{command}")
    options = getattr(module, "".join(part.capitalize() for part in command.split("_")))
    assert options.__dataclass_params__.frozen
    assert callable(module.main)


def test_every_command_that_prints_a_table_saves_it_as_json():
    for command in set(commands()) - {"convert", "export", "view"}:  # which print a line or two
        module = importlib.import_module(f"volition.app.{command}")
        assert "json" in getattr(module, command.capitalize()).__dataclass_fields__, command


def test_every_component_describes_itself():
    rows = [entry for kind in KINDS for entry in entries(kind)]
    assert len(rows) >= 10
    for entry in rows:
        assert 10 < len(entry.summary) < 120, entry
        assert entry.name != "none", "its class would be called None"


def test_public_names_of_the_package_exist():
    for public in dir(volition):
        assert getattr(volition, public) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = volition.nothing
