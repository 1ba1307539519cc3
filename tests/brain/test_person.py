"""The simulated person: steering, compensation of the visual delay, clicks, touch, determinism."""

from dataclasses import replace

import numpy as np
import pytest

from volition.brain.person import Person, PersonConfig
from volition.errors import ConfigError
from volition.signal import BodyState, Goal, Stim, View
from volition.stage import Setup, check

DT = 0.02
NONE = np.empty(0)
SETUP = Setup(channels=16, features=16, intent=("reach.x", "reach.y", "select"), max_speed=0.3, electrodes=8)
SILENCE = Stim.zero(0, 8)


def see(position, goal, *, radius=0.015, click=False):
    p = np.asarray(position, float)
    return View(0, Goal(0, 0, np.asarray(goal, float), radius, click), BodyState(0, p, p * 0, NONE, NONE))


class World:
    """A massless cursor that does `answer` times what is meant, shown `delay` bins late."""

    def __init__(self, person, delay=10, setup=SETUP, answer=1.0):
        self.answer = answer
        person.prepare(setup)
        self.person, self.goal = person, np.zeros(2)
        self.path = [np.zeros(2)]
        self.views = [see(self.path[0], self.goal)] * (delay + 1)

    @property
    def at(self):
        return self.path[-1]

    def step(self, stim=SILENCE, click=False):
        self.views = [*self.views[1:], see(self.at, self.goal, click=click)]
        self.person.step(self.views[0], stim)
        meant = self.person.intended()
        self.path.append(np.clip(self.at + DT * self.answer * meant[:2].astype(float), -0.1, 0.1))
        return meant


def reach(world, goal, seconds=3.0, hold=0.3):
    """Seconds until it has stayed on the goal for `hold`, or None."""
    world.goal, inside = np.asarray(goal, float), 0
    for k in range(round(seconds / DT)):
        world.step()
        inside = inside + 1 if np.hypot(*(world.at - world.goal)) <= 0.015 else 0
        if inside >= hold / DT:
            return (k + 1) * DT
    return None


def test_contract():
    assert check(Person()) == []
    assert check(Person(), SETUP) == []


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_centre_out_succeeds_when_the_body_does_what_is_meant(seed):
    world = World(Person(), setup=replace(SETUP, seed=seed))
    angles = np.random.default_rng(seed).integers(8, size=60) * np.pi / 4
    times = []
    for a in angles:
        times += [reach(world, 0.08 * np.array([np.cos(a), np.sin(a)])), reach(world, (0.0, 0.0))]
    assert times.count(None) <= 0.01 * len(times)
    assert 0.5 < np.median([t for t in times if t]) < 1.5


def test_believed_position_is_the_true_one_where_command_and_motion_agree():
    world = World(Person(PersonConfig(motor_noise=0.0)))
    for goal in [(0.08, 0.0), (-0.05, 0.06), (0.0, -0.08)]:
        world.goal = np.array(goal)
        for _ in range(40):
            before = world.at
            world.step()
            assert np.allclose(world.person.policy.believed, before, atol=1e-7)


@pytest.mark.parametrize("answer", [0.5, 1.0, 1.5])
def test_the_internal_model_learns_how_strongly_the_body_answers(answer):
    world = World(Person(), answer=answer)
    goals = 0.08 * np.random.default_rng(0).uniform(-1, 1, (120, 2))
    for goal in goals:
        world.goal = goal
        for _ in range(50):
            world.step()
    assert world.person.policy.gain == pytest.approx(answer, abs=0.1)


def test_what_it_learnt_of_its_cursor_can_be_taken_along():
    first = World(Person(), answer=0.5)
    for goal in np.random.default_rng(0).uniform(-0.07, 0.07, (20, 2)):
        reach(first, goal)
    later = Person()
    later.remember(first.person.memory)
    World(later, answer=0.5)
    assert first.person.policy.gain < later.policy.gain < 0.99
    later.remember(None)
    later.prepare(SETUP)
    assert later.policy.gain == 1.0


def overshoot(config, delay):
    world = World(Person(config), delay=delay)
    world.goal = np.array([0.08, 0.0])
    for _ in range(100):
        world.step()
    return max(p[0] for p in world.path) - 0.08


def test_internal_model_makes_up_for_the_visual_delay():
    compensated = overshoot(PersonConfig(motor_noise=0.0), 10)
    naive = overshoot(PersonConfig(motor_noise=0.0, visual_delay_ms=0.0), 10)
    assert compensated <= 1e-6
    assert naive > 0.015  # past the far edge of a usual target


