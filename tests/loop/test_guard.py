import numpy as np
import pytest

from volition.loop.guard import Freshness, Guard, Hold, sound_features, sound_vector
from volition.signal import EndOfInput, Features

MS = 1_000_000


def features(t_ns, x, mask=None):
    x = np.asarray(x, np.float32)
    return Features(t_ns, x, np.zeros(x.shape, bool) if mask is None else np.asarray(mask))


def test_an_exception_is_counted_and_not_passed_on():
    guard = Guard("decoder")
    assert guard.call(lambda: 1 / 0) is None
    assert guard.faults == {"exception": 1}
    assert "ZeroDivisionError" in guard.error
    assert guard.latency.n == 1


def test_the_end_of_a_recording_passes():
    def end():
        raise EndOfInput

    with pytest.raises(EndOfInput):
        Guard("brain").call(end)


@pytest.mark.parametrize(("values", "kind"), [([1.0, np.nan], "not finite"), ([1.0], "shape"), ([[1.0, 2.0]], "shape")])
def test_unsound_vectors_are_refused(values, kind):
    guard = Guard("decoder")
    assert sound_vector(guard, np.array(values), 2) is None
    assert guard.faults == {kind: 1}


@pytest.mark.parametrize("values", ["left", [1.0, [2.0, 3.0]], {"x": 1.0}, object()])
def test_what_is_no_vector_of_numbers_is_refused(values):
    guard = Guard("decoder")
    assert sound_vector(guard, values, 2) is None
    assert guard.faults == {"type": 1}


def test_features_may_hold_nan_only_under_the_mask():
    guard = Guard("channel")
    assert sound_features(guard, features(0, [1, np.nan], [False, True]), 2) is not None
    assert sound_features(guard, features(0, [1, np.nan]), 2) is None
    assert sound_features(guard, features(0, [1]), 2) is None
    assert guard.faults == {"not finite": 1, "shape": 1}


def test_hold_holds_then_decays_then_stops():
    hold = Hold(1, 100 * MS, 120 * MS, 250 * MS)
    hold.good(0, np.array([2.0], np.float32))
    assert hold.bad(100 * MS, False)[0] == 2.0
    assert hold.bad(220 * MS, False)[0] == pytest.approx(2 * np.exp(-1))
    assert hold.bad(251 * MS, False)[0] == 0.0
    assert hold.good(260 * MS, np.array([1.0], np.float32))[0] == 1.0
    assert hold.held == 3


def test_three_faults_in_a_second_stop_until_armed():
    hold = Hold(1, 100 * MS, 120 * MS, 250 * MS)
    v = np.array([2.0], np.float32)
    hold.good(0, v)
    for k in range(3):
        hold.bad(k * 20 * MS, True)
    assert hold.stopped
    assert hold.good(80 * MS, v)[0] == 0.0
    hold.arm()
    assert hold.good(100 * MS, v)[0] == 2.0
    assert hold.stops == 1


def test_three_faults_in_three_seconds_do_not_stop():
    hold = Hold(1, 100 * MS, 120 * MS, 250 * MS)
    for k in range(5):
        hold.bad(k * 1000 * MS, True)
    assert not hold.stopped


def test_lost_stale_and_frozen_features_are_told_apart():
    guard = Guard("channel")
    fresh = Freshness(guard)
    x = np.arange(20)
    assert fresh.judge(features(1, x))
    assert not fresh.judge(features(1, x + 1))
    assert not fresh.judge(features(2, x, np.ones(20, bool)))
    judged = [fresh.judge(features(3 + k, x)) for k in range(8)]
    assert judged[0]
    assert not judged[-1]
    assert set(guard.faults) == {"lost", "stale", "frozen"}


def test_silence_is_not_frozen():
    fresh = Freshness(Guard("channel"))
    assert all(fresh.judge(features(k + 1, np.zeros(64))) for k in range(20))
