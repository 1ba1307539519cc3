"""The page of a comparison: how well each decoder controls, against how well it decodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from volition.view._figures import Axes
from volition.view._page import cards, escape, figure, page, pairs, table

_W, _H = 520, 400
_COLOURS = ("var(--decoded)", "var(--hit)", "var(--ink)", "var(--miss)", "var(--intended)", "var(--muted)")
_COLUMNS = "grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),540px))"
_MARK = {"!": "certain", "~": "in the means", "": ""}


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]


def _limits(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or 0.1
    return low - room, high + room


def scatter(rows: Sequence[Mapping[str, Any]], measure: str, colours: Mapping[str, str]) -> str:
    """One point a decoder: open-loop R² across, the measure up, with both intervals; a ring round those that disagree.

    What has no R² (the true intent) is a line across.
    """
    both = [r for r in rows if r["r2"] is not None and r[measure] is not None]
    only = [r for r in rows if r["r2"] is None and r[measure] is not None]
    if not (both or only):
        return ""
    x = [r[k] for r in both for k in ("r2", "r2_low", "r2_high") if r[k] is not None]
    y = [r[k] for r in (*both, *only) for k in (measure, f"{measure}_low", f"{measure}_high") if r[k] is not None]
    axes = Axes((60, 26, 500, 352), _limits(x or [0.0, 1.0]), _limits([0.0, *y]))
    parts = [axes.ticks("open-loop R²", measure)]
    for r in only:
        level = axes.y(r[measure])
        parts.append(f'<path d="M60 {level:.1f}H500" stroke="var(--muted)" stroke-dasharray="5 4"/>')
        parts.append(f'<text x="496" y="{level - 5:.1f}" text-anchor="end">{escape(r["decoder"])}</text>')
    for r in both:
        parts.append(_point(axes, r, measure, colours[r["decoder"]]))
    label = f"{measure} against open-loop R²"
    return f'<svg viewBox="0 0 {_W} {_H}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def _point(axes: Axes, row: Mapping[str, Any], measure: str, colour: str) -> str:
    x, y = axes.x(row["r2"]), axes.y(row[measure])
    parts = []
    if row["r2_low"] is not None:
        parts.append(f'<path d="M{axes.x(row["r2_low"]):.1f} {y:.1f}H{axes.x(row["r2_high"]):.1f}" stroke="{colour}"/>')
    if row[f"{measure}_low"] is not None:
        low, high = axes.y(row[f"{measure}_low"]), axes.y(row[f"{measure}_high"])
        parts.append(f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="{colour}"/>')
    parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>')
    if row["mark"]:
        dashes = ' stroke-dasharray="3 2"' if row["mark"] == "~" else ""
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="9" fill="none" stroke="{colour}"{dashes}/>')
    left = x > 380
    anchor = ' text-anchor="end"' if left else ""
    parts.append(
        f'<text class="over" x="{x + (-12 if left else 12):.1f}" y="{y - 8:.1f}"{anchor}>{escape(row["decoder"])}</text>'
    )
    return "".join(parts)


def interval(row: Mapping[str, Any], name: str, percent: bool = False) -> str:
    """A figure with its interval, in words.

    >>> interval({"r2": 0.5, "r2_low": 0.4, "r2_high": 0.61}, "r2"), interval({"r2": None}, "r2")
    ('0.50 [0.40, 0.61]', '-')
    """
    value = row.get(name)
    if value is None:
        return "-"
    form = "{:.1%}" if percent else "{:.2f}"
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    return form.format(value) + ("" if low is None or high is None else f" [{form.format(low)}, {form.format(high)}]")


def words(agreements: Sequence[Mapping[str, Any]], measure: str) -> list[str]:
    """Where open and closed loop disagree, one sentence each."""
    found = []
    for group in agreements:
        where = f"{group['task']}, {group['person']}"
        if group["spearman"] is not None:
            found.append(f"{where}: Spearman's rank correlation of R² and {measure} over decoders {group['spearman']:+.2f}.")
        for pair in group["disagree"]:
            sure = "certain" if pair["certain"] else "in the means only"
            found.append(
                f"{where}: open loop prefers {pair['by_r2']} (R² +{pair['r2_gain']:.3f}), but {pair['by_control']} controls "
                f"better ({measure} +{pair['control_loss']:.3f}); {sure}."
            )
    return found


def page_of(
    rows: Sequence[Mapping[str, Any]], agreements: Sequence[Mapping[str, Any]], measure: str, facts: Mapping[str, Any]
) -> str:
    """The whole document.

    Args:
        rows: of `volition.train._compare_table.table`.
        agreements: of `agreement`.
        measure: the task's figure that is compared.
        facts: what a reader must know to judge it.
    """
    names = list(dict.fromkeys(r["decoder"] for r in rows))
    colours = {name: _colour(i) for i, name in enumerate(names)}
    figures = []
    for group in agreements:
        here = [r for r in rows if (r["task"], r["person"]) == (group["task"], group["person"])]
        caption = "mean and 95 % interval over seeds; ringed: open and closed loop disagree about it"
        figures.append(figure(f"{group['task']}, {group['person']}", caption, scatter(here, measure, colours)))
    rows_of = {name: [r for r in rows if r["decoder"] == name and r[measure] is not None] for name in names}
    best = [max(made, key=lambda r: r[measure]) for made in rows_of.values() if made]
    found = "R², open loop", "rank by R²", f"rank by {measure}", "disagree"
    header = ("task", "person", "decoder", "seeds", measure, "success", *found)
    lines = [
        (
            r["task"], r["person"], r["decoder"], r["seeds"], interval(r, measure), interval(r, "success", percent=True),
            interval(r, "r2"), f"{r['rank_r2']:g}" if "rank_r2" in r else "-", f"{r['rank']:g}" if "rank" in r else "-",
            _MARK[r["mark"]],
        )
        for r in rows
    ]  # fmt: skip
    said = "".join(f"<p>{escape(sentence)}</p>" for sentence in words(agreements, measure))
    body = (
        "<h1>Decoders compared in closed loop</h1>"
        '<p class="muted">Simulated persons; nothing here was recorded.</p>'
        + cards((r["decoder"], interval(r, measure).split()[0], f"{measure}, {r['task']}, {r['person']}") for r in best)
        + f'<div class="figures" style="{_COLUMNS}">{"".join(figures)}</div>'
        + "<h2>Table</h2>"
        + table(header, lines)
        + "<h2>Where open loop and closed loop disagree</h2>"
        + (said or "<p>Nowhere among these decoders.</p>")
        + "<h2>How</h2>"
        + pairs(facts)
    )
    return page("Decoders compared in closed loop", body)
