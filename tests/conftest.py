"""One BLAS thread, as the command sets it: threads that wait for each other on a busy machine cost tenfold.

A cluster that a test starts asks for a token. Ray reads it once in a process, at its first call: it must be there before.

`make test` runs most tests two at a time. Those of `ALONE` get the mark "alone" and run one after the other afterwards: they
measure time on the wall, start browsers, clusters or senders on the network, or fill the machine by themselves.
"""

import os
import secrets
from pathlib import Path

import pytest

ALONE = (
    "app/test_certify.py",
    "app/test_stream.py",
    "app/test_viewer.py",
    "brain/test_lsl.py",
    "decoder/test_wiener.py",
    "io/test_lsl.py",
    "io/test_shm.py",
    "loop/test_clock.py",
    "test_newcomer.py",
    "test_startup.py",
    "train/test_compare_cluster.py",
    "view",
)

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(16), RAY_USAGE_STATS_ENABLED="0")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    alone = [here / name for name in ALONE]
    for item in items:
        if any(item.path == path or path in item.path.parents for path in alone):
            item.add_marker(pytest.mark.alone)
