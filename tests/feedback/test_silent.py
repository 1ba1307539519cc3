"""Silence, whatever is touched."""

import numpy as np

from volition.feedback.silent import Silent
from volition.signal import Touch
from volition.stage import Setup, check


def test_contract():
    assert check(Silent()) == []


def test_gives_zero_on_every_electrode():
    feedback = Silent()
    feedback.prepare(Setup(taxels=5, electrodes=12))
    stim = feedback.step(Touch(40, np.full(5, 100.0)))
    assert stim.t_ns == 40
    for values in (stim.amplitude_ua, stim.frequency_hz, stim.pulse_width_us):
        assert values.shape == (12,)
        assert not values.any()
