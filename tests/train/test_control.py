"""The person in an animal's place: the error measure, the fit of units, and the prediction of Golub et al. 2018."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from volition.errors import InputError
from volition.io.read import read, read_decoder
from volition.signal import Recording
from volition.train.control import ControlConfig, Prediction, Units, angular_error, predict, recorded_errors, top_speed


def test_angular_error():
    east = np.array([[1.0, 0.0]] * 4)
    velocity = np.array([[3.0, 0.0], [0.0, 2.0], [-1.0, 0.0], [1.0, -1.0]])
    assert np.allclose(angular_error(velocity, east), [0, 90, 180, 45])


def test_units_are_recovered():
    rng = np.random.default_rng(0)
    true = Units(np.log(rng.uniform(0.5, 5, 40)), 0.4 * rng.standard_normal((40, 2)))
    angle = rng.uniform(-np.pi, np.pi, 20_000)
    direction = np.column_stack([np.cos(angle), np.sin(angle)])
    found = Units.fit(rng.poisson(true.mean(direction)), direction)
    assert np.allclose(found.tuning, true.tuning, atol=0.05)
    assert np.allclose(found.base, true.base, atol=0.05)


def test_full_speed_is_that_of_the_cursor_at_rest_with_itself():
    units = Units(np.log(np.full(2, 2.0)), 1e-3 * np.eye(2))  # nearly linear: counts 2 + 2e-3 w
    decoder = {"M1": 0.5 * np.eye(2), "M2": 100.0 * np.eye(2), "m0": np.full(2, -200.0)}
    assert top_speed(units, decoder) == pytest.approx(1e-3 * 100 * 2e-3 / 0.5, rel=1e-3)


def test_a_ratio_is_a_factor_either_way():
    found = Prediction({"a": 20.0, "b": 40.0}, {"a": 30.0, "b": 30.0}, 0.0, 0.1, 0.2)
    assert found.ratio("a") == pytest.approx(1.5)
    assert found.ratio("b") == pytest.approx(4 / 3)


def test_another_recording_is_refused():
    bins = 4
    other = Recording(np.ones((bins, 2), np.uint16), 45_000_000, {}, {}, np.zeros(bins, np.int32))
    with pytest.raises(InputError, match="not the recording of Golub"):
        recorded_errors(other)


@pytest.fixture(scope="module")
def golub():
    if not (data := os.environ.get("VOLITION_DATA")):
        pytest.skip("VOLITION_DATA is not set: real recordings are not here")
    path = Path(data) / "motor/golub2018_bci_learning_exampleData.mat"
    return read(path), read_decoder(path, "intuitive"), read_decoder(path, "perturbed")


def test_recorded_medians(golub):
    errors = recorded_errors(golub[0])
    assert errors["intuitive"] == pytest.approx(24.2, abs=0.1)
    assert errors["before"] == pytest.approx(59.0, abs=0.1)
    assert errors["after"] == pytest.approx(37.9, abs=0.1)


def test_the_other_two_conditions_are_predicted(golub):
    found = predict(*golub, ControlConfig(seeds=(0,), warm_up=40, practice=100, counted=30))
    assert found.predicted["intuitive"] == pytest.approx(
        found.recorded["intuitive"], rel=0.15
    )  # other reaches than the fit's
    assert found.ratio("before") < 1.5
    assert found.ratio("after") < 1.5
    assert found.predicted["before"] > found.predicted["after"] > found.predicted["intuitive"]
    assert found.unlearnt > found.predicted["after"]


def test_an_error_that_no_noise_explains_is_refused(golub):
    recording = golub[0]
    kinematics = dict(recording.kinematics)
    kinematics["velocity_intuitive"] = kinematics["direction"]  # recorded error 0
    with pytest.raises(InputError, match="no motor noise"):
        predict(replace(recording, kinematics=kinematics), *golub[1:], ControlConfig(seeds=(0,), warm_up=4, counted=4))
