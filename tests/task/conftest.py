"""A body on legs that does exactly what an ideal user commands."""

from math import cos, sin

import numpy as np
import pytest

from volition.signal import BodyState
from volition.stage import Setup

DT_NS = 20_000_000


class Obedient:
    """Pose of a body that is steered by heading; `lag_s`: how slowly its speed follows."""

    def __init__(self, lag_s=0.0):
        self.x = self.y = self.heading = self.speed = self.tilt = 0.0
        self.t_ns, self._lag_s = 0, lag_s

    @property
    def body(self):
        way = np.array((cos(self.heading), sin(self.heading)))
        angles = np.array((self.heading, self.tilt, 0.0))
        return BodyState(self.t_ns, np.array((self.x, self.y)), self.speed * way, angles, np.zeros(3))

    def obey(self, task, seconds, watch=None):
        """Follow the task's aim for so long; `watch(goal, body)` after each step."""
        for _ in range(round(seconds * 50)):
            now = self.body
            goal = task.step(self.t_ns, now)
            if watch is not None:
                watch(goal, now)
            forward, _, turn = task.aim(now).tolist()
            self.speed += (forward - self.speed) * min(1.0, 0.02 / max(self._lag_s, 0.02))
            self.heading += turn * 0.02
            self.x += 0.02 * self.speed * cos(self.heading)
            self.y += 0.02 * self.speed * sin(self.heading)
            self.t_ns += DT_NS
        return task


@pytest.fixture
def walker():
    return Obedient()


@pytest.fixture
def runner():
    """Takes 0.5 s to get going and to stop."""
    return Obedient(0.5)


@pytest.fixture
def legs():
    """What a loop tells a task whose effector is the legs."""
    field = np.array([[-100.0, -100.0], [100.0, 100.0]])
    return Setup(intent=("walk.x", "walk.y", "walk.turn"), workspace=field, max_speed=3.0)
