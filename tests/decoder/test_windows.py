import numpy as np

from volition.decoder import _windows as windows
from volition.decoder._sequence import history

PAST = history(np.repeat([0, 1, 2, 5], [130, 7, 250, 40]), 427)


def test_every_bin_is_scored_once_and_no_window_crosses_a_border():
    for rng in (None, np.random.default_rng(0), np.random.default_rng(1)):
        found = windows.spans(PAST, 100, 25, rng)
        scored = np.zeros(427, int)
        for s in found:
            assert s.start <= s.scored < s.stop
            assert s.stop - s.scored <= 100
            assert s.scored - s.start <= 25
            assert not (PAST[s.start + 1 : s.stop] == 1).any()
            assert s.scored == s.start or PAST[s.start] == 1 or s.scored - s.start == 25
            scored[s.scored : s.stop] += 1
        assert (scored == 1).all()


def test_rows_end_where_their_windows_do():
    index, counts = windows.rows([windows.Span(0, 3, 1), windows.Span(10, 15, 10)])
    np.testing.assert_array_equal(index, [[0, 1, 2, -1, -1], [10, 11, 12, 13, 14]])
    np.testing.assert_array_equal(counts, [[False, True, True, False, False], [True] * 5])


def test_batches_hold_every_window_once_and_about_so_many_bins():
    found = windows.spans(PAST, 20, 5, np.random.default_rng(0))
    for rng in (None, np.random.default_rng(2)):
        groups = list(windows.batches(found, 100, rng))
        assert sorted((s.start, s.scored) for g in groups for s in g) == sorted((s.start, s.scored) for s in found)
        assert all(len(g) * max(s.stop - s.start for s in g) <= 100 or len(g) == 1 for g in groups)
        assert max(len(g) for g in groups) > 2


def test_bent_windows_change_tempo_within_a_segment_or_order():
    rng = np.random.default_rng(0)
    plain, _ = windows.rows(windows.spans(PAST, 60, 10))
    tempo = order = 0
    for _ in range(20):
        index, counts = plain.copy(), plain >= 0
        windows.bend(index, counts, PAST, 0.8, 1.6, rng)
        np.testing.assert_array_equal(index == windows.NOTHING, plain == windows.NOTHING)
        for row, was in zip(index, plain, strict=True):
            now, old = row[row >= 0], was[was >= 0]
            if (now == old).all():
                continue
            assert now.max() < 427
            steps = np.diff(now)
            if (
                now[0] == old[0]
                and steps.min() >= 0
                and steps.max() <= 2
                and not (PAST[now[0] + 1 : now[-1] + 1] == 1).any()
            ):
                tempo += 1
            else:
                order += 1
                assert len(now) <= 30 or (steps == 1).mean() > 0.5
    assert min(tempo, order) > 20


def test_nothing_is_bent_where_nothing_is_asked():
    index, counts = windows.rows(windows.spans(PAST, 60, 10))
    before = index.copy()
    windows.bend(index, counts, PAST, 0.0, 2.0, np.random.default_rng(0))
    np.testing.assert_array_equal(index, before)
