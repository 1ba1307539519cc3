"""What a run came to: score, latency per stage, faults, what the gate refused; a table to print, JSON to save."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from volition._whole import write_whole
from volition.errors import InputError


def _clean(value: Any) -> Any:
    """JSON without NaN: what is not a number is null."""
    if isinstance(value, Mapping):
        return {str(k): _clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(v) for v in value]
    if hasattr(value, "tolist"):
        return _clean(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all.

    Raises:
        InputError: the place cannot be written.
    """
    text = json.dumps(_clean(content), indent=1, allow_nan=False) + "\n"
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def _told(kind: str, figures: Mapping[str, Any]) -> list[str]:
    """Lines of what a stage tells of itself."""
    plain = {name: value for name, value in figures.items() if name != "joints"}
    if not plain:
        return []
    lines = ["", kind, *(f"  {name:<24}{value:>12.2f}" for name, value in plain.items())]
    rows = figures.get("joints", {})
    for name, row in rows.items():
        if name == next(iter(rows)):
            lines += ["", f"  {'joint':<20}" + "".join(f"{key:>14}" for key in row)]
        lines.append(f"  {name:<20}" + "".join(f"{value:>14.2f}" for value in row.values()))
    return lines


@dataclass(frozen=True)
class Report:
    """Figures of one run.

    Attributes:
        seconds: simulated time.
        wall_s: time it took.
        stages: kind -> component.
        score: the task's figures; keys carry units.
        trials: the task's finished trials, raw.
        latency: stage -> p50_us, p99_us, p999_us, max_us, n. "step" is the whole of a tick with a bin, "lag" (real
            clock) the time from the end of a bin to its command.
        faults: stage -> kind -> count.
        held: bins in which the body did not get a fresh intent.
        stops: times the guard stopped the body for good.
        misses: ticks that took longer than their period.
        dropped_ms: time given up on a real clock.
        gate: what the stimulation gate counted.
        effector: what the effector tells of itself in this block: figures whose keys carry units, and "joints", a row of
            figures each; empty where it tells nothing.
        decoder: what the decoder tells of itself at the end of the block, the same way: its drift score, in nats.
        seed: of the run.
    """

    seconds: float
    wall_s: float
    stages: Mapping[str, str]
    score: Mapping[str, float]
    trials: Sequence[Mapping[str, Any]]
    latency: Mapping[str, Mapping[str, float]]
    faults: Mapping[str, Mapping[str, int]]
    held: int = 0
    stops: int = 0
    misses: int = 0
    dropped_ms: float = 0.0
    gate: Mapping[str, int] = field(default_factory=dict)
    effector: Mapping[str, Any] = field(default_factory=dict)
    decoder: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    @property
    def speed(self) -> float:
        """Simulated seconds per second."""
        return self.seconds / self.wall_s if self.wall_s > 0 else math.inf

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        content: dict[str, Any] = _clean({**asdict(self), "speed": self.speed})
        return content

    def save(self, path: str | Path) -> None:
        """Write it as JSON, whole or not at all."""
        write_json(Path(path), self.to_dict())

    def __str__(self) -> str:
        lines = [
            " → ".join(self.stages[kind] for kind in ("brain", "channel", "decoder", "effector", "feedback"))
            + f"   task {self.stages['task']}, seed {self.seed}",
            f"{self.seconds:.1f} s in {self.wall_s:.2f} s ({self.speed:.0f}x real time), {self.misses} deadlines missed",
            "",
            "score",
            *(f"  {name:<24}{value:>12.3f}" for name, value in self.score.items()),
            "",
            f"  {'latency, µs':<12}{'p50':>10}{'p99':>10}{'p99.9':>10}{'max':>10}",
        ]
        for stage, row in self.latency.items():
            cells = "".join(f"{row[key]:>10.1f}" for key in ("p50_us", "p99_us", "p999_us", "max_us"))
            lines.append(f"  {stage:<12}{cells}")
        found = [f"{stage} {kind} {n}" for stage, kinds in self.faults.items() for kind, n in kinds.items() if n]
        lines += ["", f"faults: {', '.join(found) or 'none'}; intent held {self.held} bins, {self.stops} stops"]
        refused = [f"{kind} {n}" for kind, n in self.gate.items() if n]
        lines.append(f"stimulation gate: {', '.join(refused) or 'nothing to report'}")
        lines += _told("decoder", self.decoder) + _told("effector", self.effector)
        return "\n".join(lines)
