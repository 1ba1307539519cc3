import dataclasses

import numpy as np
import pytest

from volition import Loop, LoopConfig
from volition.effector.cursor import Cursor
from volition.errors import ConfigError, UnknownNameError
from volition.loop.build import periods
from volition.loop.calibrate import Calibration
from volition.loop.log import LogReader
from volition.loop.selected import selection
from volition.signal import Features
from volition.stage import Spec, find

SHORT = Calibration(observe_s=20, assist=(0.0,), block_s=5)


@dataclasses.dataclass(frozen=True)
class FaultyConfig:
    what: str = "nan"
    at: int = 50
    length: int = 10**9


class Faulty:
    """Answers 0.1, but as `what` says from bin `at` on, for `length` bins."""

    Config = FaultyConfig
    spec, confidence = Spec(), 1.0

    def __init__(self, config=None):
        self.config = config or FaultyConfig()

    def prepare(self, setup):
        self.n, self.k = 0, len(setup.intent)

    def reset(self):
        pass

    def step(self, x, mask):
        self.n += 1
        good = np.full(self.k, 0.1, np.float32)
        if not self.config.at < self.n <= self.config.at + self.config.length:
            return good
        if self.config.what == "raise":
            raise RuntimeError("broken")
        return {"nan": good * np.nan, "shape": np.zeros(self.k + 1, np.float32)}[self.config.what]


def faulty(**how):
    return Faulty(FaultyConfig(**how))


def test_an_equal_seed_gives_equal_signals_to_the_byte(tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        with Loop(channel="utah96", seed=seed, record=tmp_path / name) as loop:
            loop.calibrate(SHORT).run(5)
    logs = [(tmp_path / name / "signals.vlog").read_bytes() for name in "abc"]
    assert logs[0] == logs[1]
    assert logs[0] != logs[2]


def test_another_decoder_leaves_the_person_as_it_is(tmp_path):
    spikes = []
    for decoder in ("still", "random"):
        with Loop(decoder=decoder, config=LoopConfig(oracle=True), record=tmp_path / decoder) as loop:
            loop.run(3)
        spikes.append(LogReader(tmp_path / decoder / "signals.vlog").read("spikes")["counts"])
    assert np.array_equal(*spikes)


def test_oracle_succeeds_and_random_does_not():
    oracle = Loop(decoder="still", config=LoopConfig(oracle=True)).run(120)
    random = Loop(decoder="random").run(120)
    assert oracle.score["n_trials"] >= 50
    assert oracle.score["success"] >= 0.99
    assert random.score["success"] <= 0.10


def test_kalman_lies_between_after_calibration():
    report = Loop(channel="utah96", seed=3).calibrate().run(60)
    assert 0.5 <= report.score["success"] <= 1.0
    assert report.score["bit_rate_bit_s"] > 0.3


def test_full_assist_reaches_without_any_decoding():
    report = Loop(decoder="still", config=LoopConfig(assist=1.0)).run(30)
    assert report.score["success"] == 1.0


def test_assist_mixes_in_proportion():
    loop = Loop(decoder="still", config=LoopConfig(assist=0.25))
    loop.advance(1.0)
    before = loop.last.body
    loop.step()
    assert loop.last.intent.values == pytest.approx(0.25 * loop.task.aim(before), abs=1e-6)


def test_what_is_seen_is_late_by_the_visual_delay():
    loop = Loop(decoder="still", config=LoopConfig(assist=1.0))
    loop.advance(2.0)
    assert loop.last.intent.t_ns - loop.last.view.t_ns == loop.brain.spec.view_delay_ns


@pytest.mark.parametrize(("what", "kind"), [("nan", "not finite"), ("raise", "exception"), ("shape", "shape")])
def test_a_broken_decoder_stops_the_body_and_the_stimulation(what, kind):
    loop = Loop(decoder=faulty(what=what), effector="arm", feedback="linear")
    loop.advance(3.0)
    report = loop.report()
    assert report.faults["decoder"][kind] >= 3
    assert report.stops == 1
    assert not loop.last.intent.values.any()
    assert not loop.last.delivered.amplitude_ua.any()


def test_a_stop_ends_only_by_arming():
    loop = Loop(decoder=faulty(length=5))
    loop.advance(3.0)
    assert not loop.last.intent.values.any()
    loop.arm()
    loop.advance(0.1)
    assert loop.last.intent.values[0] == pytest.approx(0.1)


def test_one_bad_bin_is_held_over():
    loop = Loop(decoder=faulty(length=1))
    moved = []
    for _ in range(70):
        loop.step()
        moved.append(loop.last.intent.values[0])
    assert min(moved) == pytest.approx(0.1)
    assert loop.report().held == 1


class Broken:
    """A channel whose features go wrong in one way after one second."""

    def __init__(self, inner, how):
        self.inner, self.how, self.last = inner, how, None

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def read(self, signal):
        features = self.inner.read(signal)
        if features.t_ns < 10**9:
            self.last = features
            return features
        return self.how(self, features)


FAULTS = {
    "lost": lambda s, f: dataclasses.replace(f, mask=np.ones_like(f.mask)),
    "stale": lambda s, f: s.last,
    "frozen": lambda s, f: Features(f.t_ns, s.last.x + 1, f.mask),
    "not finite": lambda s, f: dataclasses.replace(f, x=f.x * np.nan),
    "shape": lambda s, f: dataclasses.replace(f, x=f.x[1:]),
    "exception": lambda s, f: 1 / 0,
}


@pytest.mark.parametrize("kind", FAULTS)
def test_lost_input_is_held_decays_and_stops(kind):
    loop = Loop(decoder=faulty(length=0))
    loop.channel = Broken(loop.channel, FAULTS[kind])
    speeds = []
    while loop.t_ns < 2 * 10**9:
        loop.step()
        speeds.append(float(loop.last.intent.values[0]))
    assert loop.report().faults["channel"][kind] > 30
    assert speeds[-1] == 0.0
    falling = [v for v in speeds if 0 < v < 0.0999]
    assert falling == sorted(falling, reverse=True)
    assert falling


def test_a_failing_body_is_held_where_it_is():
    class Numb(Cursor):
        def step(self, intent, dt):
            touch, body = super().step(intent, dt)
            return touch, dataclasses.replace(body, position=body.position * np.nan)

    loop = Loop(decoder="random", effector=Numb())
    loop.advance(1.0)
    assert loop.report().faults["effector"]["not finite"] == 50
    assert np.isfinite(loop.last.body.position).all()


def test_the_same_step_function_runs_on_a_real_clock():
    loop = Loop(decoder="still", config=LoopConfig(clock="real", oracle=True))
    report = loop.run(0.6)
    assert 0.55 <= report.wall_s <= 2.0
    assert report.latency["lag"]["n"] == 30


def test_a_late_answer_is_not_used():
    class Slow(Faulty):
        def step(self, x, mask):
            import time

            time.sleep(0.05)
            return super().step(x, mask)

    loop = Loop(decoder=Slow(), config=LoopConfig(clock="real"))
    loop.advance(1.0)
    assert loop.report().faults["decoder"]["late"] > 10
    assert loop.report().held > 10


def test_an_unfitted_decoder_is_refused_before_it_runs():
    with pytest.raises(ConfigError, match=r"calibrate"):
        Loop().run(1)


def test_stages_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match=r"128 channels.*96 electrodes"):
        Loop(brain=("person", {"channels": 128}), channel="utah96")
    with pytest.raises(UnknownNameError, match="kalman"):
        Loop(decoder="kalmann")
    with pytest.raises(ConfigError, match=r"chanels.*channels"):
        Loop(brain=("person", {"chanels": 12}))
    with pytest.raises(ConfigError, match="has no"):
        Loop(decoder=object())
    with pytest.raises(ConfigError, match="common measure"):
        periods(7_777, 20_000_000)


