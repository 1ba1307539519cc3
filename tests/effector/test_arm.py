import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volition.effector.arm import Arm, ArmConfig
from volition.errors import ConfigError
from volition.signal import Intent
from volition.stage import Setup, check, find

DT = 0.005
LIMITS = np.array([30.0, 20.0])


@pytest.fixture(scope="module")
def arm():
    return Arm()


def drive(arm, commands, steps=1, fresh=True):
    """Hold each command for `steps` control periods; states and touches as arrays."""
    if fresh:
        arm.prepare(Setup())
    rows = []
    for command in commands:
        intent = Intent(0, np.array(command, np.float32))
        for _ in range(steps):
            touch, body = arm.step(intent, DT)
            force = arm._model.data.actuator_force
            assert (np.abs(force) <= LIMITS).all()
            rows.append((*body.position, *body.velocity, *body.joint_position, *body.joint_velocity, touch.pressure.sum()))
    return np.array(rows)


def test_known_before_prepare():
    arm = Arm()
    assert find("effector", "arm") is Arm
    assert arm.spec.takes.names == ("reach.x", "reach.y")
    assert arm.spec.takes.unit == "m/s"
    assert (arm.spec.gives.size, arm.spec.gives.unit) == (8, "N")
    assert arm.spec.period_ns == 5_000_000
    assert arm.workspace.tolist() == [[-0.1, -0.1], [0.1, 0.1]]
    assert check(Arm()) == []


def test_starts_at_rest_in_the_centre(arm):
    arm.prepare(Setup())
    state = arm.state()
    assert state.position == pytest.approx(np.zeros(2), abs=1e-12)
    assert not state.velocity.any()
    assert state.joint_position.shape == state.joint_velocity.shape == (2,)


@pytest.mark.parametrize("angle", np.arange(0, 360, 45))
@pytest.mark.parametrize("speed", [0.02, 0.1, 0.25])
def test_follows_a_constant_velocity_in_every_direction(arm, angle, speed):
    way = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    rows = drive(arm, [speed * way], 60)
    late = rows[24:]
    inside = (np.abs(late[:, :2]) < 0.095).all(1)
    # After 0.12 s: within 5 % of the speed or 2 mm/s, and off the line by no more than 0.5 mm.
    error = np.linalg.norm(late[inside, 2:4] - speed * way, axis=1)
    assert inside.sum() >= 10
    assert error.max() <= max(0.05 * speed, 0.002)
    assert np.abs(late[inside, :2] @ (-way[1], way[0])).max() < 5e-4


def test_holds_still_without_intent(arm):
    drive(arm, [(0.2, 0.1)], 50)
    rows = drive(arm, [(0.0, 0.0)], 300, fresh=False)
    assert np.linalg.norm(rows[-1, 2:4]) < 1e-5
    assert np.ptp(rows[100:, :2], axis=0).max() < 5e-4
    assert not rows[:, -1].any()
    # It stops within a centimetre of where it was told to.
    assert np.linalg.norm(rows[-1, :2] - rows[0, :2]) < 0.01


def test_answers_alike_to_opposite_commands(arm):
    for x, y in ((0.2, 0.0), (0.0, 0.2), (0.15, 0.15)):
        there, back = drive(arm, [(x, y)], 40), drive(arm, [(-x, -y)], 40)
        assert there[:, :2] == pytest.approx(-back[:, :2], abs=3e-4)


def test_no_touch_in_free_motion(arm):
    turning = [(0.2 * np.cos(a), 0.2 * np.sin(a)) for a in np.linspace(0, 4 * np.pi, 100)]
    rows = drive(arm, turning, 4)
    assert np.abs(rows[:, :2]).max() < 0.09
    assert not rows[:, -1].any()


@pytest.mark.parametrize("way", [(1, 0), (-1, 0), (0, 1), (0, -1)])
def test_the_wall_pushes_back_the_harder_the_harder_it_is_pushed(arm, way):
    drive(arm, [0.3 * np.array(way)], 120)  # reach the wall
    forces = []
    for push in (0.02, 0.1, 0.2, 0.3):
        rows = drive(arm, [push * np.array(way)], 400, fresh=False)
        forces.append(rows[-1, -1])
        assert rows[-1, :2] @ way == pytest.approx(0.1, abs=2e-4)
        # At rest the wall gives back what the impedance presses with: stiffness x lead + damping x speed.
        assert rows[-1, -1] == pytest.approx(400 * 0.015 + 40 * push, rel=0.02)
    assert forces == sorted(forces)
    away = drive(arm, [-0.1 * np.array(way)], 100, fresh=False)
    assert away[-1, -1] == 0


def test_the_walls_hold_the_fingertip_in(arm):
    for way in ((0.3, 0.0), (-0.3, 0.3), (0.0, -0.3), (0.3, -0.3)):
        rows = drive(arm, [way], 200)
        assert np.abs(rows[:, :2]).max() < 0.1015  # the walls give by a millimetre at most in the impact
        assert rows[:, -1].max() > 5


wild = st.sampled_from([0.0, 0.1, -0.3, 1e6, -1e6, 3e38, -3e38])


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(wild, wild), min_size=1, max_size=40))
def test_whatever_comes_it_stays_finite_and_within_limits(arm, commands):
    rows = drive(arm, commands, 8)
    assert np.isfinite(rows).all()
    assert np.abs(rows[:, :2]).max() < 0.102
    assert np.linalg.norm(rows[:, 2:4], axis=1).max() < 0.45
    assert (rows[:, -1] >= 0).all()


