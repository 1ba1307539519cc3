"""The gate: no sequence of commands passes a limit, nothing passes after a latch, a lease ends.

The limits are computed here once more, in another way, so that the gate is not judged by itself.
"""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from volition.channel._stimulate import Gate, GateLimits
from volition.errors import ConfigError
from volition.signal import Stim

MS = 1_000_000
E = 4
AREA_UM2 = 336.0
SLACK = 1 + 1e-6


def stim(t_ns=0, ua=10.0, hz=100.0, us=200.0, electrodes=E):
    return Stim(t_ns, np.full(electrodes, ua), np.full(electrodes, hz), np.full(electrodes, us))


def open_gate(profile="strict", area=0.0, electrodes=E):
    gate = Gate(electrodes, GateLimits.profile(profile), area)
    gate.arm(0)
    return gate


def broken(limits, command, area_um2, electrodes):
    """Which limits a command breaks, by the definitions, electrode by electrode in plain floats."""
    found = set()
    arrays = [np.asarray(a) for a in (command.amplitude_ua, command.frequency_hz, command.pulse_width_us)]
    if any(a.shape != (electrodes,) for a in arrays):
        return {"shape"}
    for ua, hz, us in zip(*(a.tolist() for a in arrays), strict=True):
        if not all(map(math.isfinite, (ua, hz, us))):
            found.add("finite")
            continue
        if min(ua, hz, us) < 0:
            found.add("range")
        coulomb = ua * 1e-6 * us * 1e-6
        found |= {"amplitude"} if ua > limits.amplitude_ua * SLACK else set()
        found |= {"pulse_width"} if us > limits.pulse_width_us * SLACK else set()
        found |= {"frequency"} if hz > limits.frequency_hz * SLACK else set()
        found |= {"charge"} if coulomb * 1e9 > limits.charge_nc * SLACK else set()
        if area_um2 and coulomb > 0:
            density = coulomb * 1e6 / (area_um2 * 1e-8)
            found |= {"density"} if density > limits.density_uc_cm2 * SLACK else set()
            found |= {"shannon"} if math.log10(max(coulomb * 1e6 * density, 1e-300)) > limits.shannon_k + 1e-6 else set()
    total = sum(a for a in arrays[0].tolist() if math.isfinite(a))
    return found | ({"total"} if total > limits.total_ua * SLACK else set())


def something(command):
    return bool(np.any(np.nan_to_num(command.amplitude_ua, nan=1.0)))


good = st.builds(
    stim,
    ua=st.floats(0.1, 16.0),
    hz=st.floats(1.0, 300.0),
    us=st.floats(10.0, 200.0),
)
number = st.one_of(
    st.floats(0, 120),
    st.floats(0, 500),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, -1.0, 1e308]),
)
vector = st.one_of(
    st.lists(number, min_size=E, max_size=E), st.lists(number, max_size=E + 2), st.just([0.0] * E), st.just([100.0] * E)
).map(lambda v: np.array(v, float))
wild = st.builds(Stim, st.just(0), vector, vector, vector)
leap = st.one_of(
    st.integers(0, 20 * MS),
    st.integers(0, 99 * MS),
    st.sampled_from([0, 100 * MS, 100 * MS + 1, 1000 * MS, 1000 * MS + 1, -1, -(10**12), 10**15]),
)


