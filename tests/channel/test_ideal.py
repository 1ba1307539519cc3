"""The ideal implant loses nothing, but stimulates through the same gate."""

import numpy as np
import pytest

from volition.channel.ideal import Ideal, IdealConfig
from volition.signal import Spikes, Stim
from volition.stage import Setup, check


@pytest.mark.parametrize("channels", [1, 7, 96, 3000])
def test_takes_any_number_and_gives_all(channels):
    channel = Ideal()
    assert channel.spec.takes.size == 0
    channel.prepare(Setup(channels=channels))
    assert channel.spec.gives.size == channels
    counts = np.arange(channels, dtype=np.uint16)
    for k in range(5):
        features = channel.read(Spikes(k, counts, segment=k))
        assert np.array_equal(features.x, counts)
        assert features.x.dtype == np.float32
        assert not features.mask.any()
        assert (features.t_ns, features.segment) == (k, k)
    assert not channel.dead_channels.any()


def test_what_the_source_could_not_know_is_masked():
    channel = Ideal()
    channel.prepare(Setup(channels=3))
    missing = np.array([False, True, False])
    features = channel.read(Spikes(0, np.zeros(3, np.uint16), missing=missing))
    assert np.array_equal(features.mask, missing)
    assert not channel.read(Spikes(1, np.zeros(3, np.uint16))).mask.any()


def test_contract():
    assert check(Ideal()) == []


def test_features_are_not_shared_between_bins():
    channel = Ideal()
    channel.prepare(Setup())
    first = channel.read(Spikes(0, np.ones(96, np.uint16)))
    channel.read(Spikes(1, np.zeros(96, np.uint16)))
    assert (first.x == 1).all()


def test_stimulation_passes_the_gate():
    channel = Ideal(IdealConfig(electrodes=2))
    channel.prepare(Setup())
    rate, width = np.full(2, 100.0), np.full(2, 200.0)
    assert channel.write(Stim(0, np.array([20.0, 0.0]), rate, width)).amplitude_ua[0] == 20.0
    assert not channel.write(Stim(1, np.array([21.0, 0.0]), rate, width)).amplitude_ua.any()
    assert channel.gate.counts == {"charge": 1}


def test_human_trial_profile_is_asked_for_by_name():
    channel = Ideal(IdealConfig(electrodes=1, profile="human_trial"))
    channel.prepare(Setup())
    assert channel.write(Stim(0, np.array([100.0]), np.array([100.0]), np.array([200.0]))).amplitude_ua[0] == 100.0
