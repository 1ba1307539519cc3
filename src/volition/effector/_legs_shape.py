"""Between decoder and legs: what of an intent the body is told to do. For a population at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from volition.signal import Bool, Float64

_MUCH_M_S = 1.0
_BACK_S = 1.0  # an intent that is old by more is not waited for


@dataclass(frozen=True)
class Shape:
    """How an intent is shaped.

    Attributes:
        max_m_s: fastest forward speed.
        back_m_s, side_m_s: fastest backward and sideways.
        turn_rad_s: fastest turn.
        aside_m_s2: most acceleration to the side in a turn, which bounds speed times turn (and the lean).
        speed_up_m_s2, slow_down_m_s2, turn_rad_s2: how fast the command may change.
        smooth_s: low-pass of the decoded intent.
        go, stay: size of an intent (m/s, a turn counting half its rad/s) that starts the legs, and below which they come to
            rest. A person at rest must not walk off on noise.
        hold_s, decay_s: an intent older than the first is let fade with the second as time constant.
        frozen_s: an intent that is bit-equal for so long, and not nil, counts as old; 0 allows it (a joystick).
        walk: whether it walks at a person's speeds, where it would run otherwise; by these bounds, between which it keeps to
            what it does:
        walk_from_m_s: slower than the first it steps as in running on the spot, faster than the second it walks.
        run_from_m_s: faster than the second it runs, slower than the first it walks.
    """

    max_m_s: float = 3.0
    back_m_s: float = 0.4
    side_m_s: float = 0.35
    turn_rad_s: float = 1.0
    aside_m_s2: float = 1.5
    speed_up_m_s2: float = 1.2
    slow_down_m_s2: float = 1.1
    turn_rad_s2: float = 2.0
    smooth_s: float = 0.15
    go: float = 0.15
    stay: float = 0.08
    hold_s: float = 0.3
    decay_s: float = 0.5
    frozen_s: float = 1.0
    walk: bool = False
    walk_from_m_s: tuple[float, float] = (0.5, 0.7)
    run_from_m_s: tuple[float, float] = (1.7, 1.9)


def more_than_wanted(speed: Float64, speeds: Float64, told: Float64) -> Float64:
    """What a law is told for commands `[n]`, m/s, so that the body has their speed.

    Args:
        speed: commands.
        speeds: rising, m/s `[k]`; between them it goes on straight lines, beyond them by as much more as at the end.
        told: for each of them, m/s.
    """
    asked: Float64 = speed + np.interp(np.abs(speed), speeds, told - speeds)
    return asked


class Shaper:
    """The command `[3, n]` (forward m/s, left m/s, turn rad/s) made of raw intents.

    Attributes:
        command: as told to the gait.
        goal: what it goes to, `[3, n]`.
        fades: `[n]`, whose intent is old, but may come back.
        brake: `[n]`, how fast the forward command may fall to a stop, or when it falls by much, m/s².
        aside: `[n]`, most acceleration to the side in a turn, m/s².
        moving: `[n]`, whether anything but standing is wanted.
        walks: `[n]`, whether a walk is wanted: not while it steps aside or turns on the spot.
    """

    def __init__(self, n: int, shape: Shape) -> None:
        self.shape = shape
        self.command, self.goal = np.zeros((3, n)), np.zeros((3, n))
        self.moving: Bool = np.zeros(n, bool)
        self.walks: Bool = np.zeros(n, bool)
        self.brake: Float64 = np.full(n, shape.slow_down_m_s2)
        self.aside: Float64 = np.full(n, shape.aside_m_s2)
        self.fades: Bool = np.zeros(n, bool)
        self._smooth = np.zeros((3, n))
        self._last = np.full((3, n), np.nan)
        self._same_s = np.zeros(n)

    def step(self, wanted: Float64, age_s: Float64, recovering: Bool, dt: float) -> Float64:
        """The command `dt` s later.

        Args:
            wanted: decoded intents `[3, n]`; what is not finite counts as nothing.
            age_s: of the neural data in them `[n]`.
            recovering: `[n]`, bodies that have to find their balance first: they are not made faster meanwhile.
            dt: since the last step, s.
        """
        s = self.shape
        self._same_s = np.where((wanted == self._last).all(axis=0) & (wanted != 0).any(axis=0), self._same_s + dt, 0.0)
        self._last = wanted.copy()
        age = np.maximum(age_s, np.where(s.frozen_s > 0, self._same_s - s.frozen_s + s.hold_s, 0.0))
        self.fades = (age > s.hold_s) & (age < s.hold_s + _BACK_S)
        wanted = np.where(np.isfinite(wanted).all(axis=0), wanted, 0.0)
        wanted = wanted * np.exp(-np.maximum(age - s.hold_s, 0.0) / s.decay_s)
        self._smooth += min(1.0, dt / s.smooth_s) * (np.clip(wanted, -1e3, 1e3) - self._smooth)
        vx = np.clip(self._smooth[0], -s.back_m_s, s.max_m_s)
        slow = np.clip(1.5 - np.abs(self.command[0]), 0, 1)  # sideways only while walking slowly
        vy = np.clip(self._smooth[1], -s.side_m_s, s.side_m_s) * slow
        most = np.minimum(s.turn_rad_s, self.aside / np.maximum(np.abs(self.command[0]), 0.1))
        turn = np.clip(self._smooth[2], -most, most)
        size = np.hypot(vx, vy) + 0.5 * np.abs(turn)
        self.moving = np.where(self.moving, size > s.stay, size > s.go)
        self.goal = goal = np.where(self.moving, np.stack((vx, vy, turn)), 0.0)
        change = goal - self.command
        up = np.where(recovering, 0.0, s.speed_up_m_s2 * dt)
        faster = np.abs(goal[0]) > np.abs(self.command[0])
        # Who may brake hard does so to stop or for much: else a noisy command, that falls faster than it rises, would sag.
        hard = np.where(self.moving, np.clip(np.abs(change[0]) / _MUCH_M_S, 0, 1), 1.0)
        most_change = np.where(faster, up, (s.slow_down_m_s2 + hard * (self.brake - s.slow_down_m_s2)) * dt)
        change[0] = np.clip(change[0], -most_change, most_change)
        change[1] = np.clip(change[1], -s.speed_up_m_s2 * dt, s.speed_up_m_s2 * dt)
        change[2] = np.clip(change[2], -s.turn_rad_s2 * dt, s.turn_rad_s2 * dt)
        self.command = self.command + change
        if s.walk:
            least, most = (np.where(self.walks, *x) for x in (s.walk_from_m_s, s.run_from_m_s[::-1]))
            aside = np.where(self.walks, 0.15, 0.08)
            self.walks = (self.command[0] > least) & (self.command[0] < most) & (np.abs(self.command[1]) < aside)
        return self.command
