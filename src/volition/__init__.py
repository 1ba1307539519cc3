"""A closed loop you can run: motor cortex -> implant -> decoder -> body -> touch -> back to cortex.

brain -Spikes-> channel -Features-> decoder -Intent-> effector -Touch-> feedback -Stim-> (channel -> brain)

>>> from volition import Loop
>>> loop = Loop(brain="person", channel="utah96", decoder="kalman", effector="cursor", task="reach", seed=1)
>>> report = loop.calibrate().run(seconds=10)
>>> report.score["success"] > 0
True
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from volition.io.read import read as read
    from volition.loop.config import LoopConfig as LoopConfig
    from volition.loop.loop import Loop as Loop
    from volition.signal import Recording as Recording
    from volition.stage import check as check
    from volition.stage import find as find

if "numpy" not in sys.modules:
    # How many threads a product is split over decides its last bits: a run fitted on two would not replay on one. The
    # loop's matrices are small, and threads that wait for each other make it slower. A value that is set is left alone.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"

_LAZY = {
    "Loop": "volition.loop.loop",
    "LoopConfig": "volition.loop.config",
    "Recording": "volition.signal",
    "check": "volition.stage",
    "find": "volition.stage",
    "read": "volition.io.read",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that `import volition` costs nothing."""
    if name not in _LAZY:
        raise AttributeError(f"module 'volition' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted([*_LAZY, "__version__"])
