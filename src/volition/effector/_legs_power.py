"""What the legs' motors draw, do and lose, and how warm they get.

A DC motor with terminal voltage V, current i, torque t and speed w at the joint (constant K in Nm/A, which is V s/rad, and
resistance R, both those of the compiled model):

    i = t / K,    V = K w + R i,    electrical power V i = t w + R i²

The first part is mechanical power, the second is lost in the copper. Where a motor brakes, V i may be negative: it feeds the
others, and what none of them takes goes back to the battery. Speeds are the mean of those before and after a physics step:
force times that mean is exactly what kinetic energy changes by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from volition.effector._legs_model import JOINTS, G
from volition.signal import Float64

AMBIENT_C, CLASS_F_C = 25.0, 155.0
"""Air, and what a winding of insulation class F stands (IEC 60085), degrees C."""
_COPPER_PER_K = 0.00393  # rise of copper's resistance, 1/K
# Two nodes a motor, winding and housing, as makers of motors give them. The numbers are assumptions: 150 Nm of peak torque
# a kg (strongest joint motors of 2026, makers' claims), 15 % of it copper (385 J/kg K), the rest iron and aluminium (500).
_NM_PER_KG = 150.0
_WINDING_J_KG_K, _HOUSING_J_KG_K = 0.15 * 385.0, 0.85 * 500.0
_WINDING_S, _HOUSING_S = 40.0, 900.0  # time constants to the housing, and of that to the air
_WAY_EVERY_S = 0.5  # the pelvis sways: its way is measured in pieces of so long


class Power:
    """Accounts of the motors; sums since `begin`, temperatures since it was made.

    Args:
        model: compiled legs.

    Attributes:
        winding_c, housing_c: temperatures `[12]`, degrees C.
    """

    def __init__(self, model: Any) -> None:
        self._resistance: Float64 = model.actuator_gainprm[:12, 0].copy()
        self._constant: Float64 = model.actuator_gainprm[:12, 1].copy()
        self._peak: Float64 = model.actuator_forcerange[:12, 1].copy()
        self._weight_n = float(model.body_mass.sum()) * G
        kg = self._peak / _NM_PER_KG
        self._winding_j_k, self._housing_j_k = kg * _WINDING_J_KG_K, kg * _HOUSING_J_KG_K
        self.winding_c, self.housing_c = np.full(12, AMBIENT_C), np.full(12, AMBIENT_C)
        self.begin()

    def begin(self) -> None:
        """From now on the sums count anew."""
        self.seconds = self.electric_j = self.returned_j = self.peak_electric_w = self.peak_work_w = self.way_m = 0.0
        self._work, self._positive, self._copper, self._square, self._most, self._most_w = np.zeros((6, 12))
        self._from: Float64 | None = None
        self._due_s = 0.0

    def add(self, torque: Float64, speed: Float64, dt: float, position: Float64) -> None:
        """Some physics steps of `dt` s: torques and mean speeds at the joints `[steps, 12]`; the pelvis is at `position`."""
        work = torque * speed
        resistance = self._resistance * (1 + _COPPER_PER_K * (self.winding_c - AMBIENT_C))
        squares = torque * torque
        copper = squares * (resistance / self._constant**2)
        bus = (work + copper).sum(axis=1)
        lost = copper.sum(axis=0) * dt
        self.electric_j += float(bus.sum()) * dt
        self.returned_j -= float(np.minimum(bus, 0).sum()) * dt
        self.peak_electric_w = max(self.peak_electric_w, float(bus.max()))
        self.peak_work_w = max(self.peak_work_w, float(work.sum(axis=1).max()))
        self._work += work.sum(axis=0) * dt
        self._positive += np.maximum(work, 0).sum(axis=0) * dt
        self._copper += lost
        self._square += squares.sum(axis=0) * dt
        np.maximum(self._most, np.abs(torque).max(axis=0), out=self._most)
        np.maximum(self._most_w, np.abs(work).max(axis=0), out=self._most_w)
        self._warm(lost, len(torque) * dt)
        self._go(position, len(torque) * dt)

    def _warm(self, lost: Float64, seconds: float) -> None:
        """Heat flows from winding to housing to air: `C dT/dt = flow in - flow out`."""
        inward = (self.winding_c - self.housing_c) * self._winding_j_k * (seconds / _WINDING_S)
        outward = (self.housing_c - AMBIENT_C) * self._housing_j_k * (seconds / _HOUSING_S)
        self.winding_c += (lost - inward) / self._winding_j_k
        self.housing_c += (inward - outward) / self._housing_j_k

    def _go(self, position: Float64, seconds: float) -> None:
        self.seconds += seconds
        self._due_s -= seconds
        if self._due_s > 0:
            return
        self._due_s += _WAY_EVERY_S
        if self._from is not None:
            self.way_m += float(np.hypot(*(position - self._from)))
        self._from = position.copy()

    @property
    def positive_j(self) -> float:
        """Positive mechanical work of all motors."""
        return float(self._positive.sum())

    def figures(self) -> Mapping[str, Any]:
        """The sums; "joints": a row a joint. Energy per metre is 0 for who has gone less than a metre."""
        way = self.way_m if self.way_m >= 1 else float("inf")
        seconds = max(self.seconds, 1e-9)
        rows = {
            name: {
                "torque_share": float(self._most[i] / self._peak[i]),
                "rms_nm": float(np.sqrt(self._square[i] / seconds)),
                "peak_w": float(self._most_w[i]),
                "work_j": float(self._work[i]),
                "copper_j": float(self._copper[i]),
                "winding_c": float(self.winding_c[i]),
            }
            for i, name in enumerate(JOINTS)
        }
        return {
            "way_m": self.way_m,
            "electric_j": self.electric_j,
            "work_j": float(self._work.sum()),
            "positive_work_j": self.positive_j,
            "copper_j": float(self._copper.sum()),
            "returned_j": self.returned_j,
            "mean_electric_w": self.electric_j / seconds,
            "peak_electric_w": self.peak_electric_w,
            "peak_work_w": self.peak_work_w,
            "electric_j_m": self.electric_j / way,
            "cost_of_transport": self.electric_j / way / self._weight_n,
            "hottest_winding_c": float(self.winding_c.max()),
            "too_hot": float((self.winding_c > CLASS_F_C).sum()),
            "joints": rows,
        }
