"""What `volition certify` says: rows of a table, the limits and whether they were kept, report.json and report.txt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from volition.app._output import machine, plain, this_command, write_whole

if TYPE_CHECKING:
    from volition.app.certify import Certify

Row = Mapping[str, Any]
_COLUMNS = ("p50", "p99", "p99.9", "max", "jitter")
_KEYS = ("p50_us", "p99_us", "p999_us", "max_us", "jitter_us")
_ABOUT = """\
What was timed: from the moment at which the last voltage sample of a bin is due (on the host's monotonic clock) to that at
which the decoded command is issued. Within it: handing over the last chunk, filtering it, binning, the person's own step
(simulated: {person:.2f} ms), decoding, and every delay by the operating system. Not within it: the bin itself, the filters'
group delay, the body's motion. The voltage is made by a process of its own, which gives each chunk of {chunk:g} ms away when
its last sample is due and never waits for the loop; what it is late by counts against the limit. A frame is lost when its
bin did not become a command within one bin: late, incomplete, or given up because the loop had fallen behind. Garbage
collection is off during the run. {priority}. The person, the electrodes and the body are simulated; the clock is not."""


def stage_rows(found: Mapping[str, Any]) -> list[Row]:
    """One row a stage, in ms."""
    return [
        {"stage": name, **{c: row[k] / 1e3 for c, k in zip(_COLUMNS, _KEYS, strict=True)}, "n": row["n"]}
        for name, row in found["latency"].items()
    ]


def verdicts(found: Mapping[str, Any], options: Certify) -> list[Row]:
    """One row a limit."""
    whole = found["latency"]["end to end"]
    values = (
        ("end to end, p50", whole["p50_us"] / 1e3, "ms", options.limit_p50_ms),
        ("end to end, p99", whole["p99_us"] / 1e3, "ms", options.limit_p99_ms),
        (f"frames lost, of {found['frames']}", found["lost"], "", options.limit_lost),
    )
    return [
        {"what": what, "value": value, "unit": unit, "limit": f"<= {limit:g}", "ok": value <= limit}
        for what, value, unit, limit in values
    ]


def figures(found: Mapping[str, Any]) -> list[Row]:
    """What has no limit."""
    rows = (
        ("frames late, incomplete or stale", found["held"], ""),
        ("time given up", found["dropped_ms"], "ms"),
        ("ticks longer than their period", found["missed"], ""),
        ("chunks overwritten unread", found["lost_chunks"], ""),
        ("samples that never came", found["gap_samples"], ""),
        ("bins the source left out", found["source"]["left_out"], ""),
        ("bins whose spikes the source did not hear of in time", found["source"]["unheard"], ""),
        ("CPU of the loop", 100 * found["cpu_loop"], "% of a core"),
        ("CPU of the source (simulated)", 100 * found["cpu_source"], "% of a core"),
        ("load average of the machine before", found["load_before"], "processes"),
        ("reaches that succeed (simulated person)", 100 * found["score"].get("success", float("nan")), "%"),
    )
    counted = [(f"fault: {stage} {kind}", n, "") for stage, kinds in found["faults"].items() for kind, n in kinds.items()]
    return [{"what": what, "value": value, "unit": unit} for what, value, unit in (*rows, *counted)]


def text(found: Mapping[str, Any], options: Certify) -> str:
    """What was timed."""
    person = found["latency"]["person (simulated)"]["p50_us"] / 1e3
    return _ABOUT.format(person=person, chunk=options.chunk_ms, priority=found["priority"])


def save(options: Certify, found: Mapping[str, Any], stages: Sequence[Row], limits: Sequence[Row]) -> None:
    """report.json and report.txt, each whole."""
    from volition import __version__
    from volition.app._output import _plain_table
    from volition.app.bench import code_hash

    passed = all(row["ok"] for row in limits)
    computer = machine()
    facts = {"version": __version__, "code": code_hash(), "command": this_command(), "machine": computer}
    content = {"passed": passed, "limits": limits, "latency_ms": stages, **facts, "options": asdict(options), **found}
    whole = json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(options.output / "report.json", whole, "--output")
    about = ", ".join(f"{key} {value}" for key, value in computer.items())
    lines = [
        f"volition certify: {'PASSED' if passed else 'MISSED'}",
        f"{options.channels} channels x {options.fs:g} Hz, {options.seconds:g} s, chunks of {options.chunk_ms:g} ms, "
        f"{options.load} busy processes beside it",
        f"volition {__version__} (code {facts['code']}); {about}",
        "",
        _plain_table(stages, list(stages[0]), "latency, ms"),
        _plain_table([*limits, *figures(found)], ("what", "value", "unit", "limit", "ok"), "limits and figures"),
        text(found, options),
        "",
    ]
    write_whole(options.output / "report.txt", "\n".join(lines), "--output")
