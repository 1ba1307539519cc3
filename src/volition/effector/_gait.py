"""The structured gait: a phase clock, leg angle and length, foot placement and trunk feedback; for a population at once.

A few dozen numbers (`PARAMETERS`) describe a gait at one speed. The same function drives a thousand bodies in training and
one body in the loop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from volition.effector._legs_model import HALF_HIP_M, LINK_M, LOWER, UPPER
from volition.effector._legs_sense import SIDE, Estimate, wrapped
from volition.signal import Bool, Float64


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number of a gait: its bounds, and the step that a search begins with."""

    name: str
    start: float
    scale: float
    low: float
    high: float
    meaning: str


PARAMETERS = (
    Parameter("f", 1.5, 0.2, 0.7, 4.5, "strides a second"),
    Parameter("d", 0.5, 0.05, 0.2, 0.75, "share of a stride that a leg stands"),
    Parameter("ks", 0.9, 0.15, 0.0, 1.8, "sweep of the leg against the one that keeps the foot still"),
    Parameter("Ltd", 0.76, 0.02, 0.58, 0.838, "leg length at touch-down, m"),
    Parameter("thr", 0.02, 0.03, -0.1, 0.3, "extension at push-off, m"),
    Parameter("cmp", 0.0, 0.03, -0.15, 0.25, "shortening in mid-stance, m"),
    Parameter("lift", 0.18, 0.05, 0.04, 0.5, "shortening in swing, m"),
    Parameter("lean", 0.05, 0.05, -0.3, 0.5, "pitch of the trunk, rad"),
    Parameter("kpst", 1.6, 0.4, 0.0, 5.0, "stance: trunk pitch, rad/rad"),
    Parameter("kdst", 0.08, 0.05, 0.0, 0.6, "stance: trunk pitch rate, s"),
    Parameter("kfp", 0.15, 0.04, -0.1, 0.5, "foot placement on speed error, rad per m/s"),
    Parameter("off", -0.1, 0.05, -0.5, 0.5, "offset of the sweep, rad"),
    Parameter("an0", -0.05, 0.08, -0.6, 0.5, "foot angle in stance, rad"),
    Parameter("anp", 0.4, 0.12, -0.3, 1.8, "push-off of the foot, rad"),
    Parameter("ant", 0.05, 0.08, -0.5, 0.7, "foot angle before touch-down, rad"),
    Parameter("retr", 0.1, 0.2, -1.2, 1.5, "retraction late in swing"),
    Parameter("dv", 0.2, 0.3, -2.0, 3.0, "speed offset of the sweep, m/s / .3"),
    Parameter("kL", 0.0, 0.05, -0.3, 0.3, "leg length on speed error, m per m/s"),
    Parameter("kdp", 0.0, 0.05, -0.3, 0.3, "swing hip on trunk pitch rate, s"),
    Parameter("w", 0.09, 0.02, 0.0, 0.2, "half step width at no lateral speed, m"),
    Parameter("kvy", 0.15, 0.06, 0.0, 0.6, "lateral foot placement on lateral speed, s"),
    Parameter("krs", 1.9, 0.3, 0.0, 5.0, "stance: trunk roll, rad/rad"),
    Parameter("kdrs", 0.05, 0.05, 0.0, 0.5, "stance: trunk roll rate, s"),
    Parameter("kyst", 0.2, 0.2, -2.0, 2.0, "stance: heading error, rad/rad"),
    Parameter("kysw", 0.3, 0.2, -2.0, 2.0, "swing: heading error, rad/rad"),
    Parameter("kwst", 0.08, 0.06, -1.0, 1.0, "stance: hip yaw, swept through a turn, s"),
    Parameter("kwsw", 0.1, 0.08, -1.0, 1.0, "swing: hip yaw for a turn, s"),
    Parameter("klean", 0.9, 0.3, -1.0, 2.0, "lean into a turn"),
    Parameter("kyw", -0.2, 0.08, -0.6, 0.5, "foot placement in a turn"),
    Parameter("kdyaw", 0.0, 0.05, -0.2, 1.0, "stance: heading rate, s"),
    Parameter("arl", 1.1, 0.3, -1.0, 2.0, "keeping the sole flat sideways"),
    Parameter("rff", 0.05, 0.08, -0.6, 0.6, "stance: hip roll that carries the pelvis, rad"),
    Parameter("hst", 0.0, 0.05, -1.0, 1.0, "stance: hip extension that drives the body on, most in mid-stance, rad"),
    Parameter("khe", 0.0, 0.03, -0.5, 0.5, "stance: hip extension on speed error, rad per m/s"),
    Parameter("kle", 0.0, 0.03, -0.5, 0.5, "stance: leaning back when too fast, rad per m/s"),
    Parameter("rts", 0.0, 0.1, -0.5, 2.0, "swing: speed of the leg at both ends, as a share of the standing leg's"),
    Parameter("ext", 0.0, 0.05, -0.1, 0.5, "share of the swing before touch-down in which the leg is long already"),
    Parameter(
        "rst", 0.0, 0.1, 0.0, 1.0, "a foot that touches down early: share of what is left of its swing that the clock skips"
    ),
    Parameter("wai", 0.0, 0.02, 0.0, 0.3, "a foot that is late: how long the clock waits for it, strides"),
    Parameter("mst", 0.0, 0.1, 0.0, 1.0, "stance: share of the thigh's sweep that is let go by itself"),
    Parameter("mas", 0.0, 0.1, 0.0, 1.0, "stance: share of the shank's sweep that is let go by itself"),
    Parameter("pst", 0.0, 0.05, -0.3, 0.4, "stance: push-off of the foot later by this share"),
    Parameter("rol", 0.0, 0.05, 0.0, 0.5, "share of the stance in which the foot rolls from heel to sole"),
    Parameter("kpo", 0.0, 0.05, -0.5, 1.0, "push-off on speed error, rad per m/s"),
    Parameter("kan", 0.0, 0.05, -0.5, 0.5, "stance: foot angle on speed error, rad per m/s"),
    Parameter("lvl", 0.0, 0.1, 0.0, 1.3, "stance: share of the way from a leg of one length (0) to a hip of one height (1)"),
    Parameter("kvz", 0.0, 0.01, -0.05, 0.2, "stance: leg longer while the body sinks, s; not while it brakes"),
    Parameter(
        "kff", 0.0, 0.2, -0.5, 1.5, "stance: share of the knee's sag under the body's weight that is told to it beforehand"
    ),
    *(
        Parameter(f"F{joint}{n}{wave}", 0.0, 0.04, -0.5, 0.5, "Fourier term of a joint over the leg's phase, rad")
        for joint in "hka"
        for n in (1, 2, 3)
        for wave in "cs"
    ),
)
NAMES = tuple(p.name for p in PARAMETERS)
INDEX = {name: i for i, name in enumerate(NAMES)}
LOW: Float64 = np.array([p.low for p in PARAMETERS])
HIGH: Float64 = np.array([p.high for p in PARAMETERS])
START: Float64 = np.array([p.start for p in PARAMETERS])
SCALE: Float64 = np.array([p.scale for p in PARAMETERS])
_FOURIER = slice(INDEX["Fh1c"], INDEX["Fh1c"] + 18)
_LEG_M = 0.86
_LEAST_FOOT_M = 0.05  # a foot is never placed nearer to the midline
_LOADED_N = 20.0
_SAG_RAD = 0.41  # of a knee, to the sine of half its angle, under a body of 60 kg: weight x link / the drive's gain
_TOUCHES_N, _EARLY = 60.0, 0.6  # a touch-down, and the share of the swing before which there is none
_SWEEP_RAD = (-0.8, 1.1)
_TARGET_RATE = 25.0
_TRIM, _MOST_TRIM = 0.5, 0.6  # 1/s, m/s


