"""What it costs to start: CPU time over the bare interpreter, best of five, with half as much again allowed."""

import os
import subprocess
import sys

import pytest

ALLOWED = 1.5


def cpu_ms(*args: str) -> float:
    """CPU time of an interpreter with these arguments, user and system, best of five."""
    best = float("inf")
    for _ in range(5):
        process = subprocess.Popen([sys.executable, *args], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, args
        best = min(best, 1e3 * (usage.ru_utime + usage.ru_stime))
    return best


@pytest.fixture(scope="module")
def bare() -> float:
    return cpu_ms("-c", "pass")


@pytest.mark.parametrize(
    ("args", "budget_ms"),
    [
        (("-c", "import volition"), 30),
        (("-m", "volition", "--help"), 60),
        (("-m", "volition", "list"), 120),
    ],
)
def test_start_up_stays_within_its_budget(bare, args, budget_ms):
    assert cpu_ms(*args) - bare <= ALLOWED * budget_ms


def modules(*args: str) -> set[str]:
    """Top-level modules that a command loads."""
    code = f"import sys; from volition.cli import main; main({list(args)!r}); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {m.split(".")[0] for m in done.stderr.split()}


@pytest.mark.parametrize("args", [("--help",), ("--version",), ("list",)])
def test_light_commands_load_nothing_heavy(args):
    assert not modules(*args) & {"numpy", "scipy", "mujoco", "onnxruntime", "tyro", "rich", "websockets"}


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("3", "3")])
def test_a_run_does_not_depend_on_how_many_threads_a_product_is_split_over(before, after):
    """The last bits of a fit do: what was fitted on two threads does not replay on one."""
    env = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    env |= {} if before is None else {"OPENBLAS_NUM_THREADS": before}
    said = subprocess.run(
        [sys.executable, "-c", "import volition, os; print(os.environ['OPENBLAS_NUM_THREADS'])"],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == after
