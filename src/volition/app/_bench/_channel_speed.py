"""Speed of the implant's front end and of its voltage, ours and others', in one process: `python -m ... JSON`, JSON out.

It runs in an environment of its own that holds the others (`_channel_peers.py`), so it imports nothing but
`volition.channel`, NumPy and SciPy, and the others inside functions. All turns are taken in rounds, ours and theirs one
after the other, so that a machine that slows down slows all. A speed is seconds of data per second of CPU time of all
threads.
"""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Step = Callable[[], Any]
_ARRAY = 64  # channels that share a reference


def _voltage(channels: int, fs: float, samples: int) -> Any:
    from volition.channel._electrodes import Electrodes

    electrodes = Electrodes(None, channels, fs, np.random.default_rng(0))
    electrodes.warm_up()
    return electrodes.voltage(electrodes.spontaneous(samples), samples)


def _through(process: Callable[[Any], Any], voltage: Any, chunk: int) -> Step:
    """A step that gives the next chunk of the voltage, over and over."""
    chunks = [np.ascontiguousarray(voltage[a : a + chunk]) for a in range(0, len(voltage) - chunk + 1, chunk)]
    at = [0]

    def step() -> Any:
        at[0] = (at[0] + 1) % len(chunks)
        return process(chunks[at[0]])

    return step


def our_front(voltage: Any, fs: float, reference: str = "common_average") -> Callable[[Any], Any]:
    """The front end as it ships."""
    from volition.channel._frontend import FrontEnd, FrontEndConfig

    front = FrontEnd(FrontEndConfig(reference=reference, array_size=_ARRAY), voltage.shape[1], fs)
    if reference == "regression":
        front.fit_reference(voltage)
    front.warm_up()
    return front.process


class _Detect:
    """Crossings of a running -4.5 RMS in NumPy, for those who filter only: without dead time, less than what ours does."""

    def __init__(self, channels: int, fs: float) -> None:
        self._mean_square = np.zeros(channels, np.float32)
        self._below = np.zeros(channels, bool)
        self._tau, self._seen = 10 * fs, 0

    def __call__(self, y: Any) -> Any:
        self._seen += len(y)
        rate = np.float32(len(y) / min(self._seen, self._tau))
        self._mean_square += rate * ((y * y).mean(0) - self._mean_square)
        below = y < -4.5 * np.sqrt(self._mean_square)
        crossed = below.copy()
        crossed[1:] &= ~below[:-1]
        crossed[0] &= ~self._below
        self._below = below[-1]
        return np.argwhere(crossed)


def scipy_front(voltage: Any, fs: float) -> Callable[[Any], Any]:
    """Reference, both filters in float32 by `sosfilt`, crossings, mean of |y|."""
    from scipy.signal import butter, sosfilt

    n = voltage.shape[1]
    spike = butter(4, [250, 5000], "bandpass", fs=fs, output="sos").astype(np.float32)
    power = butter(2, [300, 1000], "bandpass", fs=fs, output="sos").astype(np.float32)
    state = [np.zeros((len(s), 2, n), np.float32) for s in (spike, power)]
    detect = _Detect(n, fs)

    def process(x: Any) -> Any:
        u = x.astype(np.float32)
        arrays = u.reshape(len(u), -1, min(_ARRAY, n))
        arrays -= arrays.mean(2, keepdims=True)
        y, state[0] = sosfilt(spike, u, axis=0, zi=state[0])
        s, state[1] = sosfilt(power, u, axis=0, zi=state[1])
        return detect(y), np.abs(s).mean(0)

    return process


def ezmsg_front(voltage: Any, fs: float) -> Callable[[Any], Any]:
    """The same with `ezmsg-sigproc`: its reference, its Butterworth filters; crossings in NumPy (faster than its own)."""
    from ezmsg.sigproc.affinetransform import CommonRereferenceSettings, CommonRereferenceTransformer
    from ezmsg.sigproc.butterworthfilter import ButterworthFilterSettings, ButterworthFilterTransformer
    from ezmsg.util.messages.axisarray import AxisArray

    n = voltage.shape[1]
    groups = [list(range(a, min(n, a + _ARRAY))) for a in range(0, n, _ARRAY)]
    average = CommonRereferenceTransformer(CommonRereferenceSettings(mode="mean", axis="ch", channel_groups=groups))

    def band(order: int, low: float, high: float) -> Any:
        how = {"order": order, "cuton": low, "cutoff": high, "coef_type": "sos"}
        return ButterworthFilterTransformer(ButterworthFilterSettings(**how))

    spike, power, detect = band(4, 250, 5000), band(2, 300, 1000), _Detect(n, fs)
    axis, at = AxisArray.CoordinateAxis(data=np.arange(n), dims=["ch"]), [0]

    def process(x: Any) -> Any:
        axes = {"time": AxisArray.TimeAxis(fs=fs, offset=at[0] / fs), "ch": axis}
        message = average(AxisArray(x.astype(np.float32), dims=["time", "ch"], axes=axes))
        at[0] += len(x)
        return detect(spike(message).data), np.abs(power(message).data).mean(0)

    return process


