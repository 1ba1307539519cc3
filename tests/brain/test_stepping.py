import numpy as np
import pytest

from volition.brain._stepping import SteppingConfig, Stride, stride_tuning
from volition.brain._tuning import Population, PopulationConfig
from volition.errors import ConfigError
from volition.signal import BodyState
from volition.stage import Setup

DT = 0.02


def body(t, rate=2.0, hips=0.5, lean=0.1):
    """Legs that swing `rate` times a second, one forward while the other is back."""
    q, v = np.zeros(15), np.zeros(15)
    w = 2 * np.pi * rate
    q[5], q[11] = lean + hips / 2 * np.cos(w * t), lean / 2 - hips / 2 * np.cos(w * t)
    v[5], v[11] = -hips / 2 * w * np.sin(w * t), hips / 2 * w * np.sin(w * t)
    return BodyState(0, np.zeros(2), np.zeros(2), q, v)


def test_the_phase_of_any_stride_is_followed_whatever_the_lean():
    for rate in (1.0, 2.5):
        stride = Stride(DT)
        for k in range(250):
            c, s, size = stride.step(body(k * DT, rate))
        error = np.arctan2(s, c) - 2 * np.pi * rate * 249 * DT
        assert np.abs(np.remainder(error + np.pi, 2 * np.pi) - np.pi) < 0.25
        assert (np.hypot(c, s), size) == pytest.approx((1.0, 1.0), abs=0.01)


def test_legs_that_rest_or_are_none_modulate_nothing():
    stride = Stride(DT)
    assert [stride.step(body(k * DT, hips=0.0)) for k in range(50)][-1] == (0.0, 0.0, 0.0)
    assert max(abs(v) for k in range(200) for v in stride.step(body(k * DT, hips=0.003))) < 0.02
    assert stride.step(BodyState(0, np.zeros(2), np.zeros(2), np.zeros(3), np.zeros(3))) == (0.0, 0.0, 0.0)


def test_depth_is_what_was_asked_and_the_mean_over_a_stride_stays():
    tuning = stride_tuning(4000, 0.4, np.random.default_rng(0))
    phase = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    rate = np.exp(tuning @ np.stack((np.cos(phase), np.sin(phase), np.ones(64))))
    depth = 1 - rate.min(axis=1) / rate.max(axis=1)
    assert depth.mean() == pytest.approx(0.4, abs=0.02)
    assert depth.max() <= 0.81
    assert rate.mean(axis=1) == pytest.approx(1.0, abs=1e-6)
    assert not stride_tuning(9, 0.0, np.random.default_rng(0)).any()


def test_only_a_population_that_steps_is_modulated_and_its_neurons_are_the_same():
    setup = Setup(channels=200, max_speed=3.0)
    quiet = {"drift_sd": 0.0, "shared_noise": 0.0, "own_noise": 0.0, "regular": False}
    still, steps, none = (
        Population(PopulationConfig(**quiet, gait_depth=depth), (0, 1), False, setup, setup.rng("brain"), steps=on)
        for depth, on in ((0.8, False), (0.8, True), (0.0, True))
    )
    assert (still.rest_hz == steps.rest_hz).all()
    here, there = (1.0, 0.0, 1.0), (-1.0, 0.0, 1.0)
    ways = [
        [p.step(0, (1.0, 0.0), (0.0, 0.0), 0.0, way).counts for _ in range(300)]
        for p in (still, steps, none)
        for way in (here, there)
    ]
    apart = [np.abs(np.mean(a, axis=0) - np.mean(b, axis=0)).mean() for a, b in zip(ways[::2], ways[1::2], strict=True)]
    assert apart[1] > 2 * apart[0]
    assert apart[2] == pytest.approx(apart[0], rel=0.3)


def test_a_depth_outside_its_range_is_refused():
    with pytest.raises(ConfigError, match="gait_depth"):
        SteppingConfig(gait_depth=1.2)
