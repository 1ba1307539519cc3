import io
from dataclasses import replace

import numpy as np
import pytest

from volition.cli import main
from volition.effector._legs_residual import ACTIONS, Policy
from volition.errors import InputError
from volition.train._gait_herd import World
from volition.train._ppo import Learner, Net, Ppo
from volition.train._residual_herd import Course, Drill
from volition.train._residual_recipe import RECIPE, TOLD, Stage, scaled, train
from volition.train.residual import Trainer, Training

SMALL = Training(iterations=2, bodies=8, steps=6, measured_s=0.3, seed=4)


def test_gradients_of_a_network_are_those_of_differences():
    rng = np.random.default_rng(0)
    net = Net((3, 5, 4, 2), rng, 1.0)
    net.w = [a.astype(np.float64) for a in net.w]
    x, g = rng.standard_normal((7, 3)), rng.standard_normal((7, 2))
    net.forward(x)
    grads = net.backward(g)
    for array, grad in zip(net.w, grads, strict=True):
        at = tuple(0 for _ in array.shape)
        array[at] += 1e-6
        up = (net.forward(x) * g).sum()
        array[at] -= 2e-6
        assert grad[at] == pytest.approx((up - (net.forward(x) * g).sum()) / 2e-6, rel=1e-4)
        array[at] += 1e-6


def test_it_learns_to_give_what_is_rewarded():
    rng = np.random.default_rng(1)
    learner = Learner(2, 0, 1, Ppo(hidden=16, rate=2e-3), rng)
    errors = []
    for _ in range(60):
        x = rng.standard_normal((256, 2)).astype(np.float32)
        action, log_p = learner.sample(x)
        error = np.abs(action[:, 0] - 0.5 * x[:, 0])
        learner.learn(x, x, action, log_p, -error, -error, np.ones(256, bool))
        errors.append(error.mean())
    assert np.mean(errors[-5:]) < 0.6 * np.mean(errors[:5])


def test_advantages_end_where_a_body_fell():
    learner = Learner(2, 0, 1, Ppo(gamma=0.5, lam=1.0), np.random.default_rng(0))
    reward, ended = np.ones((3, 1), np.float32), np.array([[0], [1], [0]], np.float32)
    gain, back = learner.advantages(reward, ended, np.zeros((4, 1), np.float32) + 8)
    assert back.ravel().tolist() == [1.5, 1.0, 5.0]
    assert (gain == back - 8).all()


def test_who_falls_goes_on_from_a_past_of_the_herd():
    drill = Drill(8, World(), Course(kick_m_s=0.0), 3)
    for _ in range(70):
        drill.decide(lambda seen: np.zeros((len(seen), ACTIONS)))
    drill.herd.qpos[2, 2] = 0.3  # below what counts as fallen
    step = drill.decide(lambda seen: np.zeros((len(seen), ACTIONS)))
    assert step.ended.tolist() == [i == 2 for i in range(8)]
    assert step.reward[2] < -19 < 0 < np.delete(step.reward, 2).min()
    assert drill.herd.alive.all()
    assert drill.herd.qpos[2, 2] > 0.6


def test_course_is_priced_by_the_heading_that_can_be_known():
    drill = Drill(8, World(), Course(kick_m_s=0.0), 3)
    drill.decide(lambda seen: np.zeros((len(seen), ACTIONS)))
    saved = [a.copy() for a in drill._arrays()]

    def reward(heading, yaw):
        for array, was in zip(drill._arrays(), saved, strict=True):
            array[...] = was
        drill.pilot.gait.heading += heading
        drill.yaw += yaw
        return drill._reward()

    right = reward(0.0, 0.0)
    assert reward(1.0, 1.0) == pytest.approx(right)  # the estimate has drifted, and the wanted heading with it
    assert (reward(0.3, 0.0) < right - 0.8).all()


