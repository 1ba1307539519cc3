import mujoco
import numpy as np
import pytest

from volition.effector._legs_model import JOINTS, MOTORS, VOLTAGE, build, peak_torque
from volition.effector._legs_power import AMBIENT_C, Power
from volition.effector.legs import Legs, LegsConfig
from volition.signal import Intent
from volition.stage import Setup

DT = 0.001


def power():
    return Power(build())


def test_electrical_energy_is_what_the_body_gained_and_what_was_lost():
    """1.5 s from stand to walk: what the battery gave, less copper, friction and what the ground took, is in the body.

    The body's energy is MuJoCo's own (kinetic and potential); the accounts are the effector's.
    """
    legs = Legs(LegsConfig(frozen_ms=0))
    legs.prepare(Setup(seed=1))
    model, data, step = legs._model, legs._data, mujoco.mj_step
    friction = ground = 0.0
    constant = VOLTAGE / np.tile([m.speed_rad_s for m in MOTORS], 2)
    resistance = constant * VOLTAGE / (2 * peak_torque("stated"))
    copper = 0.0

    def watched(model, data):
        nonlocal friction, ground, copper
        before = data.qvel.copy()
        step(model, data)
        mean = 0.5 * (before + data.qvel)
        friction += float(model.dof_damping @ mean**2) * DT
        ground += float(data.qfrc_constraint @ mean) * DT
        copper += float(resistance @ (data.actuator_force / constant) ** 2) * DT

    def energy():
        probe = mujoco.MjData(model)
        probe.qpos[:], probe.qvel[:] = data.qpos, data.qvel
        mujoco.mj_forward(model, probe)
        mujoco.mj_energyPos(model, probe)
        mujoco.mj_energyVel(model, probe)
        return probe.energy.sum()

    start = energy()
    patch = pytest.MonkeyPatch()
    patch.setattr(mujoco, "mj_step", watched)
    try:
        for _ in range(300):
            legs.step(Intent(0, np.array([2.0, 0.0, 0.2], np.float32)), 0.005)
    finally:
        patch.undo()
    told = legs.figures()
    gained = energy() - start
    work = told["electric_j"] - told["copper_j"]
    assert work == pytest.approx(told["work_j"], rel=1e-9)
    assert work == pytest.approx(gained + friction - ground, rel=0.01)
    assert told["copper_j"] == pytest.approx(copper, rel=0.03)  # windings that get warm lose more
    assert told["copper_j"] >= copper
    assert friction > 20
    assert ground < -20
    legs.begin_block()
    assert legs.figures()["electric_j"] == 0
    assert legs.figures()["hottest_winding_c"] > AMBIENT_C


def test_a_held_torque_costs_heat_alone_and_warms_to_the_steady_state():
    """Two hours of 20 Nm at rest: loss times both resistances to heat, worked out by hand."""
    p = power()
    torque = np.zeros((5, 12))
    torque[:, 3] = 20.0
    for _ in range(3600):
        p.add(torque, np.zeros((5, 12)), 0.4, np.zeros(2))
    told = p.figures()
    assert told["work_j"] == 0
    assert told["electric_j"] == pytest.approx(told["copper_j"])
    kg = 350 / 150
    per_watt = 40 / (kg * 0.15 * 385) + 900 / (kg * 0.85 * 500)
    cold = (20 / 1.6) ** 2 * (1.6 * 48 / 700)
    rise = cold * per_watt / (1 - 0.00393 * cold * per_watt)
    assert p.winding_c[3] - AMBIENT_C == pytest.approx(rise, rel=0.03)
    assert p.winding_c[3] > p.housing_c[3] > AMBIENT_C
    assert p.winding_c[0] == AMBIENT_C


def test_a_motor_that_brakes_gives_back():
    p = power()
    torque, speed = np.zeros((5, 12)), np.zeros((5, 12))
    torque[:, 2], speed[:, 2] = 20.0, -10.0
    p.add(torque, speed, DT, np.zeros(2))
    told = p.figures()
    assert told["returned_j"] == pytest.approx(-told["electric_j"])
    assert told["joints"]["left.hip_pitch"]["work_j"] == pytest.approx(-1.0)
    assert told["positive_work_j"] == 0


def test_energy_per_metre_counts_the_way_gone():
    p = power()
    torque, speed = np.full((5, 12), 10.0), np.full((5, 12), 1.0)
    for k in range(400):
        p.add(torque, speed, DT, np.array([0.01 * k, 0.0]))
    told = p.figures()
    assert told["way_m"] == pytest.approx(3.0, abs=1.01)
    assert told["electric_j_m"] == pytest.approx(told["electric_j"] / told["way_m"])
    assert set(told["joints"]) == set(JOINTS)
    assert told["mean_electric_w"] == pytest.approx(told["electric_j"] / 2.0)
