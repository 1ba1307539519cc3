"""One HTML file that tells a run: what was simulated, how well it went, what the loop took, and how it came to decode.

Everything is inside the file (inline SVG, one small picture as data); nothing is loaded from anywhere.

    gather = Gather()
    report = loop.calibrate(watch=gather).run(60, watch=gather)
    save("report.html", page_of(loop, report, gather))
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from volition.loop.build import describe
from volition.loop.report import Report
from volition.signal import NS_PER_S, Float64
from volition.stage import STAGES
from volition.task._score import wilson
from volition.view import _figures
from volition.view._frame import number
from volition.view._gather import Gather
from volition.view._page import cards, escape, figure, page, pairs, table, write

SHOWN_S = 8.0  # of spikes and velocities
SCORES: Mapping[str, tuple[str, str]] = {
    "bit_rate_bit_s": ("bit rate", "bit/s"),
    "throughput_bit_s": ("Fitts throughput", "bit/s"),
    "time_to_target_s": ("time to target", "s, median"),
    "dial_in_s": ("dial-in time", "s, mean"),
    "path_efficiency": ("path efficiency", "straight / actual"),
    "speed_m_s": ("speed", "m/s, over ground"),
    "fell": ("falls", "of the body"),
}


@dataclass(frozen=True)
class Story:
    """What the page is made of.

    Attributes:
        report: figures of the last block.
        gather: what was kept of the run.
        workspace: `[2, d]`, m.
        bin_s: width of a bin, s.
        intent: names of the intent dimensions.
        stages: kind -> class and configuration.
        controls: name -> report of the same person and body with another decoder.
        facts: name -> value for the foot of the page: version, command, machine, date.
    """

    report: Report
    gather: Gather
    workspace: Float64
    bin_s: float
    intent: Sequence[str]
    stages: Mapping[str, Mapping[str, Any]]
    controls: Mapping[str, Report] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def story_of(
    loop: Any,
    report: Report,
    gather: Gather,
    controls: Mapping[str, Report] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Story:
    """Everything the page needs, from a loop that has run."""
    return Story(
        report=report,
        gather=gather,
        workspace=np.asarray(loop.setup.workspace, float),
        bin_s=loop.setup.bin_ns / NS_PER_S,
        intent=loop.setup.intent,
        stages={kind: describe(stage) for kind, stage in loop.stages.items()},
        controls=dict(controls or {}),
        facts=dict(facts or {}),
    )


def success(report: Report) -> tuple[str, str]:
    """Rate of success, and what it stands on: ("92 %", "46 of 50, 95 % interval 81–97 %")."""
    n = len(report.trials)
    hits = sum(map(_figures.hit, report.trials))
    low, high = wilson(hits, n)
    rate = f"{100 * hits / n:.0f} %" if n else "–"
    return rate, f"{hits} of {n}, 95 % interval {100 * low:.0f}–{100 * high:.0f} %"


def render(story: Story) -> str:
    """The page as text."""
    report, stages = story.report, story.report.stages
    chain = " → ".join(stages[kind] for kind in STAGES) + f" → {stages['brain']}"
    rate, below = success(report)
    board = [("success", rate, below)]
    for key, (name, unit) in SCORES.items():
        if key in report.score:
            board.append((name, _decimals(report.score[key]), unit))
    board += _drift(report)
    board.append(("loop speed", f"{number(report.speed)}x", "real time"))
    body = [
        f"<h1>{escape(chain)}</h1>",
        f'<p class="muted">task {escape(stages["task"])}, run of {number(report.seconds)} s, seed {report.seed}</p>',
        f"<p>{escape(_provenance(stages))}</p>",
        cards(board),
        f'<div class="figures">{"".join(_pictures(story))}</div>',
        *_comparison(story),
        *_tables(story),
    ]
    return page(f"volition: {chain}", "\n".join(body))


def save(path: str | Path, story: Story) -> None:
    """Write the page, whole or not at all.

    Raises:
        InputError: the place cannot be written.
    """
    write(Path(path), render(story))


def _decimals(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"


def _drift(report: Report) -> list[tuple[str, str, str]]:
    """How far the activity has gone from that of the calibration, where the decoder knows."""
    told = report.decoder
    if not {"drift_nats", "drift_limit_nats"} <= told.keys():
        return []
    score, limit = told["drift_nats"], told["drift_limit_nats"]
    word = "calibrate again" if score > limit else "no need to calibrate again"
    return [("drift of the activity", number(score), f"nats, limit {number(limit)}: {word}")]


def _provenance(stages: Mapping[str, str]) -> str:
    """What was simulated and what recorded."""
    body = {"arm": "a MuJoCo body", "cursor": "a cursor", "legs": "the legs (a MuJoCo body, its motors and sensors)"}.get(
        stages["effector"], f"the body {stages['effector']}"
    )
    rest = f"the implant ({stages['channel']}), {body}, touch and stimulation"
    if stages["brain"] == "replay":
        return f"Recorded: the spikes, and the movement they belong to. Simulated: {rest}."
    return (
        f"Simulated: the person (intention, neurons, visual delay), {rest}. "
        "Recorded: nothing; no person took part. Measured: the times in the latency table, on the machine named below."
    )


def _pictures(story: Story) -> list[str]:
    gather = story.gather
    trace = gather.trace()
    if not len(trace):
        return []
    newest = gather.trace(round(SHOWN_S / story.bin_s))
    block = _last_block(gather)
    phases = gather.phases
    pictures = [
        figure("Paths", "The controlled point in each finished trial; numbers: hits of trials.",
               _figures.paths(block, story.report.trials, story.workspace)),
        figure("Velocity", f"What was meant and what was decoded, the last {SHOWN_S:g} s.",
               _figures.velocities(newest, story.intent)),
        figure("Spikes", "What the decoder saw; red: missing (lost packet, dead channel).",
               _figures.raster(gather, SHOWN_S, story.bin_s)),
    ]  # fmt: skip
    if story.intent and len(story.intent) >= 2:
        title, text = "Decoding error", "While moving, over the whole run."
        if len(phases) > 1:
            title, text = "Calibration", "Error while moving; the decoder is fitted after each phase but the last."
        pictures.append(figure(title, text, _figures.story(trace, phases, story.bin_s, story.intent)))
    return pictures


def _last_block(gather: Gather) -> Any:
    """The trace of the last phase only: trial numbers begin anew in each."""
    trace = gather.trace()
    return gather.trace(int((trace.phase == trace.phase[-1]).sum()))


def _comparison(story: Story) -> list[str]:
    if not story.controls:
        return []
    rows = []
    reports = {story.report.stages["decoder"]: story.report, **story.controls}
    told = [key for key in SCORES if any(key in report.score for report in reports.values())]
    for name, report in reports.items():
        rate, below = success(report)
        rows.append(
            [name, rate, below, *(_decimals(report.score.get(key, math.nan)) for key in told), f"{report.seconds:g}"]
        )
    units = {"straight / actual": "1", "of the body": "1"}
    columns = (f"{name}, {units.get(unit, unit.split(',')[0])}" for name, unit in (SCORES[key] for key in told))
    header = ["decoder", "success", "targets reached", *columns, "run, s"]
    return ["<h2>Controls: the same person and body, another decoder</h2>", table(header, rows)]


def _tables(story: Story) -> list[str]:
    report = story.report
    latency = [
        [stage, *(number(row[key]) for key in ("p50_us", "p99_us", "p999_us", "max_us")), f"{row['n']:.0f}"]
        for stage, row in report.latency.items()
    ]
    faults = [[stage, kind, str(n)] for stage, kinds in report.faults.items() for kind, n in kinds.items() if n]
    gate = [["gate", kind, str(n)] for kind, n in report.gate.items()]
    guard = {
        "bins held without a fresh intent": report.held,
        "stops": report.stops,
        "deadlines missed": report.misses,
        "time given up, ms": number(report.dropped_ms),
    }
    phases = [[p.name, number(p.end_s - p.begin_s), str(p.trials)] for p in story.gather.phases]
    counts = table(["stage", "what", "count"], [*faults, *gate]) if faults or gate else "<p>No fault, nothing refused.</p>"
    columns = [
        "<h2>Latency, µs</h2>" + table(["stage", "p50", "p99", "p99.9", "max", "calls"], latency),
        "<h2>Guards and stimulation gate</h2>" + pairs(guard) + counts,
        "<h2>Phases</h2>" + table(["phase", "s", "targets shown"], phases),
    ]
    return [
        f'<div class="columns">{"".join(f"<section>{column}</section>" for column in columns)}</div>',
        "<h2>Configuration</h2>",
        settings_table(story),
        "<h2>Where and when</h2>",
        pairs(story.facts),
    ]


def settings_table(story: Story) -> str:
    """Each stage's class and configuration."""
    rows = {}
    for kind, entry in story.stages.items():
        given = ", ".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in entry["config"].items())
        rows[f"{kind} {story.report.stages[kind]}"] = given or "nothing to set"
    return f'<div class="wrap">{pairs(rows)}</div>'