@pytest.mark.parametrize("pose", [(0.0, 0.0), (1.5, 1e-6), (2.3, 2.6), (-0.75, 1.0)])
def test_recovers_from_poses_it_never_reaches(arm, pose):
    """Stretched out, fully bent, at the shoulder's stop: no torque beyond the limits, nothing infinite."""
    arm.prepare(Setup())
    arm._model.reset(pose)
    arm._sense()
    rows = drive(arm, [(1e6, -1e6), (0.0, 0.3), (-0.3, 0.0)], 60, fresh=False)
    assert np.isfinite(rows).all()
    assert np.abs(rows[:, 6:8]).max() < 20


def test_a_weak_arm_works_at_its_limits_and_not_beyond():
    weak = Arm(ArmConfig(shoulder_torque_nm=1.5, elbow_torque_nm=0.8))
    weak.prepare(Setup())
    at_limit, places = np.zeros(2), []
    for k in range(600):
        _, body = weak.step(Intent(0, np.array([0.3 * (-1) ** (k // 60), 0.3], np.float32)), DT)
        force = np.abs(weak._model.data.actuator_force)
        assert (force <= (1.5, 0.8)).all()
        at_limit += force == (1.5, 0.8)
        places.append(body.position)
    assert (at_limit > 50).all()
    assert np.abs(places).max() < 0.102


def test_energy_comes_from_the_motors_alone(arm):
    """Kinetic energy never exceeds the work that the motors have done."""
    arm.prepare(Setup())
    data, work, rng = arm._model.data, 0.0, np.random.default_rng(0)
    worst = 0.0
    for _ in range(60):
        intent = Intent(0, rng.uniform(-0.3, 0.3, 2).astype(np.float32))
        for _ in range(4):
            before = data.qpos.copy()
            arm.step(intent, DT)
            # The torque is held through the control period: its work is torque times the turn.
            work += float(data.actuator_force @ (data.qpos - before))
            m11, m12, m22 = arm._link.mass(data.qpos[1])
            w1, w2 = data.qvel
            worst = max(worst, (m11 * w1 * w1 + 2 * m12 * w1 * w2 + m22 * w2 * w2) / 2 - work)
    assert work > 0.05
    assert worst < 0.01 * work


def test_two_runs_are_equal_to_the_byte(arm):
    commands = np.random.default_rng(1).uniform(-0.4, 0.4, (100, 2))
    assert drive(arm, commands, 4).tobytes() == drive(Arm(), commands, 4).tobytes() == drive(arm, commands, 4).tobytes()


def test_a_longer_step_is_several_control_periods(arm):
    arm.prepare(Setup())
    for _ in range(10):
        _, coarse = arm.step(Intent(0, np.array([0.1, 0.05], np.float32)), 0.02)
    fine = drive(arm, [(0.1, 0.05)], 40)[-1]
    assert coarse.position == pytest.approx(fine[:2], abs=1e-9)
    assert coarse.t_ns == 200_000_000


def test_states_given_out_stay(arm):
    arm.prepare(Setup())
    intent = Intent(0, np.array([0.1, 0.0], np.float32))
    touch, body = arm.step(intent, DT)
    before = [a.copy() for a in (touch.pressure, body.position, body.velocity, body.joint_position, body.joint_velocity)]
    arm.step(intent, DT)
    after = (touch.pressure, body.position, body.velocity, body.joint_position, body.joint_velocity)
    assert all((a == b).all() for a, b in zip(before, after, strict=True))


def test_another_build():
    small = Arm(ArmConfig(height_m=1.5, mass_kg=45.0, half_width_m=0.08))
    rows = drive(small, [(0.1, 0.0)], 60)
    assert rows[-1, 0] == pytest.approx(0.1 * 0.3, abs=2e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"height_m": 0.0},
        {"shoulder_torque_nm": -1.0},
        {"max_speed_m_s": float("nan")},
        {"half_width_m": 0.3},
        {"stiffness_n_m": 5000.0},
        {"damping_n_s_m": 200.0},
    ],
)
def test_a_configuration_that_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError, match=f"arm: .*{next(iter(wrong))}|can reach"):
        ArmConfig(**wrong)


def test_a_push_is_an_impulse_at_the_fingertip():
    """Momentum balance: J·dq = J M⁻¹ Jᵀ p, so the tip's velocity jumps by the impulse over its mass in that direction."""
    arm = Arm()
    arm.prepare(Setup(intent=arm.spec.takes.names))
    before = arm.state()
    arm.push(np.array([0.3, 0.0, 0.0]))
    after = arm.state()
    assert np.array_equal(before.position, after.position)
    jump = after.velocity - before.velocity
    mass = 0.3 / jump[0]
    assert 0.3 < mass < 4.0  # of a hand and half a forearm
    other = Arm()
    other.prepare(Setup(intent=arm.spec.takes.names))
    other.push(np.array([0.0, 0.3, 0.0]))
    assert other.state().velocity[0] == pytest.approx(jump[1])  # the inverse of a mass matrix is symmetric
    for _ in range(400):
        arm.step(Intent(0, np.zeros(2, np.float32)), 0.005)
    assert np.linalg.norm(arm.state().velocity) < 1e-3
