"""The legs: standing, walking, turning, being pushed and told nonsense; speed of the physics, cost of the controller.

All on the acceptance settings: three dimensions, no support, steps of 1 ms with 50 solver iterations, friction 0.7 to 1,
trunk mass within 10 %, noisy and late sensors; every body starts from standing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import cache, lru_cache, partial
from typing import Any

import numpy as np

from volition.app._bench import Found, Measure, median_of, success_rate

_SEED = 11
_PUSH_NS = 40.0
_FAST_M_S, _TOP_M_S = 7.0, 7.4  # what is to be reached, and the command for it
_WORN_M_S = 7.5  # top of the prosthesis
_STOP_M = 10.0
_STEADY_S = 5.0  # after the command has reached its speed: a body lags behind
_TURN_RAD_S, _TURN_S = 0.15, 12.0  # a turn while running, and for how long
_ROUGH = ("slopes", "steps", "slippery", "mixed")
_CORES = min(2, os.cpu_count() or 1)


def _world(fit: str = "robot", limits: str = "stated") -> Any:
    from volition.train._gait_herd import World

    return World(fit=fit, limits=limits, timestep_s=0.001, iterations=50, threads=_CORES)


def _stand(fit: str, bodies: int, seconds: float) -> Found:
    """Greatest drift of the pelvis from where it stood after 5 s, cm."""
    from volition.train._gait_drive import drive

    track = drive(bodies, seconds, lambda t: (0.0, 0.0, 0.0), _world(fit), _SEED)
    late = track.between(5.0, seconds)
    drift = np.hypot(track.x[late] - track.x[late.start], track.y[late] - track.y[late.start]).max(axis=0)
    turned = np.abs(track.heading[late] - track.heading[late.start]).max()
    extra = {"fell": int((~track.alive).sum()), "bodies": bodies, "heading_deg": float(np.degrees(turned))}
    return Found(100 * float(drift.max()), extra)


def _pushed(fit: str, bodies: int) -> Found:
    """Survival of a push from a random direction while standing."""
    from volition.train._gait_drive import drive
    from volition.train._gait_herd import Herd

    mass = float(Herd(1, _world(fit), 0).model.body_mass.sum())
    angle = np.arange(bodies) / bodies * 2 * np.pi
    dx, dy = _PUSH_NS / mass * np.cos(angle), _PUSH_NS / mass * np.sin(angle)
    track = drive(bodies, 6.0, lambda t: (0.0, 0.0, 0.0), _world(fit), _SEED, pushes=[(1.0, dx, dy)])
    return success_rate(int(track.alive.sum()), bodies)


@lru_cache(maxsize=1)
def _go(
    fit: str,
    limits: str,
    bodies: int,
    seconds: float,
    speed: float,
    turn: float,
    side: float,
    kick: float,
    walk: bool = False,
) -> Any:
    """A track: 0.5 s of standing, then the way asked for."""
    from volition.effector._legs_pilot import Library
    from volition.effector._legs_shape import Shape
    from volition.train._gait_drive import Knocks, drive

    knocks = Knocks(speed_m_s=0.3, turn_rad_s=0.35, kick_m_s=kick) if kick else None
    way, world = (speed, side, turn), _world(fit, limits)
    shape = Shape(max_m_s=float(Library.shipped(fit, limits).speeds[-1]), frozen_s=0.0, walk=walk)
    return drive(bodies, seconds, lambda t: way if t > 0.5 else (0.0, 0.0, 0.0), world, _SEED, knocks, shape=shape)


def _survives(kick: float, **how: Any) -> Found:
    """Share that is upright to the end, under noise on the command (0.3 m/s, 20 degrees/s) and kicks every 5 s."""
    track = _go(kick=kick, **how)
    found = success_rate(int(track.alive.sum()), how["bodies"])
    late = track.between(0.6 * how["seconds"], how["seconds"])
    alive = track.alive
    if not alive.any():
        return found
    mean = {"speed_m_s": track.ahead, "side_m_s": track.aside, "turn_deg_s": np.degrees(track.turning)}
    extra = {name: float(values[late][:, alive].mean()) for name, values in mean.items()}
    return Found(found.value, {**found.extra, **extra})


def _reaches(kick: float, **how: Any) -> Found:
    """Mean speed, m/s, of the last 40 % of the ways of who stays upright, under the same disturbances (the same bodies)."""
    found = _survives(kick, **how)
    return Found(found.extra.get("speed_m_s", 0.0), {"upright": found.value, "bodies": how["bodies"]})


def _tracks(what: str, wanted: float, **how: Any) -> Found:
    """Error of a quantity's mean over the last 40 % of an undisturbed way, in % of what is wanted; mean of the bodies."""
    track = _go(kick=0.0, **how)
    late = track.between(0.6 * how["seconds"], how["seconds"])
    values = getattr(track, what)[late][:, track.alive].mean(axis=0)
    if not values.size:
        return Found(100.0, {"fell": how["bodies"]})
    error = 100 * np.abs(values - wanted) / abs(wanted)
    return Found(float(error.mean()), {"mean": float(values.mean()), "worst": float(error.max()), "bodies": how["bodies"]})


