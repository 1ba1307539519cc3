"""How the simulated person steers: what it believes, where it pushes, when it clicks, what it does when it feels a touch.

After the control-policy model of Willett et al. 2017 (J Neural Eng 14 026010) and 2019 (Sci Rep 9 8881): a user pushes
towards the target with an effort that is a piecewise linear function of distance, and steers by an internal forward model
that adds its own recent commands to the delayed picture (such compensation is also in Golub et al. 2015, eLife 4:e10015).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from volition.brain._model import Belief, Forward
from volition.errors import ConfigError
from volition.signal import NS_PER_MS, NS_PER_S, View
from volition.stage import Setup

_AHEAD = 64  # bins whose motor noise is drawn at once


@dataclass(frozen=True)
class PolicyConfig:
    """Constants of the control policy.

    Attributes:
        visual_delay_ms: how late the picture is, ms (200: Willett 2019; Golub 2015 finds 100-250).
        approach_ms: near the goal the speed is distance / this time, ms (assumption, chosen
            among 100-600 because control was best at 100-150: full push beyond 4.5 cm at 0.3 m/s).
        learn_model_s: time constant with which its internal model of body and decoder forgets, s (that users have one and
            adapt it: Golub 2015; the value is an assumption); 0: it always believes that the body does what is meant.
        brake: share of the foreseen coasting that it steers against, so as to come to rest on the goal (assumption; 0
            suits a task in which touching the goal is enough).
        hold_fraction: inside this fraction of the goal's radius it does not push at all (assumption).
        motor_noise: standard deviation of the command's noise as a fraction of its speed (that it grows with the command:
            Harris & Wolpert 1998; the value is an assumption; `train/control.py` fits 0.16 to Golub 2018).
        motor_noise_ms: correlation time of that noise, ms (assumption).
        click_fraction: it believes to be on the goal inside this fraction of the radius (assumption).
        click_after_ms: how long it must believe so before it clicks, ms (assumption).
        click_ms: how long a click lasts, ms (assumption).
        click_rest_ms: no second click before this time, ms: longer than the visual delay, so that the effect of the first
            is seen (assumption).
        slow_on_touch: a full percept (`felt` = 1) lowers the speed by this fraction (assumption: people slow on contact).
    """

    visual_delay_ms: float = 200.0
    approach_ms: float = 150.0
    learn_model_s: float = 30.0
    brake: float = 1.0
    hold_fraction: float = 0.3
    motor_noise: float = 0.15
    motor_noise_ms: float = 100.0
    click_fraction: float = 0.7
    click_after_ms: float = 100.0
    click_ms: float = 100.0
    click_rest_ms: float = 500.0
    slow_on_touch: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what is not a policy.

        Raises:
            ConfigError: a time is negative (or zero where it divides), a fraction is outside 0..1.
        """
        if not 0 <= self.visual_delay_ms <= 2000:
            raise ConfigError(f"person: visual_delay_ms must be 0..2000, got {self.visual_delay_ms}")
        for name in ("approach_ms", "motor_noise_ms"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"person: {name} must be positive, got {getattr(self, name)}")
        for name in ("click_after_ms", "click_ms", "click_rest_ms", "motor_noise", "learn_model_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"person: {name} must not be negative, got {getattr(self, name)}")
        for name in ("brake", "hold_fraction", "click_fraction", "slow_on_touch"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"person: {name} must be 0..1, got {getattr(self, name)}")


class Policy:
    """State of one person's steering.

    With p the seen position (t - delay), u(t) the plans, g the goal of radius r, and `Forward` the internal model:

        x(t) = p + motion foreseen of the plans of the delay                  (where it believes to be)
        y(t) = x + motion still to come if it stopped to push                 (where it would come to rest)
        w    = (g - y) max(0, 1 - hold r / |g - y|) / approach                (piecewise linear in distance)
        u    = the plan that moves the body with w, |u| <= max_speed          (inverse of the internal model)
        v    = u + motor_noise |u| n                                          (n: AR(1), unit variance, per axis)

    The plan u is what the internal model knows of; v is what is carried out, encoded, and called the intention.

    Attributes:
        believed: x, m.
        model: the internal model.
    """

    def __init__(
        self,
        config: PolicyConfig,
        axes: tuple[int, ...],
        setup: Setup,
        rng: np.random.Generator,
        memory: Belief | None = None,
    ) -> None:
        self._config = config
        self._axes = axes
        self._rng = rng
        dt = setup.bin_ns / NS_PER_S
        bin_ms = setup.bin_ns / NS_PER_MS
        self._top = float(setup.max_speed)
        self._low, self._high = (self._pick(np.asarray(side)) for side in setup.workspace)
        bins = round(config.visual_delay_ms / bin_ms)
        self.model = Forward(len(axes), dt, bins, self._top, config.learn_model_s, memory)
        self._keep = math.exp(-bin_ms / config.motor_noise_ms)
        self._noise = [0.0] * len(axes)
        self._drawn: list[list[float]] = []
        self._bins = tuple(
            max(1, round(ms / bin_ms)) for ms in (config.click_after_ms, config.click_ms, config.click_rest_ms)
        )
        self._inside = 0
        self._since_click = sum(self._bins)
        self.believed = [0.0] * len(axes)

    @property
    def gain(self) -> float:
        """How strongly it believes that the body answers: 1 does what is meant."""
        return self.model.gain

    def _pick(self, position: np.ndarray) -> list[float]:
        """The steered axes of a position; an axis that the world lacks is 0."""
        values = position.tolist()
        return [values[a] if a < len(values) else 0.0 for a in self._axes]

    def step(self, view: View, felt: float) -> tuple[list[float], float]:
        """One bin: velocity on the steered axes, m/s, and the click, 0 or 1.

        Args:
            view: the delayed picture.
            felt: how strong a touch is felt, 0..1.
        """
        config = self._config
        seen = self._pick(view.body.position)
        self.model.learn(seen, all(a < p < b for p, a, b in zip(seen, self._low, self._high, strict=True)))
        at, coast = self.model.now(seen)
        self.believed = at = self._clip(at)
        goal, radius = self._pick(view.goal.position), view.goal.radius
        rest = self._clip([p + config.brake * c for p, c in zip(at, coast, strict=True)])
        offset = [g - p for g, p in zip(goal, rest, strict=True)]
        plan = self._push(offset, math.hypot(*offset), radius, 1.0 - config.slow_on_touch * felt)
        self.model.add(plan)
        distance = math.dist(goal, at)
        return self._with_noise(plan, math.hypot(*plan)), self._click(
            view.goal.click and distance <= config.click_fraction * radius
        )

    def _push(self, offset: list[float], distance: float, radius: float, vigour: float) -> list[float]:
        """The plan for this bin."""
        far = max(0.0, distance - self._config.hold_fraction * radius)
        speed = far * 1e3 / self._config.approach_ms
        plan = self.model.plan([speed * o / distance if distance > 0 else 0.0 for o in offset])
        return [vigour * u for u in plan]

    def _clip(self, position: list[float]) -> list[float]:
        return [min(max(p, low), high) for p, low, high in zip(position, self._low, self._high, strict=True)]

    def _with_noise(self, plan: list[float], speed: float) -> list[float]:
        keep, fresh = self._keep, math.sqrt(1.0 - self._keep**2)
        if not self._drawn:  # a call costs more than many numbers
            self._drawn = self._rng.standard_normal((_AHEAD, len(plan))).tolist()[::-1]
        draw = self._drawn.pop()
        self._noise = [keep * n + fresh * d for n, d in zip(self._noise, draw, strict=True)]
        gain = self._config.motor_noise * speed
        return [u + gain * n for u, n in zip(plan, self._noise, strict=True)]

    def _click(self, inside: bool) -> float:
        after, press, rest = self._bins
        self._inside = self._inside + 1 if inside else 0
        self._since_click += 1
        if self._inside >= after and self._since_click >= press + rest:
            self._since_click = 0
        return 1.0 if self._since_click < press else 0.0
