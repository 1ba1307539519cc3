"""A decoder carried to another day, whose units are not known to be the same: with a few labels, or with none.

The decoder has two parts. A read-in belongs to the day: it makes of a bin's counts an estimate of the movement
(`_read_in.py`). What it says is the same quantity every day, so the second part, a decoder of the sequence of estimates,
is fitted once, on the first day, and kept. It is fitted on estimates as poor as they will be: read-ins are learnt from
`LABELLED` trials of the first day, over and over, and say what they say of the others (learning to learn, Thrun & Pratt
1998).

Units are paired with those of the first day by their order and by what they do, without labels (`_match.py`). The tuning
of paired units is what a read-in is drawn to where there are labels, and what it is where there are none. Where there are
counts without labels, what is decoded of them serves as labels for one more read-in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.errors import InputError
from volition.signal import Bool, Float32, Float64, Recording
from volition.stage import Setup, find
from volition.train._match import align, habits
from volition.train._read_in import ReadIn, Session, Tuning, Units
from volition.train.evaluate import target_of

SLOWEST = 0.05  # m/s: slower bins are left out, as they are in recordings of movement only
LABELLED = 20  # trials
TESTED = 36  # trials
DRAWS = 10
REHEARSALS = 30
_TOWARDS = 100.0  # bins: how strongly a read-in is drawn to the tuning of paired units
_KEPT = 0.7  # of the tuning of a paired unit: some pairs are wrong
_LEAST_NOISE = 0.3
_APART = 1_000_000  # between the numbers of stretches of different rehearsals
_SMALL_GRU = {
    "units": 48,
    "members": 2,
    "noise": 0.1,
    "offset": 0.0,
    "unit_dropout": 0.0,
    "bin_dropout": 0.0,
    "dropout": 0.1,
    "also": (-1, 1),
    "window": 25,
    "batch_bins": 2000,
    "most_steps": 200,
}


def moving(recording: Recording, slowest: float = SLOWEST) -> Session:
    """The bins of trials in which the hand moves; where bins are left out, a new stretch begins.

    Raises:
        InputError: no trials, or hardly any movement.
    """
    if recording.trial is None:
        raise InputError(f"{recording.name}: it has no trials, so none can be labelled or left for the test")
    velocity = target_of(recording, "velocity").y
    kept = np.flatnonzero((np.linalg.norm(velocity, axis=1) >= slowest) & (recording.trial >= 0))
    if len(kept) < 20:
        raise InputError(f"{recording.name}: only {len(kept)} bins are faster than {slowest} m/s")
    broken = (np.diff(kept) > 1) | (np.diff(recording.segment[kept]) != 0)
    segment = np.concatenate(([0], np.cumsum(broken)))
    return Session(
        recording.counts[kept].astype(np.float64), velocity[kept], segment, recording.trial[kept].astype(np.int64)
    )


def rehearsals(day: Session, trials: int, seed: int, count: int = REHEARSALS) -> Session:
    """Estimates (as `counts`) of read-ins that learnt from some trials of a day and say what they say of the others."""
    names, parts, all_day = np.unique(day.trial), [], ReadIn.fit(day, day.counts).tuning
    for i in range(count):
        learnt = np.random.default_rng([seed, i]).choice(names, trials, replace=False)
        rest = day.where(~np.isin(day.trial, learnt))
        estimate = ReadIn.fit(day.only(learnt), day.counts, all_day).apply(rest.counts)
        parts.append(Session(estimate, rest.velocity, rest.segment + i * _APART, rest.trial))
    stacked = (np.concatenate([getattr(p, name) for p in parts]) for name in ("counts", "velocity", "segment", "trial"))
    return Session(*stacked)


def _decoder(kind: str, setup: Setup) -> Any:
    """A decoder of estimates, not fitted yet."""
    cls = find("decoder", kind)
    decoder = cls(cls.Config(**_SMALL_GRU)) if kind == "gru" else cls()
    decoder.prepare(setup)
    return decoder


@dataclass(frozen=True, eq=False)
class Carried:
    """The part that is carried from day to day, and what the first day told of the movement and of the units."""

    decoder: Any
    tuning: Tuning
    habits: Float64

    @classmethod
    def fit(
        cls,
        day: Session,
        bin_ns: int,
        kind: str = "gru",
        *,
        labelled: int = LABELLED,
        repeats: int = REHEARSALS,
        seed: int = 0,
    ) -> Carried:
        """Learn it on a day of which everything is known.

        Args:
            day: the first.
            bin_ns: width of its bins.
            kind: the decoder of the sequence of estimates.
            labelled: trials that a read-in will be learnt from on later days.
            repeats: rehearsals.
            seed: of rehearsals and decoder.

        Raises:
            InputError: fewer than two trials more than that.
        """
        if len(np.unique(day.trial)) < labelled + 2:
            raise InputError(f"{len(np.unique(day.trial))} trials are too few to rehearse learning from {labelled}")
        seen = rehearsals(day, labelled, seed, repeats)
        names = tuple(f"reach.{'xyz'[i] if i < 3 else i}" for i in range(day.velocity.shape[1]))
        decoder = _decoder(kind, Setup(seed, bin_ns, seen.counts.shape[1], seen.counts.shape[1], names))
        decoder.fit(seen.counts, None, seen.velocity, seen.segment)
        return cls(decoder, ReadIn.fit(day, day.counts).tuning, habits(day))

    def expected(self, day: Session) -> tuple[Float64, Float64]:
        """What the first day tells of the units of another: `B` `[units, movement]`, and noise; its velocity is not used."""
        pairs, _ = align(self.habits, habits(day))
        B, D = np.zeros((day.counts.shape[1], self.tuning.B.shape[1])), np.ones(day.counts.shape[1])
        B[pairs[:, 1]] = _KEPT * self.tuning.B[pairs[:, 0]]
        D[pairs[:, 1]] = np.maximum(self.tuning.D[pairs[:, 0]], _LEAST_NOISE)
        return B, D

    def labelled(self, some: Session, day: Session | None = None) -> Decoder:
        """For another day of which some trials are labelled.

        Args:
            some: those trials.
            day: they and others, of which only the counts are used; None: there are no others.
        """
        counts = some if day is None else day
        B, _ = self.expected(counts)
        decoder = Decoder(ReadIn.fit(some, counts.counts, self.tuning, B, _TOWARDS), self.decoder)
        return decoder if day is None else self._again(decoder, day)

    def unlabelled(self, day: Session) -> Decoder:
        """For another day of which only the counts are known; its velocity is not used."""
        B, D = self.expected(day)
        first = Tuning(B, np.zeros(len(B)), D, self.tuning.P, self.tuning.mean, self.tuning.sd)
        return self._again(Decoder(ReadIn(Units.of(day.counts), first), self.decoder), day)

    def _again(self, decoder: Decoder, day: Session) -> Decoder:
        """Take what was decoded for labels."""
        guess = np.asarray(decoder.predict(day.counts, None, day.segment), np.float64)
        return Decoder(ReadIn.fit(day.moved(guess), day.counts, self.tuning), self.decoder)

    def own(self, day: Session) -> Decoder:
        """For the day it was fitted on."""
        return Decoder(ReadIn.fit(day, day.counts, self.tuning), self.decoder)


class Decoder:
    """A read-in with the carried decoder behind it: bin by bin, as any decoder."""

    def __init__(self, read_in: ReadIn, decoder: Any) -> None:
        self.read_in, self._decoder = read_in, decoder

    def step(self, x: Float32, mask: Bool) -> Float32:
        """One bin; a missing unit is taken to do what it does on average."""
        root = self.read_in.units.mean**2
        estimate = self.read_in.apply(np.where(mask, root, x)[None])[0]
        found: Float32 = self._decoder.step(estimate.astype(np.float32), np.zeros(len(estimate), bool))
        return found

    def predict(self, X: NDArray[Any], mask: Bool | None, segments: NDArray[Any] | None) -> Float32:
        """`[bins, units]` -> `[bins, k]`, as repeated `step`; afterwards the history is forgotten."""
        counts = np.asarray(X, np.float64)
        if mask is not None:
            counts = np.where(mask, self.read_in.units.mean**2, counts)
        found: Float32 = self._decoder.predict(self.read_in.apply(counts).astype(np.float32), None, segments)
        return found

    def reset(self) -> None:
        """Forget history."""
        self._decoder.reset()


def draws(trials: NDArray[Any], labelled: int = LABELLED, count: int = DRAWS, seed: int = 0) -> Iterator[NDArray[Any]]:
    """The trials that are labelled, drawn anew each time."""
    for i in range(count):
        yield np.sort(np.random.default_rng([seed, i]).choice(trials, labelled, replace=False))


@dataclass(frozen=True, eq=False)
class Across:
    """What was decoded of the test trials, `[runs, bins, k]`: one run for `within` and `unlabelled`, else one for each draw.

    Attributes:
        y: recorded, `[bins, k]`.
        trial: of each bin.
        within: this decoder ("same") and each of the rivals, fitted on all earlier trials of the same day, labelled.
        few: carried from the first day, `LABELLED` trials of the second labelled and nothing else known of it.
        few_and_rest: the same, and the counts of all earlier trials.
        unlabelled: carried, nothing labelled.
        scratch: fitted on the same labelled trials alone: this decoder and each of the rivals.
    """

    y: Float64
    trial: NDArray[np.int64]
    within: dict[str, Float64]
    few: Float64
    few_and_rest: Float64
    unlabelled: Float64
    scratch: dict[str, Float64]


def across(
    first: Session,
    second: Session,
    bin_ns: int,
    *,
    kind: str = "gru",
    rivals: tuple[str, ...] = ("wiener",),
    count: int = DRAWS,
    seed: int = 0,
) -> Across:
    """Carry a decoder from one day to another; the last `TESTED` trials of the second are for the test alone.

    Args:
        first: all of it is labelled.
        second: its trials before the test are labelled, or not, as the case may be.
        bin_ns: width of a bin, on both days.
        kind: the decoder that is carried.
        rivals: decoders of counts that are fitted on the second day alone.
        count: draws of the labelled trials.
        seed: of everything drawn.

    Raises:
        InputError: too few trials.
    """
    trials = np.unique(second.trial)
    if len(trials) < TESTED + LABELLED:
        raise InputError(
            f"the second day has {len(trials)} trials, too few for {LABELLED} to learn from and {TESTED} to test"
        )
    earlier, test = second.only(trials[:-TESTED]), second.only(trials[-TESTED:])
    carried = Carried.fit(first, bin_ns, kind, seed=seed)
    few, more, scratch = [], [], {name: [] for name in ("same", *rivals)}  # type: ignore[var-annotated]
    for chosen in draws(trials[:-TESTED], count=count, seed=seed):
        some = earlier.only(chosen)
        few.append(carried.labelled(some).predict(test.counts, None, test.segment))
        more.append(carried.labelled(some, earlier).predict(test.counts, None, test.segment))
        alone = Carried.fit(some, bin_ns, kind, labelled=2 * LABELLED // 3, seed=seed).own(some)
        scratch["same"].append(alone.predict(test.counts, None, test.segment))
        for name in rivals:
            scratch[name].append(_alone(name, some, test, bin_ns, seed))
    whole = Carried.fit(earlier, bin_ns, kind, seed=seed).own(earlier)
    within = {"same": np.asarray(whole.predict(test.counts, None, test.segment), np.float64)[None]}
    within |= {name: _alone(name, earlier, test, bin_ns, seed)[None] for name in rivals}
    free = carried.unlabelled(earlier).predict(test.counts, None, test.segment)
    stacked = {name: np.asarray(runs, np.float64) for name, runs in scratch.items()}
    return Across(
        test.velocity, test.trial, within, np.asarray(few), np.asarray(more), np.asarray(free, np.float64)[None], stacked
    )


def _alone(name: str, learnt: Session, test: Session, bin_ns: int, seed: int) -> Float64:
    """What an ordinary decoder makes of the test trials."""
    cls = find("decoder", name)
    decoder, k = cls(), test.velocity.shape[1]
    units = test.counts.shape[1]
    decoder.prepare(Setup(seed, bin_ns, units, units, tuple(f"reach.{'xyz'[i]}" for i in range(k))))
    decoder.fit(learnt.counts, None, learnt.velocity, learnt.segment)
    return np.asarray(decoder.predict(test.counts, None, test.segment), np.float64)
