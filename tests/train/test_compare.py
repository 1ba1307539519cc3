"""Units of work: what decides them, what they return, and the table that sums them up."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from volition import Loop, LoopConfig
from volition.errors import ConfigError
from volition.loop.calibrate import Calibration
from volition.train import _compare_table as tables
from volition.train.compare import Unit, fingerprint, plan, work

SHORT = Calibration(observe_s=20.0, assist=(0.0,), block_s=10.0)
WIENER = ("wiener", {"history_ms": [100.0], "penalties": [1000.0], "ratios": [1.0]})


def units(**changed):
    given = {"decoders": {"w": WIENER, "none": "still"}, "seeds": range(2), "seconds": 3.0, "open_s": 10.0, **changed}
    return plan(calibration=SHORT, **given)


def test_a_plan_is_every_combination():
    made = units(
        persons={"a": "person", "b": ("person", {"channels": 32})}, tasks={"grid": ("reach", {"layout": "webgrid"})}
    )
    assert len(made) == 2 * 2 * 1 * 2
    assert len({u.key for u in made}) == len(made)
    assert {(u.decoder, u.person, u.task, u.seed) for u in made} >= {("w", "a", "grid", 0), ("none", "b", "grid", 1)}


def test_the_key_is_of_what_decides_the_figures():
    one, *_ = units()
    assert replace(one, decoder="another label", person="x", task="y").key == one.key
    for changed in ({"seed": 5}, {"seconds": 4.0}, {"code": "other"}, {"loop": {**one.loop, "assist": 0.5}}):
        assert replace(one, **changed).key != one.key


def test_a_unit_survives_json_to_the_digit():
    one, *_ = units()
    again = Unit.of(json.loads(json.dumps(asdict(one))))
    assert again.key == one.key
    fixed = ("score", "r2", "r2_aim", "faults", "stops")
    a, b = work(one), work(again)
    assert {k: a[k] for k in fixed} == {k: b[k] for k in fixed}
    assert a["r2"] > 0 >= work(units()[2])["r2"]  # one that never moves explains nothing


def test_the_closed_loop_figures_are_those_of_a_loop_used_by_hand():
    one = units(seeds=[3])[0]
    config = {k: tuple(v) for k, v in WIENER[1].items()}
    with Loop(decoder=("wiener", config), seed=3) as loop:
        score = loop.calibrate(SHORT).run(3.0).score
    assert work(one)["score"] == score


def test_the_true_intent_takes_the_place_of_a_decoder():
    (one,) = units(decoders={"best": "oracle"}, seeds=[0])
    row = work(one)
    assert one.loop["oracle"]
    assert row["r2"] is None
    with Loop(config=LoopConfig(oracle=True), seed=0) as loop:
        assert row["score"] == loop.run(3.0).score


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"decoders": {}}, "nothing to compare"),
        ({"seeds": []}, "nothing to compare"),
        ({"seconds": 0.0}, "seconds must be positive"),
        ({"loop": LoopConfig(clock="real")}, "lockstep"),
    ],
)
def test_what_cannot_be_planned_is_refused(changed, message):
    with pytest.raises(ConfigError, match=message):
        units(**changed)


def test_a_brain_that_replays_is_no_person():
    (one,) = units(decoders={"s": "still"}, persons={"r": "replay"}, seeds=[0])
    with pytest.raises(ConfigError, match="needs one that reacts"):
        work(one)


def test_the_fingerprint_is_that_of_the_code():
    assert units()[0].code == fingerprint()
    assert len(fingerprint()) == 16


def test_files_that_a_configuration_names_and_files_of_ones_own_are_part_of_the_key(marker, tmp_path):
    arrays = tmp_path / "arrays.npz"
    np.savez(arrays, M1=np.zeros((3, 3)))

    def key():
        (one,) = units(decoders={"l": ("linear", {"file": str(arrays)})}, seeds=[0])
        return one.key

    before = key()
    assert key() == before
    np.savez(arrays, M1=np.ones((3, 3)))
    assert key() != before
    (mine,) = units(decoders={"m": marker.choice()}, seeds=[0])
    assert "+" in mine.code


# --- the table ---


def row(decoder, seed, figure, r2, success=0.5, trials=10, person="p", task="t"):
    score = {"bit_rate_bit_s": figure, "success": success, "n_trials": float(trials)}
    return {"decoder": decoder, "person": person, "task": task, "seed": seed, "score": score, "r2": r2}


def test_bootstrap_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        e = tables.bootstrap(rng.normal(2.0, 1.0, 30).tolist())
        held += e.low <= 2.0 <= e.high
    assert 0.88 <= held / 200 <= 0.99
    assert tables.bootstrap([1.0, 4.0, 2.5]) == tables.bootstrap([1.0, 4.0, 2.5])


def test_spearman_is_pearson_of_the_ranks():
    assert tables.spearman([1, 2, 3, 4], [10, 20, 30, 40]) == 1.0
    assert tables.spearman([1, 2, 3, 4], [4, 3, 2, 1]) == -1.0
    a, b = [1.0, 2.0, 2.0, 5.0], [3.0, 1.0, 4.0, 4.0]  # ranks from above: 4, 2.5, 2.5, 1 and 3, 4, 1.5, 1.5
    assert tables.spearman(a, b) == pytest.approx(np.corrcoef([4, 2.5, 2.5, 1], [3, 4, 1.5, 1.5])[0, 1])
    assert tables.spearman([1, 2], [1, 2]) is None
    assert tables.spearman([1, 1, 1], [1, 2, 3]) is None


def test_means_intervals_and_success_over_seeds():
    rows = [row("k", s, 1.0 + s, 0.5, success=s / 10, trials=10) for s in range(3)]
    (line,) = tables.table(rows)
    assert (line["seeds"], line["failed"], line["bit_rate_bit_s"], line["r2"]) == (3, 0, 2.0, 0.5)
    assert 1.0 <= line["bit_rate_bit_s_low"] < 2.0 < line["bit_rate_bit_s_high"] <= 3.0
    assert (line["success"], line["trials"]) == (0.1, 30)  # 0 + 1 + 2 of 30
    assert line["success_low"] < 0.1 < line["success_high"]


def test_a_certain_disagreement_is_marked():
    noise = [0.0, 0.01, -0.01, 0.02, 0.0]
    rows = [row("smooth", s, 1.0 + n, 0.8 + n) for s, n in enumerate(noise)]
    rows += [row("quick", s, 2.0 + n, 0.6 - n) for s, n in enumerate(noise)]
    rows += [row("bad", s, 0.1, 0.1) for s in range(5)]
    lines = {line["decoder"]: line for line in tables.table(rows)}
    assert {name: line["mark"] for name, line in lines.items()} == {"smooth": "!", "quick": "!", "bad": ""}
    assert [lines[n]["rank_r2"] for n in ("smooth", "quick", "bad")] == [1, 2, 3]
    assert [lines[n]["rank"] for n in ("smooth", "quick", "bad")] == [2, 1, 3]
    (group,) = tables.agreement(rows)
    assert group["spearman"] == 0.5
    (pair,) = group["disagree"]
    assert (pair["by_r2"], pair["by_control"], pair["certain"]) == ("smooth", "quick", True)
    assert pair["r2_gain"] == pytest.approx(0.2, abs=0.02)
    assert pair["control_loss"] == pytest.approx(1.0, abs=1e-9)


def test_a_disagreement_within_the_noise_is_marked_as_such():
    rows = [row("a", s, 1.0 + f, 0.6) for s, f in enumerate([0.5, -0.5, 0.1])]
    rows += [row("b", s, 1.1 - f, 0.5) for s, f in enumerate([0.5, -0.5, 0.1])]
    assert [line["mark"] for line in tables.table(rows)] == ["~", "~"]


def test_persons_and_tasks_are_never_mixed():
    rows = [row("a", 0, 1.0, 0.5), row("b", 0, 2.0, 0.4, person="q"), row("b", 0, 2.0, 0.4, task="u")]
    assert [(r["task"], r["person"]) for r in tables.table(rows)] == [("t", "p"), ("t", "q"), ("u", "p")]
    assert not any(group["disagree"] for group in tables.agreement(rows))


def test_a_failed_unit_is_counted_and_spoils_nothing():
    rows = [row("a", 0, 1.0, 0.5), {"decoder": "a", "person": "p", "task": "t", "seed": 1, "error": "no torch here"}]
    (line,) = tables.table(rows)
    assert (line["seeds"], line["failed"], line["error"], line["bit_rate_bit_s"]) == (1, 1, "no torch here", 1.0)
    (line,) = tables.table(rows[1:])
    assert (line["seeds"], line["bit_rate_bit_s"], line["r2"]) == (0, None, None)


def test_a_measure_that_the_task_does_not_score_is_named():
    with pytest.raises(ConfigError, match="scores no 'speed'; it scores bit_rate_bit_s"):
        tables.table([row("a", 0, 1.0, 0.5)], "speed")
