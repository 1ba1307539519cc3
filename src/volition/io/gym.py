"""The closed loop as a Gymnasium environment (extra `[gym]`): the agent is the decoder.

    env = gymnasium.make("volition.io.gym:volition/Reach-v0", channel="utah96", seconds=20.0)

In each bin (20 ms) the agent is given what the implant measured and answers with what it believes is wanted; the simulated
person sees, late, what the body made of it, and reacts. Importing this module registers `volition/Reach-v0` (centre-out) and
`volition/Webgrid-v0`; the name before the colon does that.

*Observation*: {"features": `[features]` float32, 0 where missing, "mask": `[features]` int8, 1 where missing}.

*Action*: `[k]` in -1..1, one for each intent of the effector: a velocity in units of the body's largest speed (a turn in
rad/s, a finger in units of pi); -1..1 is 0..1 for a click or a grasp.

*Reward* of a bin: +1 for each target selected, -1 for each that was missed (wrong selection, time-out), and `shaping` times
the distance that the body came nearer to the target, over the diagonal of the workspace. For one target the last is a
difference of a potential (Ng, Harada & Russell 1999): it sums to the way that was made good, and nothing is won by going to
and fro. A new target is no step away from it.

*End*: an episode is truncated after `seconds`; nothing ends it earlier.

*Reset*: `reset(seed=k)` brings person k, from birth; `reset()` goes on with the same person and a new block, so that an
agent can learn one person over many episodes. "aim" in the info is what an ideal user would command, as a clinic knows it in
calibration; "intended" is what the person truly meant, for judging only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from volition.errors import ConfigError, MissingExtraError
from volition.loop.config import LoopConfig
from volition.loop.loop import Loop
from volition.signal import Bool, EndOfInput, Float32
from volition.stage import Setup, Spec

try:
    import gymnasium
    from gymnasium import spaces
except ImportError:
    raise MissingExtraError("volition.io.gym needs Gymnasium: pip install 'volition[gym]'") from None

Observation = dict[str, NDArray[Any]]
_LARGEST = 65535.0  # of a feature, either way: a count cannot be more
_SHARES = ("select", "grasp", "phone.")  # intents that lie in 0..1


@dataclass(frozen=True)
class _AgentConfig:
    """An agent from outside has nothing to configure."""


class _Agent:
    """The decoder in the loop: gives what the agent acted."""

    Config = _AgentConfig

    def __init__(self) -> None:
        self.config, self.spec, self.confidence = _AgentConfig(), Spec(), 1.0
        self.values: Float32 = np.zeros(0, np.float32)

    def prepare(self, setup: Setup) -> None:
        self.values = np.zeros(len(setup.intent), np.float32)

    def step(self, x: Float32, mask: Bool) -> Float32:
        return self.values

    def reset(self) -> None:
        """There is no history here."""


class _Ahead(Loop):
    """A loop that senses before it is asked to step, so that the agent acts on the bin that it acts in."""

    def sense(self) -> None:
        """Brain and channel of the coming bin."""
        self._sense(self.t_ns)

    def _think(self, now: int) -> None:
        self._decide(now)

    def bin(self) -> None:
        """The rest of the bin, up to the next."""
        for _ in range(self._bin_every):
            self.step()


def _scale(name: str, max_speed: float) -> tuple[float, float]:
    """(factor, offset) from -1..1 to an intent."""
    if name.startswith(_SHARES):
        return 0.5, 0.5
    if name.startswith("finger."):
        return float(np.pi), 0.0
    return (1.0 if name == "walk.turn" else max_speed), 0.0


class ClosedLoop(gymnasium.Env[Observation, NDArray[np.float32]]):
    """The environment; the parts of the loop are given as to `Loop`.

    Args:
        brain: who thinks.
        channel: the implant.
        effector: the body.
        feedback: how touch becomes stimulation.
        task: what the person tries to do.
        loop: how the loop is closed.
        seconds: length of an episode, s.
        shaping: weight of the nearing of the target.
        render_mode: "ansi" for a line of text, or None.

    Raises:
        ConfigError: the stages do not fit together.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"], "render_fps": 50}  # type: ignore[misc]

    def __init__(
        self,
        *,
        brain: Any = "person",
        channel: Any = "ideal",
        effector: Any = "cursor",
        feedback: Any = "silent",
        task: Any = "reach",
        loop: LoopConfig | None = None,
        seconds: float = 20.0,
        shaping: float = 1.0,
        render_mode: str | None = None,
    ) -> None:
        if not (0 < seconds < np.inf and 0 <= shaping < np.inf):
            raise ConfigError(f"seconds must be positive and shaping not negative, got {seconds} and {shaping}")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ConfigError(f"render_mode must be 'ansi' or None, got {render_mode!r}")
        self.render_mode = render_mode
        self._parts = {"brain": brain, "channel": channel, "effector": effector, "feedback": feedback, "task": task}
        self._config, self._seconds, self._shaping = loop or LoopConfig(), seconds, shaping
        self._open(0)
        self._fresh = False  # sizes are known; the first reset brings a person
        setup = self._loop.setup
        n, k = setup.features, len(setup.intent)
        scales = np.array([_scale(name, setup.max_speed) for name in setup.intent], np.float32)
        self._factor, self._offset = scales[:, 0], scales[:, 1]
        low, high = np.asarray(setup.workspace, float)
        self._diagonal = float(np.linalg.norm(high - low)) or 1.0
        self.observation_space: Any = spaces.Dict(
            {"features": spaces.Box(-_LARGEST, _LARGEST, (n,), np.float32), "mask": spaces.MultiBinary(n)}
        )
        self.action_space = spaces.Box(-1.0, 1.0, (k,), np.float32)

    @property
    def loop(self) -> Loop:
        """What runs inside."""
        return self._loop

    def _open(self, seed: int) -> None:
        self._agent = _Agent()
        self._loop = _Ahead(**self._parts, decoder=self._agent, config=self._config, seed=seed)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict[str, Any]]:
        """Person `seed` anew; without a seed the same person again, in a new block of the task."""
        super().reset(seed=seed)
        if seed is not None or not self._fresh:
            self._loop.close()
            self._open(int(self.np_random.integers(2**31)) if seed is None else seed)
            self._fresh = True
        self._loop.act("restart")
        self._loop.arm()
        self._until_ns = self._loop.t_ns + round(self._seconds * 1e9)
        self._trials = 0
        self._sense()
        return self._observation(), self._info()

    def _sense(self) -> bool:
        """What the coming bin measures; whether there is one."""
        try:
            self._loop.sense()
        except EndOfInput:
            return False
        return True

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Act in the bin that was observed last."""
        self._agent.values = self._intent(action)
        last, before = self._loop.last, self._distance()
        goal = last.goal
        self._loop.bin()
        reward = float(self._outcomes())
        if last.goal is goal:  # a new target is no step away from it
            reward += self._shaping * (before - self._distance()) / self._diagonal
        truncated = self._loop.t_ns >= self._until_ns or not self._sense()
        return self._observation(), reward, False, truncated, self._info()

    def _distance(self) -> float:
        last = self._loop.last
        d = min(last.goal.position.size, last.body.position.size)
        return float(np.linalg.norm(last.goal.position[:d] - last.body.position[:d]))

    def _outcomes(self) -> int:
        """Targets selected less targets missed since the last bin."""
        trials = self._loop.task.trials()
        fresh, self._trials = trials[self._trials :], len(trials)
        return sum(1 if trial.get("success", trial.get("outcome") == "reached") else -1 for trial in fresh)

    def _observation(self) -> Observation:
        features = self._loop.last.features
        n = self._loop.setup.features
        if features is None:
            return {"features": np.zeros(n, np.float32), "mask": np.ones(n, np.int8)}
        x = np.where(features.mask, 0.0, features.x)
        return {"features": np.clip(x, -_LARGEST, _LARGEST).astype(np.float32), "mask": features.mask.astype(np.int8)}

    def _intent(self, action: NDArray[np.float32]) -> Float32:
        intent: Float32 = self._factor * np.clip(np.asarray(action, np.float32), -1.0, 1.0) + self._offset
        return intent

    def _normal(self, intent: Float32) -> NDArray[np.float32]:
        normal: NDArray[np.float32] = np.clip((np.asarray(intent, np.float32) - self._offset) / self._factor, -1.0, 1.0)
        return normal

    def _info(self) -> dict[str, Any]:
        last, task = self._loop.last, self._loop.task
        return {
            "aim": self._normal(task.aim(last.view.body, last.view.goal)),
            "intended": self._normal(last.intended),
            "trials": self._trials,
        }

    def render(self) -> str | None:
        """A line: time, distance to the target, how many were selected."""
        if self.render_mode is None:
            return None
        hits = self._loop.task.score().get("correct", 0.0)
        return f"{self._loop.t_ns / 1e9:8.2f} s  {100 * self._distance():5.1f} cm to go  {hits:.0f} targets selected"

    def close(self) -> None:
        """Let go of what the stages hold open."""
        self._loop.close()


_TASKS: dict[str, Any] = {"Reach": "reach", "Webgrid": ("reach", {"layout": "webgrid"})}


def register() -> None:
    """Make the environments known to `gymnasium.make`; importing this module does it."""
    for name, task in _TASKS.items():
        if f"volition/{name}-v0" not in gymnasium.registry:
            gymnasium.register(f"volition/{name}-v0", entry_point="volition.io.gym:ClosedLoop", kwargs={"task": task})


register()
