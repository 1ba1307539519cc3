"""running 100 m from a standing start, with split times, the fastest flying 20 m, and whether it ends upright."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import cos, hypot, inf, sin
from typing import Any

import numpy as np

from volition.errors import ConfigError
from volition.signal import NS_PER_S, BodyState, Float32, Goal
from volition.stage import Setup, Spec
from volition.task._layout import Point
from volition.task._score import wilson
from volition.task._steering import STILL_M_S, Steering, Stood, Track, speed_of

_MARKS = 10  # splits of a run
_TURN_M = 8.0  # to turn round in, before a run back
_BRAKES_S = 1.5  # an ideal user goes at most the distance over this towards a place to stand


@dataclass(frozen=True)
class SprintConfig:
    """What is asked.

    Attributes:
        distance_m: of the run, m; shorter in a workspace with less than that from its middle to its edge.
        set_s: how long to stand before the start, s.
        run_out_m: behind the finish, where to come to a stand, m.
        pace_m_s: how fast to run, m/s; 0: as fast as the body can.
        timeout_s: a run, or a stop after it, that takes longer is a failure, s.
    """

    distance_m: float = 100.0
    set_s: float = 1.0
    run_out_m: float = 20.0
    pace_m_s: float = 0.0
    timeout_s: float = 90.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not (0 < self.distance_m < inf and 0 < self.run_out_m < inf):
            raise ConfigError("sprint: distance_m and run_out_m must be positive")
        if not (0 <= self.set_s < self.timeout_s < inf and 0 <= self.pace_m_s < inf):
            raise ConfigError("sprint: set_s must lie in 0..timeout_s, and pace_m_s not be negative")


class Sprint:
    """Set, run, run out, and again; the body is not put back in between.

    *Set*: stand (below 0.25 m/s) for `set_s`. *Run*: the goal appears at the finish, and that moment starts the clock,
    reaction included. The lane leads to where the body looks, or where that would leave the field towards its middle (it
    then turns round and stands first). What counts is the way along the lane. *Run out*: stand behind the finish. A run ends
    "finished", "timeout" or "fell"; after a fall nothing more is asked.

    Attributes:
        pace_m_s: what is asked of person and ideal user, infinity where it is as fast as the body can.
    """

    Config = SprintConfig

    def __init__(self, config: SprintConfig | None = None) -> None:
        self.config = config or SprintConfig()
        self.spec = Spec()
        self.pace_m_s = self.config.pace_m_s or inf

    def prepare(self, setup: Setup) -> None:
        """Learn how large the field is and how the body is steered.

        Raises:
            ConfigError: the effector can neither be walked nor be moved about.
        """
        self._steering = Steering(setup, "sprint")
        self._scale = min(1.0, self._steering.half / self.config.distance_m)
        self._distance = self.config.distance_m * self._scale
        self._speed = min(self.pace_m_s, setup.max_speed)
        self._room = 1.3 * self._steering.half  # the field is half a run larger than its workspace
        self._track = Track(self._steering)
        self.restart(0)

    def restart(self, t_ns: int) -> Goal:
        """A new block: forgets the runs, begins with "set" from wherever the body is."""
        self._trials: list[dict[str, Any]] = []
        self._track.begin(t_ns)
        return self._set(t_ns, self._track.here)

    def _place(self, t_ns: int, phase: str, at: Point, radius: float) -> Goal:
        self._phase, self._since_ns, self._stood = phase, t_ns, Stood()
        self._goal = Goal(t_ns, len(self._trials), np.array(at), radius * self._scale, stop=phase != "run")
        return self._goal

    def _set(self, t_ns: int, at: Point) -> Goal:
        return self._place(t_ns, "set", at, 2.0)

    def step(self, t_ns: int, body: BodyState) -> Goal:
        """Judge where the body is now."""
        before = self._track.here
        dt_ns = self._track.observe(t_ns, body)
        if self._phase == "over":
            return self._goal
        if self._phase == "run":
            return self._run(t_ns, dt_ns, before, speed_of(body))
        inside = self._track.to(self._goal.position.tolist()) <= self._goal.radius
        stood = self._stood.observe(t_ns, inside and speed_of(body) < STILL_M_S * max(self._scale, 0.1))
        late = t_ns - self._since_ns >= self.config.timeout_s * NS_PER_S
        if self._track.fell:
            return self._over(t_ns)
        if self._phase == "set":
            return self._start(t_ns) if stood >= self.config.set_s * NS_PER_S or late else self._goal
        return self._rest(t_ns, stood >= 0.3 * NS_PER_S, late)

    def _rest(self, t_ns: int, stands: bool, late: bool) -> Goal:
        """Behind the finish: done once it stands."""
        if not (stands or late):
            return self._goal
        x, y = self._trials[-1]["finish_x_m"], self._trials[-1]["finish_y_m"]
        self._trials[-1]["stood"] = stands
        self._trials[-1]["stop_m"] = self._track.to((x, y))
        if not self._track.leaves(self._distance, self._room):
            return self._set(t_ns, self._track.here)
        return self._set(t_ns, self._track.from_here(self._track.inward(), _TURN_M * self._scale))

    def _start(self, t_ns: int) -> Goal:
        """The start: a lane, and the clock."""
        way = self._track.ahead(self._distance, self._room)
        self._lane = (cos(way), sin(way))
        self._line, self._aside, self._top = self._track.here, 0.0, 0.0
        self._marks: list[float] = []
        return self._place(t_ns, "run", self._on(self._distance), 2.0)

    def _on(self, way: float) -> Point:
        """So far along the lane from here."""
        x, y = self._track.here
        return x + way * self._lane[0], y + way * self._lane[1]

    def _along(self, at: Point) -> tuple[float, float]:
        """Along the lane and to its side, m."""
        dx, dy = at[0] - self._line[0], at[1] - self._line[1]
        return dx * self._lane[0] + dy * self._lane[1], abs(dy * self._lane[0] - dx * self._lane[1])

    def _run(self, t_ns: int, dt_ns: int, before: Point, speed: float) -> Goal:
        """On the lane: marks passed, and the end."""
        (was, _), (now, side) = self._along(before), self._along(self._track.here)
        self._aside, self._top = max(self._aside, side), max(self._top, speed)
        while len(self._marks) < _MARKS and now >= (mark := (len(self._marks) + 1) * self._distance / _MARKS):
            back = (now - mark) / (now - was) * dt_ns if now > was else 0.0
            self._marks.append((t_ns - back - self._since_ns) / NS_PER_S)
        if self._track.fell:
            self._close("fell")
            return self._over(t_ns)
        if len(self._marks) == _MARKS:
            self._close("finished")
            return self._place(t_ns, "out", self._on(self.config.run_out_m * self._scale), 4.0)
        if t_ns - self._since_ns >= self.config.timeout_s * NS_PER_S:
            self._close("timeout")
            return self._place(t_ns, "out", self._track.here, 8.0)
        return self._goal

    def _over(self, t_ns: int) -> Goal:
        """It lies: nothing is asked any more."""
        return self._place(t_ns, "over", self._track.here, 8.0)

    def _close(self, outcome: str) -> None:
        """Write down a run; "flying" is over the fastest fifth of the distance between two marks: 20 of 100 m."""
        marks, piece = self._marks, self._distance / _MARKS
        flying = [2 * piece / (b - a) for a, b in zip(marks, marks[2:], strict=False) if b > a]
        record: dict[str, Any] = {
            "trial": len(self._trials),
            "outcome": outcome,
            "start_s": self._since_ns / NS_PER_S,
            "duration_s": (self._track.now_ns - self._since_ns) / NS_PER_S,
            "distance_m": self._distance,
            "time_s": marks[-1] if len(marks) == _MARKS else None,
            "flying_m_s": max(flying, default=0.0),
            "top_m_s": self._top,
            "off_lane_m": self._aside,
            "finish_x_m": self._track.here[0],
            "finish_y_m": self._track.here[1],
            "stood": False,
            "stop_m": None,
        }
        record |= {f"split_{round((i + 1) * 100 / _MARKS)}_s": t for i, t in enumerate(marks)}
        self._trials.append(record)

    def aim(self, body: BodyState, goal: Goal | None = None) -> Float32:
        """Run to the finish; to a place to stand slow down in time, and in it do nothing."""
        goal = goal or self._goal
        gx, gy = goal.position.tolist()[:2]
        x, y = body.position.tolist()[:2]
        speed = self._speed
        if goal.stop:
            distance = hypot(gx - x, gy - y)
            if distance <= 0.5 * goal.radius:
                return self._steering.still()
            speed = min(speed, distance / _BRAKES_S)
        return self._steering.command(body, (gx, gy), speed)

    def score(self) -> Mapping[str, float]:
        """Share of runs finished and stood after (Wilson interval), best and mean time, flying speed, falls.

        Times are the time-out and speeds 0 where no run was finished; "time_s" is over the distance of the configuration
        only where the field has it.
        """
        done = [t for t in self._trials if t["outcome"] == "finished"]
        n, k = len(self._trials), len(done)
        low, high = wilson(k, n)
        times = [t["time_s"] for t in done]
        return {
            "success": k / n if n else 0.0,
            "success_low": low,
            "success_high": high,
            "n_trials": float(n),
            "time_s": sum(times) / k if k else self.config.timeout_s,
            "best_time_s": min(times, default=self.config.timeout_s),
            "speed_m_s": self._distance * k / sum(times) if k else 0.0,
            "flying_m_s": max((t["flying_m_s"] for t in done), default=0.0),
            "off_lane_m": max((t["off_lane_m"] for t in done), default=0.0),
            "stood": sum(t["stood"] for t in done) / k if k else 0.0,
            "fell": float(self._track.fell),
            "block_s": self._track.block_s,
        }

    def trials(self) -> Sequence[Mapping[str, Any]]:
        """The runs of the block, raw: "split_10_s" is the time at 10 % of the distance, and so on."""
        return self._trials