def test_a_training_goes_on_where_it_was_saved(tmp_path):
    state = tmp_path / "training.npz"
    first = Trainer(SMALL, state)
    first.run()
    again = Trainer(Training(iterations=3, bodies=8, steps=6, measured_s=0.3, seed=4), state)
    assert again.done == 2
    assert again.policy("x") != b""
    assert (again._learner.actor.w[0] == first._learner.actor.w[0]).all()
    again.run()
    assert (again.done, len(again.history)) == (3, 3)
    policy = Policy.load(io.BytesIO(again.policy("as typed")), "x")
    assert policy.about["command"] == "as typed"
    state.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="not a saved training"):
        Trainer(SMALL, state)


def test_the_command_trains_and_writes_a_policy(tmp_path, capsys):
    args = ["--iterations", "1", "--bodies", "8", "--steps", "3", "--measured-s", "0.1", "--output", str(tmp_path)]
    assert main(["train", "residual", *args]) == 0
    assert "policy" in capsys.readouterr().out
    assert Policy.load(tmp_path / "policy.npz", "x").about["iterations"] == 1
    assert main(["train", "residual", "--top-m-s", "99"]) == 2


def test_the_recipe_runs_every_training_and_goes_on_with_the_next(tmp_path, capsys):
    args = ["--recipe", "--bodies", "8", "--steps", "3", "--measured-s", "0.1", "--output", str(tmp_path)]
    assert main(["train", "residual", *args, "--iterations", "1"]) == 0
    assert "100%" in capsys.readouterr().err
    about = Policy.load(tmp_path / "policy.npz", "x").about
    assert about["iterations"] == sum(s.part == "run" for s in RECIPE)
    assert about["stops"]["iterations"] == sum(s.part == "stops" for s in RECIPE)
    assert about["slow"]["iterations"] == sum(s.part == "slow" for s in RECIPE)
    assert about["slow"]["world"]["limits"] == "stated"
    assert about["told"] == [list(pair) for pair in TOLD]
    assert [s.iterations for s in scaled(RECIPE, 2 * sum(s.iterations for s in RECIPE))] == [
        2 * s.iterations for s in RECIPE
    ]
    assert main(["train", "residual", "--iterations", "-1"]) == 2


def test_a_network_for_stopping_begins_as_the_other_and_is_put_beside_it(tmp_path):
    slow = Course(top_m_s=1.0, from_m_s=0.2, noisy=0.0, brake_m_s2=(2.0, 3.0))
    training = Training(bodies=8, steps=6, measured_s=0.3, seed=4)
    train((Stage(1, slow),), training, tmp_path, "one")
    training = replace(training, measured_s=2.5)
    trainer = train((Stage(1, slow), Stage(2, slow, part="stops")), training, tmp_path, "both")
    policy = Policy.load(io.BytesIO(trainer.policy("both")), "x")
    assert trainer.done == 2
    assert (tmp_path / "stops.npz").exists()
    assert (policy.layers[-1][0] == policy.stops.layers[-1][0]).all()  # its critic learns first
    assert policy.about["stops"]["course"]["top_m_s"] == 1.0
    drill = trainer._drill
    for _ in range(700):
        step = drill.decide(lambda seen: np.zeros((len(seen), ACTIONS)))
        if drill.ways:
            break
    assert drill.ways[0][1]
    assert 0.1 < drill.ways[0][0] < 3
    assert step.ended.sum() == len(drill.ways)
    assert drill.stopped()["stood"] > 0
    assert drill.ways == []


def test_few_samples_do_not_move_the_policy():
    learner = Learner(2, 0, 1, Ppo(), np.random.default_rng(0))
    x = np.ones((100, 2), np.float32)
    action, log_p = learner.sample(x)
    before = [w.copy() for w in learner.actor.w]
    learner.learn(x, x, action, log_p, action[:, 0], action[:, 0], np.arange(100) < 5)
    assert all((a == b).all() for a, b in zip(before, learner.actor.w, strict=True))