class Fuzz(RuleBasedStateMachine):
    """Every call that a gate has, in any order, with any arguments."""

    @initialize(profile=st.sampled_from(["strict", "human_trial"]), area=st.sampled_from([0.0, AREA_UM2, 2000.0]))
    def make(self, profile, area):
        self.area = area
        self.gate = Gate(E, GateLimits.profile(profile), area)
        self.floor = self.gate.limits
        self.t = 0
        self.off = True  # disarmed at first
        self.latched = False
        self.passed_at = None
        self.out = None

    def judge(self, out, command=None):
        self.out = out
        for a in (out.amplitude_ua, out.frequency_hz, out.pulse_width_us):
            assert a.shape == (E,)
            assert np.isfinite(a).all()
            assert (a >= 0).all()
            assert not a.flags.writeable
        assert broken(self.floor, out, self.area, E) == set()
        if something(out):
            assert not self.off
            assert not self.latched
            assert self.gate.armed
        if command is not None and something(out):
            for name in ("amplitude_ua", "frequency_hz", "pulse_width_us"):
                assert np.array_equal(getattr(out, name), getattr(command, name))  # whole, or not at all

    @rule(
        command=st.one_of(good, wild),
        ahead=leap,
        shift=st.sampled_from([0, 0, 0, -1, -50 * MS, -101 * MS, 50 * MS, 101 * MS, 10**15]),
    )
    def command(self, command, ahead, shift):
        self.t += ahead
        issued = Stim(self.t + shift, command.amplitude_ua, command.frequency_hz, command.pulse_width_us)
        was_off = self.off or self.latched
        out = self.gate.pass_(issued, self.t)
        bad = broken(self.floor, issued, self.area, E)
        stale_or_odd = not 0 <= ahead <= 1000 * MS or shift
        if bad and not was_off and not stale_or_odd:
            assert self.gate.latched
        if bad:
            assert not something(out)
        self.latched |= self.gate.latched
        self.judge(out, issued)
        if something(out):
            self.passed_at = self.t

    @rule(ahead=leap)
    def poll(self, ahead):
        self.t += ahead
        out = self.gate.poll(self.t)
        self.latched |= self.gate.latched
        self.judge(out)
        if something(out):
            assert self.t - self.passed_at <= 100 * MS

    @rule(shift=leap)
    def arm(self, shift):
        self.t += shift
        self.gate.arm(self.t)
        self.off = self.latched = False
        self.judge(self.gate.poll(self.t))
        assert not something(self.out)  # arming delivers nothing by itself

    @rule(shift=leap)
    def restart(self, shift):
        self.t += shift
        self.gate.restart(self.t)
        assert self.gate.latched == self.latched
        self.off = False
        self.judge(self.gate.poll(self.t))
        assert not something(self.out)

    @rule()
    def stop(self):
        self.gate.stop()
        self.latched = True
        self.judge(self.gate.poll(self.t))
        assert not something(self.out)

    @rule(
        name=st.sampled_from(["amplitude_ua", "charge_nc", "frequency_hz", "total_ua", "density_uc_cm2"]),
        share=st.floats(0.5, 3),
    )
    def tighten(self, name, share):
        value = getattr(self.floor, name) * share
        if share > 1:
            with pytest.raises(ConfigError, match="only be lowered"):
                self.gate.tighten(**{name: value})
        else:
            self.gate.tighten(**{name: value})
        self.floor = self.gate.limits
        assert getattr(self.floor, name) <= value or share > 1
        self.judge(self.gate.poll(self.t))

    @invariant()
    def latch_and_armed_exclude_each_other(self):
        assert not (self.gate.latched and self.gate.armed)
        assert self.gate.latched == self.latched


Fuzz.TestCase.settings = settings(
    max_examples=120,
    stateful_step_count=30,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),  # shrinking a sequence takes minutes
    suppress_health_check=list(HealthCheck),
)
TestFuzz = Fuzz.TestCase


@settings(max_examples=200, deadline=None, database=None)
@given(
    command=st.one_of(good, wild), profile=st.sampled_from(["strict", "human_trial"]), area=st.sampled_from([0.0, AREA_UM2])
)
def test_passes_exactly_what_keeps_all_limits(command, profile, area):
    gate = open_gate(profile, area)
    out = gate.pass_(command)
    bad = broken(gate.limits, command, area, E)
    assert gate.latched == bool(bad)
    assert something(out) == (not bad and something(command))
    if bad:
        assert gate.reason in bad
        assert gate.counts == {gate.reason: 1}


