"""Each example runs as its reader would run it, without a display, and says what it should."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from volition.stage import check

EXAMPLES = Path(__file__).parents[1] / "examples"
SHORT = {
    "closed_loop": ["4"],
    "compare_decoders": ["10", "2"],
    "faults": ["10"],
    "gym_env": ["2"],
    "my_recording": [],
    "own_decoder": ["20"],
}


def run(name, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *SHORT[name]],
        cwd=tmp_path, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []  # an example leaves nothing behind
    return done.stdout


def test_every_example_is_tried_and_short():
    files = {path.stem: path for path in EXAMPLES.glob("*.py")}
    assert set(files) == set(SHORT)
    for path in files.values():
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 100, path
        assert lines[0].startswith('"""'), path


def test_closed_loop(tmp_path):
    out = run("closed_loop", tmp_path)
    assert "person → thread1024 → kalman → arm → linear" in out
    assert "success" in out


def test_compare_decoders(tmp_path):
    rows = re.findall(
        r"^(random|kalman|wiener|oracle) +(\d+)% +([\d.]+) +\S+ \.\. \S+ +(\S+)$", run("compare_decoders", tmp_path), re.M
    )
    success, bits = ({name: float(row[i]) for name, *row in rows} for i in (0, 1))
    assert list(success) == ["random", "kalman", "wiener", "oracle"]
    assert success["random"] <= 20 < success["kalman"] <= success["oracle"]
    assert success["oracle"] >= 95
    assert bits["random"] < bits["kalman"] < bits["oracle"]
    r2 = {name: row[2] for name, *row in rows}
    assert float(r2["random"]) < float(r2["kalman"])
    assert r2["oracle"] == "-"


def test_gym_env(tmp_path):
    if os.environ.get("VOLITION_TORCH") != "required":  # CI has every extra
        pytest.importorskip("gymnasium", reason="Gymnasium is not installed: pip install 'volition[gym]'")
    before, *shown, alone = map(float, re.findall(r"return +(-?[\d.]+)$", run("gym_env", tmp_path), re.M))
    assert len(shown) == 2
    assert before < alone < min(shown)


def test_faults(tmp_path):
    out = run("faults", tmp_path)
    whole, silence = (re.search(rf"{name} +(\d+)%", out) for name in ("as it was calibrated", "silence"))
    assert int(whole[1]) > int(silence[1]) == 0
    assert "{'lost': 500}" in out  # all of 10 s: each bin is counted
    assert re.search(r"gives NaN: \{'not finite': \d+\}, stops: 1", out)
    assert "mended, not armed: 0% success" in out
    assert not re.search(r"armed again: 0%", out)


def test_my_recording(tmp_path):
    rows = re.findall(r"^(random|kalman|wiener) +(-?\d+\.\d+) +(-?\d+\.\d+)$", run("my_recording", tmp_path), re.M)
    r2, along = ({name: float(row[i]) for name, *row in rows} for i in (0, 1))
    assert list(r2) == ["random", "kalman", "wiener"]
    assert max(r2["random"], abs(along["random"])) < 0.25
    assert min(r2["kalman"], r2["wiener"], along["kalman"], along["wiener"]) > 0.6


def test_own_decoder(tmp_path):
    out = run("own_decoder", tmp_path)
    assert float(re.search(r"success +([\d.]+)", out)[1]) > 0.5


def test_own_decoder_keeps_the_contract(monkeypatch):
    spec = importlib.util.spec_from_file_location("own_decoder", EXAMPLES / "own_decoder.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "own_decoder", module)  # dataclasses look there for their annotations
    spec.loader.exec_module(module)
    assert check(module.Population()) == []


def test_the_readme_shows_the_loop_that_the_example_runs():
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", readme, re.S)
    shown, run_here = (
        {ast.dump(node) for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.Import, ast.ImportFrom, ast.Assign))}
        for text in (block.replace("seconds=30", "seconds=SECONDS"), _example_with_seconds())
    )
    assert shown == run_here


def _example_with_seconds():
    text = (EXAMPLES / "closed_loop.py").read_text(encoding="utf-8")
    return re.sub(r"seconds=float.*", "seconds=SECONDS)", text).replace("import sys\n", "")
