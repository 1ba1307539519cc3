"""Days in the life of a decoder."""

import numpy as np
import pytest

from volition.decoder.adaptive import Adaptive
from volition.decoder.poisson import Poisson, PoissonConfig
from volition.errors import ConfigError
from volition.loop.calibrate import Calibration
from volition.loop.loop import Loop
from volition.loop.replay import replay
from volition.train.drift import Days, live_through

SHORT = Calibration(observe_s=12.0, assist=(0.0,), block_s=8.0)


def lived(warm_s=4.0, decoder="adaptive", **how):
    return live_through(decoder, days=2, warm_s=warm_s, run_s=4.0, calibration=SHORT, seed=1, **how)


def test_shares_and_correlation():
    days = Days((2.0, 1.0, 2.0, 1.5), (2.0, 1.0, 1.0, 1.0), (1.0,) * 4, (0.1, 0.9, 0.1, 0.5), (False, True, False, True))
    assert days.kept == pytest.approx(0.75)
    assert days.kept_early == pytest.approx(0.5)
    assert days.kept_whole == pytest.approx(0.625)
    assert Days((2.0, 0.0, 1.0, 1.0, 1.0), (0.0,) * 5, (1.0,) * 5, (0.0,) * 5, (False,) * 5).kept_at_last == pytest.approx(
        0.5
    )
    assert days.correlation == pytest.approx(-1.0)
    assert Days((0.0, 1.0), (0.0, 1.0), (0.0, 1.0), (0.0, 0.0), (False, False)).kept == 0.0
    assert Days((1.0, 1.0), (1.0, 1.0), (1.0, 1.0), (0.0, 0.1), (False, False)).correlation == 0.0


def test_days_repeat_to_the_bit_and_adapting_changes_them():
    adapted, fixed = Adaptive(), Adaptive()
    first = lived(decoder=adapted)
    assert first == lived()
    lived(decoder=fixed, adapt="off")
    after, before = adapted.arrays(), fixed.arrays()
    assert any(not np.array_equal(after[name], before[name]) for name in before)
    assert len(first.bit_rate) == len(first.drift) == 2
    assert np.isfinite(first.drift).all()


def test_the_person_wakes_up_knowing_its_cursor_or_not():
    knows, anew = lived(8.0), lived(8.0, overnight=False)
    assert (knows.early[0], knows.bit_rate[0]) == (anew.early[0], anew.bit_rate[0])
    assert knows != anew


def test_a_brain_without_days_is_refused():
    with pytest.raises(ConfigError, match="day"):
        live_through("adaptive", brain=("replay", {}), days=1)


def test_a_run_that_learns_from_selections_replays_to_the_byte(tmp_path):
    decoder = Poisson(PoissonConfig(batch_s=1.0, acceleration=0.0))
    Loop(decoder=decoder, channel=("ideal", {}), seed=3).calibrate(SHORT).close()
    loop = Loop(("person", {"day": 1}), decoder=decoder, seed=3, record=tmp_path / "run")
    before = decoder.arrays()
    loop.act("adapt", how="selections")
    loop.advance(10.0)
    loop.close()
    assert not np.array_equal(before["mean"], decoder.arrays()["mean"])
    verdict = replay(tmp_path / "run")
    assert verdict.equal, str(verdict)


def test_a_run_with_an_adapting_decoder_replays_to_the_byte(tmp_path):
    decoder = Adaptive()
    loop = Loop(decoder=decoder, channel=("ideal", {}), seed=3).calibrate(SHORT)
    loop.close()
    loop = Loop(("person", {"day": 4}), decoder=decoder, seed=3, record=tmp_path / "run")
    before = decoder.arrays()
    loop.act("adapt", how="unsupervised")
    loop.advance(13.0)
    loop.act("adapt", how="supervised")
    loop.advance(5.0)
    loop.close()
    assert not np.array_equal(before["B"], decoder.arrays()["B"])
    verdict = replay(tmp_path / "run")
    assert verdict.equal, str(verdict)
