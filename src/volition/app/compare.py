"""Compare decoders in closed loop: decoders x persons x tasks x seeds, in parallel, resumable."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from volition.app._interrupt import Interrupt
from volition.app._output import cell, cores, emit, machine, save, this_command, writable_parent, write_whole
from volition.errors import ConfigError

_OPTIONS = ("seeds", "first_seed", "seconds", "open_seconds", "oracle", "measure", "workers", "cluster")
_BAR = 24


@dataclass(frozen=True)
class Compare:
    """Options of `volition compare`; what is not given here comes from the specification, and then from the defaults.

    Attributes:
        spec: a TOML file that says what to compare.
        decoders: names of components, with fields of their configuration after commas, as in wiener,folds=3.
        persons: presets of the simulated person, or brains, in the same way: utah_m1 n1,day=5.
        tasks: centre_out, webgrid, or tasks, in the same way: webgrid,rows=30,columns=30.
        seeds: how many runs of each combination; a seed is another person, another noise, another order of targets.
        first_seed: where they begin.
        seconds: length of a closed-loop run after calibration, s.
        open_seconds: length of the assisted block in which decoders are judged in open loop, s; 0 leaves it out.
        oracle: also run the true intent in a decoder's place: an upper bound, never a result.
        channel: the implant.
        effector: the body.
        feedback: how touch becomes stimulation.
        set: one field of the rest of the configuration, as in `--set calibration.observe_s=60`; may be given again.
        measure: which of the task's figures tells how well a body was controlled.
        workers: processes on this machine, by default one a core; on a cluster the most units in work at a time.
        cluster: address of an existing Ray cluster ("auto", host:port), which does the work instead (extra [ray]).
        output: folder of the results; the same command again goes on where it was stopped.
        json: also save the table as JSON here.
    """

    spec: Annotated[Path | None, tyro.conf.Positional] = None
    decoders: tuple[str, ...] = ()
    persons: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    seeds: int = 10
    first_seed: int = 0
    seconds: float = 60.0
    open_seconds: float = 30.0
    oracle: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    channel: str | None = None
    effector: str | None = None
    feedback: str | None = None
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    measure: str = "bit_rate_bit_s"
    workers: int = 0
    cluster: str = ""
    output: Path = Path("runs/compare")
    json: Path | None = None


def planned(options: Compare) -> tuple[Compare, list[Any]]:
    """The options, completed by the specification, and the units of work.

    Raises:
        VolitionError: something is unknown, of the wrong type, out of range or does not fit together.
    """
    from volition.app._compare import spec

    content = spec.document(options.spec, _OPTIONS)
    options = spec.given(content, options.spec, options, _OPTIONS)
    if options.seeds < 1 or options.first_seed < 0:
        raise ConfigError(
            f"--seeds must be positive and --first-seed not negative, got {options.seeds}, {options.first_seed}"
        )
    if options.workers < 0:
        raise ConfigError(f"--workers must not be negative, got {options.workers}")
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
    if options.oracle:
        wanted["decoders"].setdefault("oracle", {"name": "oracle"})
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    units = spec.units(
        content,
        wanted,
        base,
        seeds=seeds,
        seconds=options.seconds,
        open_s=options.open_seconds,
        measure=options.measure,
    )
    return options, units


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


def _results(options: Compare, units: list[Any]) -> list[dict[str, Any]]:
    """Do the work; Ctrl-C ends it between two results, and says what is kept."""
    from volition.train.compare import compare

    finished = 0
    with Interrupt() as interrupt:
        show = progress(interrupt.check)

        def watch(done: int, total: int) -> None:
            nonlocal finished
            finished = done
            show(done, total)

        workers = options.workers or (0 if options.cluster else cores())
        try:
            return compare(units, options.output, workers=workers, cluster=options.cluster, watch=watch)
        except KeyboardInterrupt:
            total = len({unit.key for unit in units})
            raise KeyboardInterrupt(
                f"{finished} of {total} units are kept in {options.output}; the same command goes on from there"
            ) from None
        finally:
            if sys.stderr.isatty():
                sys.stderr.write("\r\x1b[K")


def _facts(options: Compare, rows: list[dict[str, Any]], command: str) -> dict[str, Any]:
    """What a reader must know to judge the figures."""
    spent = sum(sum(row["cpu_s"].values()) for row in rows if "cpu_s" in row)
    where = machine()
    return {
        "seeds": f"{options.seeds}, from {options.first_seed}; each another person, the same for every decoder",
        "closed loop": f"{options.seconds:g} s after calibration; mean over seeds, 95 % percentile bootstrap over seeds",
        "success": "all trials of all seeds together, 95 % Wilson interval",
        "open loop": f"R² against what the person meant, {options.open_seconds:g} s of an assisted block not learnt from",
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
    from volition.app._compare.page import interval, page_of, words
    from volition.train._compare_table import agreement, table

    options, units = planned(options)
    writable_parent(options.output / "report.html", "--output")
    if options.json is not None:
        writable_parent(options.json, "--json")
    found = _results(options, units)
    rows, agreements = table(found, options.measure), agreement(found, options.measure)
    command = this_command()
    write_whole(options.output / "report.html", page_of(rows, agreements, options.measure, _facts(options, found, command)))
    for place in (options.output / "table.json", options.json):
        if place is not None:
            save(rows, place, command)
    several = [k for k in ("task", "person") if len({r[k] for r in rows}) > 1]
    columns = [*several, "decoder", "seeds", options.measure, "success", "r2", "rank_r2", "rank", "mark"]
    measure = options.measure
    told = [
        {**r, measure: interval(r, measure), "success": interval(r, "success", percent=True), "r2": interval(r, "r2")}
        for r in rows
    ]
    emit([{c: cell(r.get(c)) for c in columns} for r in told], columns)
    for sentence in words(agreements, options.measure):
        print(sentence)
    print(f"report: {options.output / 'report.html'}")
    errors = list(dict.fromkeys(f"{r['decoder']}: {r['error']}" for r in found if "error" in r))
    for error in errors:
        sys.stderr.write(f"volition: {sum('error' in r for r in found)} units could not be done: {error}\n")
    return 1 if errors else 0
