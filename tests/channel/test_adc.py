import numpy as np
import pytest

from volition.channel._adc import CODES, convert, learn_widths, linearise, lookup, widths


def test_equal_widths_are_an_ideal_converter():
    table = lookup(widths("ideal"))
    volts = np.array([-1e4, -512.0, -511.5, -0.01, 0.0, 0.99, 1.0, 510.99, 511.0, 1e4], np.float32)
    assert convert(volts, table).tolist() == [-512, -512, -512, -1, 0, 0, 1, 510, 511, 511]
    np.testing.assert_allclose(linearise(widths("ideal")), np.arange(CODES) - 512 + 0.5)


def test_codes_follow_their_widths():
    width = widths("n1")
    assert width.shape == (CODES,)
    assert abs(width.mean() - 1) < 0.01
    volts = np.random.default_rng(0).uniform(-200, 200, 2_000_000).astype(np.float32)
    seen = np.bincount(convert(volts, lookup(width)).astype(int) + 512, minlength=CODES)[330:690]
    expected = width[330:690] * len(volts) / 400
    assert np.corrcoef(seen, expected)[0, 1] > 0.97
    assert seen[511 - 330] == 0  # the recordings never show this code
    assert (np.diff(lookup(width)) >= 0).all()


def test_widths_are_learnt_from_a_histogram():
    width = widths("n1")
    rng = np.random.default_rng(1)
    codes = convert((rng.standard_normal(3_000_000) * 40).astype(np.float32), lookup(width))
    learnt = learn_widths(np.bincount(codes.astype(int) + 512, minlength=CODES))
    middle = slice(430, 594)
    assert np.corrcoef(learnt[middle], width[middle])[0, 1] > 0.97
    assert np.abs(learnt[:200] - 1).max() < 1e-3  # hardly visited


def test_linearising_undoes_the_converter():
    rng = np.random.default_rng(2)
    volts = (rng.standard_normal(200_000) * 60).astype(np.float32)
    width = widths("n1")
    codes = convert(volts, lookup(width)).astype(int) + 512
    error = linearise(width)[codes] - volts
    assert abs(error.mean()) < 0.05
    assert error.std() < (codes - 512 + 0.5 - volts).std()
    assert error.std() == pytest.approx(0.31, abs=0.06)  # 1/√12 for equal codes, a little more for uneven ones
