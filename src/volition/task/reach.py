"""reaching for targets: centre-out and back, or a grid of cells (Webgrid)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from typing import Any

import numpy as np

from volition.errors import ConfigError
from volition.signal import NS_PER_S, BodyState, Float32, Goal
from volition.stage import Setup, Spec
from volition.task._attempt import Attempt
from volition.task._layout import CENTRE, NOWHERE, Grid, Layout, Point, Ring
from volition.task._score import summary

_CLICK = 0.5
_MIDDLE = 0.5  # an ideal user comes to rest inside this share of the radius


@dataclass(frozen=True)
class ReachConfig:
    """What is asked.

    Attributes:
        layout: "centre_out" (targets on a ring, and back) or "webgrid" (one lit cell of a grid).
        select: "dwell" (stay on it for `hold_s`) or "click" (the effector must take the intent "select").
        hold_s: how long to stay on a target, s; on a grid, how long on any cell selects it.
        timeout_s: a target not selected in this time is a failure, s.
        targets: centre-out: number of targets on the ring.
        distance_m: centre-out: from the centre to each target, m (8 cm: Gilja et al. 2012).
        radius_m: centre-out: radius of a target, m.
        count_returns: centre-out: returns to the centre count as trials (usual in centre-out-and-back); False leaves them
            out of every score but the time of the block.
        rows: webgrid: rows of cells.
        columns: webgrid: columns of cells.
        slow_m: the ideal user goes at full speed beyond this distance from the target's centre and slows in proportion below
            (a push that lessens near the target: Willett et al. 2019), m. At 0.3 m/s, 0.05 m is a time constant of 0.17 s;
            it must be short enough that the last neighbour of a cell is crossed faster than a dwell.
        click_after_s: the ideal user clicks so long after it came to the target, s: what people are told to do in
            calibration, when the decoder learns from it what a click is.
        click_s: and presses so long, s.
    """

    layout: str = "centre_out"
    select: str = "dwell"
    hold_s: float = 0.3
    timeout_s: float = 5.0
    targets: int = 8
    distance_m: float = 0.08
    radius_m: float = 0.015
    count_returns: bool = True
    rows: int = 6
    columns: int = 6
    slow_m: float = 0.05
    click_after_s: float = 0.16
    click_s: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.layout not in ("centre_out", "webgrid"):
            raise ConfigError(f"reach: layout must be 'centre_out' or 'webgrid', got {self.layout!r}")
        if self.select not in ("dwell", "click"):
            raise ConfigError(f"reach: select must be 'dwell' or 'click', got {self.select!r}")
        if not 0 <= self.hold_s < self.timeout_s < float("inf"):
            raise ConfigError(f"reach: hold_s must lie in 0..timeout_s, got {self.hold_s} and {self.timeout_s}")
        if not 0 < self.radius_m < self.distance_m:
            raise ConfigError(f"reach: radius_m must lie in 0..distance_m, got {self.radius_m} and {self.distance_m}")
        if self.targets < 2 or min(self.rows, self.columns) < 1 or self.rows * self.columns < 3:
            raise ConfigError("reach: needs at least 2 targets on the ring, and 3 cells in the grid")
        if not (self.click_after_s >= 0 and self.click_s > 0):
            raise ConfigError("reach: click_after_s must not be negative, and click_s must be positive")
        if not self.slow_m > 0:
            raise ConfigError(f"reach: slow_m must be positive, got {self.slow_m}")


class Reach:
    """Reaches to targets, one after the other without a pause; the body is not put back between them.

    A trial ends when the target is selected ("reached"), when something else is ("wrong": a dwell on, or click in, another
    cell of the grid; on the ring a click outside the target), or with the time-out ("timeout"). The next one begins in
    that moment. A target in which the body already stands asks for nothing and is passed over: a body that never moves has
    no success.

    *Dwell*: on the grid the cell in which the body stands when a new target lights up cannot be selected before the body
    has left it once; otherwise the cell just selected would be selected again while the person still reacts.

    *Webgrid* scores the bit rate with N = cells, Sc and Si = right and wrong selections. *Centre-out* scores it with N =
    targets on the ring, from the outward reaches alone (the way back leaves no choice), a failed one counting as a wrong
    selection. Time is the time since the block began, unfinished trial included.
    """

    Config = ReachConfig

    def __init__(self, config: ReachConfig | None = None) -> None:
        self.config = config or ReachConfig()
        self.spec = Spec()

    def prepare(self, setup: Setup) -> None:
        """Lay out the targets in the workspace.

        Raises:
            ConfigError: they do not fit, or the effector lacks an intent that the task needs.
        """
        c = self.config
        needs = ("reach.x", "reach.y", *(("select",) if c.select == "click" else ()))
        for name in needs:
            if name not in setup.intent:
                raise ConfigError(f"reach: select={c.select!r} needs an effector that takes the intent {name!r}")
        self._ix, self._iy, *rest = (setup.intent.index(name) for name in needs)
        self._iclick = rest[0] if rest else None
        self._width, self._max_speed = len(setup.intent), setup.max_speed
        self._layout: Layout
        if c.layout == "webgrid":
            self._layout = Grid(setup.workspace, c.rows, c.columns)
        else:
            self._layout = Ring(setup.workspace, c.targets, c.distance_m, c.radius_m)
        self._hold_ns, self._timeout_ns = round(c.hold_s * NS_PER_S), round(c.timeout_s * NS_PER_S)
        self._rng = setup.rng("task")
        self._here: Point | None = None
        self._selected_before = False
        self.restart(0)

    def restart(self, t_ns: int) -> Goal:
        """A new block: forgets the trials, starts at trial 0 from wherever the body is."""
        self._trials: list[dict[str, Any]] = []
        self._order: Iterator[int] = self._layout.order(self._rng)
        self._block_ns = self._now_ns = t_ns
        self._entered: dict[int, int] = {}  # by trial
        return self._next(t_ns, 0)

    def _next(self, t_ns: int, trial: int) -> Goal:
        """Show the next target that asks for something."""
        self._target = next(self._order)
        while self._here is not None and self._layout.at(*self._here, self._target) == self._target:
            self._target = next(self._order)
        self._centre = self._layout.centre(self._target)
        self._entered.pop(trial, None)
        self._goal = Goal(t_ns, trial, np.array(self._centre), self._layout.radius, self._iclick is not None)
        if self._here is not None:
            self._follow(t_ns, self._here)
        return self._goal

    def _follow(self, t_ns: int, here: Point) -> None:
        """Begin to judge the attempt at the present target."""
        self._attempt = Attempt(t_ns, here, self._centre, self._layout.radius)
        self._spent = self._cell = self._layout.at(*here, self._target)
        self._since_ns = t_ns

    def step(self, t_ns: int, body: BodyState) -> Goal:
        """Judge where the body is now."""
        x, y = body.position.tolist()[:2]
        first, self._here, self._now_ns = self._here is None, (x, y), t_ns
        self._note(t_ns, x, y)
        cell = self._layout.at(x, y, self._target)
        if first:
            # Only now is it known where the body is, and whether the first target asks for anything.
            if cell == self._target:
                return self._next(t_ns, 0)
            self._follow(t_ns, self._here)
            return self._goal
        if cell != self._cell:
            self._spent, self._cell, self._since_ns = NOWHERE, cell, t_ns
        self._attempt.observe(t_ns, x, y, cell == self._target)
        outcome = self._judge(t_ns, cell, body.select >= _CLICK)
        return self._goal if outcome == "" else self._finish(t_ns, outcome, cell)

    def _judge(self, t_ns: int, cell: int, pressed: bool) -> str:
        """How the trial ends now, or ""."""
        if self._iclick is not None:
            clicked = pressed and not self._selected_before
            self._selected_before = pressed
            if clicked:
                return "reached" if cell == self._target else "wrong"
        elif cell == self._target:
            if t_ns - self._since_ns >= self._hold_ns:
                return "reached"
        elif self._layout.wrong and cell != self._spent and t_ns - self._since_ns >= self._hold_ns:
            return "wrong"
        return "timeout" if t_ns - self._attempt.start_ns >= self._timeout_ns else ""

    def _finish(self, t_ns: int, outcome: str, cell: int) -> Goal:
        trial = self._goal.trial
        back = self._target == CENTRE
        record = self._attempt.record(t_ns, outcome, self._iclick is not None)
        self._trials.append({"trial": trial, "target": self._target, "selected": cell, "return": back, **record})
        return self._next(t_ns, trial + 1)

    def aim(self, body: BodyState, goal: Goal | None = None) -> Float32:
        """Straight to the goal, `v = vmax min(1, d/slow_m)`, nothing in its middle; inside, it presses once if asked to."""
        x, y = body.position.tolist()[:2]
        centre, radius = (self._centre, self._layout.radius) if goal is None else (goal.position.tolist(), goal.radius)
        dx, dy = centre[0] - x, centre[1] - y
        distance = hypot(dx, dy)
        command = np.zeros(self._width, np.float32)
        if distance > _MIDDLE * radius:
            gain = self._max_speed / max(distance, self.config.slow_m)
            command[self._ix], command[self._iy] = gain * dx, gain * dy
        if self._iclick is not None and distance <= radius:
            command[self._iclick] = self._press(body.t_ns, self._goal if goal is None else goal)
        return command

    def _press(self, t_ns: int, goal: Goal) -> float:
        """1 while an ideal user presses who came to this goal some time ago."""
        entered = self._entered.get(goal.trial)
        since = 0.0 if entered is None else (t_ns - entered) / NS_PER_S - self.config.click_after_s
        return 1.0 if 0 <= since < self.config.click_s or entered is None else 0.0

    def _note(self, t_ns: int, x: float, y: float) -> None:
        """When the body came to the goal; the goal before is kept, since a person sees late."""
        trial = self._goal.trial
        if hypot(self._centre[0] - x, self._centre[1] - y) > self._layout.radius:
            self._entered.pop(trial, None)
        elif trial not in self._entered:
            self._entered = {k: t for k, t in self._entered.items() if k == trial - 1} | {trial: t_ns}

    def score(self) -> Mapping[str, float]:
        """Figures of the block so far; see `summary` for the formulas."""
        counted = [t for t in self._trials if self.config.count_returns or not t["return"]]
        chosen = [t for t in self._trials if not t["return"]]
        correct = sum(t["outcome"] == "reached" for t in chosen)
        failed = {"wrong"} if self._layout.wrong else {"wrong", "timeout"}
        incorrect = sum(t["outcome"] in failed for t in chosen)
        return summary(
            counted,
            targets=self._layout.targets,
            correct=correct,
            incorrect=incorrect,
            seconds=(self._now_ns - self._block_ns) / NS_PER_S,
            timeout_s=self.config.timeout_s,
        )

    def trials(self) -> Sequence[Mapping[str, Any]]:
        """The finished trials of the block, raw; times in s, lengths in m; "selected" is the target or cell, -2 for none."""
        return self._trials
