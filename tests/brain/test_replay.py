"""A recording thinks: what comes out is what was recorded."""

from dataclasses import replace

import numpy as np
import pytest

from volition.brain.replay import Replay, ReplayConfig
from volition.errors import ConfigError
from volition.signal import BodyState, EndOfInput, Goal, Recording, Stim, View
from volition.stage import Setup, check

NONE = np.empty(0)
VIEW = View(0, Goal(0, 0, np.zeros(2), 0.01), BodyState(0, np.zeros(2), np.zeros(2), NONE, NONE))
STIM = Stim.zero(0, 0)
BINS, CHANNELS = 40, 7
SETUP = Setup(channels=CHANNELS, bin_ns=50_000_000, intent=("reach.y", "grasp", "reach.x"))


def recording(**changes):
    rng = np.random.default_rng(0)
    fields = {
        "counts": rng.poisson(2.0, (BINS, CHANNELS)),
        "bin_ns": 50_000_000,
        "kinematics": {"velocity": rng.normal(size=(BINS, 2)), "position": rng.normal(size=(BINS, 2))},
        "units": {"velocity": "cm/s", "position": "furlong"},
        "segment": np.repeat([3, 4, 9], [10, 20, 10]).astype(np.int32),
        "name": "monkey",
    }
    return Recording(**(fields | changes))


def play(brain, bins):
    spikes, meant = [], []
    for _ in range(bins):
        spikes.append(brain.step(VIEW, STIM))
        meant.append(brain.intended())
    return spikes, np.array(meant)


def test_contract():
    assert check(Replay(recording=recording(units={"velocity": "m/s"})), SETUP) == []


def test_gives_the_recording_with_its_segments_and_movement():
    r = recording()
    brain = Replay(recording=r)
    assert brain.spec.gives.size == CHANNELS
    assert brain.spec.period_ns == r.bin_ns
    brain.prepare(SETUP)
    spikes, meant = play(brain, BINS)
    assert np.array_equal([s.counts for s in spikes], r.counts)
    assert [s.segment for s in spikes] == r.segment.tolist()
    assert [s.t_ns for s in spikes] == [
        k * r.bin_ns for k in range(BINS)
    ]  # on the clock of the run: the first bin ends where it begins
    velocity = r.kinematics["velocity"]
    assert np.allclose(meant[:, 0], velocity[:, 1] / 100)
    assert np.allclose(meant[:, 2], velocity[:, 0] / 100)
    assert not meant[:, 1].any()
    with pytest.raises(EndOfInput, match="monkey is over after 40 bins"):
        brain.step(VIEW, STIM)
    brain.prepare(SETUP)
    assert np.array_equal(brain.step(VIEW, STIM).counts, r.counts[0])


@pytest.mark.parametrize(("unit", "factor"), [("m/s", 1), ("cm/s", 0.01), ("mm/s", 0.001)])
def test_units(unit, factor):
    r = recording(units={"velocity": unit})
    brain = Replay(recording=r)
    brain.prepare(SETUP)
    assert np.allclose(play(brain, BINS)[1][:, 2], r.kinematics["velocity"][:, 0] * factor)


def test_scale_replaces_units():
    r = recording()
    brain = Replay(ReplayConfig(target="position", scale=201.168), r)
    brain.prepare(SETUP)
    assert np.allclose(play(brain, BINS)[1][:, 2], r.kinematics["position"][:, 0] * 201.168)


def test_repeat_begins_again_as_new_segments():
    r = recording()
    brain = Replay(ReplayConfig(at_end="repeat"), r)
    brain.prepare(SETUP)
    spikes, _ = play(brain, 2 * BINS + 1)
    segments = [s.segment for s in spikes]
    assert np.array_equal(spikes[BINS].counts, r.counts[0])
    assert not set(segments[:BINS]) & set(segments[BINS : 2 * BINS])
    assert segments == sorted(segments)
    assert np.diff([s.t_ns for s in spikes]).tolist() == [r.bin_ns] * 2 * BINS


def test_without_kinematics_nothing_is_known_of_the_intention():
    brain = Replay(recording=recording(kinematics={}, units={}))
    brain.prepare(SETUP)
    assert not play(brain, BINS)[1].any()


@pytest.mark.parametrize(
    ("brain", "setup", "words"),
    [
        (Replay(), SETUP, "no recording"),
        (Replay(ReplayConfig(file="day1.mat")), SETUP, "day1.mat"),
        (Replay(recording=recording()), replace(SETUP, bin_ns=20_000_000), "bins of 50 ms, the loop 20 ms"),
        (Replay(recording=recording()), replace(SETUP, channels=8), "7 channels"),
        (Replay(ReplayConfig(target="force"), recording()), SETUP, "no 'force'; it has position, velocity"),
        (Replay(ReplayConfig(target="position"), recording()), SETUP, "furlong"),
    ],
)
def test_errors_say_what_to_do(brain, setup, words):
    with pytest.raises(ConfigError, match=words):
        brain.prepare(setup)


def test_bad_configuration():
    with pytest.raises(ConfigError, match="at_end"):
        ReplayConfig(at_end="loop")
    with pytest.raises(ConfigError, match="scale"):
        ReplayConfig(scale=float("nan"))


def test_asks_for_its_file_until_it_has_it():
    assert Replay(ReplayConfig(file="day1.mat")).spec.requires == ("file:day1.mat",)
    assert Replay(recording=recording()).spec.requires == ()
