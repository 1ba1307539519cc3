"""The same units on a Ray cluster of this machine: the same table to the digit, a killed worker's unit done again once."""

import importlib.util
import os
import subprocess
import sys

import pytest

from volition.errors import ConfigError
from volition.train import _compare_table as tables
from volition.train.compare import compare, plan

HERE = importlib.util.find_spec("ray") is not None
MUST = os.environ.get("VOLITION_TORCH") == "required"  # CI has every extra
pytestmark = pytest.mark.skipif(not (HERE or MUST), reason="Ray is not installed: pip install 'volition[ray]'")

HEAD = """
import sys
import ray
head = ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
print(head.address_info["gcs_address"], flush=True)
sys.stdin.read()
ray.shutdown()
"""


@pytest.fixture(scope="module")
def cluster():
    """Address of a cluster with two processors; it goes when its input ends."""
    head = subprocess.Popen([sys.executable, "-c", HEAD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        address = head.stdout.readline().strip()
        assert address, "the cluster did not start"
        yield address
    finally:
        head.communicate(timeout=60)


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_the_table_is_that_of_two_local_processes_to_the_digit_and_a_killed_worker_costs_nothing(cluster, marker, tmp_path):
    quick = ("wiener", {"history_ms": [100.0], "penalties": [1000.0], "ratios": [1.0]})
    asked = {"seeds": range(3), "seconds": 4.0, "open_s": 2.0}
    units = plan({"wiener": quick, "random": "random", "best": "oracle"}, **asked)
    dying = plan({"m": marker.choice(die=1)}, **asked)
    local = compare(units, tmp_path / "local", workers=2)
    both = compare([*dying, *units], tmp_path / "ray", workers=0, cluster=cluster)
    rays = both[len(dying) :]
    assert tables.table(rays) == tables.table(local)
    assert tables.agreement(rays) == tables.agreement(local)
    assert [row["seed"] for row in both] == [0, 1, 2] * 4
    assert not any("error" in row for row in both)
    assert len(marker.pids) == 4  # three uses, and the one whose worker was killed


@pytest.mark.filterwarnings("ignore")
def test_an_address_where_nothing_answers_is_one_line(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "1")
    with pytest.raises(ConfigError, match=r"--cluster 127.0.0.1:1: no Ray cluster answers: .*") as caught:
        compare(plan({"s": "still"}, seeds=[0], seconds=1.0), tmp_path / "out", cluster="127.0.0.1:1")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""
