"""A step of the networks at 1,024 channels: its latency at 50 Hz on one thread, and that what runs is what was trained."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from volition.app._bench import Found, Measure, SkipError
from volition.signal import Float64
from volition.stage import Setup, find

CHANNELS, PERIOD_S, WARM = 1024, 0.02, 50
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "GRU-256": ("gru", {"units": 256, "members": 1, "read_in": 0}),
    "GRU 4 x 256 (default)": ("gru", {}),
    "GRU-512": ("gru", {"units": 512, "members": 1, "read_in": 0}),
    "transformer 4 x 256, 50 bins": ("transformer", {"units": 256, "layers": 4, "feedforward": 512, "context": 50}),
    "transformer 4 x 256, inside 1,024": ("transformer", {"units": 256, "layers": 4, "feedforward": 1024, "context": 50}),
    "transformer (default)": ("transformer", {}),
}
_GOALS = {"GRU-256": 0.5, "transformer 4 x 256, 50 bins": 1.2}


def _torch() -> Any:
    try:
        import onnx  # noqa: F401
        import torch
    except ModuleNotFoundError as error:
        raise SkipError(f"{error.name} is not installed (extra [train])") from None
    return torch


@cache
def network(shape: str) -> tuple[Any, Any, dict[str, Any], dict[str, Any]]:
    """A network of this shape with random weights: the decoder's class, its configuration, weights and scale."""
    torch = _torch()
    name, sizes = SHAPES[shape]
    cls = find("decoder", name)
    config = cls.sized(cls.Config(**sizes), CHANNELS)
    rng = np.random.default_rng(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = cls.module()(CHANNELS * (1 + len(config.smooth_ms)) + 1, 2, config)
    weights = {n: p.detach().numpy() for n, p in module.state_dict().items()}
    scale = {"mean": rng.uniform(0.05, 0.5, CHANNELS), "sd": rng.uniform(0.2, 0.7, CHANNELS)}
    scale |= {"live": np.ones(CHANNELS, bool), "y_mean": np.zeros(2), "y_sd": np.ones(2), "y_live": np.ones(2, bool)}
    return cls, config, weights, scale


@cache
def decoder(shape: str, int8: bool) -> Any:
    """It, as it runs."""
    from volition.decoder import _onnx

    cls, config, weights, scale = network(shape)
    content = cls.write(weights, scale, (), config)
    made = cls(dataclasses.replace(config, int8=int8))
    made.restore({"onnx": np.frombuffer(_onnx.int8(content) if int8 else content, np.uint8)})
    made.prepare(Setup(channels=CHANNELS, features=CHANNELS))
    return made


def counts(bins: int) -> Any:
    """Spike counts of 1,024 channels."""
    return np.random.default_rng(1).poisson(0.2, (bins, CHANNELS)).astype(np.float32)


def paced(made: Any, bins: int) -> tuple[Float64, Float64]:
    """Wall and CPU time of steps that come every 20 ms, ms: the caches are cold by then, as they are in a loop."""
    x, nothing = counts(WARM + bins), np.zeros(CHANNELS, bool)
    wall, cpu = np.empty(WARM + bins), np.empty(WARM + bins)
    due = time.perf_counter()
    for k in range(WARM + bins):
        due += PERIOD_S
        time.sleep(max(0.0, due - time.perf_counter()))
        began, used = time.perf_counter_ns(), time.thread_time_ns()
        made.step(x[k], nothing)
        cpu[k], wall[k] = time.thread_time_ns() - used, time.perf_counter_ns() - began
    made.reset()
    return wall[WARM:] / 1e6, cpu[WARM:] / 1e6


@cache
def _times(shape: str, int8: bool, bins: int) -> tuple[Float64, Float64]:
    return paced(decoder(shape, int8), bins)


def _latency(shape: str, int8: bool, bins: int, cpu: bool) -> Found:
    """The median; p99 and the other clock beside it."""
    wall_ms, cpu_ms = _times(shape, int8, bins)
    chosen = cpu_ms if cpu else wall_ms
    p50, p99 = np.percentile(chosen, (50, 99))
    return Found(float(p50), {"p99": float(p99), "max": float(chosen.max()), "steps": bins})


def _difference(shape: str, bins: int) -> Found:
    """Largest difference between steps at run time and PyTorch over the whole sequence, in spreads of the output."""
    from volition.decoder import _network_torch

    cls, config, weights, scale = network(shape)
    x, nothing = counts(bins), np.zeros(CHANNELS, bool)
    z = ((x - scale["mean"]) / scale["sd"]).clip(-8, 8).astype(np.float32)
    data = _network_torch.Data(z, None, scale["live"], np.zeros((bins, 2), np.float32), scale["y_live"], np.arange(bins) + 1)
    wanted, _ = _network_torch.sequence(cls.module(), weights, data, config, ())
    made = decoder(shape, False)
    made.reset()
    got = np.stack([made.step(row, nothing) for row in x])
    made.reset()
    return Found(float(np.abs(got - wanted).max()), {"bins": bins})


def measures(quick: bool) -> Iterator[Measure]:
    """Latency as the wall and as this thread's CPU clock sees it, equality, and 8-bit integers."""
    bins = 20 if quick else 500
    for shape in SHAPES:
        for int8 in (False, True):
            how = {"channels": CHANNELS, "threads": 1, "rate_hz": 50, "int8": int8}
            label = f"{shape}{', int8' if int8 else ''}"
            for clock in ("wall", "CPU"):
                yield Measure(
                    f"step, {label}, median, {clock}",
                    "ms",
                    lambda s=shape, i=int8, c=clock: _latency(s, i, bins, c == "CPU"),  # type: ignore[misc]
                    at_most=None if int8 or clock == "CPU" else _GOALS.get(shape),
                    parameters=how,
                )
        yield Measure(
            f"run time against PyTorch, {shape}, largest difference",
            "1",
            lambda s=shape: _difference(s, 30 if quick else 200),  # type: ignore[misc]
            at_most=1e-5,
            parameters={"channels": CHANNELS},
        )
