"""A learned correction of the gait law: what a small network adds to the leg targets, from what the controller knows.

The network is a policy found by reinforcement learning (`train/residual.py`); here it is two layers of tanh in NumPy. It
sees the body with the leg leading the stride always on the left: the other half of the stride is its mirror image (exact
symmetry).
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from volition.effector._gait import Gait
from volition.effector._legs_sense import Estimate
from volition.effector._legs_shape import more_than_wanted
from volition.errors import InputError
from volition.signal import Bool, Float64

EVERY_TICKS = 2
"""Ticks of 5 ms from one decision of the policy to the next."""
SCALE: Float64 = np.array([0.2, 0.2, 0.3, 0.4, 0.3, 0.15])
"""Most that is added to a target: hip yaw, roll, pitch, knee, ankle pitch, ankle roll, rad."""
PACE = 0.15
"""Most by which the stride frequency is changed, as a share."""
ACTIONS, SEEN = 13, 68
_PARTS = ("stops", "slow")
_SMOOTH_S = 0.02
_RUNS_M_S = 2.8  # who is slower than this, and not about to brake any more, is left to the gaits alone
_JOGS_ASIDE_M_S2 = 2.2
_JOGS_M_S = (1.0, 1.25)  # command: below the first the network for jogging lets go, above the second it takes part
_JOGS_FROM_M_S = (0.7, 1.0)  # the same of the body's speed
_BRAKES_M_S, _BRAKES_AT_ONCE_M_S = 1.0, 1.5  # a command lies so far below the speed; what it goes to
_WEIGHT_N = 600.0
_MIDDLE: Float64 = np.array([0.0, 0.0, 0.4, 0.9, 0.4, 0.0])

Act = Callable[[Float64], Float64]
"""Observations `[n, SEEN]` -> actions `[n, ACTIONS]`, which count within -1..1."""


def observe(
    e: Estimate, gait: Gait, command: Float64, vx: Float64, target: Float64, offset: Float64
) -> tuple[Float64, Bool]:
    """What the policy sees `[n, SEEN]`, about of unit size, and whose legs are swapped in it `[n]`.

    Args:
        e: what is known of the bodies.
        gait: its clock, heading and speed.
        command: forward, left (m/s), turn (rad/s) `[3, n]`.
        vx: forward speed that the law is told `[n]`, m/s.
        target: joint targets of the last tick `[n, 2, 6]`, rad.
        offset: what is added now `[n, ACTIONS]`, as shares.
    """
    swap = gait.phase >= 0.5
    side = np.where(swap, -1.0, 1.0)
    turns = 4 * np.pi * gait.phase
    off = gait.off_course(e.yaw)
    body = np.stack(
        (
            4 * e.pitch, 0.25 * e.pitch_rate, 5 * side * e.roll, 0.4 * side * e.roll_rate, 0.25 * side * e.yaw_rate,
            3 * side * off, 0.3 * e.vx, 2 * side * e.vy, e.vz, 0.3 * gait.speed, 0.3 * command[0], 2 * side * command[1],
            2 * side * command[2], 0.3 * vx, np.clip(e.vx - command[0], -2, 2), np.sin(turns), np.cos(turns),
        ),
        axis=1,
    )  # fmt: skip
    legs = np.concatenate(
        (
            2 * (e.angle - _MIDDLE), 0.1 * e.speed, 4 * (target - e.angle), np.clip(e.load / _WEIGHT_N, 0, 4)[:, :, None],
            offset[:, :12].reshape(-1, 2, 6),
        ),
        axis=2,
    )  # fmt: skip
    legs = np.where(swap[:, None, None], legs[:, ::-1], legs)
    seen = np.concatenate((body, legs.reshape(len(side), -1), offset[:, 12:]), axis=1)
    return np.clip(seen, -5, 5), swap


class Residual:
    """What is added for `n` bodies; nil for who stands.

    Attributes:
        offset: added now `[n, ACTIONS]`, as shares of the most: twelve joints, then the stride frequency.
        active: who is corrected by the network for running `[n]`: who has been fast, until it stands or goes on slowly.
        jogs: who is corrected by the network for jogging `[n]`, while the other does not.
        brakes: who of them is to become slower `[n]`.
        aim: what it goes to, smoothed over 20 ms.
    """

    def __init__(
        self,
        n: int,
        act: Act,
        from_m_s: float = 0.0,
        brake_m_s2: float = 0.0,
        always: bool = False,
        told: Sequence[tuple[float, float]] = (),
        stops: Act | None = None,
        gap_m_s: Sequence[float] | None = None,
        slow: Act | None = None,
    ) -> None:
        """It takes part from a speed on, and lets the command of who is corrected fall so fast (0: as any other).

        With `always` it is asked though nobody is corrected: who learns wants to see everything. With `told`, pairs of a
        speed and what the law is told for it (m/s), these count for who is corrected, not those of the library. With `stops`
        that network takes the place of the other while a body brakes, and the law is told what is wanted, no more. With
        `gap_m_s` the command of who brakes lies at least and at most so far below its speed, from the first moment on. There
        may be a network, `slow`, for who jogs at 1.25 m/s or more and is not that fast.
        """
        self.act, self._from, self.brake_m_s2, self.always = act, from_m_s, brake_m_s2, always
        self.stops, self.slow = stops, slow
        self.gap = None if gap_m_s is None else np.repeat(np.array(gap_m_s, float)[:, None], n, axis=1)
        self._goal = np.zeros(n)
        self.brakes: Bool = np.zeros(n, bool)
        self._told = np.array(told, float).reshape(-1, 2).T
        self.offset = np.zeros((n, ACTIONS))
        self.aim = np.zeros((n, ACTIONS))
        self._tick = 0
        self.active: Bool = np.zeros(n, bool)
        self.jogs: Bool = np.zeros(n, bool)

    @property
    def corrected(self) -> Bool:
        """Who is corrected by one of the networks `[n]`."""
        return self.active | self.jogs

    def _braking(self, gait: Gait, command: Float64) -> None:
        """Who brakes: from when the command, or its goal, lies well below the body's speed until it asks for more again."""
        below = gait.speed - command[0]
        more = (below < 0) & (command[0] > 0.3)
        begins = below > _BRAKES_M_S
        if self.gap is not None:
            begins |= (gait.speed - self._goal > _BRAKES_AT_ONCE_M_S) & (self._goal < command[0] + 1e-9)
        self.brakes = self.active & ((self.brakes & ~more) | begins)

    def slowed(self, speed: Float64, command: Float64, goal: Float64, fades: Bool) -> Float64:
        """Forward commands `[n]`, m/s: of who brakes within bounds below its speed, but not beyond the goal.

        Args:
            speed: of the bodies `[n]`, m/s.
            command: as it falls by itself `[n]`, m/s.
            goal: what it falls to `[n]`, m/s.
            fades: whose intent is old `[n]`: it may come back, and the command falls by itself.
        """
        self._goal = np.where(fades, command, goal)
        if self.gap is None:
            return command
        held = np.maximum(np.clip(command, speed - self.gap[1], speed - self.gap[0]), goal)
        return np.where(self.brakes & (goal <= command) & ~fades, held, command)

    def aside(self, most: float) -> Float64:
        """Most acceleration to the side in a turn `[n]`, m/s²: `most` of who is not corrected by the network for jogging."""
        return np.where(self.jogs, max(most, _JOGS_ASIDE_M_S2), most)

    def ask(self, speed: Float64, told: Float64) -> Float64:
        """What the law is told for commands `[n]`, m/s; `told` by the library alone."""
        if self._told.size:
            told = np.where(self.active, more_than_wanted(speed, *self._told), told)
        return told if self.stops is None else np.where(self.brakes, speed, told)

    def step(
        self,
        e: Estimate,
        gait: Gait,
        command: Float64,
        vx: Float64,
        target: Float64,
        stepping: Bool,
        dt: float,
        walks: Bool | None = None,
    ) -> tuple[Float64, Float64]:
        """Joint angles to add `[n, 2, 6]`, rad, and the factor of the stride frequency `[n]`; who walks never jogs."""
        slow = (gait.speed < _RUNS_M_S) & (np.abs(command[0]) > 0.3) & (gait.speed < command[0] + 0.3)
        self.active = stepping & ((self.active & ~slow) | (gait.speed > self._from) | (self._from == 0))
        if self.slow is not None:
            runs = stepping & ~self.active if walks is None else stepping & ~self.active & ~walks
            asked, going = (np.where(self.jogs, *bounds) for bounds in (_JOGS_M_S, _JOGS_FROM_M_S))
            self.jogs = runs & (command[0] > asked) & (gait.speed > going)
        self._braking(gait, command)
        corrected = self.corrected
        if self._tick % EVERY_TICKS == 0 and (self.always or corrected.any()):
            seen, swap = observe(e, gait, command, vx, target, self.offset)
            found = self.act(seen)
            if self.slow is not None and (self.always or self.jogs.any()):
                found = np.where(self.jogs[:, None], self.slow(seen), found)
            if self.stops is not None and (self.brakes.any() or self.always):
                found = np.where(self.brakes[:, None], self.stops(seen), found)
            aim = np.clip(found, -1, 1)
            legs = aim[:, :12].reshape(-1, 2, 6)
            legs = np.where(swap[:, None, None], legs[:, ::-1], legs)
            self.aim = np.concatenate((legs.reshape(-1, 12), aim[:, 12:]), axis=1)
        self._tick += 1
        self.aim[~corrected] = 0.0
        self.offset += min(1.0, dt / _SMOOTH_S) * (self.aim - self.offset)
        self.offset[~corrected] = 0.0
        return self.offset[:, :12].reshape(-1, 2, 6) * SCALE, 1 + PACE * self.offset[:, 12]


