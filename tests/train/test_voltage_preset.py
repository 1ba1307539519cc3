import os
import wave
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from volition.channel._adc import CODES, learn_widths, widths
from volition.train.voltage_preset import compare, main, measure, pool, read, simulate, usable


def test_simulated_voltage_measures_like_the_recordings():
    """Noise, seven band shares, crossing rates and signal to noise of the shipped preset within 25 % of the real files."""
    root = os.environ.get("VOLITION_DATA")
    if not root:
        pytest.skip("VOLITION_DATA is not set: real recordings are not here")
    x, fs, _ = read(Path(root, "broadband_neuralink"))
    good = usable(x)
    real = measure(x[:, good], fs)
    made = pool([measure(simulate("n1", int(good.sum()), fs, 5.0, seed), fs) for seed in (11, 12)])
    rows = compare(real, made)
    assert len(rows) == 18
    wrong = [f"{what}: recorded {a:.3f}, simulated {b:.3f}" for what, a, b in rows if not 0.75 <= b / a <= 1.25]
    assert not wrong
    codes = x[:, good].ravel().astype(int) + CODES // 2
    learnt = learn_widths(np.bincount(codes, minlength=CODES))
    assert np.corrcoef(learnt[440:600], widths("n1")[440:600])[0, 1] > 0.99


@pytest.mark.skipif(find_spec("numba") is None, reason="numba (extra [fast]) is not installed: the twin is too slow here")
def test_generation_does_not_depend_on_the_rate():
    """The same electrodes at 30 kHz have the noise and the bands that they have at 19,531 Hz."""
    low, high = (measure(simulate("n1", 119, fs, 2.0, 3), fs) for fs in (19_531.0, 30_000.0))
    ratio = (high.power / high.power.sum(axis=0)).mean(axis=1) / (low.power / low.power.sum(axis=0)).mean(axis=1)
    assert np.abs(ratio[1:] - 1).max() < 0.15
    assert np.median(high.noise / low.noise) == pytest.approx(1.0, abs=0.05)


def test_what_is_no_recording_is_refused(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "WAV" in capsys.readouterr().err
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    assert main([str(tmp_path)]) == 2
    assert "not a WAV file" in capsys.readouterr().err
    with wave.open(str(tmp_path / "a.wav"), "wb") as w:
        w.setnchannels(2)
        w.setsampwidth(2)
        w.setframerate(19_531)
        w.writeframes(bytes(400))
    assert main([str(tmp_path)]) == 2
    assert "mono" in capsys.readouterr().err
