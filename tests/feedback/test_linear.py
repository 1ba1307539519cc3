"""Pressure to amplitude: linear, in place, and inside the strict profile on every shipped channel."""

import numpy as np
import pytest

from volition.channel.ideal import Ideal
from volition.channel.thread1024 import Thread1024
from volition.channel.utah96 import Utah96
from volition.errors import ConfigError
from volition.feedback.linear import Linear, LinearConfig
from volition.signal import Touch
from volition.stage import Setup, check


def made(taxels, electrodes, **config):
    feedback = Linear(LinearConfig(**config))
    feedback.prepare(Setup(taxels=taxels, electrodes=electrodes))
    return feedback


def test_contract():
    assert check(Linear()) == []


def test_linear_between_threshold_and_full():
    feedback = made(1, 1, threshold_n=1.0, full_n=5.0, min_ua=4.0, max_ua=12.0)
    pressure = np.array([0.0, 0.5, 1.0, 1.0 + 1e-9, 2.0, 3.0, 4.0, 5.0, 50.0])
    current = [feedback.step(Touch(0, np.array([p]))).amplitude_ua[0] for p in pressure]
    assert np.allclose(current, [0, 0, 0, 4, 6, 8, 10, 12, 12])


def test_pulses_are_those_of_the_human_trials():
    stim = made(4, 64).step(Touch(7, np.array([0, 1.0, 0, 0])))
    on = stim.amplitude_ua > 0
    assert on.sum() == 3
    assert (stim.frequency_hz[on] == 100).all()
    assert (stim.pulse_width_us[on] == 200).all()
    assert stim.t_ns == 7


@pytest.mark.parametrize(("taxels", "electrodes"), [(1, 64), (5, 64), (20, 64), (64, 64)])
def test_somatotopic_with_more_electrodes_than_taxels(taxels, electrodes):
    feedback = made(taxels, electrodes)
    places = [np.flatnonzero(feedback.step(Touch(0, row)).amplitude_ua) for row in np.eye(taxels)]
    assert all(1 <= len(p) <= 3 for p in places)
    assert len(np.concatenate(places)) == len(set(np.concatenate(places).tolist()))  # nobody shares
    centres = [p.mean() for p in places]
    assert centres == sorted(centres)
    assert np.allclose(centres, (np.arange(taxels) + 0.5) * electrodes / taxels - 0.5, atol=1.0)


def test_with_more_taxels_than_electrodes_the_strongest_counts():
    feedback = made(10, 4)
    for taxel in range(10):
        pressure = np.zeros(10)
        pressure[taxel] = 1.0
        hit = np.flatnonzero(feedback.step(Touch(0, pressure)).amplitude_ua)
        assert hit.tolist() == [np.searchsorted([2, 5, 7], taxel, side="right")]
    both = np.zeros(10)
    both[[0, 1]] = 0.5, 1.5
    alone = np.zeros(10)
    alone[1] = 1.5
    assert np.array_equal(feedback.step(Touch(0, both)).amplitude_ua, feedback.step(Touch(0, alone)).amplitude_ua)


def test_sum_of_currents_is_held():
    stim = made(64, 64, total_ua=200.0).step(Touch(0, np.full(64, 10.0)))
    assert stim.amplitude_ua.sum() == pytest.approx(200.0)
    assert (stim.amplitude_ua > 0).all()


@pytest.mark.parametrize("channel", [Ideal, Utah96, Thread1024])
def test_by_default_the_strict_gate_refuses_nothing(channel):
    implant = channel()
    implant.prepare(Setup(channels=implant.spec.takes.size or 96))
    feedback = made(20, implant.electrodes)
    rng = np.random.default_rng(0)
    for k in range(300):
        stim = feedback.step(Touch(k * 20_000_000, rng.exponential(3.0, 20) * (rng.random(20) < 0.5)))
        assert np.array_equal(implant.write(stim).amplitude_ua, stim.amplitude_ua)
    assert not implant.gate.counts


@pytest.mark.parametrize(("taxels", "electrodes"), [(0, 8), (8, 0), (0, 0)])
def test_nothing_to_touch_with_or_nothing_to_stimulate(taxels, electrodes):
    stim = made(taxels, electrodes).step(Touch(0, np.full(taxels, 3.0)))
    assert stim.amplitude_ua.shape == (electrodes,)
    assert not stim.amplitude_ua.any()


@pytest.mark.parametrize("electrodes", [2, 64])
def test_a_broken_sensor_is_silent(electrodes):
    feedback = made(4, electrodes)
    stim = feedback.step(Touch(0, np.array([np.nan, np.nan, 1.0, np.nan])))
    assert np.isfinite(stim.amplitude_ua).all()
    fine = feedback.step(Touch(0, np.array([0.0, 0.0, 1.0, 0.0])))
    assert np.array_equal(stim.amplitude_ua, fine.amplitude_ua)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"threshold_n": 3.0}, "threshold_n < full_n"),
        ({"min_ua": 20.0}, "min_ua <= max_ua"),
        ({"total_ua": -1.0}, "total_ua"),
        ({"frequency_hz": float("nan")}, "frequency_hz"),
        ({"electrodes_per_taxel": 0}, "electrodes_per_taxel"),
    ],
)
def test_bad_configuration(config, words):
    with pytest.raises(ConfigError, match=words):
        LinearConfig(**config)
