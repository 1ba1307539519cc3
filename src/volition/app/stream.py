"""Publish a simulated implant as an LSL stream, in real time: spike counts, spike events or voltage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from volition.app._interrupt import Interrupt
from volition.app._output import save, writable_parent
from volition.errors import ConfigError


@dataclass(frozen=True)
class Stream:
    """Options of `volition stream`.

    A simulated person reaches for targets (the true intent moves the cursor), and what the implant gives is published on
    this machine. LSL knows no passwords: see docs/how-to/my-lsl-stream.md.

    Attributes:
        what: spike counts of 20 ms, an event for each spike (the electrode's number), or voltage (int16).
        name: of the stream.
        seconds: for how long, s; by default until Ctrl-C.
        channels: electrodes.
        rate_hz: sampling rate of voltage, Hz.
        seed: of all random numbers.
        json: also save the figures as JSON here.
    """

    what: Literal["counts", "events", "voltage"] = "counts"
    name: str = "volition"
    seconds: float | None = None
    channels: int = 96
    rate_hz: float = 30_000.0
    seed: int = 0
    json: Path | None = None


def _sender(options: Stream, setup: Any) -> tuple[Any, Callable[[Any], None]]:
    """The stream, and what sends one bin of a loop into it."""
    from volition.io.lsl import Implant

    told = {"source": "simulated person", "seed": str(options.seed)}
    out = Implant(options.what, options.name, setup.channels, setup.bin_ns, options.rate_hz, told)
    if options.what == "counts":
        return out, lambda loop: out.counts(loop.last.features.x, loop.last.features.mask)
    rng = setup.rng("lsl")
    if options.what == "events":
        return out, lambda loop: out.events(loop.last.spikes, loop.last.features.mask, rng)
    from volition.channel._electrodes import Electrodes, ElectrodesConfig

    electrodes = Electrodes(ElectrodesConfig(), setup.channels, options.rate_hz, rng)
    electrodes.warm_up()
    samples = round(options.rate_hz * setup.bin_ns / 1e9)
    return out, lambda loop: out.voltage(electrodes.voltage(loop.last.spikes, samples))


def _stream(options: Stream) -> tuple[Any, Any, bool]:
    """Run until the time is over or Ctrl-C: the loop, the stream, and whether it was interrupted."""
    from volition import Loop, LoopConfig

    loop = Loop(
        brain=("person", {"channels": options.channels}),
        decoder="still",
        config=LoopConfig(clock="real", oracle=True),
        seed=options.seed,
    )
    out, send = _sender(options, loop.setup)
    with Interrupt() as interrupt:

        def watch(loop: Any) -> None:
            interrupt.check()
            if loop.last.features is not None:
                send(loop)

        print(
            f"{options.what} of {loop.setup.channels} electrodes as LSL stream {options.name!r}; Ctrl-C ends it", flush=True
        )
        try:
            loop.advance(options.seconds or 1e6, watch)
        except KeyboardInterrupt:
            return loop, out, True
        finally:
            loop.close()
            out.close()
    return loop, out, False


def main(options: Stream) -> int:
    """Stream, then say what was sent."""
    if options.seconds is not None and not 0 < options.seconds < 1e6:
        raise ConfigError(f"--seconds must be positive and below 1e6, got {options.seconds}")
    if options.channels < 1:
        raise ConfigError(f"--channels must be positive, got {options.channels}")
    per_bin = options.rate_hz * 0.02
    if options.what == "voltage" and (per_bin < 240 or abs(per_bin - round(per_bin)) > 1e-9):
        raise ConfigError(f"--rate-hz must be at least 12000 and fill bins of 20 ms evenly, got {options.rate_hz:g}")
    if options.json is not None:
        writable_parent(options.json, "--json")
    loop, out, interrupted = _stream(options)
    report = loop.report(loop.t_ns / 1e9)
    rows = [
        {"what": "seconds", "value": report.seconds},
        {"what": "samples", "value": out.outlet.sent},
        {"what": "misses", "value": report.misses},
        {"what": "dropped_ms", "value": report.dropped_ms},
        {"what": "targets", "value": len(report.trials)},
    ]
    if options.json is not None:
        save(rows, options.json)
    said = ", ".join(f"{row['what']} {row['value']:g}" for row in rows)
    if interrupted and options.seconds is not None:
        raise KeyboardInterrupt(said)
    print(said)
    return 0
