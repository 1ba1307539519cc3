"""Closed-loop calibration: observe, fit, then let the assist fade while refitting.

1. *Observe*: the computer moves the body to the goals (assist 1), the person watches and means to do the same. Features are
   collected with, as label, the movement that an ideal user would want (`Task.aim`): from where the body is now, since
   people make up for the delay of what they see, to the goal that was lit a reaction time ago (the person's declared visual
   delay: nobody steers to a target not seen yet). The computer's help goes to that goal, too, or for the first moments of a
   trial it would move against the person. A clinic knows all that; the true intent of the simulated person is never used.
2. *Fit* the decoder on it, for control (`stage.Calibrated`) where it can tell that from accuracy.
3. *Fade*: blocks with less and less assist, refitting after each on everything collected so far. Labels point from where
   the body is to the goal, not along the decoded movement: the intention correction of ReFIT (Gilja et al. 2012); the
   fading assist follows Velliste et al. 2008 and Collinger et al. 2013.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from volition.errors import ConfigError
from volition.stage import Trainable

if TYPE_CHECKING:
    from volition.loop.loop import Loop


@dataclass(frozen=True)
class Calibration:
    """How to calibrate.

    Attributes:
        observe_s: length of the observation block, s.
        assist: share of the computer in each of the following blocks.
        block_s: length of each of these, s.
    """

    observe_s: float = 60.0
    assist: tuple[float, ...] = (0.5, 0.25, 0.0)
    block_s: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not (0 < self.observe_s < math.inf and 0 < self.block_s < math.inf):
            raise ConfigError(f"observe_s and block_s must be positive and finite, got {self.observe_s} and {self.block_s}")
        if any(not 0 <= share <= 1 for share in self.assist):
            raise ConfigError(f"assist must lie in 0..1, got {self.assist}")

    @property
    def seconds(self) -> float:
        """Length of the whole."""
        return self.observe_s + len(self.assist) * self.block_s


def calibrate(loop: Loop, calibration: Calibration | None = None, watch: Callable[[Loop], None] | None = None) -> None:
    """Calibrate the loop's decoder; one that learns nothing is left as it is.

    Raises:
        ConfigError: the recording ended before there was anything to fit.
    """
    if not isinstance(loop.decoder, Trainable):
        return
    how = calibration or Calibration()
    loop.act("collect", on=True)
    for share, seconds in ((1.0, how.observe_s), *((share, how.block_s) for share in how.assist)):
        loop.act("assist", share=share)
        loop.act("restart")
        loop.phase = "observe" if share == 1.0 else f"assist {share:g}"
        loop.advance(seconds, watch)
        loop.act("fit")
    loop.act("collect", on=False)
    loop.act("assist", share=loop.config.assist)
    loop.phase = "run"
