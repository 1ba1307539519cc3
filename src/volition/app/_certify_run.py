"""The run of `volition certify`: fit in lockstep, then source, loop and load on the real clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from volition.app._certify_link import LiveN1, PacedClock, mail_rows, undisturbed
from volition.brain.person import PersonConfig
from volition.channel.n1 import N1Config
from volition.decoder.kalman import Kalman, KalmanConfig
from volition.errors import ConfigError
from volition.io.shm import RingReader, RingWriter
from volition.loop.calibrate import Calibration
from volition.loop.config import LoopConfig
from volition.loop.loop import Loop

if TYPE_CHECKING:
    from volition.app.certify import Certify

_SHORT = Calibration(observe_s=12.0, assist=(0.5,), block_s=6.0)  # a decoder that steers; it is not what is measured
_DECODER = KalmanConfig(orders=(3,), leads=(0,), shrinkages=(1.0,), noises=(1.0,))
_MAX_LAG_MS = 60.0
_LEAD_NS = 300_000_000  # between everything being ready and the first bin
_BUSY = "import os\nwhile os.getppid() == {}: pass"


def _stages(options: Certify) -> tuple[tuple[Any, Any], N1Config]:
    """The person, and the implant."""
    electrodes = min(64, options.channels)
    size = 64 if options.channels > 64 else 0
    implant = N1Config(electrodes=electrodes, sampling_hz=options.fs, array_size=size)
    return ("person", PersonConfig(channels=options.channels)), implant


def _fitted(options: Certify) -> Kalman:
    """A decoder fitted to this person and this implant, in lockstep, voltage and all."""
    person, implant = _stages(options)
    decoder = Kalman(_DECODER)
    loop = Loop(person, ("n1", implant), decoder, options.effector, options.feedback, seed=options.seed)
    loop.calibrate(_SHORT)
    return decoder


@contextmanager
def _ended(process: subprocess.Popen[str], grace_s: float = 0.0) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive its use; within `grace_s` it may end by itself, and remove what it shared."""
    try:
        yield process
    finally:
        if process.poll() is None:
            if grace_s:
                with suppress(subprocess.TimeoutExpired):
                    process.communicate(timeout=grace_s)
            process.kill()
        process.communicate()


def _source(how: Mapping[str, Any]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "volition.app._certify_source", json.dumps(how)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _ready(source: subprocess.Popen[str]) -> None:
    """Wait until the source has compiled its kernels.

    Raises:
        ConfigError: it failed.
    """
    assert source.stdout is not None
    if source.stdout.readline().strip() != "ready":
        _, error = source.communicate()
        raise ConfigError(f"the source of voltage failed: {(error.strip().splitlines() or ['it said nothing'])[-1]}")


def _begin(source: subprocess.Popen[str], channel: LiveN1, ring: str, mail: RingWriter) -> RingReader:
    """Agree on when the first bin begins."""
    assert source.stdin is not None
    voltage = RingReader(ring)
    origin_ns = time.monotonic_ns() + _LEAD_NS
    channel.connect(voltage, mail, origin_ns)
    source.stdin.write(f"{origin_ns}\n")
    source.stdin.flush()
    return voltage


def certify(options: Certify) -> dict[str, Any]:
    """Everything measured.

    Raises:
        ConfigError: the source of voltage could not be started, or ended too early.
    """
    others = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    decoder = _fitted(options)
    person, implant = _stages(options)
    chunks = max(1, round(20 / options.chunk_ms))
    channel = LiveN1(implant, chunks)
    config = LoopConfig(clock="real", max_lag_ms=_MAX_LAG_MS)
    loop = Loop(person, channel, decoder, options.effector, options.feedback, config=config, seed=options.seed)
    ring, back = f"volition-{os.getpid()}-v", f"volition-{os.getpid()}-s"
    how = {
        "ring": ring,
        "mail": back,
        "chunks": chunks,
        "config": asdict(implant),
        "realtime": options.realtime,
        "setup": {key: getattr(loop.setup, key) for key in ("seed", "bin_ns", "channels", "electrodes")},
    }
    with ExitStack() as stack:
        rows = mail_rows(options.channels, implant.electrodes)
        mail = stack.enter_context(RingWriter(back, options.channels, rows, 16, dtype="int32"))
        source = stack.enter_context(_ended(_source(how), grace_s=5.0))
        stack.callback(mail.close)  # which tells the source to end
        _ready(source)
        for _ in range(options.load):
            busy = [sys.executable, "-c", _BUSY.format(os.getpid())]
            stack.enter_context(_ended(subprocess.Popen(busy, text=True)))
        _warm(loop, channel)
        priority = stack.enter_context(undisturbed(options.realtime))
        voltage = stack.enter_context(_begin(source, channel, ring, mail))
        loop.clock = PacedClock(channel, _MAX_LAG_MS)
        began = time.process_time()
        report = loop.run(options.seconds)
        cpu_s, state = time.process_time() - began, voltage.state
        mail.close()
        out, error = source.communicate(timeout=30)
    if report.seconds < options.seconds - 0.1 or not out.strip():
        raise ConfigError(f"the source of voltage ended early ({state}): {(error.strip().splitlines() or ['no word'])[-1]}")
    found = _found(loop, channel, report, json.loads(out))
    figures = {"lost_chunks": voltage.lost, "cpu_loop": cpu_s / report.wall_s, "priority": priority, "load_before": others}
    return {**found, **figures}


def _warm(loop: Loop, channel: LiveN1) -> None:
    """One step of the decoder with the channels that are missing from the start, as before arming."""
    mask = ~channel._front._good
    loop.decoder.step(np.zeros(mask.size, np.float32), mask)
    loop.decoder.reset()


def _found(loop: Loop, channel: LiveN1, report: Any, source: Mapping[str, Any]) -> dict[str, Any]:
    """What the stages and the source tell."""
    dropped = round(report.dropped_ms * 1e6 / loop.setup.bin_ns)
    latency = {
        "end to end": loop.latency["lag"],
        "front end, a chunk": channel.filtering,
        "channel, last chunk awaited": loop.guards["channel"].latency,
        "decoder": loop.guards["decoder"].latency,
        "effector": loop.guards["effector"].latency,
        "feedback": loop.guards["feedback"].latency,
        "gate, and sending": loop.guards["gate"].latency,
        "person (simulated)": loop.guards["brain"].latency,
        "voltage came late by (simulated)": channel.lateness,
    }
    return {
        "latency": {
            name: {**row.summary_us(), "jitter_us": (row.percentile_ns(99) - row.percentile_ns(50)) / 1e3}
            for name, row in latency.items()
            if row.n
        },
        "seconds": report.seconds,
        "frames": round(report.seconds * 1e9 / loop.setup.bin_ns) + dropped,
        "lost": report.held + dropped,
        "held": report.held,
        "dropped_ms": report.dropped_ms,
        "missed": report.misses,
        "faults": report.faults,
        "gap_samples": channel.gaps,
        "cpu_source": source["cpu_s"] / report.wall_s,
        "source": dict(source),
        "score": report.score,
        "gate": report.gate,
        "errors": {name: guard.error for name, guard in loop.guards.items() if guard.error},
    }
