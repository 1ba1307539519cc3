"""The closed loop as a Gymnasium environment."""

import os

import numpy as np
import pytest

if os.environ.get("VOLITION_TORCH") != "required":
    pytest.importorskip("gymnasium", reason="Gymnasium is not installed: pip install 'volition[gym]'")

import gymnasium
from gymnasium.utils.env_checker import check_env

import volition.io.gym
from volition import Loop
from volition.errors import ConfigError
from volition.loop.calibrate import Calibration

NAME = "volition/Reach-v0"


def play(env, policy, seconds):
    total, info = 0.0, env.unwrapped._info()
    obs = env.unwrapped._observation()
    for _ in range(round(seconds / 0.02)):
        obs, reward, _, truncated, info = env.step(policy(obs, info))
        total += reward
        if truncated:
            break
    return total


@pytest.mark.parametrize("name", [NAME, "volition/Webgrid-v0"])
def test_the_checker_of_gymnasium_finds_nothing(name):
    env = gymnasium.make(name, seconds=1.0, render_mode="ansi")  # warnings are errors here
    check_env(env.unwrapped)
    env.close()


def test_a_clicking_arm_passes_too():
    task = ("reach", {"select": "click"})
    env = volition.io.gym.ClosedLoop(task=task, channel="utah96", seconds=0.5)
    check_env(env, skip_render_check=True)
    assert env.action_space.shape == (3,)
    obs, _ = env.reset(seed=2)
    assert obs["mask"].any()  # dead electrodes
    assert not obs["features"][obs["mask"] == 1].any()


def test_a_seed_is_a_person_and_no_seed_the_same_one_again():
    env = gymnasium.make(NAME, seconds=0.4)
    first = [env.reset(seed=5)[0]["features"], *(env.step(np.zeros(3))[0]["features"] for _ in range(10))]
    other = [env.reset(seed=6)[0]["features"], *(env.step(np.zeros(3))[0]["features"] for _ in range(10))]
    again = [env.reset(seed=5)[0]["features"], *(env.step(np.zeros(3))[0]["features"] for _ in range(10))]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    tuning = env.unwrapped.loop.brain.population
    env.reset()
    assert env.unwrapped.loop.brain.population is tuning


def test_an_episode_is_truncated_after_its_seconds_and_the_next_begins_at_trial_0():
    env = gymnasium.make(NAME, seconds=0.2)
    env.reset(seed=0)
    ends = [env.step(np.zeros(3))[2:4] for _ in range(10)]
    assert ends == [(False, False)] * 9 + [(False, True)]
    env.reset()
    assert env.unwrapped.loop.last.goal.trial == 0


def test_the_reward_is_of_targets_and_nearing():
    env = gymnasium.make(NAME, seconds=20.0)
    env.reset(seed=1)
    good = play(env, lambda obs, info: info["aim"], 20.0)
    selected = env.unwrapped.loop.task.score()["success"] * env.unwrapped.loop.task.score()["n_trials"]
    assert good >= selected > 5
    env.reset(seed=1)
    still = play(env, lambda obs, info: np.zeros(3), 20.0)
    assert still == -len(env.unwrapped.loop.task.trials())  # nothing nears, and what times out is missed
    assert still < 0


class Acted:
    """A decoder whose answer goes the way of an action: to -1..1 and back."""

    def __init__(self, decoder, env):
        self._decoder, self._env = decoder, env
        self.config, self.spec, self.confidence = decoder.config, decoder.spec, 1.0
        self.prepare, self.reset = decoder.prepare, decoder.reset

    def step(self, x, mask):
        return self._env._intent(self._env._normal(self._decoder.step(x, mask)))


def test_an_agent_decodes_the_bin_it_acts_in_as_a_decoder_in_the_loop_does():
    wiener = ("wiener", {"history_ms": (200.0,), "penalties": (1000.0,), "ratios": (1.0,)})
    with Loop(decoder=wiener, seed=4) as loop:
        loop.calibrate(Calibration(observe_s=20.0, assist=(), block_s=1.0))
    decoder = loop.decoder
    env = volition.io.gym.ClosedLoop(seconds=3.0)
    with Loop(decoder=Acted(decoder, env), seed=7) as inside:
        inside.act("restart")
        inside.advance(3.0)
    obs, _ = env.reset(seed=7)
    decoder.reset()
    for _ in range(150):
        obs, *_ = env.step(env._normal(decoder.step(obs["features"], obs["mask"].astype(bool))))
    assert np.abs(env.loop.last.decoded).max() > 0.01
    np.testing.assert_array_equal(env.loop.last.decoded, inside.last.decoded)
    np.testing.assert_array_equal(env.loop.last.body.position, inside.last.body.position)


@pytest.mark.parametrize("wrong", [{"seconds": 0.0}, {"shaping": -1.0}, {"render_mode": "human"}, {"task": "reech"}])
def test_what_cannot_be_is_one_line(wrong):
    with pytest.raises(ConfigError):
        volition.io.gym.ClosedLoop(**wrong)