def _stops(bodies: int, speed: float, limits: str) -> Found:
    """Share that stands within 10 m of the command to stop; beside it the speed at which it came."""
    from volition.train._gait_drive import drive

    at = 0.5 + speed / 1.2 + (_STEADY_S if speed > 1 else 1.0)
    track = drive(
        bodies, at + 9, lambda t: (speed, 0.0, 0.0) if 0.5 < t < at else (0.0, 0.0, 0.0), _world("robot", limits), _SEED
    )
    begin = int(np.searchsorted(track.t_s, at))
    way = np.full(bodies, np.inf)
    for i in np.flatnonzero(track.alive):
        stands = np.flatnonzero(track.standing[begin:, i] & track.standing[-1, i])
        if stands.size:
            end = begin + stands[0]
            way[i] = np.hypot(track.x[end, i] - track.x[begin, i], track.y[end, i] - track.y[begin, i])
    stood = np.isfinite(way)
    rate = success_rate(int((way <= _STOP_M).sum()), bodies)
    extra = {"stood": int(stood.sum()), "from_m_s": float(track.ahead[begin - 25 : begin].mean())}
    if stood.any():
        extra |= {"way_m": float(np.median(way[stood])), "way_90_m": float(np.quantile(way[stood], 0.9))}
    return Found(rate.value, {**rate.extra, **extra})


def _fault(kind: str, bodies: int, speed: float, fit: str, limits: str) -> Found:
    """Share of bodies that are upright 8 s after a decoder fault at speed, and slow (below a quarter) where it lasts."""
    from volition.effector._legs_shape import Shape
    from volition.train._gait_drive import Knocks, drive

    begin = 1.0 + speed / 1.2 + (_STEADY_S if speed > 1 else 1.5)
    nan = float("nan")

    def intents(t: float) -> tuple[float, float, float]:
        if t < 0.5:
            return (0.0, 0.0, 0.0)
        if t < begin:
            return (speed + 0.01 * np.sin(9 * t), 0.0, 0.0)  # never quite the same: not frozen
        bad = {
            "lost 1 s": (speed + 0.01 * np.sin(9 * t), 0.0, 0.0),
            "dead": (0.0, 0.0, 0.0),
            "NaN": (nan, nan, nan),
            "frozen": (speed, 0.0, 0.0),
            "reversed": (-speed + 0.01 * np.sin(9 * t), 0.0, 0.0),
        }
        return bad[kind]

    age = (lambda t: max(0.0, t - begin) if t < begin + 1 else 0.0) if kind == "lost 1 s" else None
    shape = Shape(max_m_s=max(speed, 3.0), frozen_s=1.0)
    track = drive(bodies, begin + 8, intents, _world(fit, limits), _SEED, Knocks(age=age), shape=shape)
    good = track.alive.copy()
    if kind not in ("lost 1 s", "reversed"):
        good &= np.abs(track.ahead[-50:]).mean(axis=0) < 0.25 * speed
    found = success_rate(int(good.sum()), bodies)
    at = int(np.searchsorted(track.t_s, begin))
    return Found(found.value, {**found.extra, "from_m_s": float(track.ahead[at - 25 : at].mean())})


