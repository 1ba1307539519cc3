"""What is added to the legs' gaits: a small network, by reinforcement learning on a batch of simulated bodies.

The training is saved in the folder every 20 iterations and goes on from there; in the end the folder holds policy.npz, which
has the form of the shipped one; legs take it by `residual = "FOLDER/policy.npz"`. With --recipe the trainings that made the
shipped one run one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from volition.app._output import emit, this_command, writable_parent
from volition.app._train.decoder import Line, check_run
from volition.errors import ConfigError

_ITERATIONS = 600


@dataclass(frozen=True)
class Residual:
    """Options of `volition train residual`.

    Attributes:
        fit: "robot" or "prosthesis".
        limits: "stated" or "sprint".
        recipe: all trainings of the shipped policy, on their own courses (--top-m-s and --fall do not count then).
        iterations: in all; more of them than are saved go on from there. 0: 600, or with --recipe as many as it takes; fewer
            shorten each of its trainings alike.
        bodies: in the herd.
        steps: decisions (of 10 ms) of each body an iteration.
        measured_s: simulated time in which mean and spread of what the network sees are measured first.
        top_m_s: fastest command.
        fall: price of a fall; tracking a second perfectly is worth 8.6.
        seed: of all random numbers.
        threads: cores for the physics.
        output: folder; by default gaits/FIT-LIMITS-residual.
        json: also save the row as JSON here.
    """

    fit: str = "robot"
    limits: str = "sprint"
    recipe: bool = False
    iterations: int = 0
    bodies: int = 192
    steps: int = 32
    measured_s: float = 9.0
    top_m_s: float = 7.5
    fall: float = 20.0
    seed: int = 0
    threads: int = 1
    output: Path | None = None
    json: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        check_run(self.seed, self.threads)
        if self.iterations < 0:
            raise ConfigError(f"--iterations must not be negative, got {self.iterations}")
        if not 0.5 <= self.top_m_s <= 15:
            raise ConfigError(f"--top-m-s must lie in 0.5..15, got {self.top_m_s}")


def main(options: Residual) -> int:
    """Train, keep, print.

    Raises:
        VolitionError: what was saved is of another training, a place cannot be written.
    """
    from volition._whole import write_whole
    from volition.train._gait_herd import World
    from volition.train._residual_herd import Course
    from volition.train._residual_recipe import BRAKE_M_S2, GAP_M_S, RECIPE, TOLD, Stage, scaled, train
    from volition.train.residual import Training

    o = options
    folder = o.output or Path("gaits") / f"{o.fit}-{o.limits}-residual"
    writable_parent(folder / "policy.npz", "--output")
    if o.json is not None:
        writable_parent(o.json, "--json")
    world = World(fit=o.fit, limits=o.limits, threads=o.threads)
    training = Training(1, o.bodies, o.steps, o.measured_s, seed=o.seed, world=world)
    stages: tuple[Stage, ...] = (Stage(o.iterations or _ITERATIONS, Course(top_m_s=o.top_m_s, fall=o.fall)),)
    if o.recipe:
        training = replace(training, brake_m_s2=BRAKE_M_S2, gap_m_s=GAP_M_S, told=TOLD)
        stages = scaled(RECIPE, o.iterations)
    line = Line()
    try:
        trainer = train(stages, training, folder, this_command(), line)
    finally:
        line.close()
    write_whole(folder / "policy.npz", trainer.policy(this_command()))
    last = trainer.history[-20:]
    names = [name for name in ("reward_s", "falls_min", "stood", "way_m", "sd") if name in last[-1]]
    row: dict[str, float] = {"iterations": trainer.done}
    row |= {name: sum(r[name] for r in last) / len(last) for name in names}
    emit([row], None, o.json, this_command(), f"residual of {o.fit}, {o.limits}")
    print(f"policy: {folder / 'policy.npz'}")
    return 0
