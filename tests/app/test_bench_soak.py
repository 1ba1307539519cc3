import pytest

from volition.app import bench
from volition.app._bench import soak


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    store = bench.Store(tmp_path_factory.mktemp("soak") / "soak.json")
    return {row["what"].split(": ")[1]: row for row in bench.rows("soak", soak.measures(True), store, "", True)}


def test_the_log_is_whole_and_only_the_faults_that_it_makes_are_met(rows):
    assert rows["bins of the log that are not there"]["value"] == 0
    assert rows["faults that nobody caused"]["value"] == 0, rows["faults that nobody caused"]["which"]


def test_a_fault_is_made_in_every_stretch_and_ended():
    from volition.loop.loop import Loop

    done: list[tuple[str, object]] = []
    loop = Loop("person", decoder="random")
    act = loop.act
    loop.act = lambda name, **how: (done.append((name, how)), act(name, **how))  # type: ignore[method-assign]
    soak._part(loop, 70.0, 20.0)
    assert [name for name, _ in done] == ["drop", "drop", "arm", "kill", "kill", "arm", "touch", "touch", "arm"]
    assert loop.t_ns == 70_000_000_000
    assert not loop.injector.active
    assert loop.injector.touch
