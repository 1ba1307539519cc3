"""One picture of the running loop, in characters: what the terminal view shows ten times a second.

title
phase and progress
workspace (goal, body, trail)     | spikes, channels grouped by preferred direction
                                  | intended and decoded velocity
                                  | touch and stimulation
score
speed of the loop
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from volition.loop.build import label
from volition.signal import Float64
from volition.stage import STAGES
from volition.view._canvas import ARROWS, BARS, Canvas, Plot, arrow, bar
from volition.view._gather import Gather, Trace

WIDTH, HEIGHT = 80, 22
_LEFT, _ROWS, _TRAIL = 34, 15, 75  # columns and rows of the workspace, bins of trail
_TOP = 3


@dataclass(frozen=True)
class Pace:
    """How the loop runs, as the view measured it.

    Attributes:
        speed: simulated seconds per second of the loop's own time.
        p50_us, p99_us: wall time of one bin of the loop.
        progress: 0..1 of what was announced, NaN if nothing was.
        total_s: how much was announced, s.
        note: what stands below everything else.
    """

    speed: float = math.nan
    p50_us: float = math.nan
    p99_us: float = math.nan
    progress: float = math.nan
    total_s: float = math.nan
    note: str = "Ctrl-C ends"


def number(value: float, digits: int = 3) -> str:
    """A number in few characters; "–" where there is none.

    >>> number(0.12345), number(123.4), number(float("nan")), number(0.0)
    ('0.123', '123', '–', '0')
    """
    if not math.isfinite(value):
        return "–"
    if value == 0 or abs(value) >= 10**digits:
        return f"{value:.0f}"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}" if abs(value) >= 1e-3 else f"{value:.1e}"


def score_line(score: Mapping[str, float], trials: int) -> str:
    """The running score in one line, whichever of the field's figures the task gives."""
    parts = [f"{trials} trials"]
    for key, form in (
        ("success", "{:.0%} hit"),
        ("bit_rate_bit_s", "{:.2f} bit/s"),
        ("throughput_bit_s", "throughput {:.2f} bit/s"),
        ("time_to_target_s", "{:.2f} s to target"),
    ):
        value = score.get(key, math.nan)
        if math.isfinite(value):
            parts.append(form.format(value))
    return "   ".join(parts)


def draw(loop: Any, gather: Gather, pace: Pace, preferred: Float64, width: int = WIDTH) -> Canvas:
    """The whole picture.

    Args:
        loop: the loop, between two bins.
        gather: what was kept of it.
        pace: how it runs.
        preferred: preferred direction of each feature, rad (`Gather.preferred`), for the grouping.
        width: columns, at least 60.
    """
    canvas = Canvas(width, HEIGHT)
    names = [label(loop.stages[kind]) for kind in STAGES]
    x = canvas.put(1, 0, "volition", "bold")
    canvas.put(x + 2, 0, " → ".join(names), "dim")
    _phase(canvas, loop, pace)
    trace = gather.trace(_TRAIL)
    right = _LEFT + 3
    for y in range(_TOP, _TOP + _ROWS):
        canvas.put(_LEFT + 1, y, "│", "dim")
    _workspace(canvas, loop, trace)
    _spikes(canvas, right, gather, preferred)
    _velocity(canvas, right, loop, trace)
    _touch(canvas, right, trace)
    trials = len(loop.task.trials())
    canvas.put(1, _TOP + _ROWS + 1, score_line(loop.task.score() if trials else {}, trials), "bold")
    x = canvas.put(1, _TOP + _ROWS + 2, f"{number(pace.speed)}x real time", "")
    canvas.put(x, _TOP + _ROWS + 2, f"   one bin takes {number(pace.p50_us)} µs (p99 {number(pace.p99_us)} µs)", "dim")
    canvas.put(1, _TOP + _ROWS + 3, pace.note, "dim")
    return canvas


def _phase(canvas: Canvas, loop: Any, pace: Pace) -> None:
    style = "green" if loop.phase == "run" else "yellow"
    name = "fitting ..." if loop.progress >= 1 and loop.phase != "run" else loop.phase
    x = canvas.put(1, 1, f"{name:<12}", f"bold {style}")
    if math.isfinite(pace.progress):
        x = canvas.put(x + 1, 1, bar(pace.progress, 30), style)
        canvas.put(x + 1, 1, f"{pace.progress * pace.total_s:.1f} of {pace.total_s:.0f} s", "")
    else:
        canvas.put(x + 1, 1, f"{loop.t_ns / 1e9:.1f} s", "")


