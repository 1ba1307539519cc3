"""The implant: front end, voltage, codec and the whole loop on the real clock, beside what others offer."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from volition.app._bench import Found, Measure, SkipError
from volition.app._bench import _channel_peers as peers
from volition.app._bench._channel_exact import Exactness, exactness
from volition.app._bench.decode import DATA
from volition.app._output import cell
from volition.channel import _codec_measure as codec
from volition.channel._codec_map import parse_wav
from volition.channel._electrodes import Electrodes, ElectrodesConfig

_FS, _N1_FS = 30_000.0, 19_531.0


def _compiled() -> None:
    if find_spec("numba") is None:
        raise SkipError("numba is not installed (extra [fast]): these figures are of the compiled kernels")


def _recordings() -> list[bytes]:
    root = os.environ.get(DATA)
    if not root:
        raise SkipError(f"{DATA} is not set: real recordings are not here")
    folder = Path(root) / "broadband_neuralink"
    if not folder.is_dir():
        raise SkipError(f"broadband_neuralink is not below {DATA}")
    return codec.read_folder(folder)


# --- speed ------------------------------------------------------------------------------------------------------------


def _speed(name: str, make: bool, how: dict[str, Any]) -> Found:
    _compiled()
    values = peers.rates(peers.measured(make, **how), name, make)
    return Found(statistics.median(values), {"runs": len(values), "low": min(values), "high": max(values)})


def _ratio(name: str, make: bool, how: dict[str, Any]) -> Found:
    """Ours over theirs, median of the rounds, in which both had their turn."""
    _compiled()
    found = peers.measured(make, **how)
    theirs = peers.rates(found, name, make)
    ratios = [a / b for a, b in zip(peers.rates(found, "ours", make), theirs, strict=True)]
    note = f"theirs {statistics.median(theirs):.3g}x real time"
    return Found(statistics.median(ratios), {"runs": len(ratios), "low": min(ratios), "high": max(ratios), "note": note})


def _memory(how: dict[str, Any]) -> Found:
    _compiled()
    return Found(peers.measured(False, alone=True, **how)["peak_mb"])


def _speeds(quick: bool) -> Iterator[Measure]:
    base: dict[str, Any] = {"channels": 64, "seconds": 0.1, "rounds": 2} if quick else {"channels": 1024, "seconds": 1.0}
    base = {"rounds": 7, "fs": _FS, **base}
    make, unit, size = not quick, "x real time on one core", f"{base['channels']} channels x 30 kHz"
    for ms, goal in ((10, 12), (1, 7)):
        how = {"part": "front", "chunk_ms": ms, **base}
        label = f"front end, {size}, chunks of {ms} ms"
        yield Measure(label, unit, lambda h=how: _speed("ours", make, h), at_least=goal, parameters=how)  # type: ignore[misc]
        yield Measure(
            f"{label}, regression reference",
            unit,
            lambda h=how: _speed("regression", make, h),  # type: ignore[misc]
            parameters=how,
        )
        for name, who in (("scipy", "scipy sosfilt float32"), ("ezmsg", "ezmsg-sigproc")):
            yield Measure(
                f"{label}, over {who}",
                "x",
                lambda n=name, h=how: _ratio(n, make, h),  # type: ignore[misc]
                at_least=5,
                parameters=how,
            )
    how = {"part": "voltage", "chunk_ms": 10, **base}
    label = f"voltage, {size}, chunks of 10 ms"
    yield Measure(label, unit, lambda: _speed("ours", make, how), at_least=10, parameters=how)
    yield Measure(f"{label}, over ezmsg-simbiophys", "x", lambda: _ratio("ezmsg", make, how), at_least=6, parameters=how)
    yield Measure(f"{label}, peak memory", "MB", lambda: _memory(how), at_most=500, parameters=how)


# --- exactness --------------------------------------------------------------------------------------------------------


@cache
def _exact(real: bool, channels: int, seconds: float, threshold: float) -> Exactness:
    _compiled()
    if not real:
        samples = round(seconds * _FS)
        electrodes = Electrodes(ElectrodesConfig(railed=0.02), channels, _FS, np.random.default_rng(1))
        return exactness(electrodes.voltage(electrodes.spontaneous(samples), samples), _FS, threshold_rms=threshold)
    files = _recordings()[:channels]
    columns = [parse_wav(raw).samples.ravel()[: round(seconds * _N1_FS)] for raw in files]
    x = np.ascontiguousarray(np.stack([c >> 6 for c in columns], 1), np.int16)
    return exactness(x, _N1_FS, threshold_rms=threshold, array_size=0)


def _exactness(quick: bool) -> Iterator[Measure]:
    def of(value: Callable[[Exactness], float], *how: Any) -> Callable[[], Found]:
        def run() -> Found:
            found = _exact(*how)
            return Found(value(found), {"note": f"{found.crossings} crossings, {found.differ} differ"})

        return run

    channels, seconds = (32, 0.6) if quick else (256, 4.0)
    for real, label in ((False, "simulated"), (True, "recorded")):
        for threshold in (4.5, 2.0):  # the low one gives a hundred times as many crossings to be wrong about
            how = (real, channels, seconds, threshold)
            name = f"{label} voltage, threshold {threshold} RMS"
            parameters = dict(zip(("real", "channels", "seconds", "threshold"), how, strict=True))
            rows: tuple[tuple[str, str, Callable[[Exactness], float], float], ...] = (
                ("crossings that differ from float64", "in 1e5", lambda e: 1e5 * e.differ / max(1, e.crossings), 1),
                ("of these far from the threshold (1e-4)", "", lambda e: e.unexplained, 0),
                ("spiking-band power, greatest relative error", "1", lambda e: e.power, 1e-5),
                ("chunk sizes of 1, 7, 10, 100 ms that differ", "", lambda e: e.chunks, 0),
            )
            for what, unit, value, most in rows:
                yield Measure(f"{what}, {name}", unit, of(value, *how), at_most=most, parameters=parameters)


# --- codec ------------------------------------------------------------------------------------------------------------


@cache
def _codec(mode: str, which: str, quick: bool) -> codec.Result:
    _compiled()
    files = _recordings()[: 8 if quick else None]
    chosen = files[1::2] if which == "other" else files
    if mode == "dense":
        return codec.measure_files(chosen)
    channels = 64 if quick else 1024
    return codec.measure_stream(codec.stretches(chosen, channels), rate=_N1_FS)


def _codecs(quick: bool) -> Iterator[Measure]:
    ratios = (("16", lambda r: r.ratio16), ("10", lambda r: r.ratio10))
    for mode, least in (("stream", 3.34), ("dense", 3.50)):
        for which, label in (("other", "files not learnt from"), ("all", "all files")):
            for bits, value in ratios:
                yield Measure(
                    f"codec, {mode}, {label}, against {bits} bit",
                    "x smaller",
                    lambda m=mode, w=which, v=value: Found(v(_codec(m, w, quick))),  # type: ignore[misc]
                    at_least=least if bits == "16" else None,
                    parameters={"files": which},
                )
    speeds = (("encoding", 20, "encode"), ("decoding", 10, "decode"))
    for what, goal, key in speeds:

        def run(key: str = key) -> Found:
            found = _codec("stream", "all", quick)
            return Found(getattr(found, f"{key}_rt"), {"high": getattr(found, f"{key}_best_rt")})

        yield Measure(
            f"codec, stream, {what}, {64 if quick else 1024} channels x 19,531 Hz, blocks of 10 ms",
            "x real time on one core",
            run,
            at_least=goal,
        )


# --- the whole loop ---------------------------------------------------------------------------------------------------


@cache
def _certified(seconds: float) -> dict[str, Any]:
    _compiled()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "volition", "certify", "--seconds", str(seconds), "--output", folder],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in (0, 1):
            raise SkipError(f"certify failed: {done.stderr.strip()[-200:]}")
        report: dict[str, Any] = json.loads((Path(folder) / "report.json").read_text(encoding="utf-8"))
        return report


def _end_to_end(seconds: float) -> Iterator[Measure]:
    def of(row: int) -> Callable[[], Found]:
        def run() -> Found:
            report = _certified(seconds)
            whole = report["latency_ms"][0]
            note = f"p99.9 {whole['p99.9']:.2f}, max {whole['max']:.2f} ms; load before {cell(report['load_before'])}"
            return Found(report["limits"][row]["value"], {"note": note})

        return run

    for row, (what, unit, most) in enumerate((("p50", "ms", 5.0), ("p99", "ms", 20.0), ("frames lost", "", 0.0))):
        label = f"last sample of a bin to command, 1,024 channels x 30 kHz, {what}"
        yield Measure(label, unit, of(row), at_most=most, parameters={"seconds": seconds})


def measures(quick: bool) -> Iterator[Measure]:
    """All rows; `quick` takes small sizes, makes no environment for the others and does not run the clock."""
    yield from _speeds(quick)
    yield from _exactness(quick)
    yield from _codecs(quick)
    if not quick:
        yield from _end_to_end(60.0)