def test_effort_is_piecewise_linear_in_distance():
    config = PersonConfig(motor_noise=0.0, visual_delay_ms=0.0)
    person = Person(config)

    def speed(distance, radius=0.02):
        person.prepare(SETUP)
        person.step(see((0.0, 0.0), (distance, 0.0), radius=radius), SILENCE)
        return float(person.intended()[0])

    rest = config.hold_fraction * 0.02
    assert speed(rest * 0.99) == 0.0
    assert speed(rest + 0.01) == pytest.approx(0.01 / (config.approach_ms / 1e3), rel=1e-6)
    assert speed(rest + 0.02) == pytest.approx(2 * speed(rest + 0.01), rel=1e-6)
    assert speed(0.09) == speed(0.1) == pytest.approx(SETUP.max_speed)


def test_noise_grows_with_the_command():
    def sd(distance):
        person = Person(PersonConfig(visual_delay_ms=0.0))
        person.prepare(SETUP)
        out = []
        for _ in range(4000):
            person.step(see((0.0, 0.0), (distance, 0.0)), SILENCE)
            out.append(person.intended()[1])
        return np.std(out)

    slow, fast = sd(0.0145), sd(0.1)  # 0.067 and 0.3 m/s
    assert fast / slow == pytest.approx(0.3 / 0.0667, rel=0.15)
    assert fast == pytest.approx(0.15 * 0.3, rel=0.15)


def clicks(click, goal=(0.0, 0.0), bins=150):
    world = World(Person())
    world.goal = np.array(goal)
    return np.array([world.step(click=click)[2] for _ in range(bins)])


def test_clicks_when_on_a_goal_that_wants_it():
    pressed = clicks(True)
    config = PersonConfig()
    starts = np.flatnonzero(np.diff(np.r_[0, pressed]) > 0)
    ends = np.flatnonzero(np.diff(np.r_[pressed, 0]) < 0) + 1
    assert set(np.unique(pressed)) == {0.0, 1.0}
    assert starts[0] >= config.click_after_ms / 20 - 1
    assert ((ends - starts)[:-1] == config.click_ms / 20).all()
    assert (starts[1:] - ends[:-1] >= config.click_rest_ms / 20).all()


def test_does_not_click_otherwise():
    assert not clicks(False).any()
    on_the_way = clicks(True, goal=(0.09, 0.0), bins=20)  # 0.4 s: it cannot be there yet
    assert not on_the_way.any()


def strong(electrodes=8):
    full = np.full(electrodes, 100.0)
    return Stim(0, full, full, full * 2)


def test_touch_is_felt_and_slows():
    config = PersonConfig(motor_noise=0.0, visual_delay_ms=0.0, silent_fraction=0.0)
    person = Person(config)
    person.prepare(SETUP)
    view = see((0.0, 0.0), (0.1, 0.0))
    person.step(view, SILENCE)
    free = float(person.intended()[0])
    assert person.felt == 0.0
    for _ in range(100):
        person.step(view, strong())
    assert person.felt > 0.9
    assert float(person.intended()[0]) == pytest.approx(free * (1 - config.slow_on_touch * person.felt), rel=1e-5)
    for _ in range(200):
        person.step(view, SILENCE)
    assert person.felt < 1e-3


def test_below_threshold_and_without_pulses_nothing_is_felt():
    person = Person(PersonConfig(silent_fraction=0.0))
    person.prepare(SETUP)
    theta = person.percept.threshold_ua
    rate = np.full(8, 100.0)
    view = see((0.0, 0.0), (0.1, 0.0))
    for stim in (
        Stim(0, theta * 0.999, rate, rate),
        Stim(0, theta + 50, rate * 0, rate),
        Stim(0, theta + 50, rate, rate * 0),
    ):
        person.step(view, stim)
        assert person.felt == 0.0
    person.step(view, Stim(0, theta + 1, rate, rate))
    assert person.felt > 0.0


def test_detection_thresholds_are_those_cited():
    person = Person()
    person.prepare(replace(SETUP, electrodes=4000))
    theta = person.percept.threshold_ua
    evoke = np.isfinite(theta)
    assert evoke.mean() == pytest.approx(0.62, abs=0.03)
    assert np.median(theta[evoke]) == pytest.approx(35, rel=0.05)
    assert 0.93 < ((theta[evoke] > 15) & (theta[evoke] < 88)).mean() < 0.98