def _workspace(canvas: Canvas, loop: Any, trace: Trace) -> None:
    low, high = np.asarray(loop.setup.workspace, float)
    plot = Plot(_LEFT, _ROWS, (low[0], low[1]), (high[0], high[1]))
    goal, body = loop.last.goal, loop.last.body
    for (x, y), now in zip(trace.position[:, :2].tolist(), (trace.trial == goal.trial).tolist(), strict=True):
        plot.dot(x, y, "cyan" if now else "blue")
    gx, gy = goal.position[:2].tolist()
    plot.circle(gx, gy, goal.radius, "yellow")
    plot.draw(canvas, 1, _TOP)
    for (px, py), mark, style in (((gx, gy), "+", "bold yellow"), (body.position[:2].tolist(), "●", "bold cyan")):
        at = plot.cell(px, py)
        if at is not None:
            canvas.put(1 + at[0], _TOP + at[1], mark, style)


def groups(preferred: Float64, n: int = 8) -> list[tuple[str, np.ndarray]]:
    """Features in `n` groups with a label: by preferred direction where it is known, else by number."""
    known = np.isfinite(preferred)
    if known.sum() < n:
        return [(" ", part) for part in np.array_split(np.arange(len(preferred)), n)]
    sector = np.round(np.where(known, preferred, 0.0) / (2 * np.pi / n)).astype(int) % n
    return [(ARROWS[i], np.flatnonzero(known & (sector == i))) for i in range(n)]


def _spikes(canvas: Canvas, x: int, gather: Gather, preferred: Float64) -> None:
    columns = canvas.width - x - 3
    values, missing = gather.raster(columns)
    canvas.put(x, _TOP, "spikes, channels by preferred direction", "dim")
    lost = missing.mean() if missing.size else 0.0
    if lost > 0:
        canvas.put(x, _TOP + 9, f"{lost:.1%} of values missing", "red")
    for row, (name, members) in enumerate(groups(preferred), start=_TOP + 1):
        canvas.put(x, row, name, "dim")
        if not len(members) or not len(values):
            continue
        seen = (~missing[:, members]).sum(axis=1)
        rate = values[:, members].sum(axis=1) / np.maximum(1, seen)
        if len(rate) > 2:  # a narrow kernel: the eye sees the movement, not the Poisson noise
            rate = np.convolve(np.pad(rate, 1, mode="edge"), (0.25, 0.5, 0.25), mode="valid")
        low, high = rate.min(), rate.max()
        level = np.rint((rate - low) / max(high - low, 1e-9) * 8).astype(int)
        text = "".join("×" if not s else BARS[v] for v, s in zip(level.tolist(), seen.tolist(), strict=True))
        canvas.put(x + 2, row, text.rjust(columns), "magenta")


def _velocity(canvas: Canvas, x: int, loop: Any, trace: Trace) -> None:
    y, width = _TOP + 10, max(4, canvas.width - x - 28)
    for row, (name, values, style) in enumerate(
        (("intended", trace.intended, "yellow"), ("decoded", trace.decoded, "cyan"))
    ):
        v = values[-5:, :2].mean(axis=0) if len(values) else np.zeros(2)
        speed = float(np.hypot(*v)) if v.size == 2 else float(np.abs(v).sum())
        mark = arrow(*v.tolist()) if v.size == 2 else "·"
        at = canvas.put(x, y + row, f"{name:<9}{mark} ", style)
        at = canvas.put(at, y + row, bar(speed / loop.setup.max_speed, width), style)
        canvas.put(at + 1, y + row, f"{number(speed)} m/s", "")


def _touch(canvas: Canvas, x: int, trace: Trace) -> None:
    y, width = _TOP + 13, max(4, canvas.width - x - 28)
    for row, (name, values, unit) in enumerate((("touch", trace.touch, "N"), ("stim", trace.stim, "µA"))):
        now, top = (float(values[-1]), float(values.max())) if len(values) else (0.0, 0.0)
        at = canvas.put(x, y + row, f"{name:<11}", "green")
        at = canvas.put(at, y + row, bar(now / top if top > 0 else 0.0, width), "green")
        canvas.put(at + 1, y + row, f"{number(now)} {unit}", "")
