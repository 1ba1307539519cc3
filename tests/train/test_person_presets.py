"""The preset n1: what ships is what the command makes of utah_m1, and has the measured rates."""

import numpy as np
import pytest

from volition.brain._preset import Preset
from volition.train.person_presets import N1_PROBABILITY, N1_RATE_HZ, main


def test_what_ships_is_what_the_command_makes(tmp_path, capsys):
    assert main(["utah_m1", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "n1.json").read_text() == Preset.load("n1").as_json()
    assert "assumed" in capsys.readouterr().out


def test_rates_are_the_measured_and_the_rest_is_utah():
    n1, utah = Preset.load("n1"), Preset.load("utah_m1")
    for p, hz in zip(N1_PROBABILITY, N1_RATE_HZ, strict=True):
        assert np.exp(np.interp(p, n1.probability, n1.quantiles[0])) == pytest.approx(hz, rel=0.01)
    assert np.array_equal(n1.covariance, utah.covariance)
    assert np.interp(0.9, n1.probability, n1.quantiles[1]) == np.interp(0.9, utah.probability, utah.quantiles[1])


def test_no_preset_is_one_line(capsys):
    assert main(["nobody"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