def test_touch_does_not_disturb_free_reaching():
    def path(config):
        world = World(Person(config))
        reach(world, (0.08, 0.0))
        return np.array(world.path)

    assert np.array_equal(path(PersonConfig()), path(PersonConfig(slow_on_touch=0.0)))


def run(seed, person=None):
    world = World(person or Person(), setup=replace(SETUP, seed=seed, channels=96))
    world.goal = np.array([0.05, 0.05])
    counts = []
    for _ in range(60):
        world.views = [*world.views[1:], see(world.at, world.goal)]
        spikes = world.person.step(world.views[0], SILENCE)
        world.path.append(world.at + DT * world.person.intended()[:2])
        counts.append(spikes.counts)
    return np.array(counts), np.array(world.path)


def test_a_seed_decides_everything_and_prepare_forgets():
    person = Person()
    first = run(7, person)
    again = run(7, person)
    other = run(8)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[1], other[1])


def test_with_a_velocity_goes_the_position_believed_so_much_earlier():
    person = Person(PersonConfig(motor_noise=0.0, visual_delay_ms=0.0, velocity_lead_ms=121.0, position_lead_ms=81.0))
    person.prepare(SETUP)
    told = []
    inner = person.population.step
    person.population.step = lambda t, v, p, c, s: told.append((list(p), list(person.policy.believed))) or inner(t, v, p, c)
    for k in range(6):
        person.step(see((0.01 * k, 0.0), (0.08, 0.0)), SILENCE)
    assert [p for p, _ in told[2:]] == [b for _, b in told[:-2]]


def test_another_day_is_the_same_person():
    days = [Person(PersonConfig(day=d)) for d in (0, 0, 1)]
    for person in days:
        person.prepare(SETUP)
    first, again, later = (p.population.units.velocity for p in days)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, later)
    assert np.array_equal(days[0].percept.threshold_ua, days[2].percept.threshold_ua)


def test_time_and_shapes():
    person = Person()
    person.prepare(SETUP)
    view = see((0.0, 0.0), (0.05, 0.0))
    stamps = [person.step(view, SILENCE).t_ns for _ in range(3)]
    assert stamps == [0, 20_000_000, 40_000_000]
    assert person.intended().dtype == np.float32
    assert person.spec.gives.size == 16
    assert person.spec.view_delay_ns == 200_000_000


def test_steers_in_space_and_leaves_other_intents_alone():
    setup = replace(
        SETUP,
        intent=("grasp", "reach.z", "reach.x", "reach.y"),
        workspace=np.array([[-0.1, -0.1, -0.1], [0.1, 0.1, 0.1]]),
    )
    person = Person(PersonConfig(motor_noise=0.0, visual_delay_ms=0.0))
    person.prepare(setup)
    person.step(see((0.0, 0.0, 0.0), (0.01, -0.02, 0.03)), SILENCE)
    grasp, z, x, y = person.intended()
    assert grasp == 0.0
    assert np.allclose(np.array([x, y, z]) / np.linalg.norm([x, y, z]), np.array([1, -2, 3]) / np.sqrt(14), atol=1e-5)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"visual_delay_ms": -1}, "visual_delay_ms"),
        ({"approach_ms": 0}, "approach_ms"),
        ({"motor_noise": float("nan")}, "motor_noise"),
        ({"slow_on_touch": 1.5}, "slow_on_touch"),
        ({"preset": "n2"}, "preset"),
        ({"tuning": -0.1}, "tuning"),
        ({"day": -1}, "day"),
        ({"units_lost": 1.5}, "units_lost"),
        ({"drift_sd": float("nan")}, "drift_sd"),
        ({"shared_noise": float("inf")}, "shared_noise"),
        ({"position_lead_ms": 200.0}, "velocity_lead_ms"),
        ({"max_rate_hz": 0}, "max_rate_hz"),
        ({"channels": -1}, "channels"),
        ({"threshold_ua": 0}, "threshold_ua"),
        ({"silent_fraction": 2}, "silent_fraction"),
    ],
)
def test_bad_configuration(config, words):
    with pytest.raises(ConfigError, match=words):
        PersonConfig(**config)


def test_bad_setup():
    with pytest.raises(ConfigError, match="takes finger"):
        Person().prepare(replace(SETUP, intent=("finger.1",)))
    with pytest.raises(ConfigError, match="12 channels"):
        Person(PersonConfig(channels=12)).prepare(SETUP)
