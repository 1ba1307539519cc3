"""The gate: the only way for a stimulation command to reach tissue. Knows no encoder and trusts no command.

Limits come as named profiles, are only ever tightened, and govern per electrode by its area. With I the cathodic amplitude,
pw its width, A the electrode's area:

    Q = I pw,    D = Q / A,    k = log10(Q[µC] D[µC/cm²])      (Shannon 1992; the lowest damaging k of its sources is 1.85)

For micro-electrodes Shannon's k alone is not a safe rule (Cogan et al. 2016, J Neural Eng 13 021001); the charge per phase
(4 nC) is the stricter one. Pulses are charge balanced: the anodic phase has half the current for twice the time after a gap
of 100 µs, which fits into the period at any frequency and width that these limits allow.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from volition.errors import ConfigError
from volition.signal import NS_PER_MS, Float64, Stim

_DOUBLE = np.dtype(np.float64)
_SLACK = 1.0 + 1e-9  # a command exactly at a limit passes whatever the rounding of Q and D


@dataclass(frozen=True)
class GateLimits:
    """What may pass. The defaults are the profile `strict`; nothing above the profile `human_trial` can be constructed.

    Attributes:
        amplitude_ua: cathodic amplitude of any electrode, µA.
        charge_nc: charge per phase, nC (4: rule for micro-electrodes; 20: human trials, 100 µA x 200 µs).
        density_uc_cm2: charge density, µC/cm² (1000: low end of the electrochemical window of sputtered iridium oxide, 1-5
            mC/cm², Cogan 2008). Applies where the area is known.
        shannon_k: Shannon's k (1.5: Shannon 1992, conservative). Applies where the area is known.
        frequency_hz: pulse rate, Hz.
        pulse_width_us: width of the cathodic phase, µs (assumption: twice the 200 µs in use).
        total_ua: sum of the amplitudes of all electrodes, µA (assumption: ten electrodes at 20 µA, four at 100 µA).
        lease_ms: a command not renewed for this long ends, ms.
        jump_ms: the gate's clock may not leap further than this between two calls, ms (assumption).
    """

    amplitude_ua: float = 100.0
    charge_nc: float = 4.0
    density_uc_cm2: float = 1000.0
    shannon_k: float = 1.5
    frequency_hz: float = 300.0
    pulse_width_us: float = 400.0
    total_ua: float = 200.0
    lease_ms: float = 100.0
    jump_ms: float = 1000.0

    def __post_init__(self) -> None:
        """Refuse limits that do not limit.

        Raises:
            ConfigError: a limit is not a finite number, negative (k may be), or above the ceiling of `human_trial`.
        """
        for name, ceiling in _CEILING.items():
            value = getattr(self, name)
            if not math.isfinite(value) or (value < 0 and name != "shannon_k"):
                raise ConfigError(f"gate: {name} must be a finite number, not negative, got {value}")
            if value > ceiling:
                raise ConfigError(f"gate: {name} = {value} is above {ceiling}, the most that any profile allows")

    @classmethod
    def profile(cls, name: str) -> GateLimits:
        """The limits of a named profile.

        Raises:
            ConfigError: no profile is called so.
        """
        if name not in _PROFILES:
            raise ConfigError(f"gate: unknown profile {name!r}; known: {', '.join(_PROFILES)}")
        return cls(**_PROFILES[name])


_CEILING: Mapping[str, float] = {
    "amplitude_ua": 100.0,
    "charge_nc": 20.0,
    "density_uc_cm2": 1000.0,
    "shannon_k": 1.5,
    "frequency_hz": 300.0,
    "pulse_width_us": 400.0,
    "total_ua": 400.0,
    "lease_ms": 100.0,
    "jump_ms": 1000.0,
}
_PROFILES: Mapping[str, Mapping[str, float]] = {"strict": {}, "human_trial": {"charge_nc": 20.0, "total_ua": 400.0}}


class Gate:
    """Passes a command whole or not at all.

    A command that breaks a limit, has a wrong length or a wrong clock is refused, zero is delivered, and the gate latches:
    it delivers nothing until `arm` is called. A new gate is disarmed. A command without renewal ends after `lease_ms`: that
    is a lapse, counted, not a violation, and the next good command passes.

    Attributes:
        counts: refusals and lapses by reason ("amplitude", "charge", "clock", "disarmed", "latched", "lease", ...).
        reason: why it is latched, "" where it is not.
    """

    def __init__(self, electrodes: int, limits: GateLimits | None = None, area_um2: float = 0.0) -> None:
        """Make a disarmed gate.

        Args:
            electrodes: stimulation electrodes.
            limits: what may pass; the profile `strict` by default.
            area_um2: geometric area of one electrode, µm²; 0 where unknown.

        Raises:
            ConfigError: a negative number of electrodes, an area that is negative or not finite.
        """
        if electrodes < 0:
            raise ConfigError(f"gate: electrodes must not be negative, got {electrodes}")
        if not 0 <= area_um2 < math.inf:
            raise ConfigError(f"gate: area_um2 must be 0 (unknown) or positive, got {area_um2}")
        self.counts: Counter[str] = Counter()
        self.reason = ""
        self._limits = limits or GateLimits()
        self._electrodes = electrodes
        self._area_cm2 = area_um2 * 1e-8
        self._zero = _unchangeable(np.zeros(electrodes))
        self._armed = False
        self._flowing: Stim | None = None
        self._until_ns = 0
        self._now_ns: int | None = None
        self._issued_ns: int | None = None

    @property
    def limits(self) -> GateLimits:
        """What may pass now."""
        return self._limits

    @property
    def armed(self) -> bool:
        """Whether commands can pass."""
        return self._armed

    @property
    def latched(self) -> bool:
        """Whether a violation (or `stop`) has shut the gate until `arm`."""
        return bool(self.reason)

    def arm(self, t_ns: int | None = None) -> None:
        """Open the gate, after a latch too: somebody's explicit act. The clock starts at `t_ns`, or at the next call."""
        self.reason, self._armed = "", True
        self._start(t_ns)

    def restart(self, t_ns: int) -> None:
        """A new run begins at `t_ns`: arms, unless the gate is latched. A latch outlives any restart."""
        self._armed = not self.latched
        self._start(t_ns)

    def stop(self) -> None:
        """Emergency stop: zero at once, latched; needs no permission."""
        self._latch("stop")

    def tighten(self, **limits: float) -> None:
        """Lower some limits (`tighten(charge_nc=2.0)`), at any time. What flows and breaks the new ones ends.

        Raises:
            ConfigError: an unknown limit, or one that would be loosened.
        """
        known = {f.name for f in fields(GateLimits)}
        for name, value in limits.items():
            if name not in known:
                raise ConfigError(f"gate: unknown limit {name!r}; known: {', '.join(sorted(known))}")
            if not value <= getattr(self._limits, name):
                raise ConfigError(
                    f"gate: {name} is {getattr(self._limits, name)} and can only be lowered, not set to {value}"
                )
        self._limits = replace(self._limits, **limits)
        if self._flowing is not None and self._excess(self._flowing):
            self._flowing = None

    def pass_(self, stim: Stim, now_ns: int | None = None) -> Stim:
        """What is delivered of a command: all of it, or zero.

        Args:
            stim: the command, `[electrodes]`.
            now_ns: the gate's clock; the command's own time where there is no other.
        """
        now = stim.t_ns if now_ns is None else now_ns
        if not self._tick(now):
            return self._nothing(now)
        # Judged and delivered is one and the same copy: plain float64, which no product overflows. Of plain zeros nothing is
        # delivered, whatever becomes of them: they need no copy.
        zeros = self._zeros(stim)
        command = None if zeros else _own(stim)
        silent = zeros or (
            command is not None
            and not (_any(command.amplitude_ua) or _any(command.frequency_hz) or _any(command.pulse_width_us))
        )
        if not self._armed:
            if not silent:
                self.counts["latched" if self.latched else "disarmed"] += 1
            return self._nothing(now)
        lease = self._limits.lease_ms * NS_PER_MS
        if not _whole(stim.t_ns) or stim.t_ns - now > lease or (self._issued_ns is not None and stim.t_ns < self._issued_ns):
            return self._refuse("clock", now)
        self._issued_ns = stim.t_ns
        if now - stim.t_ns > lease:
            if not silent:
                self._lapse()
            return self._nothing(now)
        if command is None and not zeros:
            return self._refuse("type", now)
        fault = "" if command is None else self._misshapen(command) or ("" if silent else self._excess(command))
        if fault:
            return self._refuse(fault, now)
        self._flowing = None if silent else command
        self._until_ns = round(min(stim.t_ns, now) + lease)
        return self._flowing or self._nothing(now)

    def poll(self, now_ns: int) -> Stim:
        """What flows at `now_ns`: the last delivered command while its lease lasts, else zero."""
        self._tick(now_ns)
        return self._flowing or self._nothing(now_ns)

    def _start(self, t_ns: int | None) -> None:
        self._flowing, self._now_ns, self._issued_ns = None, t_ns, None

    def _tick(self, now_ns: int) -> bool:
        """Advance the clock; False where it went backwards or leapt, which latches an armed gate."""
        last, whole = self._now_ns, _whole(now_ns)
        self._now_ns = now_ns if whole else last
        if not whole or (last is not None and not 0 <= now_ns - last <= self._limits.jump_ms * NS_PER_MS):
            self.counts["clock"] += 1
            if self._armed:
                self._latch("clock", count=False)
            return False
        if self._flowing is not None and now_ns > self._until_ns:
            self._lapse()
        return True

    def _lapse(self) -> None:
        self.counts["lease"] += 1
        self._flowing = None

    def _latch(self, reason: str, count: bool = True) -> None:
        self.counts[reason] += count
        self.reason, self._armed, self._flowing = reason, False, None

    def _refuse(self, reason: str, now_ns: int) -> Stim:
        self._latch(reason)
        return self._nothing(now_ns)

    def _nothing(self, t_ns: int) -> Stim:
        return Stim(t_ns, self._zero, self._zero, self._zero)

    def _zeros(self, stim: Stim) -> bool:
        """Whether a command is zero on every electrode, in plain arrays of float64 (one array may serve as all three)."""
        seen: object = None
        for values in (stim.amplitude_ua, stim.frequency_hz, stim.pulse_width_us):
            if values is seen:
                continue
            if type(values) is not np.ndarray or values.dtype != _DOUBLE or values.shape != self._zero.shape or values.any():
                return False
            seen = values
        return True

    def _misshapen(self, stim: Stim) -> str:
        shape = (self._electrodes,)
        same = stim.amplitude_ua.shape == stim.frequency_hz.shape == stim.pulse_width_us.shape == shape
        return "" if same else "shape"

    def _excess(self, stim: Stim) -> str:
        """Name of the first limit that a command breaks, "" where it keeps all."""
        limits, current, rate, width = self._limits, stim.amplitude_ua, stim.frequency_hz, stim.pulse_width_us
        if not (np.isfinite(current).all() and np.isfinite(rate).all() and np.isfinite(width).all()):
            return "finite"
        if current.min() < 0 or rate.min() < 0 or width.min() < 0:
            return "range"
        if current.max() > limits.amplitude_ua * _SLACK:
            return "amplitude"
        if width.max() > limits.pulse_width_us * _SLACK:
            return "pulse_width"
        charge_uc = float((current * width).max()) * 1e-6
        if charge_uc * 1e3 > limits.charge_nc * _SLACK:
            return "charge"
        if self._area_cm2 > 0:
            density = charge_uc / self._area_cm2
            if density > limits.density_uc_cm2 * _SLACK:
                return "density"
            if charge_uc * density > 10.0**limits.shannon_k * _SLACK:
                return "shannon"
        if rate.max() > limits.frequency_hz * _SLACK:
            return "frequency"
        return "total" if float(current.sum()) > limits.total_ua * _SLACK else ""


def _any(values: Float64) -> bool:
    return bool(values.any())


def _whole(t_ns: object) -> bool:
    """Whether a time is an integer: a NaN would pass every comparison."""
    return isinstance(t_ns, int | np.integer)


def _unchangeable(values: Float64) -> Float64:
    """A copy on memory that cannot be made writeable again."""
    return np.frombuffer(values.tobytes() or b"\0" * 8, count=values.size).reshape(values.shape)


def _own(stim: Stim) -> Stim | None:
    """A copy that nobody else can change, in plain float64 (no integers that overflow, no masks, no subclasses); None where
    it does not hold real numbers.
    """  # noqa: D205
    arrays = []
    for values in (stim.amplitude_ua, stim.frequency_hz, stim.pulse_width_us):
        try:
            plain = np.asarray(values)
        except (TypeError, ValueError):
            return None
        if plain.dtype.kind not in "biuf":
            return None
        arrays.append(_unchangeable(np.array(plain, np.float64)))
    return Stim(stim.t_ns, *arrays)
