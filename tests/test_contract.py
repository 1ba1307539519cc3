"""Every component that a stage folder holds keeps its contract, and `check` finds those that do not."""

import dataclasses
import importlib.util
import inspect

import numpy as np
import pytest

from volition._registry import builtin, class_name
from volition.decoder.still import Still
from volition.effector.cursor import Cursor
from volition.feedback.silent import Silent
from volition.signal import Spikes
from volition.stage import KINDS, Port, Setup, Spec, check, find

ALL = [(kind, name) for kind in KINDS for name in builtin(kind)]


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_component_keeps_the_contract_of_its_stage(kind, name):
    stage = find(kind, name)()
    for need in stage.spec.requires if hasattr(stage, "spec") else ():
        what, _, which = need.partition(":")
        if what != "package" or importlib.util.find_spec(which.partition(" ")[0]) is None:
            pytest.skip(f"{kind} {name} needs {need}")
    assert check(stage) == []


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_file_holds_one_public_stage_and_its_configuration(kind, name):
    cls = find(kind, name)
    module = inspect.getmodule(cls)
    public = [n for n, c in vars(module).items() if inspect.isclass(c) and c.__module__ == module.__name__ and n[0] != "_"]
    stages = [n for n in public if hasattr(getattr(module, n), "prepare")]
    assert stages == [class_name(name)]
    assert dataclasses.is_dataclass(cls.Config)


class Forgetful(Still):
    def predict(self, X, mask=None, segments=None):
        return super().predict(X, mask, segments) + np.float32(0.1)


class Nosy(Still):
    def step(self, x, mask):
        return np.full(self.spec.gives.size, x.sum(), np.float32)


class Raising(Still):
    def step(self, x, mask):
        raise RuntimeError("broken")


class Boastful(Still):
    @property
    def confidence(self):
        return 2.0

    @confidence.setter
    def confidence(self, value):
        pass


class Wandering(Cursor):
    walked = 0.0

    def state(self):
        Wandering.walked += 0.001
        body = super().state()
        return dataclasses.replace(body, position=body.position + Wandering.walked)


class Negative(Silent):
    def step(self, touch):
        stim = super().step(touch)
        return dataclasses.replace(stim, amplitude_ua=stim.amplitude_ua - 1)


@dataclasses.dataclass(frozen=True)
class DiceConfig:
    pass


class Dice:
    """A brain that throws its dice outside `setup.rng`."""

    Config = DiceConfig

    def __init__(self, config=None):
        self.config, self.spec = config or DiceConfig(), Spec()
        self.rng = np.random.default_rng(0)

    def prepare(self, setup: Setup):
        self.spec, self.k = Spec(gives=Port(setup.channels)), len(setup.intent)

    def step(self, view, stim):
        return Spikes(0, self.rng.poisson(5.0, self.spec.gives.size).astype(np.uint16))

    def intended(self):
        return np.zeros(self.k, np.float32)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (Forgetful(), "predict differs"),
        (Nosy(), "under the mask"),
        (Boastful(), "confidence"),
        (Wandering(), "two runs differ"),
        (Negative(), "not negative"),
        (Dice(), "two runs with one seed differ"),
        (object(), "no prepare"),
        (Raising(), "raised RuntimeError"),
    ],
)
def test_what_breaks_a_contract_is_found_and_said(bad, said):
    found = check(bad)
    assert any(said in line for line in found), found
