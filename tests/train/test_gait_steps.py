import os
from pathlib import Path

import numpy as np
import pytest

from volition.errors import InputError
from volition.train._gait_steps import recorded, steps
from volition.train._gait_trial import RUNNER, WALKER

DATA = Path(os.environ.get("VOLITION_DATA", "/nowhere")) / "gait"


def pulses(period_s, duty, peak, seconds=4.0, dt=0.005):
    """Half sines under two feet, half a stride apart."""
    t = np.arange(round(seconds / dt))[:, None] * dt / period_s + np.array([0.1, 0.6])
    x = np.remainder(t, 1.0) / duty
    return np.where(x < 1, peak * np.sin(np.pi * x), 0.0), dt


@pytest.mark.parametrize(("period", "duty", "air"), [(1.1, 0.62, 0.0), (0.7, 0.36, 0.28)])
def test_strides_duty_and_peak_of_known_pulses_are_found(period, duty, air):
    load, dt = pulses(period, duty, 1500.0)
    found = steps(load, dt, 700.0)
    assert found.strides_per_s == pytest.approx(1 / period, rel=0.01)
    assert found.duty == pytest.approx(duty, abs=0.02)
    assert found.air == pytest.approx(air, abs=0.03)
    assert found.peak == pytest.approx(1500 / 700, rel=0.02)


def test_a_foot_that_leaves_the_ground_for_a_moment_has_made_no_step():
    load, dt = pulses(1.0, 0.6, 800.0)
    chatters = load.copy()
    chatters[60:65] = 0.0
    assert load[60:65].max() > 20
    assert steps(chatters, dt, 700.0).strides_per_s == steps(load, dt, 700.0).strides_per_s


def test_who_stands_takes_no_strides():
    with pytest.raises(InputError, match="touches down twice"):
        steps(np.full((400, 2), 350.0), 0.005, 700.0)


def test_what_is_no_table_of_forces_is_refused(tmp_path):
    path = tmp_path / "x.mot"
    for text in ("nonsense", "a\nendheader\ntime x\n0 1\n1 1\n"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"x\.mot"):
            recorded(path)


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the recordings of gait in VOLITION_DATA")
def test_the_person_that_gaits_are_held_against_is_like_the_recorded_ones():
    """The walker was recorded at about 1 m/s, the runner at 3.9: strides go with speed, duty factor and peak hardly."""
    for name, person, strides in (("subject01_walk1", WALKER, 0.80), ("subject02_running", RUNNER, 1.43)):
        load, dt = recorded(DATA / f"{name}_grf.mot")
        found = steps(load, dt, float(load.sum(axis=1).mean()))
        assert found.strides_per_s == pytest.approx(strides, abs=0.02)
        assert found.duty == pytest.approx(person.duty, abs=0.02)
        assert found.peak == pytest.approx(person.peak, rel=0.06)