class Gait:
    """State of the clock and the heading of `n` bodies, and the law that turns an estimate into joint targets.

    Attributes:
        phase: of the left leg `[n]`, 0..1; the right one is half a stride away.
        heading: wanted, `[n]`, rad.
        speed: forward, smoothed over a tenth of a second, `[n]`, m/s.
    """

    def __init__(self, n: int) -> None:
        self.phase = np.zeros(n)
        self.heading = np.zeros(n)
        self.speed = np.zeros(n)
        self._asked = np.zeros(n)
        self._trim = np.zeros((2, n))
        self._waited = np.zeros(n)
        self._damps = np.ones(n)

    def start(self, phase: Float64 | float, speed: Float64 | float = 0.0, heading: Float64 | float = 0.0) -> None:
        """Begin here."""
        self.phase[:], self.speed[:], self.heading[:], self._trim[:], self._asked[:] = phase, speed, heading, 0.0, speed
        self._damps[:] = 1.0

    def restart(self, who: Bool, phase: Float64, e: Estimate) -> None:
        """The clock of some begins anew; they keep the heading that they have."""
        self.phase[who], self.speed[who], self.heading[who] = phase[who], e.vx[who], e.yaw[who]
        self._asked[who], self._trim[:, who], self._damps[who] = 0.0, 0.0, 1.0

    def step(self, e: Estimate, p: Float64, vx: Float64, vy: Float64, turn: Float64, dt: float) -> Float64:
        """Joint targets `[n, 2, 6]`, rad, and the clock goes on by `dt` s.

        Args:
            e: what is known of the bodies.
            p: parameters `[n, len(PARAMETERS)]`.
            vx: wanted velocity forward `[n]`, m/s.
            vy: and to the left.
            turn: wanted heading rate `[n]`, rad/s.
            dt: since the last step, s.
        """
        c = p.T
        d, lean = c[1], c[7]
        self._tick(c, e, dt)
        self.speed += min(1.0, dt / 0.1) * (e.vx - self.speed)
        self._trims(e, vx, vy, dt)
        vx, vy = vx + self._trim[0], vy + self._trim[1]
        self.heading += turn * dt
        off_course = self.off_course(e.yaw)
        self.heading = e.yaw + off_course
        # In a turn: what the body has to turn at to be back on course in a second; straight on this would only add noise.
        turn = turn + off_course * np.minimum(1.0, np.abs(turn) / 0.3)
        phase = np.stack((self.phase, self.phase + 0.5), axis=1)
        phase -= np.floor(phase)
        d2 = d[:, None]
        stance, xs, xw = _parts(phase, d2)
        loaded = stance & (e.load > _LOADED_N)
        error = np.clip(self.speed - vx, -1.5, 1.5)
        angle, length = self._leg(c, vx, error, stance, xs, xw)
        if c[46].any():
            sinks = (self._damps * c[46] * np.clip(e.vz, -1, 1))[:, None]
            length = np.clip(length - loaded * sinks, 0.4, 0.999 * 2 * LINK_M)
        knee = 2 * np.arccos(length / (2 * LINK_M))
        if c[47].any():
            bears = np.where(loaded, e.load, 0.0)
            bears /= np.maximum(bears.sum(axis=1), 1.0)[:, None]
            knee = knee - c[47][:, None] * _SAG_RAD * bears * np.sin(0.5 * knee)
        thigh = angle + 0.5 * knee
        pitch, rate = e.pitch[:, None], e.pitch_rate[:, None]
        out = np.empty((len(p), 2, 6))
        # The attitude is held from the ground; a leg in the air only keeps out of the trunk's way.
        leans = (lean - c[34] * error)[:, None]
        holds = pitch - c[8][:, None] * (pitch - leans) - c[9][:, None] * rate
        # What drives the body on is added to it: a torque, as angle over stiffness.
        holds = holds - c[32][:, None] * np.sin(np.pi * xs) + (c[33] * error)[:, None]
        out[:, :, 3] = knee
        shank = angle - 0.5 * knee
        if c[39:41].any():
            # A leg that vaults: where it is, not where the clock would have it.
            goes = e.angle[:, :, 2] - pitch
            thigh = thigh + np.where(loaded, c[39][:, None] * (goes - thigh), 0.0)
            shank = shank + np.where(loaded, c[40][:, None] * (goes - e.angle[:, :, 3] - shank), 0.0)
        out[:, :, 2] = thigh + np.where(loaded, holds, 0.8 * pitch - c[18][:, None] * rate)
        out[:, :, 4] = self._sole(c, error, stance, xs, xw) - shank
        self._fourier(p, phase, out)
        self._sideways(c, e, vy, turn, loaded, out)
        self._yaw(c, e, turn, off_course, loaded, xs, xw, out)
        return np.clip(out, LOWER - 0.3, UPPER + 0.3)

    def off_course(self, yaw: Float64) -> Float64:
        """How far a heading lies from the wanted one `[n]`, at most half a radian."""
        off: Float64 = np.clip(wrapped(self.heading - yaw), -0.5, 0.5)
        return off

    def _trims(self, e: Estimate, vx: Float64, vy: Float64, dt: float) -> None:
        """A slow integral takes out what speed and drift are left.

        It pauses while the error is large, and fades when the body is to brake.
        """
        self._asked += min(1.0, dt / 0.5) * (vx - self._asked)
        wrong = np.stack((vx - self.speed, vy - e.vy))
        brakes = self._asked - vx > 0.3
        self._damps += min(1.0, dt / 0.1) * (~brakes - self._damps)
        small = np.abs(wrong) < np.maximum(1.0, 0.25 * np.abs(vx))
        self._trim += dt * np.where(brakes, -self._trim / 0.3, np.where(small, _TRIM * wrong, 0.0))
        self._trim = np.clip(self._trim, -_MOST_TRIM, _MOST_TRIM)

    def _tick(self, c: Float64, e: Estimate, dt: float) -> None:
        """The clock goes on, skips what is left of a swing that has ended early, and waits for a foot that is late."""
        f, d, skips, waits = c[0], c[1], c[37], c[38]
        before = self.phase
        self.phase = before + f * dt
        if skips.any() or waits.any():
            was = np.stack((before, before + 0.5), axis=1)
            was -= np.floor(was)
            xw = (was - d[:, None]) / (1 - d[:, None])
            down = e.load > _TOUCHES_N
            early = (xw > _EARLY) & down
            self.phase += skips * np.where(early, 1 - was, 0.0).max(axis=1)
            late = ((xw > 0) & (was + (f * dt)[:, None] >= 1) & ~down).any(axis=1) & (self._waited < waits / f)
            self._waited = np.where(late, self._waited + dt, 0.0)
            self.phase = np.where(late, before, self.phase)
        self.phase -= np.floor(self.phase)

    @staticmethod
    def _leg(c: Float64, vx: Float64, error: Float64, stance: Bool, xs: Float64, xw: Float64) -> tuple[Float64, Float64]:
        """Angle of the leg against the vertical (forward +, rad) and its length (m), `[n, 2]`."""
        f, d, ks, long, thr, cmp, lift = c[0:7]
        mean = np.clip(vx + 0.5 * error, -1, 15)
        half = np.clip(np.arctan(ks * (mean + 0.3 * c[16] * np.minimum(1, np.abs(vx))) * d / (2 * f * _LEG_M)), *_SWEEP_RAD)
        down, up = (half + c[11] + c[10] * error)[:, None], (c[11] - half)[:, None]
        bow = np.sin(np.pi * np.clip((xw - 0.45) / 0.55, 0, 1))
        s = xw * xw * (3 - 2 * xw)
        # Cubic of Hermite: nil at both ends, with the standing leg's slope.
        ends = (c[35] * (1 - d) / d)[:, None] * (up - down) * (xw * (1 - xw) * (1 - 2 * xw))
        swing = up + (down - up) * s + ends + (0.3 * c[15] * np.maximum(np.abs(half), 0.1))[:, None] * bow
        angle = np.where(stance, down + (up - down) * xs, swing)
        short = np.minimum(1, xw / (1 - c[36][:, None]))
        standing = (long - c[17] * error)[:, None] - cmp[:, None] * np.sin(np.pi * xs) + thr[:, None] * xs * xs
        flying = long[:, None] + thr[:, None] * (1 - xw) ** 3 - lift[:, None] * np.sin(np.pi * short) ** 2
        if c[45].any():
            level = (c[45] * long)[:, None]
            standing = standing + level * (np.cos(down) / np.cos(angle) - 1)
            flying = flying + level * (np.cos(down) / np.cos(up) - 1) * (1 - xw) ** 3
        return angle, np.clip(np.where(stance, standing, flying), 0.4, 0.999 * 2 * LINK_M)

    @staticmethod
    def _sole(c: Float64, error: Float64, stance: Bool, xs: Float64, xw: Float64) -> Float64:
        """Angle of the foot against the ground (toe up +), rad `[n, 2]`."""
        an0, anp, ant, later, rolls = c[12][:, None], c[13][:, None], c[14][:, None], c[41][:, None], c[42][:, None]
        push = np.clip((xs - 0.45 - later) / (0.55 - later), 0, 1) ** 1.5
        anp = anp - (c[43] * error)[:, None]
        stands = an0 - (c[44] * error)[:, None] - anp * push
        if rolls.any():
            stands += (ant - an0) * np.clip(1 - xs / np.maximum(rolls, 1e-9), 0, 1)
        sole: Float64 = np.where(stance, stands, (an0 - anp) * (1 - xw) ** 3 + ant * xw)
        return sole

    @staticmethod
    def _fourier(p: Float64, phase: Float64, out: Float64) -> None:
        terms = p[:, _FOURIER]
        if not terms.any():
            return
        waves = 2 * np.pi * phase[:, :, None] * np.array([1.0, 2.0, 3.0])
        basis = np.stack((np.cos(waves), np.sin(waves)), axis=3).reshape(*phase.shape, 6)
        out[:, :, 2:5] += np.einsum("nlb,njb->nlj", basis, terms.reshape(-1, 3, 6))

    @staticmethod
    def _sideways(c: Float64, e: Estimate, vy: Float64, turn: Float64, loaded: Bool, out: Float64) -> None:
        """Foot placement to the side, the roll of the trunk, soles flat."""
        w, kvy, krs, kdrs = c[19:23]
        # Put down half a stance's way ahead to the side, the body passes over the foot evenly.
        ahead = 0.5 * vy * c[1] / c[0]
        outward = w[:, None] + SIDE * (kvy * (e.vy - vy) + ahead + 0.3 * c[28] * turn * e.vx)[:, None]
        place = SIDE * (np.maximum(outward, _LEAST_FOOT_M) - HALF_HIP_M)
        roll = e.roll[:, None]
        air = SIDE * (place / _LEG_M - roll)
        tilted = e.roll + 0.1 * c[27] * turn * e.vx
        torque = SIDE * (krs * tilted + kdrs * e.roll_rate)[:, None] + c[31][:, None]
        measured = e.angle[:, :, 1]
        out[:, :, 1] = np.where(loaded, measured + torque, air)
        out[:, :, 5] = -c[30][:, None] * (measured + SIDE * roll)

    @staticmethod
    def _yaw(
        c: Float64, e: Estimate, turn: Float64, off: Float64, loaded: Bool, xs: Float64, xw: Float64, out: Float64
    ) -> None:
        """Heading: a standing leg turns the trunk over it, a swinging one is put down turned."""
        kyst, kysw, kwst, kwsw, kdyaw = c[23], c[24], c[25], c[26], c[29]
        ground = -SIDE * (kyst * off - kdyaw * (e.yaw_rate - turn))[:, None] + SIDE * (kwst * turn)[:, None] * (1 - 2 * xs)
        out[:, :, 0] = np.where(loaded, ground, SIDE * (kysw * off + kwsw * turn)[:, None])


def _parts(phase: Float64, d: Float64) -> tuple[Bool, Float64, Float64]:
    """Of phases: whether the leg stands, how far it is through its stance, and through its swing."""
    return phase < d, np.clip(phase / d, 0, 1), np.clip((phase - d) / (1 - d), 0, 1)


def controls(target: Float64, before: Float64 | None, dt: float) -> Float64:
    """What the drives are told: angle and speed for each of the 12 motors in turn, `[n, 24]`."""
    n = len(target)
    out = np.zeros((n, 12, 2))
    out[:, :, 0] = target.reshape(n, 12)
    if before is not None:
        out[:, :, 1] = 0.8 * np.clip((target - before).reshape(n, 12) / dt, -_TARGET_RATE, _TARGET_RATE)
    return out.reshape(n, 24)
