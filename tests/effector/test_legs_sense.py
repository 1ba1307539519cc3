import mujoco
import numpy as np
import pytest

from volition.effector._legs_model import LOWER, UPPER, G, build
from volition.effector._legs_sense import Estimator, Readings, SensorNoise, Sensors, foot_motion, multiply, rotation, turned


@pytest.fixture(scope="module")
def model():
    return build()


def test_kinematics_of_the_feet_equal_those_of_the_simulator(model):
    rng = np.random.default_rng(0)
    for _ in range(5):
        data = mujoco.MjData(model)
        data.qpos[7:19] = rng.uniform(np.tile(LOWER, 2), np.tile(UPPER, 2))
        data.qvel[6:18] = rng.normal(size=12)
        mujoco.mj_forward(model, data)
        x, y = rng.normal(size=(2, 1, 2)) * 0.05
        ankle, point, velocity, spin = foot_motion(data.qpos[7:19].reshape(1, 2, 6), data.qvel[6:18].reshape(1, 2, 6), x, y)
        for k, side in enumerate(("left", "right")):
            body = model.body(f"{side}.foot").id
            turn = data.xmat[body].reshape(3, 3)
            at = data.xpos[body] + turn @ np.array([x[0, k], y[0, k], -0.05])
            moves, turns = np.zeros((3, model.nv)), np.zeros((3, model.nv))
            mujoco.mj_jac(model, data, moves, turns, at, body)
            assert point[:, 0, k] == pytest.approx(at - data.qpos[:3])
            assert ankle[:, 0, k] == pytest.approx(data.xpos[body] - data.qpos[:3])
            assert velocity[:, 0, k] == pytest.approx(moves @ data.qvel)
            assert spin[:, 0, k] == pytest.approx(turns @ data.qvel)


def test_quaternions_as_in_the_simulator():
    rng = np.random.default_rng(1)
    p, q = rng.normal(size=(2, 4, 4))
    p, q = p / np.linalg.norm(p, axis=1)[:, None], q / np.linalg.norm(q, axis=1)[:, None]
    want, matrix = np.zeros(4), np.zeros(9)
    for a, b, product, R in zip(p, q, multiply(p, q), rotation(q), strict=True):
        mujoco.mju_mulQuat(want, a, b)
        mujoco.mju_quat2Mat(matrix, b)
        assert product == pytest.approx(want)
        assert R.ravel() == pytest.approx(matrix)


def test_a_thousand_small_turns_make_a_large_one():
    q = np.array([[1.0, 0, 0, 0]])
    for _ in range(1000):
        q = turned(q, np.array([[0, 0, np.pi / 2 / 1000]]))
    assert q[0] == pytest.approx([np.sqrt(0.5), 0, 0, np.sqrt(0.5)], abs=1e-5)


def fly(noise, seconds=1.0, dt=0.005):
    """A body that tumbles in free fall with no foot on the ground: what is dead-reckoned of it."""
    model = build(timestep=0.001)
    data = mujoco.MjData(model)
    data.qpos[2], data.qvel[:6] = 50.0, (3, 1, 2, 0.5, 1.0, -0.7)
    sensors, estimator = Sensors(1, np.random.default_rng(2), noise), Estimator(1, 590.0)
    estimator.start(0.0, 0.0, np.array([[3.0, 1.0, 2.0]]))
    mujoco.mj_forward(model, data)
    sole, e = np.zeros((1, 8)), None
    for _ in range(round(seconds / dt)):
        mujoco.mj_step(model, data, 5)
        e = estimator.update(sensors.read(data.qpos[None], data.qvel[None], sole, dt), dt)
    w, x, y, z = data.qpos[3:7]
    pitch = np.arcsin(2 * (w * y - z * x))
    yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    ahead = np.cos(yaw) * data.qvel[0] + np.sin(yaw) * data.qvel[1]
    return np.array([e.pitch[0] - pitch, e.yaw[0] - yaw, e.vx[0] - ahead, e.vz[0] - data.qvel[2]])


def test_perfect_sensors_reckon_a_tumbling_fall():
    """The first sample has nothing to differ from: 5 ms of gravity and rotation are missing, and no more."""
    error = fly(SensorNoise(scale=0.0))
    assert np.abs(error[:2]).max() < 0.008
    assert np.abs(error[2:]).max() < G * 0.005 + 0.02


def test_noisy_sensors_drift_but_little():
    error = fly(SensorNoise())
    assert np.abs(error[:2]).max() < 0.03
    assert np.abs(error[2:]).max() < 0.3


def test_noise_is_as_stated_and_of_the_seed_alone():
    qpos = np.zeros((200, 19))
    qpos[:, 3] = 1
    rest = np.zeros((200, 18))
    first = Sensors(200, np.random.default_rng(5)).read(qpos, rest, np.full((200, 8), 100.0), 0.005)
    again = Sensors(200, np.random.default_rng(5)).read(qpos, rest, np.full((200, 8), 100.0), 0.005)
    assert (first.gyro == again.gyro).all()
    c = SensorNoise()
    assert first.gyro.std() == pytest.approx(np.hypot(c.gyro_rad_s, c.gyro_bias_rad_s), rel=0.15)
    assert first.speed.std() == pytest.approx(c.speed_rad_s, rel=0.1)
    assert first.sole.std() == pytest.approx(np.hypot(c.force_n, 100 * c.force_gain), rel=0.15)
    assert first.push[:, 2].mean() == pytest.approx(G * 0.005, abs=0.0005)


def test_a_bias_of_the_gyroscope_is_found_while_both_feet_stand():
    """Standing still for 20 s: heading drifts far less than the bias alone would carry it."""
    estimator = Estimator(1, 590.0)
    sole = np.full((1, 2, 4), 70.0)
    angle, speed = np.zeros((1, 2, 6)), np.zeros((1, 2, 6))
    for _ in range(4000):
        reading = Readings(np.array([[0.0, 0.0, 0.01]]), np.array([[0.0, 0.0, G * 0.005]]), angle, speed, sole)
        e = estimator.update(reading, 0.005)
    assert abs(e.yaw[0]) < 0.01 * 20 / 2
    assert abs(e.yaw_rate[0]) < 0.001
