"""A residual policy for the legs, by reinforcement learning on many bodies at once: what is added to the gait law's targets.

Proximal policy optimisation (`_ppo.py`) on `_residual_herd.py`, or on stops (`_residual_stops.py`) for the network that
brakes. The last layer begins with zeros, so that training begins with the gaits as they are; the network that brakes begins
as another training's.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from volition._whole import write_whole
from volition.effector._legs_residual import ACTIONS, SEEN, Policy
from volition.errors import ConfigError, InputError
from volition.signal import Float64
from volition.train._gait_herd import World
from volition.train._ppo import F, Learner, Ppo
from volition.train._residual_herd import EXTRA, STEP_S, Course, Drill, nothing
from volition.train._residual_stops import Stops

Watch = Callable[[float, str], None]
"""Told the share done (0..1) and a line of text."""
_SAVE_EVERY = 20
_CRITIC_FIRST = 15  # iterations in which a network that begins as another's stays as it is: its critic knows nothing yet


@dataclass(frozen=True)
class Training:
    """How long and on what is trained.

    Attributes:
        iterations: rollouts, each of `steps` decisions of `bodies` bodies.
        bodies: in the herd.
        steps: decisions a rollout.
        measured_s: time in which mean and spread of the observations are measured first, with the gaits as they are.
        seed: of all chance.
        brake_m_s2: how fast the legs that use it let a command fall while it takes part.
        gap_m_s: how far below the speed of who brakes its command lies at least and at most, m/s; none: it falls by itself.
        told: speeds (m/s), and what the law is told for them while it takes part; none: what the library says.
        world: bodies and floor.
        course: commands and disturbances.
        ppo: settings of the learning.
    """

    iterations: int = 400
    bodies: int = 192
    steps: int = 32
    measured_s: float = 9.0
    seed: int = 0
    brake_m_s2: float = 2.0
    gap_m_s: tuple[float, float] | None = None
    told: tuple[tuple[float, float], ...] = ()
    world: World = field(default_factory=World)
    course: Course = field(default_factory=Course)
    ppo: Ppo = field(default_factory=Ppo)

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.iterations < 1 or self.bodies < 8 or self.steps < 2 or not self.measured_s > 0:
            raise ConfigError("residual training: at least 1 iteration, 8 bodies, 2 steps, and some time to measure")


class Trainer:
    """A training that goes on from where it was saved.

    Attributes:
        done: iterations so far.
        history: a row of figures for each.
        slow: a network for jogging that the file of the policy is to hold besides, if there is one.
    """

    def __init__(
        self, training: Training, state: Path | None = None, runner: Policy | None = None, begin: Path | None = None
    ) -> None:
        """With `state` it is saved there, and goes on from there; the herd itself begins anew from standing.

        Args:
            training: settings.
            state: file of the training.
            runner: the policy under which bodies run, if it is the network for stopping that is trained.
            begin: file of another training, as whose network this one begins.

        Raises:
            InputError: what was saved is not such a training.
            ConfigError: no body can run under `runner`.
        """
        self.training, self._state, self._runner = training, state, runner
        self.done, self.history = 0, list[dict[str, float]]()
        self.slow: Policy | None = None
        saved = state is not None and state.exists()
        rng = np.random.default_rng(np.random.SeedSequence((training.seed, 2)))
        self._learner = Learner(SEEN, EXTRA, ACTIONS, training.ppo, rng)
        self._waits = 0
        if saved:
            assert state is not None
            self._restore(state)
            self._learner.bound()
        elif begin is not None:
            self._restore(begin)
            self._learner.anew(rng)
            self.done, self.history, self._waits = 0, [], _CRITIC_FIRST
        t, seed = training, training.seed + 1000 * self.done
        self._drill: Drill | Stops
        if runner is None:
            self._drill = Drill(t.bodies, t.world, t.course, seed, told=t.told)
        else:
            self._drill = Stops(t.bodies, t.world, t.course, seed, runner, t.measured_s)
        if not saved and begin is None:
            self._measure()

    def _measure(self) -> None:
        """Mean and spread of what is seen."""
        seen: list[Float64] = []

        def nil(now: Float64) -> Float64:
            seen.append(now)
            return nothing(now)

        for _ in range(round(self.training.measured_s / STEP_S)):
            self._drill.decide(nil)
        all_seen = np.concatenate(seen[len(seen) // 10 :: 7])
        self._mean, self._spread = all_seen.mean(axis=0), np.maximum(all_seen.std(axis=0), 0.05)

    def run(self, watch: Watch | None = None) -> None:
        """All iterations that are left."""
        begin, first = time.process_time(), self.done
        while self.done < self.training.iterations:
            row = self._iterate()
            self.done += 1
            self.history.append(row)
            if self.done % _SAVE_EVERY == 0 or self.done == self.training.iterations:
                self._save()
            if watch is not None:
                row["cpu_s"] = (time.process_time() - begin) / (self.done - first)
                text = " ".join(f"{name} {value:.3g}" for name, value in row.items())
                watch(self.done / self.training.iterations, f"{self.done}: {text}")

    def _iterate(self) -> dict[str, float]:
        """A rollout, and what is learnt of it."""
        learner, drill, steps = self._learner, self._drill, self.training.steps
        kept: dict[str, list[Any]] = {name: [] for name in ("x", "full", "action", "log_p", "value")}

        def act(seen: Float64) -> Float64:
            x = ((seen - self._mean) / self._spread).astype(F)
            full = np.concatenate((x, drill.privileged().astype(F)), axis=1)
            action, log_p = learner.sample(x)
            for name, value in zip(kept, (x, full, action, log_p, learner.value(full)), strict=True):
                kept[name].append(value)
            result: Float64 = action.astype(np.float64)
            return result

        steps_made = [drill.decide(act) for _ in range(steps + 1)][:-1]  # of the last one only the value counts
        reward = np.array([s.reward for s in steps_made], F)
        ended = np.array([s.ended for s in steps_made], F)
        gain, back = learner.advantages(reward, ended, np.array(kept["value"]))
        x, full, action, log_p = (np.concatenate(kept[name][:-1]) for name in ("x", "full", "action", "log_p"))
        acting = np.concatenate([s.acting for s in steps_made])
        if self.done < self._waits:
            acting = np.zeros_like(acting)
        found = learner.learn(x, full, action, log_p, gain.ravel(), back.ravel(), acting)
        minutes = ended.size * STEP_S / 60
        ends = {"falls_min": float(ended.sum()) / minutes} if isinstance(drill, Drill) else drill.stopped()
        return {"reward_s": float(reward.mean()) / STEP_S, **ends, **found}

    def _save(self) -> None:
        if self._state is None:
            return
        kept = io.BytesIO()
        history = np.array(json.dumps(self.history))
        np.savez(kept, mean=self._mean, spread=self._spread, done=self.done, history=history, **self._learner.arrays())
        write_whole(self._state, kept.getvalue())

    def _restore(self, state: Path) -> None:
        try:
            with np.load(state, allow_pickle=False) as saved:
                self._mean, self._spread, self.done = saved["mean"], saved["spread"], int(saved["done"])
                self.history = json.loads(str(saved["history"]))
                self._learner.restore(saved)
        except (ValueError, KeyError, OSError) as error:
            raise InputError(f"{state}: not a saved training ({type(error).__name__}: {error})") from None

    def policy(self, command: str) -> bytes:
        """The file that the legs read: the network (half precision is not enough, single is), and how it was made.

        A network for stopping is put beside that of its runner, and one for jogging beside both.
        """
        t, w = self.training, self._learner.actor.w
        made = {"command": command, "from_m_s": t.course.from_m_s, **asdict(t), "iterations": self.done}
        mine = Policy(self._mean, self._spread, list(zip(w[::2], w[1::2], strict=True)), made)
        arrays, runner = mine.arrays(), self._runner
        if runner is not None:
            made = {**runner.about, "brake_m_s2": t.brake_m_s2, "gap_m_s": t.gap_m_s, "stops": made}
            arrays = {**runner.arrays(), **mine.arrays("stops.")}
        if self.slow is not None:
            made, arrays = {**made, "slow": self.slow.about}, {**arrays, **self.slow.arrays("slow.")}
        kept = io.BytesIO()
        np.savez_compressed(kept, about=np.array(json.dumps(made)), **arrays)
        return kept.getvalue()
