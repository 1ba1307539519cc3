"""One HTML file that sets a recording beside populations simulated from what was fitted to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from volition.signal import Float64
from volition.view._figures import Axes
from volition.view._page import escape, figure, page, pairs, table

_W, _H = 520, 300
_BOX = (60, 26, 500, 250)
_RECORDED, _SIMULATED, _FITTED = "var(--intended)", "var(--decoded)", "var(--muted)"


def _svg(body: str, label: str) -> str:
    return f'<svg viewBox="0 0 {_W} {_H}" role="img" aria-label="{escape(label)}">{body}</svg>'


def shares(recorded: Float64, simulated: Float64, label: str, log: bool = False) -> str:
    """Share of the units below each value: recorded, and of all simulated populations together.

    Args:
        recorded: a value for each unit or pair.
        simulated: the same of those simulated.
        label: quantity and unit.
        log: the axis shows powers of ten.
    """
    a, b = (np.sort(v[np.isfinite(v)]) for v in (recorded, simulated))
    if log:
        a, b = (np.log10(np.maximum(v, 1e-3)) for v in (a, b))
    both = np.concatenate((a, b))
    low, high = np.quantile(both, (0.002, 0.998)).tolist()
    box = Axes(_BOX, (low, high + 1e-9), (0.0, 1.0))
    at = np.linspace(low, high, 200)
    parts = [box.ticks(f"{label}{', power of ten' if log else ''}", "share of the units below")]
    for values, colour, width in ((a, _RECORDED, 2.6), (b, _SIMULATED, 1.6)):
        parts.append(box.line(at, np.searchsorted(values, at, side="right") / len(values), colour, width))
    return _svg("".join(parts), label)


def directions(recorded: Float64, simulated: Float64) -> str:
    """How many units prefer each direction, share of all in 12 sectors."""
    edges = np.linspace(-np.pi, np.pi, 13)
    counts = [np.histogram(v, edges)[0] / max(1, len(v)) for v in (recorded, simulated)]
    box = Axes(_BOX, (-180.0, 180.0), (0.0, 1.15 * max(float(c.max()) for c in counts)))
    parts = [box.ticks("preferred direction, degrees", "share of the units")]
    x = np.degrees(np.repeat(edges, 2)[1:-1])
    for c, colour, width in zip(counts, (_RECORDED, _SIMULATED), (2.6, 1.6), strict=True):
        parts.append(box.line(x, np.repeat(c, 2), colour, width))
    return _svg("".join(parts), "preferred directions")


def curve(points: Mapping[int, tuple[Float64, Float64]]) -> str:
    """R² against the number of units, mean and 10th to 90th percentile."""
    n = np.array(sorted(points), np.float64)
    low = min(0.0, *(float(np.quantile(v, 0.1)) for pair in points.values() for v in pair))
    box = Axes(_BOX, (0.0, 1.08 * float(n[-1])), (low, 1.0))
    parts = [box.ticks("units decoded from", "R² of velocity")]
    for side, colour in ((0, _RECORDED), (1, _SIMULATED)):
        values = [points[int(k)][side] for k in n]
        for k, v in zip(n.tolist(), values, strict=True):
            x = float(box.x(k)) + 3 * side
            top, bottom = (float(box.y(q)) for q in np.quantile(v, (0.9, 0.1)))
            parts.append(
                f'<path d="M{x:.1f} {top:.1f}V{bottom:.1f}" stroke="{colour}" stroke-width="2" stroke-opacity=".5"/>'
            )
        parts.append(box.line(n, np.array([v.mean() for v in values]), colour, 2.0))
    return _svg("".join(parts), "R² against units")


def page_of(title: str, found: Any, facts: Mapping[str, Any]) -> str:
    """The whole document.

    Args:
        title: name of the recording.
        found: a `train.person_compare.Comparison`.
        facts: how it was made.
    """
    recorded: Any = found.recorded

    def both(of: Callable[[Any], Float64]) -> tuple[Float64, Float64]:
        return of(recorded), found.pooled(of)

    figures = [
        figure("Firing rates", "every unit, silent ones too", shares(*both(lambda m: m.rate_hz), "rate, Hz", log=True)),
        figure("Depth of tuning", "to velocity", shares(*both(lambda m: m.depth), "log-rate at full speed")),
        figure("Preferred directions", "of velocity", directions(*both(lambda m: m.direction))),
        figure("Information", "on movement", shares(*both(lambda m: m.bits), "bit a spike")),
    ]
    for width in recorded.fano:
        words = f"what tuning leaves, bins of {width:g} ms"
        fano = shares(*both(partial(_at, "fano", width)), "Fano factor")
        noise = shares(*both(partial(_at, "correlation", width)), "correlation of two units' residuals")
        figures += [figure("Fano factor", words, fano), figure("Noise correlation", words, noise)]
    if found.curve:
        figures.append(figure("Decoding", "wiener; bars: a tenth of the draws above, a tenth below", curve(found.curve)))
    rows = found.rows()
    header = list(rows[0])
    legend = (
        f'<p><b style="color:{_RECORDED}">recorded</b> (not the part that was fitted) · '
        f'<b style="color:{_SIMULATED}">simulated</b> ({len(found.simulated)} populations, drawn anew)</p>'
    )
    body = (
        f"<h1>{escape(title)}</h1>"
        '<p class="muted">Recorded movement drives simulated neurons, drawn from distributions fitted to another part.</p>'
        + legend
        + table(header, [[_cell(row[h]) for h in header] for row in rows])
        + f'<div class="figures">{"".join(figures)}</div><h2>How</h2>'
        + pairs(facts)
    )
    return page(title, body)


def _at(name: str, width: float, measured: Any) -> Float64:
    """A measure that is made in bins of several widths."""
    found: Float64 = getattr(measured, name).get(width, np.empty(0))
    return found


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