REASONS = [
    (stim(ua=float("nan")), "finite"),
    (stim(hz=float("inf")), "finite"),
    (Stim(0, np.zeros(E), np.full(E, np.nan), np.zeros(E)), "finite"),
    (stim(ua=-1.0), "range"),
    (stim(us=-1.0), "range"),
    (stim(electrodes=3), "shape"),
    (Stim(0, np.zeros(5), np.zeros(5), np.zeros(5)), "shape"),
    (stim(ua=101.0, us=1.0), "amplitude"),
    (stim(us=401.0, ua=1.0), "pulse_width"),
    (stim(ua=20.1), "charge"),
    (stim(hz=301.0), "frequency"),
    (stim(ua=60.0, us=60.0), "total"),
    (stim(t_ns=-1), ""),
]


@pytest.mark.parametrize(("command", "reason"), REASONS)
def test_each_violation_has_its_name(command, reason):
    gate = open_gate()
    out = gate.pass_(command, max(command.t_ns, 0))
    assert gate.reason == reason
    assert something(out) == (not reason)


def test_micro_site_is_limited_by_its_area():
    """100 µA, 200 µs on 336 µm²: D = 5950 µC/cm², k = 2.08. The tip of a Utah electrode, 2000 µm², bears it."""
    command = Stim(0, np.array([100.0, 0, 0, 0]), np.full(E, 100.0), np.full(E, 200.0))
    assert something(open_gate("human_trial", 2000.0).pass_(command))
    thread = open_gate("human_trial", AREA_UM2)
    assert not something(thread.pass_(command))
    assert thread.reason == "density"


def test_shannon_limit():
    gate = open_gate("human_trial", 2000.0)
    gate.tighten(shannon_k=0.86)  # 60 µA x 200 µs on 2000 µm² is k = 0.857
    row = np.array([60.0, 0, 0, 0])
    rest = np.full(E, 100.0), np.full(E, 200.0)
    assert something(gate.pass_(Stim(0, row, *rest)))
    assert not something(gate.pass_(Stim(1, row * 1.02, *rest)))
    assert gate.reason == "shannon"


def test_profiles():
    assert something(open_gate().pass_(stim(ua=20.0)))  # 4 nC exactly
    human = GateLimits.profile("human_trial")
    assert (human.amplitude_ua, human.charge_nc) == (100.0, 20.0)
    with pytest.raises(ConfigError, match="known: strict, human_trial"):
        GateLimits.profile("lenient")


@pytest.mark.parametrize("name", list(GateLimits.__dataclass_fields__))
def test_no_limits_beyond_the_ceiling_can_be_made(name):
    for value in (1e9, math.inf, math.nan, -1.0 if name != "shannon_k" else math.nan):
        with pytest.raises(ConfigError, match=name):
            GateLimits(**{name: value})


def test_tighten_ends_what_flows_and_names_unknown_limits():
    gate = open_gate()
    assert something(gate.pass_(stim(ua=10.0)))
    gate.tighten(amplitude_ua=5.0)
    assert not something(gate.poll(1))
    with pytest.raises(ConfigError, match="unknown limit 'amplitude'"):
        gate.tighten(amplitude=5.0)
    for value in (6.0, math.nan):
        with pytest.raises(ConfigError, match="only be lowered"):
            gate.tighten(amplitude_ua=value)


def test_starts_disarmed():
    gate = Gate(E)
    assert not something(gate.pass_(stim()))
    assert gate.counts == {"disarmed": 1}
    gate.arm(0)
    assert something(gate.pass_(stim()))


def test_nothing_after_a_latch_until_armed_by_hand():
    gate = open_gate()
    gate.pass_(stim(ua=1000.0))
    for k in range(1, 50):
        assert not something(gate.pass_(stim(t_ns=k * 20 * MS)))
    gate.restart(0)
    assert gate.latched
    assert not something(gate.pass_(stim()))
    gate.arm(0)
    assert something(gate.pass_(stim()))
    assert gate.counts["amplitude"] == 1
    assert gate.counts["latched"] == 50


def test_lease():
    gate = open_gate()
    gate.pass_(stim(t_ns=0), 0)
    assert something(gate.poll(100 * MS))
    assert not something(gate.poll(100 * MS + 1))
    assert gate.counts == {"lease": 1}
    assert not gate.latched
    assert something(gate.pass_(stim(t_ns=200 * MS)))  # a lapse is no violation