def test_a_stage_gets_its_period_from_the_brain():
    assert Spec().period_ns == 0
    loop = Loop(effector="arm", decoder="still")
    loop.advance(1.0)
    assert loop.ticks == 200
    assert loop.guards["decoder"].latency.n == 50


@pytest.mark.parametrize("seed", [-1, 1.5, "1", None])
def test_a_seed_is_an_integer(seed):
    with pytest.raises(ConfigError, match="seed must be an integer"):
        Loop(decoder="still", seed=seed)


@pytest.mark.parametrize("bad", [{"assist": 1.5}, {"clock": "sundial"}, {"hold_ms": 300.0}, {"decay_ms": 0.0}])
def test_impossible_configurations_are_refused(bad):
    with pytest.raises(ConfigError):
        LoopConfig(**bad)


def test_a_decoder_that_writes_into_its_input_spoils_nothing():
    class Writes(find("decoder", "still")):
        def step(self, x, mask):
            x[:] = 99
            return super().step(x, mask)

    loop = Loop(decoder=Writes(), seed=0)
    loop.advance(0.2)
    assert loop.guards["decoder"].faults == {"exception": 10}
    assert "read-only" in loop.guards["decoder"].error
    assert not loop.guards["channel"].faults
    assert loop.last.features.x.max() < 99


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_run_has_an_end(seconds):
    with pytest.raises(ConfigError, match="seconds must be positive"):
        Loop(decoder="still").run(seconds)


