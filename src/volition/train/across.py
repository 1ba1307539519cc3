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

What labels alone give is as good as what was carried with them, and errs elsewhere: the same decoder, fitted on nothing
but the labelled trials, runs beside, and the two are averaged with equal weights (Perrone & Cooper 1993; equal, because
twenty trials cannot tell better).

Where there are counts without labels, they are given labels twice by a teacher: a decoder as the carried one, which also
sees the estimates of the next three bins. It is used for that alone; what runs is causal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.errors import InputError
from volition.signal import Bool, Float32, Float64, Recording
from volition.stage import Setup, find
from volition.train._match import align, habits
from volition.train._read_in import ReadIn, Session, Tuning, Units
from volition.train._rehearse import TOWARDS, ahead, joined, rehearsals, rehearsed
from volition.train.evaluate import target_of

SLOWEST = 0.05  # m/s: slower bins are left out, as they are in recordings of movement only
LABELLED = 20  # trials
TESTED = 36  # trials
DRAWS = 10
TWICE = "same, twice"
REHEARSALS = 30
_LESSONS = 2  # of the teacher
_OWN = 3  # times as many rehearsals of the labelled trials: they are few
_KEPT = 0.7  # of the tuning of a paired unit: some pairs are wrong
_LEAST_NOISE = 0.3
_SMALL_GRU = {
    "units": 48,
    "members": 2,
    "read_in": 0,
    "smooth_ms": (),
    "mixup": 0.0,
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
        seen = rehearsed(day, labelled, repeats, seed)
        decoder = _fitted(kind, seen, bin_ns, seed)
        wide = Session(ahead(seen.counts, seen.segment), seen.velocity, seen.segment, seen.trial)
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
        decoder = _fitted(kind, joined((self.seen, own)), bin_ns, seed)
        read_in = ReadIn.fit(some, counts.counts, self.tuning, B, TOWARDS)
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
            estimates = ahead(read_in.apply(day.counts), day.segment).astype(np.float32)
            told = np.asarray(self.teacher.predict(estimates, None, day.segment), np.float64)
            if some is not None:
                told[np.isin(day.trial, some.trial)] = some.velocity
            read_in = ReadIn.fit(day.moved(told), day.counts, self.tuning, B, TOWARDS)
        return read_in


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


def alone(
    day: Session, bin_ns: int, kind: str = "gru", *, labelled: int = LABELLED, repeats: int = REHEARSALS, seed: int = 0
) -> Decoder:
    """The same decoder from one day alone, rehearsed on it; arguments as in `Carried.fit`.

    Raises:
        InputError: fewer than two trials more than `labelled`.
    """
    seen = rehearsed(day, labelled, repeats, seed)
    read_in = ReadIn.fit(day, day.counts, ReadIn.fit(day, day.counts).tuning)
    return Decoder(read_in, _fitted(kind, seen, bin_ns, seed))


class Averaged:
    """Decoders side by side, whose outputs are averaged: bin by bin, as any decoder."""

    def __init__(self, *decoders: Decoder) -> None:
        self._decoders = decoders

    def step(self, x: Float32, mask: Bool) -> Float32:
        """One bin."""
        found: Float32 = np.mean([d.step(x, mask) for d in self._decoders], axis=0)
        return found

    def predict(self, X: NDArray[Any], mask: Bool | None, segments: NDArray[Any] | None) -> Float32:
        """`[bins, units]` -> `[bins, k]`, as repeated `step`; afterwards the history is forgotten."""
        found: Float32 = np.mean([d.predict(X, mask, segments) for d in self._decoders], axis=0)
        return found

    def reset(self) -> None:
        """Forget history."""
        for decoder in self._decoders:
            decoder.reset()


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
        few: carried from the first day, `LABELLED` trials of the second labelled and nothing else known of it; averaged
            with this decoder fitted on those trials alone.
        few_and_rest: the same, and the counts of all earlier trials.
        unlabelled: carried, nothing labelled.
        scratch: fitted on the same labelled trials alone: this decoder ("same"), the average of two of it, from other random
            numbers ("same, twice"), and each of the rivals.
        carried: "few" and "few_and_rest" before the average.
    """

    y: Float64
    trial: NDArray[np.int64]
    within: dict[str, Float64]
    few: Float64
    few_and_rest: Float64
    unlabelled: Float64
    scratch: dict[str, Float64]
    carried: dict[str, Float64] = field(default_factory=dict)


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
    runs: dict[str, list[Any]] = {}
    for chosen in draws(trials[:-TESTED], count=count, seed=seed):
        some = earlier.only(chosen)
        for name, decoder in _from(some, earlier, carried).items():
            runs.setdefault(name, []).append(decoder.predict(test.counts, None, test.segment))
        for name in rivals:
            runs.setdefault(name, []).append(_rival(name, some, test, bin_ns, seed))
    whole = alone(earlier, bin_ns, kind, seed=seed)
    within = {"same": np.asarray(whole.predict(test.counts, None, test.segment), np.float64)[None]}
    within |= {name: _rival(name, earlier, test, bin_ns, seed)[None] for name in rivals}
    free = carried.unlabelled(earlier).predict(test.counts, None, test.segment)
    stacked = {name: np.asarray(each, np.float64) for name, each in runs.items()}
    return Across(
        test.velocity,
        test.trial,
        within,
        stacked["few"],
        stacked["few_and_rest"],
        np.asarray(free, np.float64)[None],
        {name: stacked[name] for name in ("same", TWICE, *rivals)},
        {name: stacked[f"carried {name}"] for name in ("few", "few_and_rest")},
    )


def _from(some: Session, earlier: Session, carried: Carried) -> dict[str, Any]:
    """The decoders that learn from the same labelled trials."""
    kind, bin_ns, seed = carried.learning
    own, other = (alone(some, bin_ns, kind, labelled=2 * LABELLED // 3, seed=seed + i) for i in range(2))
    few, rest = carried.labelled(some), carried.labelled(some, earlier)
    return {
        "same": own,
        TWICE: Averaged(own, other),
        "carried few": few,
        "few": Averaged(own, few),
        "carried few_and_rest": rest,
        "few_and_rest": Averaged(own, rest),
    }


def _rival(name: str, learnt: Session, test: Session, bin_ns: int, seed: int) -> Float64:
    """What an ordinary decoder makes of the test trials."""
    cls = find("decoder", name)
    decoder, k = cls(), test.velocity.shape[1]
    units = test.counts.shape[1]
    decoder.prepare(Setup(seed, bin_ns, units, units, tuple(f"reach.{'xyz'[i]}" for i in range(k))))
    decoder.fit(learnt.counts, None, learnt.velocity, learnt.segment)
    return np.asarray(decoder.predict(test.counts, None, test.segment), np.float64)