def test_an_old_command_is_no_renewal():
    gate = open_gate()
    held = stim(t_ns=0)
    assert [something(gate.pass_(held, t * MS)) for t in (0, 50, 100, 101, 200)] == [True, True, True, False, False]
    assert not gate.latched


def test_clock():
    backwards = open_gate()
    backwards.pass_(stim(t_ns=50 * MS))
    assert not something(backwards.pass_(stim(t_ns=49 * MS)))
    assert backwards.reason == "clock"
    leap = open_gate()
    leap.pass_(stim(t_ns=0))
    assert not something(leap.pass_(stim(t_ns=1001 * MS)))
    assert leap.reason == "clock"
    future = open_gate()
    assert not something(future.pass_(stim(t_ns=500 * MS), 0))
    assert future.reason == "clock"


def test_what_was_delivered_cannot_be_changed_afterwards():
    gate = open_gate()
    mine = np.full(E, 10.0)
    out = gate.pass_(Stim(0, mine, np.full(E, 100.0), np.full(E, 200.0)))
    mine[:] = 1e6
    assert out.amplitude_ua.max() == 10.0
    assert gate.poll(1).amplitude_ua.max() == 10.0
    with pytest.raises(ValueError, match="read-only"):
        out.amplitude_ua[0] = 1e6

    with pytest.raises(ValueError, match="WRITEABLE"):
        out.amplitude_ua.flags.writeable = True
    with pytest.raises(ValueError, match="WRITEABLE"):
        open_gate().poll(0).amplitude_ua.flags.writeable = True


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint16, np.float16])
def test_charge_is_not_judged_in_numbers_that_overflow(kind):
    """100 µA x 400 µs is 40 nC; in int16 the product is negative, in 8 bits it wraps."""
    width, profile = (127, "strict") if np.dtype(kind).itemsize == 1 else (400, "human_trial")
    gate, row = open_gate(profile), np.array([100, 0, 0, 0], kind)
    assert not something(gate.pass_(Stim(0, row, np.full(E, 100.0), np.full(E, width, kind))))
    assert gate.reason == "charge"


def test_what_is_judged_is_what_is_delivered():
    """A mask, or a class of one's own, hides a current from `max`, not from tissue."""
    gate, row = open_gate(), np.ma.masked_array([10.0, 1e6, 0.0, 0.0], [0, 1, 0, 0])
    assert not something(gate.pass_(Stim(0, row, np.full(E, 100.0), np.full(E, 100.0))))
    assert gate.reason == "amplitude"


@pytest.mark.parametrize("row", [np.full(E, 1j), np.full(E, "1"), np.full(E, 1.0, object), [1.0, [2.0]], None])
def test_a_command_without_real_numbers_is_refused(row):
    gate = open_gate()
    assert not something(gate.pass_(Stim(0, row, np.full(E, 100.0), np.full(E, 100.0))))
    assert gate.reason == "type"


@pytest.mark.parametrize("odd", [math.nan, math.inf, 0.5, "0", None])
def test_a_time_is_an_integer(odd):
    """NaN passes every comparison: neither a command nor the clock may have it."""
    command, clock = open_gate(), open_gate()
    assert not something(command.pass_(stim(odd), 0))
    assert not something(clock.pass_(stim(), odd if odd is not None else math.nan))
    assert command.reason == clock.reason == "clock"


def test_a_gate_without_electrodes():
    gate = open_gate(electrodes=0)
    assert gate.pass_(Stim.zero(0, 0)).amplitude_ua.size == 0
    gate.pass_(stim())
    assert gate.reason == "shape"


@pytest.mark.parametrize(("electrodes", "area"), [(-1, 0.0), (4, -1.0), (4, math.nan), (4, math.inf)])
def test_impossible_gates(electrodes, area):
    with pytest.raises(ConfigError, match="gate"):
        Gate(electrodes, None, area)
