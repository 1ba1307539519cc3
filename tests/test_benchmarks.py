"""The page of benchmarks is what its files say."""

import importlib.util
import json
from pathlib import Path

import pytest

from volition.app._output import save

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def report():
    spec = importlib.util.spec_from_file_location("report", ROOT / "benchmarks" / "report.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_file_becomes_a_table_with_machine_date_and_command(report, tmp_path):
    rows = [
        {"what": "a | b", "value": 101.25, "unit": "x", "goal": ">= 100", "ok": True, "each": [1, 2]},
        {"what": "c", "value": float("nan"), "unit": "", "goal": "", "ok": None, "note": "skipped: no data"},
    ]
    save(rows, tmp_path / "loop.json", "volition bench loop")
    machine = json.loads((tmp_path / "loop.json").read_text(encoding="utf-8"))["machine"]
    page = report.page(tmp_path)
    assert "## loop" in page
    assert "`volition bench loop`" in page
    assert machine["date"] in page
    assert machine["cpu"] in page
    assert "| what | value | unit | goal | ok | note |" in page
    assert "| a \\| b | 101.2 | x | >= 100 | yes |  |" in page
    assert "| c |  |  |  |  | skipped: no data |" in page


def test_the_committed_page_is_what_the_committed_files_say(report):
    if not report.TARGET.exists():
        assert not list(report.SOURCE.glob("*.json")), "run make docs"
        return
    assert report.TARGET.read_text(encoding="utf-8") == report.page()
