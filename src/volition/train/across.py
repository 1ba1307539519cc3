"""A decoder carried to another day, whose units are not known to be the same: with a few labels, or with none.

The decoder has two parts. A read-in belongs to the day: it makes of a bin's counts an estimate of the movement
(`_read_in.py`). What it says is the same quantity every day, so the second part, a decoder of the sequence of estimates,
is learnt on the first day and carried. It is learnt from estimates as poor as they will be: read-ins are fitted on
`LABELLED` trials of the first day, over and over, and say what they say of the others (learning to learn, Thrun & Pratt
1998).

Units are paired with those of the first day by their order and by what they do, without labels (`_match.py`). The tuning
of paired units is what a read-in is drawn to where there are labels, and what it is where there are none.

Where there are labels, the decoder is fitted once more, on the first day's estimates and on such as the labelled trials
give of each other; speeds are told in units of the day's own, because people move faster on some days than on others.

Where there are counts without labels, they are given labels twice by a teacher: a decoder as the carried one, which also
sees the estimates of the next three bins. It is used for that alone; what runs is causal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.errors import InputError
from volition.signal import Bool, Float32, Float64, Recording
from volition.stage import Setup, find
from volition.train._match import align, habits
from volition.train._read_in import PENALTY, ReadIn, Session, Tuning, Units
from volition.train.evaluate import target_of

SLOWEST = 0.05  # m/s: slower bins are left out, as they are in recordings of movement only
LABELLED = 20  # trials
TESTED = 36  # trials
DRAWS = 10
REHEARSALS = 30
_LESSONS = 2  # of the teacher
_AHEAD = 3  # bins that the teacher sees
_OWN = 3  # times as many rehearsals of the labelled trials: they are few
_TOWARDS = 100.0  # bins: how strongly a read-in is drawn to the tuning of paired units
_KEPT = 0.7  # of the tuning of a paired unit: some pairs are wrong
_LEAST_NOISE = 0.3
_APART = 10_000_000  # between the numbers of stretches of different rehearsals
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


def rehearsals(
    day: Session, trials: int, seed: int, count: int = REHEARSALS, like: Tuning | None = None, towards: Float64 | None = None
) -> Session:
    """Estimates (as `counts`) of read-ins that learnt from some trials of a day and say what they say of the others."""
    names, parts = np.unique(day.trial), []
    like = ReadIn.fit(day, day.counts).tuning if like is None else like
    penalty = PENALTY if towards is None else _TOWARDS
    for i in range(count):
        learnt = np.random.default_rng([seed, i]).choice(names, trials, replace=False)
        rest = day.where(~np.isin(day.trial, learnt))
        estimate = ReadIn.fit(day.only(learnt), day.counts, like, towards, penalty).apply(rest.counts)
        parts.append(Session(estimate, rest.velocity, rest.segment, rest.trial))
    return _joined(parts)


def _joined(parts: Sequence[Session]) -> Session:
    """One after the other; their stretches stay apart."""
    segments = [p.segment + i * _APART for i, p in enumerate(parts)]
    counts, velocity, trial = (np.concatenate([getattr(p, name) for p in parts]) for name in ("counts", "velocity", "trial"))
    broken = np.diff(np.concatenate(segments)) != 0
    return Session(counts, velocity, np.concatenate(([0], np.cumsum(broken))), trial)


def _ahead(estimates: Float64, segment: NDArray[Any]) -> Float64:
    """With those of the next bins beside them, 0 (the mean) where a stretch has ended."""
    parts = [estimates]
    for k in range(1, _AHEAD + 1):
        later = np.zeros_like(estimates)
        same = segment[k:] == segment[:-k]
        later[:-k][same] = estimates[k:][same]
        parts.append(later)
    return np.hstack(parts)


def _speed(day: Session) -> float:
    """Root mean square of the speed, m/s."""
    return float(np.sqrt((day.velocity**2).sum(1).mean()))


def _fitted(kind: str, seen: Session, bin_ns: int, seed: int) -> Any:
    """A decoder of estimates."""
    cls, n = find("decoder", kind), seen.counts.shape[1]
    decoder = cls(cls.Config(**_SMALL_GRU)) if kind == "gru" else cls()
    decoder.prepare(Setup(seed, bin_ns, n, n, tuple(f"reach.{'xyz'[i]}" for i in range(seen.velocity.shape[1]))))
    decoder.fit(seen.counts.astype(np.float32), None, seen.velocity, seen.segment)
    return decoder


@dataclass(frozen=True, eq=False)
class Carried:
    """What is carried from day to day: the decoder of estimates, its teacher, what they learnt from, and what the first day
    told of the movement, of the units and of the speed.
    """  # noqa: D205

    decoder: Any
    teacher: Any
    seen: Session
    tuning: Tuning
    habits: Float64
    speed: float
    learning: tuple[str, int, int]

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
        decoder = _fitted(kind, seen, bin_ns, seed)
        wide = Session(_ahead(seen.counts, seen.segment), seen.velocity, seen.segment, seen.trial)
        tuning = ReadIn.fit(day, day.counts).tuning
        return cls(decoder, _fitted(kind, wide, bin_ns, seed), seen, tuning, habits(day), _speed(day), (kind, bin_ns, seed))

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
        slower = self.speed / max(_speed(some), 1e-9)
        some = some.moved(some.velocity * slower)
        kind, bin_ns, seed = self.learning
        own = rehearsals(some, 2 * len(np.unique(some.trial)) // 3, seed, _OWN * REHEARSALS, self.tuning, B)
        decoder = _fitted(kind, _joined((self.seen, own)), bin_ns, seed)
        read_in = ReadIn.fit(some, counts.counts, self.tuning, B, _TOWARDS)
        if day is not None:
            read_in = self._taught(read_in, day, B, some)
        return Decoder(read_in, decoder, 1 / slower)

    def unlabelled(self, day: Session) -> Decoder:
        """For another day of which only the counts are known; its velocity is not used."""
        B, D = self.expected(day)
        first = Tuning(B, np.zeros(len(B)), D, self.tuning.P, self.tuning.mean, self.tuning.sd)
        return Decoder(self._taught(ReadIn(Units.of(day.counts), first), day, B, None), self.decoder)

    def _taught(self, read_in: ReadIn, day: Session, B: Float64, some: Session | None) -> ReadIn:
        """Fitted on what the teacher makes of it; true labels, where there are any, stand."""
        for _ in range(_LESSONS):
            estimates = _ahead(read_in.apply(day.counts), day.segment).astype(np.float32)
            told = np.asarray(self.teacher.predict(estimates, None, day.segment), np.float64)
            if some is not None:
                told[np.isin(day.trial, some.trial)] = some.velocity
            read_in = ReadIn.fit(day.moved(told), day.counts, self.tuning, B, _TOWARDS)
        return read_in

    def own(self, day: Session) -> Decoder:
        """For the day it was fitted on."""
        return Decoder(ReadIn.fit(day, day.counts, self.tuning), self.decoder)


class Decoder:
    """A read-in with the carried decoder behind it: bin by bin, as any decoder."""

    def __init__(self, read_in: ReadIn, decoder: Any, speed: float = 1.0) -> None:
        """`speed`: by how much this day is faster than the first."""
        self.read_in, self._decoder, self._speed = read_in, decoder, np.float32(speed)

    def step(self, x: Float32, mask: Bool) -> Float32:
        """One bin; a missing unit is taken to do what it does on average."""
        root = self.read_in.units.mean**2
        estimate = self.read_in.apply(np.where(mask, root, x)[None])[0]
        found: Float32 = self._decoder.step(estimate.astype(np.float32), np.zeros(len(estimate), bool)) * self._speed
        return found

    def predict(self, X: NDArray[Any], mask: Bool | None, segments: NDArray[Any] | None) -> Float32:
        """`[bins, units]` -> `[bins, k]`, as repeated `step`; afterwards the history is forgotten."""
        counts = np.asarray(X, np.float64)
        if mask is not None:
            counts = np.where(mask, self.read_in.units.mean**2, counts)
        found: Float32 = self._decoder.predict(self.read_in.apply(counts).astype(np.float32), None, segments) * self._speed
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
