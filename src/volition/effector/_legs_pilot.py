"""The legs' own will: standing, stepping and the way between them, from an estimate and an intent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from volition.effector._gait import INDEX, NAMES, Gait
from volition.effector._legs_residual import Residual
from volition.effector._legs_sense import Estimate
from volition.effector._legs_shape import Shape, Shaper, more_than_wanted
from volition.effector._legs_stand import LOADED_N, Build, Stand, capture_point
from volition.errors import InputError
from volition.signal import Bool, Float64

STANDING, STEPPING = 0, 1
# A capture point within these bounds of the middle of the soles (m) is caught standing; stepping ends only well within.
_OUT_BACK, _OUT_FRONT, _OUT_SIDE = -0.085, 0.095, 0.075
_IN_BACK, _IN_FRONT, _IN_SIDE = -0.03, 0.05, 0.04
_SLOW_M_S = 0.2
_AT_LEAST_S = 0.9  # stepping, once begun
_BLEND_S = 0.12
# A walker that is off by so much has been knocked: it runs until it has been calm for a while. Walks begin and end in:
_UPSET_M_S, _UPSET_SIDE_M_S, _UPSET_RAD, _CALM_S, _BEGINS_S, _ENDS_S = 1.0, 1.1, 0.2, 1.0, 1.0, 0.3
_FREE_M_S, _LEAD_M_S = 2.5, 1.0  # above the first, a gait's speed is at most the second ahead of the body's


@dataclass(frozen=True)
class Library:
    """Gaits by speed.

    Attributes:
        speeds: rising, m/s `[k]`.
        values: `[k, len(NAMES)]`.
        about: how they were made.
        told: speed that the law is told for a command of each of `speeds`, m/s; by default that speed itself. A fast
            gait runs slower than it is told, and only up to a bound is that made good by the slow integral.
        walk: gaits that walk; None where there are none.
        brakes: `values` for who is braked by a network that learnt on these; None: the same.
    """

    speeds: Float64
    values: Float64
    about: Mapping[str, Any]
    told: Float64 | None = None
    walk: Library | None = None
    brakes: Float64 | None = None

    def at(self, speed: Float64, braked: Bool | None = None) -> Float64:
        """Parameters at speeds `[n]`, on straight lines between: `[n, len(NAMES)]`; `braked`: who is, by a network `[n]`."""
        last = len(self.speeds) - 1
        if last == 0:
            return np.repeat(self.values, len(speed), axis=0)
        k = np.clip(np.searchsorted(self.speeds, speed, side="right") - 1, 0, last - 1)
        share = np.clip((speed - self.speeds[k]) / (self.speeds[k + 1] - self.speeds[k]), 0, 1)[:, None]
        low, high = self.values[k], self.values[k + 1]
        if braked is not None and self.brakes is not None:
            low, high = (np.where(braked[:, None], self.brakes[i], v) for i, v in ((k, low), (k + 1, high)))
        found: Float64 = (1 - share) * low + share * high
        return found

    def ask(self, speed: Float64) -> Float64:
        """What the law is told for commands `[n]`, m/s."""
        return speed if self.told is None else more_than_wanted(speed, self.speeds, self.told)

    @classmethod
    def parse(cls, text: str, name: str) -> Library:
        """Read a file of gaits.

        Raises:
            InputError: it is none, or its names are not those that the controller reads.
        """
        try:
            return cls._of(json.loads(text), name)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{name}: not a file of gaits ({type(error).__name__}: {error})") from None

    @classmethod
    def _of(cls, data: Any, name: str) -> Library:
        """What a file of gaits holds, and the gaits that walk in it."""
        walk = data.pop("walk", None)
        gaits: Sequence[Mapping[str, Any]] = data.pop("gaits")
        speeds = np.array([g["speed"] for g in gaits], float)
        told = np.array([g.get("told", g["speed"]) for g in gaits], float)
        known = [dict(g["values"]) for g in gaits]
        values = np.array([[found.get(n, 0.0) for n in NAMES] for found in known], float)
        braked = [{**found, **g.get("brakes", {})} for found, g in zip(known, gaits, strict=True)]
        brakes = np.array([[found.get(n, 0.0) for n in NAMES] for found in braked], float) if braked != known else None
        strange = sorted({n for found in braked for n in found} - set(NAMES))
        if strange:
            raise InputError(f"{name}: unknown gait parameters {', '.join(strange)}")
        if len(speeds) == 0 or (np.diff(speeds) <= 0).any() or not (np.isfinite(values).all() and np.isfinite(told).all()):
            raise InputError(f"{name}: speeds must rise and values be finite")
        walks = None if walk is None else cls._of({"gaits": walk}, f"{name}, walk")
        return cls(speeds, values, data, told, walks, brakes)

    @classmethod
    def shipped(cls, fit: str, limits: str) -> Library:
        """The gaits that come with the package."""
        name = f"{fit}-{limits}.json"
        return cls.parse(files("volition.effector").joinpath("gaits", name).read_text("utf-8"), name)


class Pilot:
    """Drives `n` bodies: shapes their intents, decides between standing and stepping, and gives joint targets.

    Attributes:
        mode: `[n]`, `STANDING` or `STEPPING`.
        shaper: holds the command.
    """

    def __init__(self, n: int, library: Library, shape: Shape, build: Build, residual: Residual | None = None) -> None:
        """With `residual` a learned correction is added while stepping."""
        self.mode = np.full(n, STANDING)
        self.shaper = Shaper(n, shape)
        self.gait = Gait(n)
        self.residual = residual
        self._library, self._build = library, build
        self.stand = Stand(n, build)
        self._since_s = np.full(n, 10.0)
        self._from: Float64 | None = None
        self._last: Float64 | None = None
        self._walks = np.zeros(n)  # share of the walk in the gait
        self._calm_s = np.full(n, 10.0)

    def step(self, e: Estimate, wanted: Float64, age_s: Float64, dt: float) -> Float64:
        """Joint targets `[n, 2, 6]`, rad, for intents `wanted` `[3, n]` of age `age_s` `[n]`."""
        xi = capture_point(e, self._build)
        lost = self._lost(xi)
        command = self.shaper.step(
            wanted, age_s, lost & (self.mode == STEPPING) & (np.abs(self.shaper.command[0]) < 0.3), dt
        )
        self._since_s += dt
        residual = self.residual
        if residual is not None:
            command[0] = residual.slowed(self.gait.speed, command[0], self.shaper.goal[0], self.shaper.fades)
            if residual.brake_m_s2:
                hard = residual.active & ~self.shaper.fades  # an intent that is old may come back
                self.shaper.brake = np.where(hard, residual.brake_m_s2, self.shaper.shape.slow_down_m_s2)
        asked = (command != 0).any(axis=0) | self.shaper.moving
        # A body lags behind its command. When it brakes, above 1.5 m/s its gait is that of the speed that it still has;
        # when it gains speed, that of little more than it has already.
        still = np.abs(self.gait.speed)
        most = np.maximum(_FREE_M_S, self.gait.speed + _LEAD_M_S)
        told = self._library.ask(command[0])
        if residual is not None:
            told = residual.ask(command[0], told)
        vx, going = np.minimum(told, most), np.abs(np.minimum(command[0], most))
        braked = None if residual is None or residual.stops is None else residual.brakes
        p = self._library.at(np.maximum(going, np.minimum(still - 0.4, 2 * (still - 1.5))), braked)
        p = self._walking(p, e, command, dt)
        begin = (self.mode == STANDING) & (asked | lost)
        end = (self.mode == STEPPING) & ~asked & self._caught(e, xi)
        if begin.any():
            # The leg on the side to which the body leans steps first.
            left = p[:, INDEX["d"]]
            phase = np.where(xi[1] > 0, left, left - 0.5) % 1.0
            self.gait.restart(begin, phase, e)
        if end.any():
            self.stand.hold(end, e)
        changed = begin | end
        self.mode = np.where(begin, STEPPING, np.where(end, STANDING, self.mode))
        self._since_s[changed] = 0.0
        added: Any = 0.0
        if residual is not None:
            before = e.angle if self._last is None else self._last
            self.shaper.aside = residual.aside(self.shaper.shape.aside_m_s2)
            added, pace = residual.step(e, self.gait, command, vx, before, self.mode == STEPPING, dt, self._walks > 0)
            p[:, INDEX["f"]] *= pace
            p[residual.active, INDEX["kvz"]] = 0.0  # it learnt, and was measured, on gaits that do not damp
        stepping = self.gait.step(e, p, vx, command[1], command[2], dt) + added
        standing = self.stand.step(e, xi, dt)
        target = np.where((self.mode == STEPPING)[:, None, None], stepping, standing)
        return self._blend(target, changed)

    def _walking(self, p: Float64, e: Estimate, command: Float64, dt: float) -> Float64:
        """The gait's numbers, those of a walk where one is wanted; who has been knocked runs until he is calm."""
        walk = self._library.walk
        if walk is None or not (self.shaper.walks.any() or self._walks.any()):
            return p
        upset = (np.abs(self.gait.speed - command[0]) > _UPSET_M_S) | (np.abs(e.vy - command[1]) > _UPSET_SIDE_M_S)
        upset |= (np.abs(e.roll) > _UPSET_RAD) | (np.abs(e.pitch) > 2 * _UPSET_RAD)
        self._calm_s = np.where(upset, 0.0, self._calm_s + dt)
        to = self.shaper.walks & (self._calm_s > _CALM_S)
        if self.residual is not None:
            to &= ~self.residual.active
        self._walks = np.clip(self._walks + dt * np.where(to, 1 / _BEGINS_S, -1 / _ENDS_S), 0.0, 1.0)
        share = self._walks[:, None]
        return (1 - share) * p + share * walk.at(np.abs(command[0]))

    @staticmethod
    def _lost(xi: tuple[Float64, Float64]) -> Bool:
        """Whose balance cannot be kept with the feet where they are."""
        x, y = xi
        out: Bool = (x < _OUT_BACK) | (x > _OUT_FRONT) | (np.abs(y) > _OUT_SIDE)
        return out

    def _caught(self, e: Estimate, xi: tuple[Float64, Float64]) -> Bool:
        """Who may stop stepping now."""
        x, y = xi
        inside = (x > _IN_BACK) & (x < _IN_FRONT) & (np.abs(y) < _IN_SIDE)
        inside &= (np.abs(e.vx) < _SLOW_M_S) & (np.abs(e.vy) < _SLOW_M_S)
        inside &= (e.load > LOADED_N).any(axis=1) & (self._since_s > _AT_LEAST_S)
        return inside

    def _blend(self, target: Float64, changed: Bool) -> Float64:
        """From one law to the other without a jump."""
        if self._from is None or self._last is None:
            self._from = target.copy()
        elif changed.any():
            self._from[changed] = self._last[changed]
        share = np.clip(self._since_s / _BLEND_S, 0, 1)[:, None, None]
        self._last = (1 - share) * self._from + share * target
        return self._last
