import numpy as np
import pytest

from volition.errors import InputError
from volition.signal import Recording
from volition.train.split import chronological


def recording(bins, trial=None):
    zeros = np.zeros((bins, 2))
    trial = None if trial is None else np.asarray(trial, np.int32)
    return Recording(zeros.astype(int), 10**7, {"velocity": zeros}, {}, np.zeros(bins, np.int32), trial)


def test_bins_where_there_are_no_trials():
    split = chronological(recording(100))
    assert (split.train, split.test) == (slice(0, 80), slice(80, 100))


def test_whole_trials_where_there_are():
    trial = np.repeat(np.arange(10), [2, 3, 4, 5, 6, 7, 8, 9, 10, 46])
    split = chronological(recording(100, trial))
    assert split.train.stop == split.test.start == 44  # eight of ten trials, though only 44 of 100 bins
    assert split.test.stop == 100
    assert not set(trial[split.train]) & set(trial[split.test])


def test_bins_between_trials_go_with_the_trial_before():
    trial = [-1, 0, 0, -1, 1, 1, -1, -1, 2, 2, -1, 3, 3, -1, 4, 4]
    assert chronological(recording(16, trial)).train.stop == 14


def test_one_trial_is_no_trials():
    assert chronological(recording(50, np.zeros(50))).train.stop == 40


def test_what_cannot_be_split():
    with pytest.raises(InputError, match="cannot be split"):
        chronological(recording(1))
    with pytest.raises(InputError, match="not in order"):
        chronological(recording(4, [1, 1, 0, 2]))