def our_voltage(channels: int, fs: float, chunk: int) -> Step:
    """The calibrated preset at rest."""
    from volition.channel._electrodes import Electrodes

    electrodes = Electrodes(None, channels, fs, np.random.default_rng(0))
    electrodes.warm_up()
    return lambda: electrodes.voltage(electrodes.spontaneous(chunk), chunk)


def ezmsg_voltage(channels: int, fs: float, chunk: int) -> Step:
    """The parts of `ezmsg-simbiophys` that turn velocity into broadband: tuned spikes, mixed pink potentials.

    Without its baseline drift (eight channels, cheap), which in 1.12.0 overflows after three messages of 10 ms.
    """
    from functools import partial

    from ezmsg.event.kernel import ArrayKernel, MultiKernel
    from ezmsg.event.kernel_insert import SparseKernelInserter, SparseKernelInserterSettings
    from ezmsg.event.poissonevents import PoissonEventSettings, PoissonEventTransformer
    from ezmsg.sigproc.affinetransform import AffineTransformSettings, AffineTransformTransformer
    from ezmsg.simbiophys.cosine_encoder import CosineEncoderSettings, CosineEncoderTransformer
    from ezmsg.simbiophys.dnss.wfs import wf_orig
    from ezmsg.simbiophys.dynamic_colored_noise import DynamicColoredNoiseSettings, DynamicColoredNoiseTransformer
    from ezmsg.simbiophys.system.velocity2lfp import _make_mixing_weights
    from ezmsg.util.messages.axisarray import AxisArray

    rate = fs / chunk
    rates = CosineEncoderTransformer(CosineEncoderSettings(output_ch=channels, baseline=10, modulation=20 / 314, seed=1))
    events = PoissonEventTransformer(PoissonEventSettings(output_fs=fs, assume_counts=False))
    shapes = MultiKernel({i + 1: ArrayKernel(w.astype(np.float32)) for i, w in enumerate(wf_orig)})
    insert = SparseKernelInserter(SparseKernelInserterSettings(kernel=shapes))
    betas = CosineEncoderTransformer(CosineEncoderSettings(output_ch=8, baseline=1.0, modulation=1 / 315, seed=1))
    pink = DynamicColoredNoiseTransformer(
        DynamicColoredNoiseSettings(output_fs=fs, n_poles=5, smoothing_tau=0.01, initial_beta=1.0, scale=20.0, seed=1)
    )
    weights = partial(_make_mixing_weights, output_ch=channels, seed=1)
    mix = AffineTransformTransformer(AffineTransformSettings(weights=weights, axis="ch"))
    at = [0]

    def step() -> Any:
        axes = {
            "time": AxisArray.TimeAxis(fs=rate, offset=at[0] / rate),
            "ch": AxisArray.CoordinateAxis(data=np.arange(2), dims=["ch"]),
        }
        at[0] += 1
        velocity = AxisArray(np.array([[50.0, 0.3]]), dims=["time", "ch"], axes=axes)
        spikes = insert(events(rates(velocity))).data
        spikes = spikes.todense() if hasattr(spikes, "todense") else spikes
        exponents = betas(velocity)
        exponents.data[:] = np.clip(exponents.data, 0, 1.95)
        potential = mix(pink(exponents)).data
        n = min(len(spikes), len(potential))
        return np.rint(spikes[:n] + potential[:n]).astype(np.int16)

    return step


def speeds(steps: dict[str, Step], chunk_s: float, seconds: float, rounds: int) -> dict[str, list[float]]:
    """Seconds of data per second of CPU, a value a round, all steps in each."""
    for step in steps.values():
        for _ in range(2):
            step()
    found: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            times = max(2, round(seconds / chunk_s))
            start = time.process_time()
            for _ in range(times):
                step()
            found[name].append(times * chunk_s / (time.process_time() - start))
    return found


def measured(how: dict[str, Any]) -> dict[str, Any]:
    """Speeds of a `part`, "front" or "voltage", at some channels, fs, chunk_ms; what cannot be imported is `missing`."""
    channels, fs = how["channels"], how["fs"]
    chunk = round(fs * how["chunk_ms"] * 1e-3)
    steps: dict[str, Step] = {}
    missing: dict[str, str] = {}
    if how["part"] == "front":
        voltage = _voltage(channels, fs, max(chunk, round(0.2 * fs)))
        makers: dict[str, Callable[[], Step]] = {
            name: lambda make=make: _through(make(voltage, fs), voltage, chunk)  # type: ignore[misc]
            for name, make in (("ours", our_front), ("scipy", scipy_front), ("ezmsg", ezmsg_front))
        }
        makers["regression"] = lambda: _through(our_front(voltage, fs, "regression"), voltage, chunk)
    else:
        makers = {
            "ours": lambda: our_voltage(channels, fs, chunk),
            "ezmsg": lambda: ezmsg_voltage(channels, fs, chunk),
        }
    for name, make in makers.items():
        if name not in how.get("without", ()):
            try:
                steps[name] = make()
            except ImportError as error:
                missing[name] = str(error)
    found = speeds(steps, chunk / fs, how["seconds"], how["rounds"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"speeds": found, "missing": missing, "peak_mb": peak / 1e6}


if __name__ == "__main__":
    print(json.dumps(measured(json.loads(sys.argv[1]))))
