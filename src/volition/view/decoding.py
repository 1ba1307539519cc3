"""One HTML file that tells how well decoders read a recording: scores, decoded against recorded traces, the control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from volition.signal import Float64
from volition.view._figures import Axes
from volition.view._page import cards, escape, figure, page, pairs, table

_W, _H = 760, 210
_COLOURS = ("var(--decoded)", "var(--hit)", "var(--ink)", "var(--miss)")


def colour(index: int) -> str:
    """Of the decoder with this number; they come round again."""
    return _COLOURS[index % len(_COLOURS)]


def _svg(body: str, label: str, height: int = _H) -> str:
    return f'<svg viewBox="0 0 {_W} {height}" role="img" aria-label="{escape(label)}">{body}</svg>'


def _limits(*values: Float64) -> tuple[float, float]:
    low, high = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
    room = 0.06 * (high - low) or 1.0
    return low - room, high + room


def bars(values: Mapping[str, Sequence[float]], groups: Sequence[str], label: str) -> str:
    """Bars from 0 to 1, one colour a name and one group a position; below 0 a bar has no height, but its number stands.

    Args:
        values: name -> one number for each group.
        groups: what the positions are.
        label: of the upright axis.
    """
    box = Axes((44, 26, _W - 10, _H - 28), (0.0, float(len(groups))), (0.0, 1.0))
    parts = [box.ticks(y_label=label)]
    width = 0.8 / max(1, len(values))
    for i, (name, row) in enumerate(values.items()):
        for g, value in enumerate(row):
            x, y, foot = box.x(g + 0.1 + i * width), box.y(min(1.0, max(0.0, value))), box.y(0.0)
            w = float(box.x(width * 0.92) - box.x(0.0))
            tip = f"<title>{escape(name)}, {escape(groups[g])}: {value:.3f}</title>"
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{foot - y:.1f}" fill="{colour(i)}">{tip}</rect>'
                f'<text x="{x + w / 2:.1f}" y="{y - 4:.1f}" text-anchor="middle">{value:.2f}</text>'
            )
    for g, name in enumerate(groups):
        parts.append(f'<text x="{box.x(g + 0.5):.1f}" y="{_H - 10}" text-anchor="middle">{escape(name)}</text>')
    return _svg("".join(parts), label)


def traces(recorded: Float64, decoded: Mapping[str, Float64], bin_s: float, label: str) -> str:
    """One axis over time: recorded, and what each decoder gave; bins follow one another, borders are not drawn.

    Args:
        recorded: `[bins]`.
        decoded: name -> `[bins]`.
        bin_s: width of a bin, s.
        label: quantity and unit.
    """
    t = np.arange(1, len(recorded) + 1, dtype=np.float64) * bin_s
    box = Axes((54, 24, _W - 10, _H - 40), (0.0, float(t[-1])), _limits(recorded, *decoded.values()))
    parts = [box.ticks("s of the test part", label), box.line(t, recorded, "var(--intended)", 2.2, 0.8)]
    parts += [box.line(t, guess, colour(i), 1.3) for i, guess in enumerate(decoded.values())]
    return _svg("".join(parts), label)


def dots(controls: Mapping[str, Float64], scores: Mapping[str, float]) -> str:
    """R² against each of the shifted kinematics, one line a decoder, and the real one as a bar."""
    height = 40 + 34 * len(controls)
    low = min(-0.1, *(float(c.min()) for c in controls.values()))
    box = Axes((120, 10, _W - 10, height - 36), (low, 1.0), (0.0, float(len(controls))))
    parts = [box.ticks(x_label="R² (variance-weighted)")]
    for i, (name, values) in enumerate(controls.items()):
        y = float(box.y(len(controls) - i - 0.5))
        parts.append(f'<text x="112" y="{y + 4:.1f}" text-anchor="end">{escape(name)}</text>')
        parts += [f'<circle cx="{box.x(float(v)):.1f}" cy="{y:.1f}" r="3.5" fill="var(--muted)"/>' for v in values]
        x = float(box.x(max(low, scores[name])))
        parts.append(f'<path d="M{x:.1f} {y - 10:.1f}V{y + 10:.1f}" stroke="{colour(i)}" stroke-width="4"/>')
    return _svg("".join(parts), "control", height)


def page_of(
    title: str, facts: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], results: Sequence[Any], bin_s: float
) -> str:
    """The whole document.

    Args:
        title: name of the recording and what was decoded.
        facts: what a reader must know to judge it (data, split, machine, command).
        rows: the table of `volition decode`.
        results: of `volition.train.evaluate.evaluate`, in the order of the rows.
        bin_s: width of a bin, s.
    """
    first = results[0]
    shown = slice(0, max(2, min(len(first.recorded), round(20.0 / bin_s))))
    words = f"the first {shown.stop * bin_s:.0f} s of the test part; recorded in amber"
    figures = [
        figure(
            "R² of each axis",
            "over every bin of the test part; 1 is perfect, 0 no better than the mean",
            bars({r.decoder: r.r2_axes.tolist() for r in results}, first.target.axes, "R²"),
        )
    ]
    for k, axis in enumerate(first.target.axes):
        guesses = {r.decoder: r.predicted[shown, k] for r in results}
        plot = traces(first.recorded[shown, k], guesses, bin_s, f"{axis} ({first.target.unit or '1'})")
        figures.append(figure(axis, words, plot))
    controls = {r.decoder: r.control for r in results if len(r.control)}
    if controls:
        scores = {r.decoder: r.r2 for r in results}
        caption = "grey: the same procedure on circularly shifted kinematics; coloured: on the real ones"
        figures.append(figure("Control", caption, dots(controls, scores)))
    legend = " · ".join(f'<b style="color:{colour(i)}">{escape(r.decoder)}</b>' for i, r in enumerate(results))
    header = list(rows[0])
    body = (
        f"<h1>{escape(title)}</h1>"
        + '<p class="muted">Offline: recorded spikes, recorded movement; nothing here is simulated.</p>'
        + cards((r.decoder, f"{r.r2:.3f}", "R², variance-weighted") for r in results)
        + f"<p>{legend}</p>"
        + table(header, [[_cell(row[h]) for h in header] for row in rows])
        + f'<div class="figures" style="grid-template-columns:1fr">{"".join(figures)}</div><h2>How</h2>'
        + pairs(facts)
    )
    return page(title, body)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return " / ".join(_cell(v) for v in value)
    return "-" if value is None else str(value)