@cache
def _steers(fit: str, limits: str, speed: float, bodies: int, seconds: float) -> Found:
    """How much of a turn while running is made, %: mean of who stays upright, of the worse of the two sides."""
    from volition.train._gait_drive import Knocks, drive

    at, knocks, made, upright = 0.5 + speed / 1.2 + 2.0, Knocks(0.3, 0.35, 0.2), [], 0
    for side in (1, -1):

        def intents(t: float, turn: float = side * _TURN_RAD_S) -> tuple[float, float, float]:
            return (speed if t > 0.5 else 0.0, 0.0, turn if t > at else 0.0)

        track = drive(bodies // 2, at + seconds, intents, _world(fit, limits), _SEED, knocks)
        heading = np.unwrap(track.heading[:, track.alive], axis=0)
        turned = side * (heading[-1] - heading[np.searchsorted(track.t_s, at)])
        upright += int(track.alive.sum())
        made.append(100 * float(turned.mean()) / (_TURN_RAD_S * seconds) if turned.size else 0.0)
    return Found(min(made), {"left": made[0], "right": made[1], "upright": upright, "bodies": bodies // 2 * 2})


def _upright_turning(**how: Any) -> Found:
    """Who is upright at the end of those turns (the same bodies)."""
    found = _steers(**how).extra
    return success_rate(found["upright"], found["bodies"])


def _course(ground: str, seconds: float, seed: int) -> tuple[bool, float]:
    """Whether one body walks the course of `terrain` upright, and how far, led by its ideal user with a little noise."""
    from volition.effector.legs import Legs, LegsConfig
    from volition.signal import Intent
    from volition.stage import Setup
    from volition.task.terrain import Terrain, TerrainConfig

    legs, task, rng = Legs(LegsConfig()), Terrain(TerrainConfig(kind=ground)), np.random.default_rng(seed)
    setup = Setup(seed, intent=legs.spec.takes.names, workspace=legs.workspace, max_speed=legs.max_speed, ground=ground)
    legs.prepare(setup)
    task.prepare(setup)
    body, told = legs.state(), Intent(0, np.zeros(3, np.float32))
    for k in range(round(200 * seconds)):
        if k % 4 == 0:
            noise = (0.05, 0.0, 0.05) * rng.standard_normal(3)
            told = Intent(0, (task.aim(body) + noise).astype(np.float32))
        _, body = legs.step(told, 0.005)
        task.step(5_000_000 * k, body)
        if legs.fallen:
            break
    return not legs.fallen, float(legs.figures()["way_m"])


@cache
def _over(ground: str, bodies: int, seconds: float) -> Found:
    """Share of bodies that walk the course of `terrain` upright; many bodies share the cores."""
    seeds, one = range(_SEED, _SEED + bodies), partial(_course, ground, seconds)
    if bodies < 8:
        found = [one(seed) for seed in seeds]
    else:
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        with ProcessPoolExecutor(_CORES, mp_context=get_context("spawn")) as pool:
            found = list(pool.map(one, seeds, chunksize=5))
    upright = sum(up for up, _ in found)
    rate = success_rate(upright, bodies)
    return Found(rate.value, {**rate.extra, "upright": upright, "way_m": sum(way for _, way in found)})


def _over_all(bodies: int, seconds: float) -> Found:
    """The four kinds of ground together."""
    found = [_over(ground, bodies, seconds) for ground in _ROUGH]
    return success_rate(sum(f.extra["upright"] for f in found), bodies * len(_ROUGH))


def _steps_per_s(fit: str) -> float:
    """Physics steps a CPU-second of a body that walks, controller and sensors not counted."""
    import mujoco

    from volition.effector.legs import Legs, LegsConfig
    from volition.signal import Intent
    from volition.stage import Setup

    legs = Legs(LegsConfig(fit=fit, frozen_ms=0))
    legs.prepare(Setup())
    for _ in range(400):
        legs.step(Intent(0, np.array([1.5, 0, 0], np.float32)), 0.005)
    model, data, spent, steps = legs._model, legs._data, 0.0, 0
    for _ in range(400):
        legs.step(Intent(0, np.array([1.5, 0, 0], np.float32)), 0.005)
        saved, count = mujoco.MjData(model), 5
        mujoco.mj_copyData(saved, model, data)
        begin = time.process_time()
        mujoco.mj_step(model, saved, count)
        spent += time.process_time() - begin
        steps += count
    return steps / spent


def _share_of_core() -> float:
    """CPU time of the whole effector for a second of walking, % of a core."""
    from volition.effector.legs import Legs, LegsConfig
    from volition.signal import Intent
    from volition.stage import Setup

    legs = Legs(LegsConfig(frozen_ms=0))
    legs.prepare(Setup())
    intent = Intent(0, np.array([1.5, 0, 0.2], np.float32))
    for _ in range(300):
        legs.step(intent, 0.005)
    begin = time.process_time()
    for _ in range(600):
        legs.step(intent, 0.005)
    return 100 * (time.process_time() - begin) / 3.0


# (what, unit, of a body's strides, tolerance, relative): what a gait is held against a person in.
_LIKE = (
    ("strides", "1/s", "strides_per_s", 0.15, True),
    ("duty factor", "", "duty", 0.08, False),
    ("peak force on a foot", "body weights", "peak", 0.25, True),
)


@cache
def _strides(speed: float, walk: bool, bodies: int, seconds: float) -> Any:
    """Strides and speed of bodies that go at a speed undisturbed, and their joints' work: means of who stays up."""
    track = _go("robot", "stated" if speed < 6 else "sprint", bodies, seconds, speed, 0.0, 0.0, 0.0, walk)
    up, late = np.flatnonzero(track.alive), track.between(0.6 * seconds, seconds)
    if not up.size:
        return None
    steps = [track.steps(i, 0.6 * seconds, seconds) for i in up]
    found = {name: float(np.mean([getattr(s, name) for s in steps])) for name in ("strides_per_s", "duty", "air", "peak")}
    ahead = float(track.ahead[late][:, up].mean())
    work = float(track.power[late][:, up].mean()) / ahead / (track.weight_n / 9.81)
    return {**found, "speed_m_s": ahead, "work_j_kg_m": work, "bodies": bodies, "upright": int(up.size)}


def _like(name: str, person: float, speed: float, walk: bool, bodies: int, seconds: float) -> Found:
    """One figure of a body's strides; beside it the person's, and how fast the body went."""
    found = _strides(speed, walk, bodies, seconds)
    if found is None:
        return Found(0.0, {"upright": 0, "bodies": bodies})
    return Found(found[name], {"note": f"person {person:g}; went {found['speed_m_s']:.2f} m/s", **found})


def _people(bodies: int, seconds: float) -> Iterator[Measure]:
    """Rows that hold strides, duty factor and force against a person's; at 7 m/s they are only told."""
    from volition.train._gait_trial import RUNNER, SPRINTER, WALKER

    for speed, walk, person in ((1.3, True, WALKER), (1.3, False, WALKER), (3.5, False, RUNNER), (7.0, False, SPRINTER)):
        for what, unit, name, tolerance, relative in _LIKE:
            wanted = getattr(person, name)
            off = tolerance * wanted if relative else tolerance
            goals = (wanted - off, wanted + off) if speed < 6 and (walk or speed > 2) else (None, None)
            run = partial(_like, name, wanted, speed, walk, bodies, seconds)
            how = "walk" if walk else "run"
            yield _row(f"human: {what}, {how} at {speed:g} m/s", unit, run, *goals, bodies=bodies, seconds=seconds)


def _row(
    what: str, unit: str, run: Callable[[], Found], low: float | None = None, high: float | None = None, **size: Any
) -> Measure:
    return Measure(what, unit, run, low, high, size)


def measures(quick: bool = False) -> Iterator[Measure]:
    """Rows of the bench; `quick` tries few bodies for a short time."""
    n, seconds = (4, 5.0) if quick else (100, 60.0)
    runs = 1 if quick else 5
    size = {"bodies": n, "seconds": seconds}
    calm = {"bodies": n, "seconds": min(seconds, 20.0)}  # undisturbed: the speed is settled long before
    robot = {"fit": "robot", "limits": "stated", "turn": 0.0, "side": 0.0, **size}
    stand = (2, 8.0) if quick else (20, 600.0)
    yield _row("physics", "steps/s", partial(median_of, runs, partial(_steps_per_s, "robot")), 35_000)
    yield _row("whole effector, walking", "% of a core", partial(median_of, runs, _share_of_core), None, 50)
    for fit in ("robot", "prosthesis"):
        yield _row(f"stand: drift, {fit}", "cm", partial(_stand, fit, *stand), None, 5, bodies=stand[0], seconds=stand[1])
    for fit in ("robot", "prosthesis"):
        yield _row(f"push of {_PUSH_NS:g} N s, {fit}", "%", partial(_pushed, fit, n), 95, bodies=n)
        for speed in (0.5, 1.5, 3.0):
            run = partial(_survives, 0.5, **{**robot, "fit": fit, "speed": speed})
            yield _row(f"upright, {speed:g} m/s, {fit}", "%", run, 98, **size)
    for speed in (0.5, 1.5, 3.0):
        run = partial(_tracks, "ahead", speed, **{**robot, "speed": speed, **calm})
        yield _row(f"error of speed, {speed:g} m/s", "%", run, None, 8, **calm)
    for speed, turn in ((0.0, 0.8), (1.5, np.pi / 4), (3.0, np.pi / 6)):
        how = {**robot, "speed": speed, "turn": turn}
        name = f"turning {np.degrees(turn):.0f} deg/s at {speed:g} m/s"
        yield _row(f"upright, {name}", "%", partial(_survives, 0.5, **how), 98, **size)
        yield _row(f"error, {name}", "%", partial(_tracks, "turning", turn, **{**how, **calm}), None, 15, **calm)
    run = partial(_survives, 0.5, **{**robot, "speed": 1.3, "walk": True})
    yield _row("upright, gait walk, 1.3 m/s, robot", "%", run, 98, **size)
    for name, speed, side in (("sideways 0.3 m/s", 0.0, 0.3), ("backward 0.3 m/s", -0.3, 0.0)):
        yield _row(f"upright, {name}", "%", partial(_survives, 0.5, **{**robot, "speed": speed, "side": side}), 95, **size)
    yield from _runs(n, 5.0 if quick else 30.0)
    yield from _people(*((2, 5.0) if quick else (20, 15.0)))
    over = (2, 4.0) if quick else (25, 30.0)
    for ground in _ROUGH:
        run = partial(_over, ground, *over)
        yield _row(f"upright, walking over ground: {ground}", "%", run, 90, bodies=over[0], seconds=over[1])
    all_of = {"bodies": over[0] * len(_ROUGH), "seconds": over[1]}
    yield _row("upright, walking over the four grounds", "%", partial(_over_all, *over), 90, **all_of)
    for speed, fit, limits in ((3.0, "robot", "stated"), (5.0, "robot", "stated"), (5.0, "prosthesis", "sprint")):
        for kind in ("lost 1 s", "dead", "NaN", "frozen", "reversed"):
            run = partial(_fault, kind, n, speed, fit, limits)
            yield _row(f"decoder fault at {speed:g} m/s, {fit}, {limits}: {kind}", "%", run, 95, bodies=n)


def _runs(bodies: int, seconds: float) -> Iterator[Measure]:
    """Rows of running and of coming to a stand from it."""
    size = {"bodies": bodies, "seconds": seconds}
    way = {"turn": 0.0, "side": 0.0, **size}
    commands = ((5.0, "robot", "stated"), (5.0, "robot", "sprint"), (_TOP_M_S, "robot", "sprint"))
    for speed, fit, limits in (*commands, (5.0, "prosthesis", "sprint"), (_WORN_M_S, "prosthesis", "sprint")):
        how = {**way, "fit": fit, "limits": limits, "speed": speed}
        name = f"command of {speed:g} m/s, {limits}" + (", prosthesis" if fit == "prosthesis" else "")
        yield _row(f"upright, {name}", "%", partial(_survives, 0.2, **how), 95, **size)
        if speed > 5:
            yield _row(f"speed, {name}", "m/s", partial(_reaches, 0.2, **how), _FAST_M_S, **size)
    turn = {"bodies": bodies, "seconds": _TURN_S if seconds > 5 else 1.0}
    for fit in ("robot", "prosthesis"):
        steers: dict[str, Any] = {"fit": fit, "limits": "sprint", "speed": 6.0, **turn}
        name = f"turning {np.degrees(_TURN_RAD_S):.1f} deg/s at 6 m/s, both sides, {fit}"
        yield _row(f"upright, {name}", "%", partial(_upright_turning, **steers), 95, **turn)
        yield _row(f"made of it, {name}", "%", partial(_steers, **steers), 80, **turn)
    for speed, limits in ((3.0, "stated"), (5.0, "stated"), (5.0, "sprint"), (7.0, "sprint")):
        run = partial(_stops, bodies, speed, limits)
        yield _row(f"stands within {_STOP_M:g} m of {speed:g} m/s, {limits}", "%", run, 95, bodies=bodies)
