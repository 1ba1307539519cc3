"""The pictures of a run's report, as inline SVG: paths, spikes, velocities, and how the decoding came about."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.signal import Float64
from volition.view._gather import Gather, Phase, Trace, steering
from volition.view._page import escape, png

_W, _H = 520, 400
_MAX_LEVEL = 4  # spikes a bin that a raster tells apart
_RASTER_ROWS = 512
_WIDE_M = 10.0  # a workspace that nobody crosses in a run
_MEANT = 0.2  # share of the usual top speed below which a direction is not meant


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers that divide an axis.

    >>> nice_ticks(0.0, 1.0), nice_ticks(-0.11, 0.11, 4)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [-0.1, -0.05, 0.0, 0.05, 0.1])
    """
    raw = max(high - low, 1e-12) / about
    unit = 10.0 ** math.floor(math.log10(raw))
    step = unit * min((1, 2, 5, 10), key=lambda m: abs(math.log(m * unit / raw)))
    return [round(i * step, 12) + 0.0 for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


class Axes:
    """A rectangle of a picture with a linear scale on each side.

    Args:
        box: left, top, right, bottom in picture units.
        x, y: limits (low, high) of the data.
    """

    def __init__(self, box: tuple[float, float, float, float], x: tuple[float, float], y: tuple[float, float]) -> None:
        self.box, self._x, self._y = box, x, y

    def x(self, value: Any) -> Any:
        """Data to picture, across."""
        left, _, right, _ = self.box
        return left + (value - self._x[0]) / (self._x[1] - self._x[0]) * (right - left)

    def y(self, value: Any) -> Any:
        """Data to picture, down."""
        _, top, _, bottom = self.box
        return bottom - (value - self._y[0]) / (self._y[1] - self._y[0]) * (bottom - top)

    def ticks(self, x_label: str = "", y_label: str = "", x_about: int = 5, y_about: int = 4) -> str:
        """Lines and numbers; a side without a label keeps its numbers off."""
        left, top, right, bottom = self.box
        parts = []
        if y_label:
            for v in nice_ticks(*self._y, y_about):
                y = self.y(v)
                parts.append(f'<path d="M{left:.1f} {y:.1f}H{right:.1f}" stroke="var(--line)"/>')
                parts.append(f'<text x="{left - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{v:g}</text>')
            parts.append(f'<text x="{left:.1f}" y="{top - 7:.1f}">{escape(y_label)}</text>')
        if x_label:
            parts.append(f'<path d="M{left:.1f} {bottom:.1f}H{right:.1f}" stroke="var(--muted)"/>')
            for v in nice_ticks(*self._x, x_about):
                parts.append(f'<text x="{self.x(v):.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{v:g}</text>')
            parts.append(
                f'<text x="{(left + right) / 2:.1f}" y="{bottom + 32:.1f}" text-anchor="middle">{escape(x_label)}</text>'
            )
        return "".join(parts)

    def line(self, x: Float64, y: Float64, colour: str, width: float = 1.5, opacity: float = 1.0) -> str:
        """A polyline; where a value is not finite it is broken."""
        data, pen = [], "M"
        for px, py in zip(self.x(x).tolist(), self.y(y).tolist(), strict=True):
            if math.isfinite(py):
                data.append(f"{pen}{px:.1f} {py:.1f}")
                pen = "L"
            else:
                pen = "M"
        return (
            f'<path d="{"".join(data)}" fill="none" stroke="{colour}" stroke-width="{width}" '
            f'stroke-opacity="{opacity}" stroke-linejoin="round"/>'
        )


def hit(trial: Mapping[str, Any]) -> bool:
    """Whether a trial succeeded: its "success", or else its "outcome"."""
    return bool(trial.get("success", trial.get("outcome") == "reached"))


def _svg(body: str, label: str, width: int = _W, height: int = _H) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">{body}</svg>'


def _legend(items: Sequence[tuple[str, str]], right: float, y: float) -> str:
    """Names in their colours, ending at `right`."""
    spans = "".join(f'<tspan style="fill:{colour}" dx="10">{escape(name)}</tspan>' for name, colour in items)
    return f'<text x="{right}" y="{y}" text-anchor="end">{spans}</text>'


def paths(trace: Trace, trials: Sequence[Mapping[str, Any]], workspace: Float64) -> str:
    """The way of each finished trial, coloured by outcome, and each target with how many of its trials were hit.

    Args:
        trace: of the block that the trials belong to.
        trials: the task's list, in the order of their numbers.
        workspace: `[2, d]`, m; one of many metres is shown as far as the body came.
    """
    low, high = np.asarray(workspace, float)[:, :2]
    metres = float(max(high - low)) > _WIDE_M
    if metres and len(trace):
        ways = np.concatenate([trace.position[:, :2], trace.goal[:, :2]])
        low, high = ways.min(axis=0) - 1.0, ways.max(axis=0) + 1.0
    unit, per_m = ("m", 1.0) if metres else ("cm", 100.0)
    span = float(max(high[0] - low[0], 420 / 330 * (high[1] - low[1]))) * 1.06 * per_m
    centre = (low + high) / 2 * per_m
    scale = 420 / span  # picture units a unit of length, equal on both sides
    axes = Axes(
        (60, 22, 480, 352),
        (centre[0] - 210 / scale, centre[0] + 210 / scale),
        (centre[1] - 165 / scale, centre[1] + 165 / scale),
    )
    parts = [axes.ticks(unit, unit)]
    hits: dict[tuple[float, float, float], list[bool]] = {}
    for number, trial in enumerate(trials):
        here = trace.trial == number
        if not here.any():
            continue
        done = hit(trial)
        x, y = trace.position[here, 0] * per_m, trace.position[here, 1] * per_m
        parts.append(axes.line(x, y, f"var(--{'hit' if done else 'miss'})", 1.3, 0.75 if done else 1.0))
        goal = trace.goal[here][-1]
        where = (round(float(goal[0]) * per_m, 2), round(float(goal[1]) * per_m, 2), float(trace.radius[here][-1]) * per_m)
        hits.setdefault(where, []).append(done)
    for (x, y, radius), outcomes in hits.items():
        parts.append(
            f'<circle cx="{axes.x(x):.1f}" cy="{axes.y(y):.1f}" r="{radius * scale:.1f}" '
            'fill="var(--shade)" stroke="var(--muted)"/>'
        )
        if len(hits) <= 24:
            parts.append(
                f'<text x="{axes.x(x):.1f}" y="{axes.y(y) + 4:.1f}" text-anchor="middle" '
                f'class="over">{sum(outcomes)}/{len(outcomes)}</text>'
            )
    parts.append(_legend((("hit", "var(--hit)"), ("missed", "var(--miss)")), 480, 14))
    return _svg("".join(parts), "trajectories")


def raster(gather: Gather, seconds: float, bin_s: float) -> str:
    """Spikes of the newest seconds, channels sorted by preferred direction; what was missing is marked."""
    values, missing = gather.raster(round(seconds / bin_s))
    trace = gather.trace(len(values))
    order = np.argsort(np.nan_to_num(gather.preferred(), nan=np.inf), kind="stable")
    picture = _levels(values[:, order].T, missing[:, order].T)
    opacity = [round(255 * (0.35 + 0.65 * i / _MAX_LEVEL)) for i in range(1, _MAX_LEVEL + 1)]
    palette = [(0, 0, 0, 0), *((112, 100, 236, a) for a in opacity), (222, 80, 80, 170)]
    end = float(trace.t_s[-1]) if len(trace) else 0.0
    axes = Axes((60, 22, 500, 352), (end - len(values) * bin_s, end), (0, max(1, values.shape[1])))
    left, top, right, bottom = axes.box
    image = (
        f'<image x="{left}" y="{top}" width="{right - left}" height="{bottom - top}" preserveAspectRatio="none" '
        f'style="image-rendering:pixelated" href="{png(picture, palette)}"/>'
    )
    ticks = axes.ticks("time of the run, s", "channel, sorted by preferred direction")
    return _svg(ticks + image, "spikes")


def _levels(values: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Palette index of each `[channel, bin]`; many channels are folded, two or more to a row."""
    top = np.percentile(values, 99.5) if values.size else 1.0
    scale = 1.0 if top <= 2 * _MAX_LEVEL else _MAX_LEVEL / float(top)  # counts as they are, rates and powers scaled
    level = np.minimum(np.rint(np.maximum(values, 0) * scale), _MAX_LEVEL)
    index = np.where(missing, _MAX_LEVEL + 1, level).astype(np.uint8)
    fold = max(1, math.ceil(len(index) / _RASTER_ROWS))
    rows = len(index) // fold
    folded: NDArray[np.uint8] = index[: rows * fold].reshape(rows, fold, -1).max(axis=1)
    return folded


def velocities(trace: Trace, names: Sequence[str]) -> str:
    """Decoded over intended velocity, a panel for each of the two dimensions that steer."""
    axes_shown = steering(names)
    shown = len(axes_shown)
    top = float(np.nanmax(np.abs(np.concatenate([trace.decoded, trace.intended])), initial=1e-3)) * 1.05
    height = 330 / max(1, shown)
    parts = [_legend((("intended", "var(--intended)"), ("decoded", "var(--decoded)")), 500, 14)]
    for i, axis in enumerate(axes_shown):
        box = (60, 24 + i * height, 500, 24 + (i + 1) * height - 26)
        axes = Axes(box, (float(trace.t_s[0]), float(trace.t_s[-1])), (-top, top))
        parts.append(axes.ticks("time of the run, s" if i == shown - 1 else "", f"{names[axis]}, {_unit(names[axis])}"))
        parts.append(axes.line(trace.t_s, trace.intended[:, axis], "var(--intended)", 1.4))
        parts.append(axes.line(trace.t_s, trace.decoded[:, axis], "var(--decoded)", 1.4))
    return _svg("".join(parts), "decoded and intended velocity")


def _unit(name: str) -> str:
    return "rad/s" if name.endswith(".turn") else "m/s"


def angle_error(trace: Trace, names: Sequence[str]) -> Float64:
    """Angle between decoded and intended velocity, degrees, `[bins]`; NaN where nothing is decoded or hardly any meant.

    Of a body that is steered by heading, the angle in the plane of forward speed (m/s) and turn (rad/s).
    """
    axes = list(steering(names))
    a, b = trace.decoded[:, axes], trace.intended[:, axes]
    if a.shape[1] < 2:
        return np.full(len(trace), np.nan)
    speed = np.hypot(*b.T)
    size = np.hypot(*a.T) * np.where(speed > _MEANT * np.percentile(speed, 98), speed, 0.0)
    cos: Float64 = np.divide((a * b).sum(axis=1), size, out=np.full(len(a), np.nan), where=size > 1e-8)
    angle: Float64 = np.degrees(np.arccos(np.clip(cos, -1, 1)))
    return angle


def story(trace: Trace, phases: Sequence[Phase], bin_s: float, names: Sequence[str], window_s: float = 6.0) -> str:
    """Angle between what was meant and what was decoded, over the whole run, with its phases."""
    error = angle_error(trace, names)
    n = min(len(error), max(1, round(window_s / bin_s)))
    good = np.isfinite(error)
    total = np.convolve(np.where(good, error, 0.0), np.ones(n), mode="same")
    seen = np.convolve(good.astype(float), np.ones(n), mode="same")
    mean = np.divide(total, seen, out=np.full(len(error), np.nan), where=seen > n / 20)
    end = float(trace.t_s[-1])
    axes = Axes((60, 40, 500, 352), (float(trace.t_s[0]) - bin_s, end), (0, 120))
    parts = [axes.ticks("time of the run, s", "angle between intended and decoded, degrees")]
    for i, phase in enumerate(phases):
        begin, stop = axes.x(max(phase.begin_s, float(trace.t_s[0]))), axes.x(phase.end_s)
        if stop <= begin:
            continue
        if i % 2 == 0:
            parts.append(f'<rect x="{begin:.1f}" y="40" width="{stop - begin:.1f}" height="312" fill="var(--shade)"/>')
        parts.append(f'<text x="{(begin + stop) / 2:.1f}" y="54" text-anchor="middle">{escape(phase.name)}</text>')
    parts.append(axes.line(np.array([float(trace.t_s[0]), end]), np.array([90.0, 90.0]), "var(--muted)", 1, 0.6))
    parts.append(f'<text x="496" y="{axes.y(90) - 5:.1f}" text-anchor="end">chance</text>')
    parts.append(axes.line(trace.t_s[::10], mean[::10], "var(--decoded)", 1.8))
    return _svg("".join(parts), "calibration")
