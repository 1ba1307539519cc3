"""How exactly the compiled front end gives what float64 and `scipy.signal.sosfilt` give, on any voltage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.channel._frontend import Bin, FrontEnd, FrontEndConfig
from volition.channel._frontend_numpy import Twin

_NEAR = 1e-4  # of the threshold: closer than that, float32 may decide otherwise


@dataclass(frozen=True)
class Exactness:
    """What was compared.

    Attributes:
        crossings: of the reference.
        differ: crossings that only one of the two found, on channels that are not masked.
        unexplained: those without a sample within 1e-4 of the threshold in the dead time up to them.
        power: greatest relative error of the spiking-band power on unmasked channels.
        chunks: chunk sizes (of 1, 7, 10 and 100 ms) whose output differs from that of the first in any bit.
    """

    crossings: int
    differ: int
    unexplained: int
    power: float
    chunks: int


class _Near(Twin):
    """The reference, which also notes which samples lie near their threshold."""

    near: list[NDArray[np.int64]]

    def _detect(self, y: NDArray[np.float64], live: NDArray[np.bool_], start: int) -> None:
        limit = np.sqrt(self._limit)
        t, c = np.nonzero(np.abs(y + limit) < _NEAR * limit)
        self.near.append(np.column_stack([start + t, c]))
        super()._detect(y, live, start)


def _run(x: NDArray[np.int16], fs: float, engine: str, chunk: int, how: dict[str, Any]) -> tuple[list[Bin], FrontEnd]:
    front = FrontEnd(FrontEndConfig(engine=engine, settle_ms=100.0, **how), x.shape[1], fs)
    front.warm_up()
    if engine == "numpy":
        front._engine = _Near(front._plan)
        front._engine.near = []
    return [b for a in range(0, len(x), chunk) for b in front.process(x[a : a + chunk])], front


def _crossings(bins: list[Bin], masks: list[NDArray[np.bool_]]) -> set[tuple[int, int]]:
    pairs = zip(bins, masks, strict=True)
    return {(int(t), int(c)) for b, m in pairs for t, c in zip(b.sample, b.channel, strict=True) if not m[c]}


def exactness(x: NDArray[np.int16], fs: float, **how: Any) -> Exactness:
    """Compiled against reference on `[samples, channels]` of voltage; `how` goes to the front end."""
    true, front = _run(x, fs, "numpy", len(x), how)
    ours, _ = _run(x, fs, "numba", round(fs * 0.01), how)
    masks = [a.mask | b.mask for a, b in zip(true, ours, strict=True)]
    expected, found = _crossings(true, masks), _crossings(ours, masks)
    near = np.concatenate(front._engine.near)
    power = [np.max(np.abs(b.power[~m] / a.power[~m] - 1), initial=0.0) for a, b, m in zip(true, ours, masks, strict=True)]
    dead = front._plan.dead_samples
    unexplained = sum(
        not ((near[:, 1] == c) & (near[:, 0] <= t) & (near[:, 0] > t - 2 * dead)).any() for t, c in expected ^ found
    )
    outputs = [_bytes(_run(x, fs, "numba", round(fs * ms * 1e-3), how)[0]) for ms in (1, 7, 10, 100)]
    return Exactness(
        len(expected), len(expected ^ found), unexplained, float(max(power)), sum(o != outputs[0] for o in outputs)
    )


def _bytes(bins: list[Bin]) -> list[tuple[bytes, ...]]:
    return [tuple(v.tobytes() for v in (b.counts, b.power, b.mask, b.sample, b.channel)) for b in bins]
