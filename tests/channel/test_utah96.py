"""A wired array: some electrodes dead, whole bins lost now and then."""

import numpy as np
import pytest

from volition.channel.utah96 import Utah96, Utah96Config
from volition.errors import ConfigError
from volition.signal import Spikes
from volition.stage import Setup, check

COUNTS = np.arange(96, dtype=np.uint16)


def test_contract():
    assert check(Utah96()) == []
    assert Utah96().electrodes == 64


def test_dead_electrodes_are_masked_for_the_whole_run():
    channel = Utah96(Utah96Config(dead_fraction=0.25, lost_bin_probability=0.0))
    channel.prepare(Setup())
    assert channel.dead_channels.sum() == 24
    for k in range(20):
        features = channel.read(Spikes(k, COUNTS))
        assert np.array_equal(features.mask, channel.dead_channels)
        assert np.isnan(features.x[features.mask]).all()
        assert np.array_equal(features.x[~features.mask], COUNTS[~features.mask])


def test_a_lost_bin_is_all_missing():
    channel = Utah96(Utah96Config(dead_fraction=0.0, lost_bin_probability=0.1))
    channel.prepare(Setup())
    seen = np.array([channel.read(Spikes(k, COUNTS)).mask for k in range(4000)])
    assert np.array_equal(seen.any(axis=1), seen.all(axis=1))
    assert seen.any(axis=1).sum() == channel.lost_packets
    assert channel.lost_packets == pytest.approx(400, abs=4 * np.sqrt(360))


def test_by_default_next_to_nothing_is_lost():
    channel = Utah96()
    channel.prepare(Setup())
    for k in range(3000):
        channel.read(Spikes(k, COUNTS))
    assert channel.lost_packets <= 4
    assert channel.late_packets == 0


def test_bad_configuration():
    with pytest.raises(ConfigError, match="dead_fraction"):
        Utah96Config(dead_fraction=1.1)
    with pytest.raises(ConfigError, match="lost_bin_probability"):
        Utah96Config(lost_bin_probability=-0.1)
