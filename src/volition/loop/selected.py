"""What the computer knows of an attempt once it has ended: the position of what was selected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from volition.signal import Float64


def selection(trials: Sequence[Mapping[str, Any]]) -> Float64 | None:
    """Of the last attempt, m; None where nothing was selected, or not what could be told from it what was meant.

    A wrong selection tells nothing: the person did not mean it, and the user interface sees it taken back.
    """
    if not trials or trials[-1].get("outcome") != "reached" or "target_x_m" not in trials[-1]:
        return None
    return np.array((trials[-1]["target_x_m"], trials[-1]["target_y_m"]))
