import pytest


@pytest.fixture(scope="session")
def kept(tmp_path_factory):
    """A run of an arm that was calibrated and hurt: its folder."""
    from volition import Loop
    from volition.loop.calibrate import Calibration

    folder = tmp_path_factory.mktemp("kept") / "arm-run"
    with Loop(channel="utah96", effector="arm", feedback="linear", seed=2, record=folder) as loop:
        loop.calibrate(Calibration(observe_s=3, assist=(0.5,), block_s=2))
        loop.act("kill", share=0.25)
        loop.close(loop.run(5))
    return folder