@dataclass(frozen=True)
class Policy:
    """The network: `tanh` layers and a linear one, of normalised observations.

    Attributes:
        mean, spread: of the observations `[SEEN]`.
        layers: (weights `[in, out]`, bias `[out]`) one after the other.
        about: how it was made, and from which speed on, with which braking and told what it acts.
        stops: the network that takes its place while a body brakes, if there is one.
        slow: the network for jogging, where this one takes no part, if there is one.
    """

    mean: Float64
    spread: Float64
    layers: Sequence[tuple[Float64, Float64]]
    about: Mapping[str, Any]
    stops: Policy | None = None
    slow: Policy | None = None

    def __call__(self, seen: Float64) -> Float64:
        """Actions `[n, ACTIONS]` for observations `[n, SEEN]`."""
        x = (seen - self.mean) / self.spread
        for weights, bias in self.layers[:-1]:
            x = np.tanh(x @ weights + bias)
        weights, bias = self.layers[-1]
        found: Float64 = x @ weights + bias
        return found

    def residual(self, n: int) -> Residual:
        """What is added for `n` bodies, from the speed on, with the braking and what the law is told that the file names."""
        a = self.about
        begins, brakes = float(a.get("from_m_s", 0.0)), float(a.get("brake_m_s2", 0.0))
        gap = a.get("gap_m_s")
        return Residual(n, self, begins, brakes, told=a.get("told", ()), stops=self.stops, gap_m_s=gap, slow=self.slow)

    @classmethod
    def shipped(cls, fit: str) -> Policy | None:
        """The one that comes with the package, for any limits, if there is one for this fit."""
        name = f"{fit}-residual.npz"
        file = files("volition.effector").joinpath("gaits", name)
        return cls.load(io.BytesIO(file.read_bytes()), name) if file.is_file() else None

    @classmethod
    def chosen(cls, which: bool | str | Path, fit: str) -> Policy | None:
        """The shipped one for this fit (True), none (False), or the one in a file.

        Raises:
            InputError: there is no such file, or it holds no policy.
        """
        if isinstance(which, bool):
            return cls.shipped(fit) if which else None
        return cls.load(Path(which), str(which))

    @classmethod
    def load(cls, file: Any, name: str) -> Policy:
        """Read an .npz: mean, spread, w0, b0, w1, b1, ..., about (JSON); "stops.mean", "slow.mean" and so on for these.

        Raises:
            InputError: it is none, or of other sizes.
        """
        try:
            with np.load(file, allow_pickle=False) as saved:
                about = json.loads(str(saved["about"]))
                others = {part: cls._of(saved, name, f"{part}.", about) for part in _PARTS if f"{part}.mean" in saved.files}
                return cls._of(saved, name, "", about, **others)
        except (ValueError, KeyError, OSError) as error:
            raise InputError(f"{name}: not a residual policy ({type(error).__name__}: {error})") from None

    @classmethod
    def _of(cls, saved: Any, name: str, before: str, about: Mapping[str, Any], **others: Policy) -> Policy:
        """The network whose arrays' names begin with `before`."""
        depth = sum(key.startswith(f"{before}w") for key in saved.files)
        layers = [(saved[f"{before}w{i}"].astype(float), saved[f"{before}b{i}"].astype(float)) for i in range(depth)]
        found = cls(saved[f"{before}mean"].astype(float), saved[f"{before}spread"].astype(float), layers, about, **others)
        sizes = [len(found.mean), *(w.shape[1] for w, _ in layers)]
        if sizes[0] != SEEN or sizes[-1] != ACTIONS or [w.shape[0] for w, _ in layers] != sizes[:-1]:
            raise InputError(f"{name}: a policy of sizes {sizes}, not {SEEN} to {ACTIONS}")
        return found

    def arrays(self, before: str = "") -> dict[str, Any]:
        """What `load` reads, but `about`, in single precision; names begin with `before`."""
        kept = {f"{before}mean": self.mean, f"{before}spread": self.spread}
        for i, (weights, bias) in enumerate(self.layers):
            kept |= {f"{before}w{i}": weights, f"{before}b{i}": bias}
        return {name: array.astype(np.float32) for name, array in kept.items()}