def test_an_intent_knows_how_old_its_neural_data_are():
    loop = Loop(decoder=faulty(length=0))
    loop.advance(1.0)
    assert loop.last.intent.age_ns == 0
    loop.channel = Broken(loop.channel, FAULTS["lost"])
    loop.advance(1.1)
    age = loop.last.intent.t_ns - loop._freshness.t_ns
    assert loop.last.intent.age_ns == age > 0


@pytest.mark.parametrize("confidence", [float("nan"), 7.0, "sure", None])
def test_a_confidence_that_is_none_is_counted_and_zero(confidence):
    decoder = faulty(length=0)
    decoder.confidence = confidence
    loop = Loop(decoder=decoder)
    loop.advance(0.2)
    assert loop.last.intent.confidence == 0.0
    assert loop.report().faults["decoder"]["confidence"] == 10


def test_a_reset_that_raises_does_not_end_the_loop():
    class Stuck(Faulty):
        def reset(self):
            raise RuntimeError("stuck")

    loop = Loop(decoder=Stuck(FaultyConfig(length=0)))
    loop.advance(0.2)
    assert loop.report().faults["decoder"]["exception"] == 1


def test_a_stage_that_cannot_be_prepared_is_one_line():
    class Unready(Faulty):
        def prepare(self, setup):
            raise KeyError("wire")

    with pytest.raises(ConfigError, match="cannot be prepared: KeyError"):
        Loop(decoder=Unready())


class Watching(Faulty):
    """Decodes 0.1 and keeps what it is shown, in order."""

    def prepare(self, setup):
        super().prepare(setup)
        self.seen = []

    def observe(self, body, aim):
        self.seen.append((self.n, body, aim))

    def arrays(self):
        return {}

    def restore(self, arrays):
        pass


@pytest.mark.parametrize("adapt", ["off", "unsupervised", "supervised"])
def test_a_decoder_observes_before_each_step_what_adaptation_allows(adapt):
    loop = Loop(decoder=Watching(FaultyConfig(at=10**9)), config=LoopConfig(adapt=adapt))
    loop.run(0.6)
    seen = loop.decoder.seen
    assert len(seen) == (0 if adapt == "off" else 30)
    assert [n for n, _, _ in seen] == list(range(len(seen)))  # before the step of the same bin
    assert all((aim is None) == (adapt == "unsupervised") for _, _, aim in seen)
    if adapt == "supervised":
        assert np.linalg.norm(seen[-1][2][:2]) > 0  # the first target lies at a distance


class Recalling(Watching):
    """It is told the place, too, and what was selected; the oracle moves the body."""

    def prepare(self, setup):
        super().prepare(setup)
        self.places, self.selections = [], []

    def fit(self, X, mask, y, segments=None, places=None):
        return self

    def place(self, body):
        self.places.append((self.n, body.position))

    def selected(self, position):
        self.selections.append(position)


@pytest.mark.parametrize("adapt", ["off", "unsupervised", "selections"])
def test_a_decoder_is_told_where_the_body_is_and_if_wanted_what_was_selected_afterwards(adapt):
    loop = Loop(decoder=Recalling(FaultyConfig(at=10**9)), config=LoopConfig(adapt=adapt, oracle=True))
    loop.run(6.0)
    decoder, trials = loop.decoder, loop.task.trials()
    assert [n for n, _ in decoder.places] == list(range(300))
    reached = [(t["target_x_m"], t["target_y_m"]) for t in trials if t["outcome"] == "reached"]
    assert len(reached) > 2
    assert [tuple(p) for p in decoder.selections] == (reached if adapt == "selections" else [])
    assert all(aim is None for _, _, aim in decoder.seen)


def test_what_ended_without_a_selection_or_with_a_wrong_one_tells_nothing():
    trial = {"outcome": "reached", "target_x_m": 0.1, "target_y_m": 0.2}
    assert selection([{"outcome": "wrong"}, trial]).tolist() == [0.1, 0.2]
    assert selection([]) is None
    assert selection([{**trial, "outcome": "timeout"}]) is None
    assert selection([{"outcome": "reached"}]) is None


def test_adaptation_is_an_act_and_its_failure_a_counted_fault(tmp_path):
    class Clumsy(Watching):
        def observe(self, body, aim):
            raise RuntimeError("broken")

    with Loop(decoder=Clumsy(FaultyConfig(at=10**9)), record=tmp_path / "run") as loop:
        loop.act("adapt", how="unsupervised")
        report = loop.run(0.2)
    assert report.faults["decoder"]["exception"] == 10
    with pytest.raises(ConfigError, match="adapt"):
        loop.act("adapt", how="sometimes")


def test_a_stage_that_cannot_be_made_is_one_line():
    class Bare:
        Config = None

    with pytest.raises(ConfigError, match=r"decoder .*Bare.* cannot be made: TypeError"):
        Loop(decoder=(Bare, None))
