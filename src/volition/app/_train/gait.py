"""The legs' gaits, one for each speed, by CMA-ES on a batch of simulated bodies.

Every generation is kept in the folder, so that an interrupted ladder goes on where it stopped; in the end the folder holds
gaits.json, which has the form of the shipped ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from volition.app._output import emit, this_command, writable_parent
from volition.app._train.decoder import Line, check_run
from volition.errors import ConfigError


@dataclass(frozen=True)
class Gait:
    """Options of `volition train gait`.

    Attributes:
        speeds: rungs of the ladder, m/s, in the order in which they are searched; each begins from the nearest one known.
        fit: "robot" or "prosthesis".
        limits: "stated" or "sprint".
        begin: "shipped" (from the gaits that come with the package), a file of gaits, or "nothing".
        generations: at most, for each rung.
        population: candidates a generation; each is tried on four scenarios.
        seconds: length of a run.
        sigma: first step, in units of each parameter's scale.
        kick_m_s: greatest kick in each direction.
        fourier: search the Fourier terms, too (fast gaits need them).
        walk: search a walk: one foot always on the ground, softly, with the stride and duty factor of a person.
        seed: of all random numbers.
        threads: cores for the physics.
        output: folder; by default gaits/FIT-LIMITS.
        json: also save the row of every rung as JSON here.
    """

    speeds: tuple[float, ...] = (2.0, 3.0, 1.0, 0.0)
    fit: str = "robot"
    limits: str = "stated"
    begin: str = "shipped"
    generations: int = 40
    population: int = 16
    seconds: float = 6.0
    sigma: float = 0.3
    kick_m_s: float = 0.5
    fourier: bool = False
    walk: bool = False
    seed: int = 0
    threads: int = 1
    output: Path | None = None
    json: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        check_run(self.seed, self.threads)
        if not self.speeds or not all(0 <= v <= 15 for v in self.speeds):
            raise ConfigError(f"--speeds must lie in 0..15 m/s, got {self.speeds}")


def main(options: Gait) -> int:
    """Search, keep, print.

    Raises:
        VolitionError: a file of gaits is none, a name is unknown, a place cannot be written.
    """
    from volition._whole import write_whole
    from volition.effector._legs_pilot import Library
    from volition.train._gait_herd import World
    from volition.train._gait_trial import WALKER
    from volition.train.gait import WALKING, Search, bounded, ladder, library

    folder = options.output or Path("gaits") / f"{options.fit}-{options.limits}"
    writable_parent(folder / "gaits.json", "--output")
    if options.json is not None:
        writable_parent(options.json, "--json")
    known = {}
    if options.begin != "nothing":
        if options.begin == "shipped":
            begin = Library.shipped(options.fit, options.limits)
        else:
            begin = Library.parse(Path(options.begin).read_text("utf-8"), options.begin)
        begin = begin.walk if options.walk and begin.walk is not None else begin
        known = dict(zip(begin.speeds.tolist(), begin.values, strict=True))
    world = World(fit=options.fit, limits=options.limits, threads=options.threads)
    o = options
    search = Search(
        o.generations,
        o.population,
        o.seconds,
        o.sigma,
        kick_m_s=o.kick_m_s,
        fourier=o.fourier,
        like=WALKER if o.walk else None,
        bounds=WALKING if o.walk else {},
        seed=o.seed,
        world=world,
    )
    line = Line()
    try:
        found = ladder(options.speeds, search, known, folder, line)
    finally:
        line.close()
    write_whole(folder / "gaits.json", library(found, search, this_command()).encode())
    rows = [{"m/s": v, "on a bound": " ".join(bounded(found[v])) or "none"} for v in sorted(options.speeds)]
    emit(rows, ("m/s", "on a bound"), options.json, this_command(), f"gaits of {options.fit}, {options.limits}")
    print(f"gaits: {folder / 'gaits.json'}")
    return 0
