import json

import numpy as np
import pytest
from pynwb import NWBHDF5IO
from pynwb.validation import validate

from volition.errors import InputError
from volition.io.nwb_run import write_nwb_run
from volition.io.read import read
from volition.loop.played import PlayedRun


@pytest.fixture(scope="module")
def path(kept, tmp_path_factory):
    return write_nwb_run(PlayedRun(kept), tmp_path_factory.mktemp("nwb") / "run.nwb")


def test_the_file_is_valid(path):
    assert validate(path=str(path)) == []


def test_it_reads_back_as_a_recording_with_the_spikes_of_the_run(path, kept):
    run, recording = PlayedRun(kept), read(path)
    bins = list(run.read())
    assert np.array_equal(recording.counts, [at.get("spikes").counts for at in bins])
    assert np.allclose(recording.kinematics["position"], [at.get("body").position for at in bins])
    assert recording.bin_ns == run.bin_ns
    assert np.array_equal(recording.t_ns, [at.t_ns for at in bins])
    goals = np.array([at.get("goal").position for at in bins])
    for trial in range(recording.trial.max() + 1):
        inside = goals[recording.trial == trial]
        assert (inside == inside[0]).all()
    assert len(np.unique(recording.target)) == len(np.unique(np.round(goals, 6), axis=0))


def test_what_went_round_the_loop_stands_beside_it(path, kept):
    run = PlayedRun(kept)
    at = next(run.read(300))
    with NWBHDF5IO(str(path), "r") as io:
        nwb = io.read()
        loop = nwb.processing["loop"]
        for name in ("intended", "decoded"):
            assert np.allclose(loop[name].data[300], at.get(name)), name
        assert np.allclose(loop["touch"].data[300], at.get("touch").pressure)
        mask = at.get("features").mask
        assert mask.any()
        assert np.array_equal(loop["missing"].data[300] == 1, mask)
        assert np.array_equal(loop["features"].data[300][~mask], at.get("features").x[~mask])
        assert np.allclose(nwb.stimulus["delivered_amplitude_ua"].data[300], at.get("delivered").amplitude_ua)
        acts = [json.loads(text) for text in loop["acts"]["act"][:]]
        assert {"act": "kill", "share": 0.25} in acts
        assert [list(tags) for tags in nwb.epochs["tags"][:]] == [["observe"], ["assist 0.5"], ["run"]]
        trials = nwb.trials.to_dataframe()
    assert set(trials["phase"]) == {"observe", "assist 0.5", "run"}
    judged = trials[trials["outcome"] != "not kept"]
    assert judged["outcome"].tolist() == [t["outcome"] for t in run.report["trials"]]
    assert set(judged["phase"]) == {"run"}
    assert (judged["stop_time"] > judged["start_time"]).all()


def test_another_ending_is_refused(kept, tmp_path):
    with pytest.raises(InputError, match=r"end in \.nwb"):
        write_nwb_run(PlayedRun(kept), tmp_path / "run.h5")
