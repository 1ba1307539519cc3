"""A decoder that leaves a mark each time it is used, and may kill the process that it runs in."""

import pytest

MARK = '''"""Counts how often it is used."""

import os
import signal
import time
from dataclasses import dataclass

import numpy as np

from volition.stage import Spec


@dataclass(frozen=True)
class MarkConfig:
    log: str = ""
    die: int = 0  # so many of the first uses end in SIGKILL
    sleep_s: float = 0.0


class Mark:
    Config = MarkConfig

    def __init__(self, config=None):
        self.config = config or MarkConfig()
        self.spec, self.confidence = Spec(), 1.0

    def prepare(self, setup):
        self._k, self._bins = len(setup.intent), 0

    def reset(self):
        pass

    def step(self, x, mask):
        self._bins += 1
        if self._bins == 3:  # in the middle of a unit
            with open(self.config.log, "a") as log:
                log.write(f"{os.getpid()}\\n")
            with open(self.config.log) as log:
                uses = len(log.readlines())
            if uses <= self.config.die:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(self.config.sleep_s)
        return np.zeros(self._k, np.float32)

    def predict(self, X, mask=None, segments=None):
        return np.zeros((len(X), self._k), np.float32)
'''


class Marker:
    """The decoder's file and what it noted."""

    def __init__(self, folder):
        self.path, self.log = folder / "mark.py", folder / "uses.log"
        self.path.write_text(MARK)

    def choice(self, **config):
        return (str(self.path), {"log": str(self.log), **config})

    @property
    def pids(self):
        return [int(line) for line in self.log.read_text().split()] if self.log.exists() else []


@pytest.fixture
def marker(tmp_path):
    (tmp_path / "own").mkdir()
    return Marker(tmp_path / "own")
