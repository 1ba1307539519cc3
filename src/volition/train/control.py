"""Whether the simulated person controls, and learns to control, like a recorded animal: Golub et al. 2018.

A monkey moved a cursor with 86 units of M1 through a decoder that it knew ("intuitive"); then the decoder was exchanged
for a "perturbed" one, and it practised. The recording gives steps of 45 ms before and after, the direction from the cursor
to the target at each, and both decoders. The *angular error* of a step is the angle between that direction and the velocity
that the decoder makes of the step's counts from rest, `M2 u + m0`; its median over all steps is what is compared:

    intuitive   activity before, through the decoder that it knew          (about 24 degrees)
    before      the same activity, through the perturbed decoder           (about 59 degrees)
    after       activity after practice, through the perturbed decoder     (about 38 degrees)

The person is given the units' tuning, fitted to the activity before, and its motor noise is set so that the median of
"intuitive" is the recorded one (`fit`). Nothing is fitted to the other two: "before" follows from the decoder, "after" from
what its internal model (`brain/_model.py`) learns of the perturbed decoder in as many reaches as the animal made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.brain._policy import Policy, PolicyConfig
from volition.errors import InputError
from volition.signal import NS_PER_S, BodyState, Float64, Goal, Recording, View
from volition.stage import Setup

Arrays = Mapping[str, NDArray[Any]]
_MM = 1e-3
_NONE = np.empty(0)
_NOISES = (0.0, 0.15, 0.3, 0.45, 0.6)  # multiples of the command, between which the motor noise is interpolated
_ROUNDS = 3  # of raising the depth
_SLACK = 1.0  # degrees by which sampling alone may exceed the recorded error, for the noise to be called 0


@dataclass(frozen=True)
class ControlConfig:
    """The animal's task, and the person's part in it.

    Attributes:
        distance_m: from the centre to each of 8 targets, m (125 mm in this laboratory's centre-out task, as recalled).
        radius_m: of a target, m (in the file: 20 mm).
        visual_delay_ms: 3 steps of 45 ms (Golub et al. 2015 find 100-250 ms; a monkey's is short).
        approach_ms: touching the target is enough, so it pushes fully almost to the end and does not brake, ms (assumption).
        warm_up: reaches with the decoder that it knows, before anything is counted.
        practice: reaches with the perturbed decoder before the ones counted (the file numbers them: about 650 lie between).
        counted: reaches that are counted (the file: 50 in each condition).
        timeout_s: for one reach, s (assumption).
        seeds: simulated repetitions, averaged over.
    """

    distance_m: float = 0.125
    radius_m: float = 0.02
    visual_delay_ms: float = 135.0
    approach_ms: float = 50.0
    warm_up: int = 60
    practice: int = 600
    counted: int = 50
    timeout_s: float = 7.5
    seeds: tuple[int, ...] = (0, 1, 2)


@dataclass(frozen=True)
class Prediction:
    """What was recorded and what the person did, medians of the angular error in degrees.

    Attributes:
        recorded: of "intuitive", "before" and "after".
        predicted: the same of the person.
        unlearnt: "after" of a person that practises as much but learns nothing.
        motor_noise: what was fitted, as a multiple of the command.
        depth: median depth of the units' tuning that was fitted with it, log-rate per full effort.
        spread: standard deviation of each predicted figure over the seeds.
    """

    recorded: Mapping[str, float]
    predicted: Mapping[str, float]
    unlearnt: float
    motor_noise: float
    depth: float
    spread: Mapping[str, float] = field(default_factory=dict)

    def ratio(self, condition: str) -> float:
        """How far apart the two are, as a factor of 1 or more."""
        a, b = self.recorded[condition], self.predicted[condition]
        return max(a / b, b / a)


def angular_error(velocity: Float64, direction: Float64) -> Float64:
    """Angle between each velocity and its direction, `[steps]`, degrees, 0..180."""
    cross = direction[:, 0] * velocity[:, 1] - direction[:, 1] * velocity[:, 0]
    angle: Float64 = np.degrees(np.abs(np.arctan2(cross, (velocity * direction).sum(1))))
    return angle


def recorded_errors(recording: Recording) -> dict[str, float]:
    """The recorded medians; see the module.

    Raises:
        InputError: it is not the recording that this is about.
    """
    half = _half(recording)
    direction = recording.kinematics["direction"]
    pick = {"intuitive": ("velocity_intuitive", half), "before": ("velocity_perturbed", half)}
    pick["after"] = ("velocity_perturbed", ~half)
    return {k: float(np.median(angular_error(recording.kinematics[n][m], direction[m]))) for k, (n, m) in pick.items()}


def _half(recording: Recording) -> NDArray[np.bool_]:
    """Which steps are of the time before."""
    need = ("velocity_intuitive", "velocity_perturbed", "direction")
    if recording.trial is None or any(name not in recording.kinematics for name in need):
        raise InputError(
            f"{recording.name}: not the recording of Golub et al. 2018: {', '.join(need)} and trials are needed"
        )
    return recording.trial < 8


@dataclass(frozen=True, eq=False)
class Units:
    """Log-linear Poisson units: counts of a step ~ Poisson(exp(b + c . w)), w the intended velocity over full effort.

    Attributes:
        base: b, `[units]`.
        tuning: c, `[units, 2]`.
    """

    base: Float64
    tuning: Float64

    @classmethod
    def fit(cls, counts: NDArray[Any], direction: Float64, steps: int = 40) -> Units:
        """Maximum likelihood, every step taken as full effort in `direction` (`[steps, 2]`); ridge of one step."""
        D = np.column_stack([np.ones(len(direction)), direction])
        outer = (D[:, :, None] * D[:, None, :]).reshape(len(D), -1)
        ridge = np.diag([1e-3, 1.0, 1.0])
        W = np.zeros((3, counts.shape[1]))
        W[0] = np.log(counts.mean(0) + 1e-2)
        for _ in range(steps):
            mu = np.exp(np.clip(D @ W, -20, 8))
            hessian = (outer.T @ mu).T.reshape(-1, 3, 3) + ridge
            move = np.linalg.solve(hessian, (D.T @ (counts - mu) - ridge @ W).T[..., None])[..., 0].T
            W += np.clip(move, -0.5, 0.5)
        return cls(W[0], W[1:].T.copy())

    @property
    def depth(self) -> float:
        """Median length of c."""
        return float(np.median(np.linalg.norm(self.tuning, axis=1)))

    def mean(self, intended: Float64) -> Float64:
        """Expected counts, `[..., units]`."""
        rate: Float64 = np.exp(self.base + intended @ self.tuning.T)
        return rate


def top_speed(units: Units, decoder: Arrays) -> float:
    """Speed at which a cursor runs under full effort in the mean over directions, m/s."""
    angle = np.arange(8) * np.pi / 4
    drive = np.column_stack([np.cos(angle), np.sin(angle)])
    pull = (units.mean(drive) @ decoder["M2"].T + decoder["m0"]) @ np.linalg.inv(np.eye(2) - decoder["M1"]).T
    return float(_MM * np.linalg.norm(pull - pull.mean(0), axis=1).mean())


class Animal:
    """The person with an animal's units, in the animal's task: out to eight targets and back, without pause."""

    def __init__(self, units: Units, top: float, policy: PolicyConfig, task: ControlConfig, bin_ns: int, seed: int) -> None:
        move, self._rng = np.random.default_rng(seed).spawn(2)
        reach = 2 * task.distance_m
        box = np.array([[-reach, -reach], [reach, reach]])
        setup = Setup(bin_ns=bin_ns, workspace=box, max_speed=top)
        self.policy = Policy(policy, (0, 1), setup, move)
        self._units, self._top, self._task, self._reach = units, top, task, reach
        self._dt = bin_ns / NS_PER_S
        self._delay = round(policy.visual_delay_ms * 1e6 / bin_ns)
        self._at, self._state = np.zeros(2), np.zeros(2)
        self._views = [(self._at, self._at)] * (self._delay + 1)
        self._place = 0

    def reach(self, decoder: Arrays, trials: int) -> tuple[Float64, Float64]:
        """So many reaches: counts `[steps, units]` and directions `[steps, 2]` of the steps in which it can have reacted."""
        counts, directions = [], []
        for _ in range(trials):
            goal = self._goal()
            for k in range(round(self._task.timeout_s / self._dt)):
                offset = goal - self._at
                distance = float(np.hypot(*offset))
                if distance <= self._task.radius_m:
                    break
                fired = self._step(goal, decoder)
                if k >= self._delay:
                    counts.append(fired)
                    directions.append(offset / distance)
        return np.array(counts), np.array(directions)

    def _goal(self) -> Float64:
        """Out to any target, then back."""
        self._place += 1
        if self._place % 2 == 0:
            return np.zeros(2)
        angle = self._rng.integers(8) * np.pi / 4
        return self._task.distance_m * np.array([np.cos(angle), np.sin(angle)])

    def _step(self, goal: Float64, decoder: Arrays) -> Float64:
        """One step of the closed loop; the counts."""
        self._views = [*self._views[1:], (self._at, goal)]
        seen, lit = self._views[0]
        body = BodyState(0, seen, np.zeros(2), _NONE, _NONE)
        velocity, _ = self.policy.step(View(0, Goal(0, 0, lit, self._task.radius_m), body), 0.0)
        fired = self._rng.poisson(self._units.mean(np.array(velocity) / self._top))
        self._state = decoder["M1"] @ self._state + decoder["M2"] @ fired + decoder["m0"]
        self._at = np.clip(self._at + self._dt * _MM * self._state, -self._reach, self._reach)
        return fired.astype(np.float64)


def _median(counts: Float64, direction: Float64, decoder: Arrays) -> float:
    """Median of the angular error in which the eight directions weigh alike, as in the recording (69 steps of each)."""
    error = angular_error(counts @ decoder["M2"].T + decoder["m0"], direction)
    eighth = np.rint(np.arctan2(direction[:, 1], direction[:, 0]) / (np.pi / 4)).astype(int) % 8
    order = np.argsort(error)
    weight = np.cumsum(1.0 / np.bincount(eighth, minlength=8)[eighth[order]])
    return float(error[order][np.searchsorted(weight, weight[-1] / 2)])


def _trained(
    units: Units, top: float, policy: PolicyConfig, task: ControlConfig, bin_ns: int, seed: int, decoder: Arrays
) -> Animal:
    """One that knows this decoder."""
    animal = Animal(units, top, policy, task, bin_ns, seed)
    animal.reach(decoder, task.warm_up)
    return animal


def fit(recording: Recording, intuitive: Arrays, policy: PolicyConfig, task: ControlConfig) -> tuple[Units, float, float]:
    """Units, full speed (m/s) and motor noise with which the time before is as recorded.

    A fit of tuning to the direction from cursor to target finds it too flat, since no intention points exactly there. So the
    units' depth is raised until the same fit, made on the simulated activity, is as deep as on the recorded; and the motor
    noise is the one with which then the median error is the recorded one (0 where sampling alone exceeds it).

    Raises:
        InputError: no noise does that, or the recording is another one.
    """
    half, target = _half(recording), recorded_errors(recording)["intuitive"]
    shallow = Units.fit(recording.counts[half], recording.kinematics["direction"][half])
    found, depths = [], []
    for noise in _NOISES:
        noisy, depth = replace(policy, motor_noise=noise), 1.0
        for _ in range(_ROUNDS):
            units = replace(shallow, tuning=depth * shallow.tuning)
            top = top_speed(units, intuitive)
            errors, slopes = [], []
            for seed in task.seeds:
                animal = _trained(units, top, noisy, task, recording.bin_ns, seed, intuitive)
                counts, direction = animal.reach(intuitive, 2 * task.counted)
                errors.append(_median(counts, direction, intuitive))
                again = Units.fit(counts, direction)
                slopes.append((again.tuning * shallow.tuning).sum() / (shallow.tuning**2).sum())
            found_depth, depth = depth, depth / float(np.mean(slopes))
        found.append(float(np.mean(errors)))
        depths.append(found_depth)
    if not found[0] - _SLACK <= target <= max(found):
        raise InputError(
            f"{recording.name}: no motor noise in {_NOISES[0]}..{_NOISES[-1]} gives a median error of {target:.1f} degrees; "
            f"found {min(found):.1f}..{max(found):.1f}"
        )
    noise = float(np.interp(target, np.maximum.accumulate(found), _NOISES))
    units = replace(shallow, tuning=float(np.interp(noise, _NOISES, depths)) * shallow.tuning)
    return units, top_speed(units, intuitive), noise


def predict(recording: Recording, intuitive: Arrays, perturbed: Arrays, task: ControlConfig | None = None) -> Prediction:
    """Fit to "intuitive" and predict "before" and "after"; see the module.

    Args:
        recording: the file of Golub et al. 2018, as `io.read` gives it.
        intuitive: M1, M2, m0 of the decoder that the animal knew, mm/s.
        perturbed: and of the one that it met.
        task: the task, and how much is simulated.

    Raises:
        InputError: it is another recording, or cannot be fitted.
    """
    task = task or ControlConfig()
    policy = PolicyConfig(visual_delay_ms=task.visual_delay_ms, approach_ms=task.approach_ms, brake=0.0)
    units, top, noise = fit(recording, intuitive, policy, task)
    policy = replace(policy, motor_noise=noise)
    rows: dict[str, list[float]] = {"intuitive": [], "before": [], "after": [], "unlearnt": []}
    for seed in task.seeds:
        # Not the reaches that the noise was fitted on.
        animal = _trained(units, top, policy, task, recording.bin_ns, seed + 100, intuitive)
        counts, direction = animal.reach(intuitive, 2 * task.counted)
        rows["intuitive"].append(_median(counts, direction, intuitive))
        rows["before"].append(_median(counts, direction, perturbed))
        animal.reach(perturbed, task.practice)
        rows["after"].append(_median(*animal.reach(perturbed, task.counted), perturbed))
        rigid = Animal(units, top, replace(policy, learn_model_s=0.0), task, recording.bin_ns, seed + 100)
        rows["unlearnt"].append(_median(*rigid.reach(perturbed, task.counted), perturbed))
    mean = {k: float(np.mean(v)) for k, v in rows.items()}
    spread = {k: float(np.std(v)) for k, v in rows.items()}
    unlearnt = mean.pop("unlearnt")
    return Prediction(recorded_errors(recording), mean, unlearnt, noise, units.depth, spread)
