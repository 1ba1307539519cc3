"""The contract of a stage, tried out: what `stage.check` runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from volition.signal import BodyState, Broadband, Features, Goal, Intent, Spikes, Stim, Touch, View
from volition.stage import Brain, Channel, Decoder, Effector, Feedback, Setup, Spec, Task, Trainable

_STEPS = 12


def run(obj: Any, setup: Setup) -> list[str]:
    """Everything found wrong with a stage, one line each."""
    kinds = [
        (Brain, _brain),
        (Channel, _channel),
        (Decoder, _decoder),
        (Effector, _effector),
        (Task, _task),
        (Feedback, _feedback),
    ]
    if not hasattr(obj, "prepare"):
        return [f"{type(obj).__name__} has no prepare(setup)"]
    found = _common(obj)
    kind = _kind(obj)
    trial: Callable[[Any, Setup], list[str]] | None = next((f for p, f in kinds if p.__name__.lower() == kind), None)
    if trial is None:
        return [*found, f"{type(obj).__name__} has the methods of no stage"]
    return found + trial(obj, setup)


def _kind(obj: Any) -> str:
    """Which stage this is, by its telling methods."""
    marks = {"intended": "brain", "read": "channel", "predict": "decoder", "state": "effector", "aim": "task"}
    return next((kind for mark, kind in marks.items() if callable(getattr(obj, mark, None))), "feedback")


def _common(obj: Any) -> list[str]:
    name, found = type(obj).__name__, []
    config: Any = getattr(type(obj), "Config", None)
    if not (isinstance(config, type) and dataclasses.is_dataclass(config)):
        found.append(f"{name}.Config must be its configuration dataclass")
    elif not vars(config)["__dataclass_params__"].frozen:
        found.append(f"{name}.Config must be frozen")
    elif not isinstance(getattr(obj, "config", None), config):
        found.append(f"{name} must keep its configuration as .config")
    if not isinstance(obj.spec, Spec):
        found.append(f"{name}.spec must be a Spec")
    return found


def _goal(setup: Setup) -> Goal:
    return Goal(0, 0, np.full(setup.workspace.shape[1], 0.03), 0.01, "select" in setup.intent)


def _body(setup: Setup, t_ns: int = 0) -> BodyState:
    z = np.zeros(setup.workspace.shape[1])
    return BodyState(t_ns, z, z, np.empty(0), np.empty(0))


def _size(name: str, found: Any, wanted: tuple[int, ...]) -> list[str]:
    shape = np.shape(found)
    return [] if shape == wanted else [f"{name} has shape {shape}, expected {wanted}"]


def _brain(obj: Any, setup: Setup) -> list[str]:
    found: list[str] = []
    runs = []
    for _ in range(2):
        obj.prepare(setup)
        view, counts = View(0, _goal(setup), _body(setup)), []
        for k in range(_STEPS):
            signal = obj.step(view, Stim.zero(k * setup.bin_ns, setup.electrodes))
            if not isinstance(signal, (Spikes, Broadband)):
                return [f"step must return Spikes or Broadband, got {type(signal).__name__}"]
            if isinstance(signal, Spikes):
                found += _size("counts", signal.counts, (obj.spec.gives.size,))
                if signal.counts.dtype != np.uint16:
                    found.append(f"counts must be uint16, got {signal.counts.dtype}")
                counts.append(signal.counts.copy())
            found += _size("intended()", obj.intended(), (len(setup.intent),))
        runs.append(np.array(counts))
    if not np.array_equal(runs[0], runs[1]):
        found.append("two runs with one seed differ; draw random numbers from setup.rng only, and make all state in prepare")
    return sorted(set(found))


def _channel(obj: Any, setup: Setup) -> list[str]:
    width = obj.spec.takes.size or setup.channels
    setup = dataclasses.replace(setup, channels=width)
    obj.prepare(setup)
    found: list[str] = []
    rng = np.random.default_rng(0)
    for k in range(_STEPS):
        t_ns = (k + 1) * setup.bin_ns
        features = obj.read(Spikes(t_ns, rng.poisson(1.0, width).astype(np.uint16), segment=3))
        if not isinstance(features, Features):
            return [f"read must return Features, got {type(features).__name__}"]
        found += _size("x", features.x, (obj.spec.gives.size,)) + _size("mask", features.mask, (obj.spec.gives.size,))
        if features.x.dtype != np.float32 or features.mask.dtype != np.bool_:
            found.append("x must be float32 and mask bool")
        if not np.isfinite(features.x[~features.mask]).all():
            found.append("x must be finite where it is not masked")
        if features.segment != 3:
            found.append("the segment must be passed on")
        delivered = obj.write(Stim.zero(t_ns, obj.electrodes))
        if not isinstance(delivered, Stim) or delivered.amplitude_ua.any():
            found.append("write must deliver nothing when nothing is commanded")
    return sorted(set(found))


def _decoder(obj: Any, setup: Setup) -> list[str]:
    obj.prepare(setup)
    found: list[str] = []
    rng = np.random.default_rng(0)
    X = rng.poisson(1.0, (300, setup.features)).astype(np.float32)
    mask = rng.random(X.shape) < 0.05
    segments = np.repeat(np.arange(6), 50).astype(np.int32)
    y = (X[:, :4] @ rng.normal(size=(4, len(setup.intent)))).astype(np.float32)
    if isinstance(obj, Trainable):
        if obj.fitted:
            found.append("fitted must be False before fit")
        if obj.fit(X, mask, y, segments) is not obj:
            found.append("fit must return self")
        if not obj.fitted:
            found.append("fitted must be True after fit")
    poisoned = np.where(mask, np.nan, X).astype(np.float32)
    whole = obj.predict(poisoned, mask, segments)
    found += _size("predict()", whole, (len(X), len(setup.intent)))
    steps = []
    for k in range(len(X)):
        if k == 0 or segments[k] != segments[k - 1]:
            obj.reset()
        steps.append(np.array(obj.step(poisoned[k], mask[k])))
    stepped = np.array(steps)
    if not np.isfinite(stepped).all():
        found.append("what stands under the mask must not matter: NaN there reached the output")
    elif stepped.shape == np.shape(whole) and not np.allclose(stepped, whole, rtol=1e-4, atol=1e-5):
        found.append(f"predict differs from repeated step by up to {np.abs(stepped - whole).max():.2g}")
    if not 0 <= float(obj.confidence) <= 1:
        found.append(f"confidence must lie in 0..1, got {obj.confidence}")
    obj.reset()
    if not np.isfinite(obj.step(poisoned[0], np.ones(setup.features, bool))).all():
        found.append("a bin in which everything is missing must still give a finite output")
    return found


def _effector(obj: Any, setup: Setup) -> list[str]:
    names, found = obj.spec.takes.names, []
    setup = dataclasses.replace(setup, intent=names, workspace=obj.workspace, max_speed=obj.max_speed)
    states = []
    for _ in range(2):
        obj.prepare(setup)
        dt = (obj.spec.period_ns or setup.bin_ns) / 1e9
        for k in range(_STEPS):
            size = 1e6 if k == _STEPS - 1 else 0.1
            touch, body = obj.step(Intent(k * setup.bin_ns, np.full(len(names), size, np.float32)), dt)
            if not (isinstance(touch, Touch) and isinstance(body, BodyState)):
                return ["step must return (Touch, BodyState)"]
            found += _size("pressure", touch.pressure, (obj.spec.gives.size,))
            found += _size("position", body.position, (np.shape(obj.workspace)[1],))
            if not (np.isfinite(body.position).all() and np.isfinite(body.velocity).all()):
                found.append("the body's state must stay finite whatever is commanded")
        states.append(obj.state().position.tobytes())
    if states[0] != states[1]:
        found.append("two runs differ; make all state anew in prepare")
    return sorted(set(found))


def _task(obj: Any, setup: Setup) -> list[str]:
    obj.prepare(setup)
    found = [] if isinstance(obj.restart(0), Goal) else ["restart must return a Goal"]
    for k in range(_STEPS):
        t_ns = k * setup.bin_ns
        if not isinstance(obj.step(t_ns, _body(setup, t_ns)), Goal):
            return [*found, "step must return a Goal"]
    found += _size("aim()", obj.aim(_body(setup)), (len(setup.intent),))
    if not all(np.isfinite(float(v)) for v in obj.score().values()):
        found.append("score must be finite even before the first trial ends")
    return found


def _feedback(obj: Any, setup: Setup) -> list[str]:
    setup = dataclasses.replace(setup, taxels=8, electrodes=16)
    obj.prepare(setup)
    found: list[str] = []
    for k in range(_STEPS):
        stim = obj.step(Touch(k * setup.bin_ns, np.linspace(0, k, 8)))
        if not isinstance(stim, Stim):
            return [f"step must return Stim, got {type(stim).__name__}"]
        for name in ("amplitude_ua", "frequency_hz", "pulse_width_us"):
            value = getattr(stim, name)
            found += _size(name, value, (16,))
            if not np.isfinite(value).all() or (value < 0).any():
                found.append(f"{name} must be finite and not negative")
    return sorted(set(found))
