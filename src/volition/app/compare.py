"""Compare decoders in closed loop: decoders x persons x tasks x seeds, in parallel, resumable."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from volition.app._compare import spec
from volition.app._compare.page import interval, page_of, words
from volition.app._compare.spec import Asked
from volition.app._interrupt import Interrupt
from volition.app._output import cell, cores, emit, machine, save, this_command, writable_parent, write_whole
from volition.train._compare_table import agreement, table
from volition.train.compare import Unit, compare

_BAR = 24


@dataclass(frozen=True)
class Compare:
    """Options of `volition compare`; what is not given here comes from the specification, and then from the defaults.

    Attributes:
        spec: a TOML file that says what to compare.
        decoders: names of components, with fields of their configuration after commas, as in wiener,folds=3.
        persons: presets of the simulated person, or brains, in the same way: utah_m1 n1,day=5.
        tasks: centre_out, webgrid, or tasks, in the same way: webgrid,rows=30,columns=30.
        seeds: how many runs of each combination, 10; a seed is another person, another noise, another order of targets.
        first_seed: where they begin, 0.
        seconds: length of a closed-loop run after calibration, 60 s.
        open_seconds: length of the assisted block in which decoders are judged in open loop, 30 s; 0 leaves it out.
        oracle: also run the true intent in a decoder's place: an upper bound, never a result.
        channel: the implant.
        effector: the body.
        feedback: how touch becomes stimulation.
        set: one field of the rest of the configuration, as in `--set calibration.observe_s=60`; may be given again.
        measure: which of the task's figures tells how well a body was controlled; bit_rate_bit_s.
        workers: processes on this machine, by default one a core; on a cluster the most units in work at a time.
        cluster: address of an existing Ray cluster ("auto", host:port), which does the work instead (extra [ray]).
        output: folder of the results; the same command again goes on where it was stopped.
        json: also save the table as JSON here.
    """

    spec: Annotated[Path | None, tyro.conf.Positional] = None
    decoders: tuple[str, ...] = ()
    persons: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    seeds: int | None = None
    first_seed: int | None = None
    seconds: float | None = None
    open_seconds: float | None = None
    oracle: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    channel: str | None = None
    effector: str | None = None
    feedback: str | None = None
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    measure: str | None = None
    workers: int | None = None
    cluster: str | None = None
    output: Path = Path("runs/compare")
    json: Path | None = None


def planned(options: Compare) -> tuple[Asked, list[Unit]]:
    """How it is to be compared, and the units of work.

    Raises:
        VolitionError: something is unknown, of the wrong type, out of range or does not fit together.
    """
    content = spec.document(options.spec)
    how = spec.asked(content, options.spec, options)
    base = spec.parse_sets(options.set)
    for kind in ("channel", "effector", "feedback"):
        name = getattr(options, kind)
        if name is not None:
            base[kind] = {**base.get(kind, {}), "name": name}
    wanted = {
        "decoders": spec.variants(content, "decoders", options.decoders, "kalman"),
        "persons": spec.variants(content, "persons", options.persons, "person"),
        "tasks": spec.variants(content, "tasks", options.tasks, "centre_out"),
    }
    if how.oracle:
        wanted["decoders"].setdefault("oracle", {"name": "oracle"})
    return how, spec.units(content, wanted, base, how)


def progress(check: Callable[[], None]) -> Callable[[int, int], None]:
    """Looks for Ctrl-C, and on a terminal shows a bar and how long it will still take."""
    began, at_first, shown = time.monotonic(), -1, ""

    def watch(done: int, total: int) -> None:
        nonlocal at_first, shown
        check()
        if at_first < 0:
            at_first = done
        if not sys.stderr.isatty():
            return
        fresh = done - at_first
        left = (time.monotonic() - began) / fresh * (total - done) if fresh else None
        full = round(_BAR * done / total)
        when = "" if left is None else f", about {left / 60:.0f} min left" if left > 90 else f", about {left:.0f} s left"
        line = f"\r\x1b[K{'█' * full}{'░' * (_BAR - full)} {done}/{total} units{when}"
        if line != shown:
            sys.stderr.write(line)
            sys.stderr.flush()
            shown = line

    return watch


def _results(how: Asked, output: Path, units: list[Unit]) -> list[dict[str, Any]]:
    """Do the work; Ctrl-C ends it between two results, and says what is kept."""
    finished = 0
    with Interrupt() as interrupt:
        show = progress(interrupt.check)

        def watch(done: int, total: int) -> None:
            nonlocal finished
            finished = done
            show(done, total)

        workers = how.workers or (0 if how.cluster else cores())
        try:
            return compare(units, output, workers=workers, cluster=how.cluster, watch=watch)
        except KeyboardInterrupt:
            total = len({unit.key for unit in units})
            raise KeyboardInterrupt(
                f"{finished} of {total} units are kept in {output}; the same command goes on from there"
            ) from None
        finally:
            if sys.stderr.isatty():
                sys.stderr.write("\r\x1b[K")


def _facts(how: Asked, rows: list[dict[str, Any]], command: str) -> dict[str, Any]:
    """What a reader must know to judge the figures."""
    spent = sum(sum(row["cpu_s"].values()) for row in rows if "cpu_s" in row)
    where = machine()
    return {
        "seeds": f"{how.seeds}, from {how.first_seed}; each another person, the same for every decoder",
        "closed loop": f"{how.seconds:g} s after calibration; mean over seeds, 95 % percentile bootstrap over seeds",
        "success": "all trials of all seeds together, 95 % Wilson interval",
        "open loop": f"R² against what the person meant, {how.open_seconds:g} s of an assisted block not learnt from",
        "disagree": "certain: the paired bootstrap intervals of both differences exclude 0",
        "processor time": f"{spent:.0f} s",
        "machine": f"{where['cpu']}, {where['date']}",
        "command": command,
    }


def main(options: Compare) -> int:
    """Plan, work, sum up; 1 if a unit could not be done.

    Raises:
        VolitionError: what is asked for cannot be.
    """
    how, units = planned(options)
    report, measure = options.output / "report.html", how.measure
    writable_parent(report, "--output")
    if options.json is not None:
        writable_parent(options.json, "--json")
    found = _results(how, options.output, units)
    rows, agreements = table(found, measure), agreement(found, measure)
    command = this_command()
    write_whole(report, page_of(rows, agreements, measure, _facts(how, found, command)))
    for place in (options.output / "table.json", options.json):
        if place is not None:
            save(rows, place, command)
    several = [k for k in ("task", "person") if len({r[k] for r in rows}) > 1]
    columns = [*several, "decoder", "seeds", measure, "success", "r2", "rank_r2", "rank", "mark"]
    told = [
        {**r, measure: interval(r, measure), "success": interval(r, "success", percent=True), "r2": interval(r, "r2")}
        for r in rows
    ]
    emit([{c: cell(r.get(c)) for c in columns} for r in told], columns)
    for sentence in words(agreements, measure):
        print(sentence)
    print(f"report: {report}")
    errors = list(dict.fromkeys(f"{r['decoder']}: {r['error']}" for r in found if "error" in r))
    for error in errors:
        sys.stderr.write(f"volition: {sum('error' in r for r in found)} units could not be done: {error}\n")
    return 1 if errors else 0
