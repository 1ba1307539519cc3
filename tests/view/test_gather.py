from types import SimpleNamespace

import numpy as np

from volition import Loop, LoopConfig
from volition.signal import Features
from volition.view._gather import Gather, GatherConfig


def reaching(seconds, gather, **how):
    loop = Loop(decoder="still", config=LoopConfig(oracle=True), **how)
    loop.run(seconds, watch=gather)
    return loop


def test_it_keeps_what_the_loop_showed_in_order():
    kept, gather = [], Gather()

    def watch(loop):
        kept.append((loop.t_ns / 1e9, *loop.last.body.position, *loop.last.goal.position, *loop.last.intended))
        gather(loop)

    reaching(2, watch)
    trace = gather.trace()
    again = np.column_stack([trace.t_s, trace.position, trace.goal, trace.intended])
    assert np.allclose(again, kept)
    assert np.allclose(gather.trace(7).t_s, trace.t_s[-7:])


def test_memory_is_bounded_and_the_newest_stays():
    gather = Gather(GatherConfig(raster_s=0.5, trace_s=1.0))
    newest = []
    reaching(3, lambda loop: (gather(loop), newest.append(loop.last.features.x.copy())))
    assert gather.bins == 150
    assert len(gather.trace()) == 50
    values, missing = gather.raster()
    assert np.array_equal(values, np.array(newest[-25:]))
    assert not missing.any()


def test_missing_values_are_told_and_never_shown():
    gather = Gather()
    reaching(4, gather, channel=("thread1024", {"lost_probability": 0.3}))
    values, missing = gather.raster()
    assert 0.2 < missing.mean() < 0.5
    assert np.isfinite(values).all()
    assert (values[missing] == 0).all()


def test_preferred_directions_are_found_again_through_more_than_one_raster():
    rng = np.random.default_rng(0)
    true = rng.uniform(-np.pi, np.pi, 40)
    true[0] = np.nan  # one that never fires
    gather = Gather(GatherConfig(raster_s=2.0))
    goal = SimpleNamespace(trial=0, radius=0.01, position=np.zeros(2))
    setup = SimpleNamespace(bin_ns=20_000_000, intent=("reach.x", "reach.y"), features=40)
    for i in range(1000):
        v = rng.normal(size=2)
        rate = np.nan_to_num(2 + np.cos(true) * v[0] + np.sin(true) * v[1]).clip(0)
        rate[0] = 0
        mask = rng.random(40) < 0.1
        features = Features(i, np.where(mask, np.nan, rng.poisson(rate)).astype(np.float32), mask)
        last = SimpleNamespace(
            goal=goal, features=features, decoded=v, intended=v,
            body=SimpleNamespace(position=np.zeros(2)),
            touch=SimpleNamespace(pressure=np.zeros(1)), delivered=SimpleNamespace(amplitude_ua=np.zeros(1)),
        )  # fmt: skip
        gather(SimpleNamespace(last=last, setup=setup, phase="run", t_ns=(i + 1) * setup.bin_ns))
    found = gather.preferred()
    assert np.isnan(found[0])
    error = np.angle(np.exp(1j * (found[1:] - true[1:])))
    assert np.abs(error).max() < 0.4


def test_phases_follow_each_other_without_a_gap():
    gather = Gather()
    loop = Loop(decoder="still", config=LoopConfig(oracle=True))
    for name, seconds in (("observe", 2.0), ("assist 0.5", 1.0), ("run", 3.0)):
        loop.phase = name
        loop.advance(seconds, gather)
    assert [p.name for p in gather.phases] == ["observe", "assist 0.5", "run"]
    assert np.allclose([p.begin_s for p in gather.phases], [0, 2, 3])
    assert np.allclose([p.end_s for p in gather.phases], [2, 3, 6])
    assert sum(p.trials for p in gather.phases) == len(loop.task.trials()) + 3  # one goes on across each border


def test_a_bin_without_features_is_all_missing():
    class Dead(type(Loop(decoder="still").channel)):
        def read(self, signal):
            raise RuntimeError("gone")

    gather = Gather()
    reaching(1, gather, channel=Dead())
    _, missing = gather.raster()
    assert missing.all()
    assert np.isnan(gather.preferred()).all()
