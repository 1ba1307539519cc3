"""Mathematics of a planar two-link arm: kinematics, dynamics, and the torque that gives its tip an acceleration.

All in plain floats: matrices are 2 x 2, and NumPy would cost ten times as much.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import acos, atan2, cos, hypot, sin

Pair = tuple[float, float]

# Below this share of l1 l2 the determinant of the Jacobian counts as near a singularity.
_NEAR_SINGULAR = 0.15
_DAMPING = 0.1  # m, greatest damping of the inverse, at the singularity itself


@dataclass(frozen=True)
class Segments:
    """Upper arm (1), forearm with hand (2): length m, mass kg, centre of mass from the near end m, inertia there kg m²."""

    l1: float
    l2: float
    m1: float
    m2: float
    c1: float
    c2: float
    i1: float
    i2: float

    @classmethod
    def human(cls, height: float, mass: float) -> Segments:
        """Segments of a person of a height (m) and mass (kg), by the tables of Winter (2009, figure 4.1 and table 4.1).

        Upper arm 0.186 H long and 0.028 M heavy, centre of mass at 0.436 and radius of gyration 0.322 of its length. Forearm
        0.146 H, hand 0.108 H: from elbow to the tip of the stretched fingers 0.254 H. Together 0.022 M, centre of mass at
        0.682 and radius of gyration 0.468 of the length of the forearm (elbow to wrist).
        """
        upper, fore, hand = 0.186 * height, 0.146 * height, 0.108 * height
        m1, m2 = 0.028 * mass, 0.022 * mass
        i1, i2 = m1 * (0.322 * upper) ** 2, m2 * (0.468 * fore) ** 2
        return cls(upper, fore + hand, m1, m2, 0.436 * upper, 0.682 * fore, i1, i2)


class TwoLink:
    """Shoulder and elbow are hinges with parallel axes; gravity does not act in the plane.

    Angles: q1 of the upper arm from the x axis, q2 of the forearm from the upper arm, both counter-clockwise, rad. Points
    are relative to the shoulder, m.

    Args:
        segments: lengths and inertias.
        damping: viscous friction of both joints, N m s/rad.
        armature: inertia of each joint's drive, kg m².
    """

    def __init__(self, segments: Segments, damping: float = 0.0, armature: float = 0.0) -> None:
        s = self.segments = segments
        self.damping = damping
        self._a1 = s.i1 + s.m1 * s.c1**2 + s.i2 + s.m2 * (s.l1**2 + s.c2**2) + armature
        self._a2 = s.m2 * s.l1 * s.c2
        self._a3 = s.i2 + s.m2 * s.c2**2
        self._a4 = self._a3 + armature
        self._near = _NEAR_SINGULAR * s.l1 * s.l2

    def tip(self, q1: float, q2: float) -> Pair:
        """Fingertip: `l1 (cos q1, sin q1) + l2 (cos(q1+q2), sin(q1+q2))`."""
        s = self.segments
        return s.l1 * cos(q1) + s.l2 * cos(q1 + q2), s.l1 * sin(q1) + s.l2 * sin(q1 + q2)

    def pose(self, x: float, y: float) -> Pair:
        """Angles that put the tip at (x, y), elbow bent counter-clockwise; the nearest in reach if it is out of reach."""
        s = self.segments
        cos_q2 = (x * x + y * y - s.l1**2 - s.l2**2) / (2 * s.l1 * s.l2)
        q2 = acos(min(1.0, max(-1.0, cos_q2)))
        return atan2(y, x) - atan2(s.l2 * sin(q2), s.l1 + s.l2 * cos(q2)), q2

    def jacobian(self, q1: float, q2: float) -> tuple[float, float, float, float]:
        """`d tip / d q`, row by row, m/rad."""
        s = self.segments
        s1, c1, s12, c12 = s.l1 * sin(q1), s.l1 * cos(q1), s.l2 * sin(q1 + q2), s.l2 * cos(q1 + q2)
        return -s1 - s12, -s12, c1 + c12, c12

    def mass(self, q2: float) -> tuple[float, float, float]:
        """Mass matrix m11, m12, m22, kg m²."""
        bend = self._a2 * cos(q2)
        return self._a1 + 2 * bend, self._a3 + bend, self._a4

    def bias(self, q2: float, w1: float, w2: float) -> Pair:
        """Centrifugal and Coriolis torque, N m."""
        h = self._a2 * sin(q2)
        return -h * w2 * (2 * w1 + w2), h * w1 * w1

    def velocity(self, q1: float, q2: float, w1: float, w2: float) -> Pair:
        """Velocity of the tip, `J dq/dt`, m/s."""
        j11, j12, j21, j22 = self.jacobian(q1, q2)
        return j11 * w1 + j12 * w2, j21 * w1 + j22 * w2

    def torque(self, q: Pair, w: Pair, acceleration: Pair, force: Pair) -> Pair:
        """Torque that gives the tip an acceleration `a` and presses with a force `F` besides.

        `M J⁻¹ (a - dJ/dt w) + bias + damping w + Jᵀ F` (Luh, Walker & Paul 1980; Hogan 1985).

        Near a singularity the inverse is damped, `Jᵀ (J Jᵀ + λ²)⁻¹`, with λ growing as the determinant vanishes (Nakamura &
        Hanafusa 1986): the tip then follows less well, and the torque stays finite.

        Args:
            q: joint angles, rad.
            w: joint velocities, rad/s.
            acceleration: of the tip, m/s².
            force: of the tip on what it touches, N.
        """
        q1, q2 = q
        w1, w2 = w
        s = self.segments
        s1, c1, s12, c12 = s.l1 * sin(q1), s.l1 * cos(q1), s.l2 * sin(q1 + q2), s.l2 * cos(q1 + q2)
        turn, whole = w1 * w1, (w1 + w2) * (w1 + w2)
        ax = acceleration[0] + c1 * turn + c12 * whole
        ay = acceleration[1] + s1 * turn + s12 * whole
        j11, j12, j21, j22 = -s1 - s12, -s12, c1 + c12, c12
        det = j11 * j22 - j12 * j21
        if abs(det) > self._near:
            u1, u2 = (j22 * ax - j12 * ay) / det, (j11 * ay - j21 * ax) / det
        else:
            squared = (_DAMPING * (1 - abs(det) / self._near)) ** 2
            p11, p12, p22 = j11 * j11 + j12 * j12 + squared, j11 * j21 + j12 * j22, j21 * j21 + j22 * j22 + squared
            d = p11 * p22 - p12 * p12
            bx, by = (p22 * ax - p12 * ay) / d, (p11 * ay - p12 * ax) / d
            u1, u2 = j11 * bx + j21 * by, j12 * bx + j22 * by
        m11, m12, m22 = self.mass(q2)
        b1, b2 = self.bias(q2, w1, w2)
        fx, fy = force
        return (
            m11 * u1 + m12 * u2 + b1 + self.damping * w1 + j11 * fx + j21 * fy,
            m12 * u1 + m22 * u2 + b2 + self.damping * w2 + j12 * fx + j22 * fy,
        )


def shorten(x: float, y: float, limit: float) -> Pair:
    """The vector, shortened to `limit` if it is longer."""
    length = hypot(x, y)
    return (x, y) if length <= limit else (x * (limit / length), y * (limit / length))
