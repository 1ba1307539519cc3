"""What every decoder needs of a sequence of bins: borders, standardisation under a mask, blocks for inner validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition.errors import ConfigError, InputError
from volition.signal import Bool, Float32, Float64
from volition.stage import Setup

Ints = NDArray[np.intp]


def history(segments: NDArray[Any] | None, bins: int) -> Ints:
    """Number of bins since the last border, the bin itself included, `[bins]`: 1 in the first bin of a segment.

    >>> history(np.array([0, 0, 0, 4, 4]), 5).tolist()
    [1, 2, 3, 1, 2]
    """
    index = np.arange(bins)
    if segments is None or bins == 0:
        return index + 1
    first = np.concatenate(([True], np.diff(np.asarray(segments)) != 0))
    return index - np.maximum.accumulate(np.where(first, index, 0)) + 1


def blocks(bins: int, count: int) -> list[slice]:
    """Equal chronological blocks, for validation inside the training data; fewer where there are too few bins."""
    count = max(2, min(count, bins // 10))
    edges = np.linspace(0, bins, count + 1).astype(int)
    return [slice(a, b) for a, b in pairwise(edges.tolist())]


def inputs(X: NDArray[Any], mask: Bool | None, features: int) -> tuple[Float64, Bool | None]:
    """`[bins, features]` as float64 with 0 under the mask, and the mask, or None where nothing is missing.

    Raises:
        InputError: another shape, or a value that is not finite outside the mask.
    """
    X = np.asarray(X)
    if X.ndim != 2 or X.shape[1] != features:
        raise InputError(f"the decoder takes [bins, {features}], got an array of shape {X.shape}")
    x = X.astype(np.float64)
    if mask is not None:
        mask = np.asarray(mask, bool)
        if mask.shape != X.shape:
            raise InputError(f"the mask has shape {mask.shape}, the features {X.shape}")
        if mask.any():
            x[mask] = 0.0
        else:
            mask = None
    if not np.isfinite(x).all():
        raise InputError("the features hold NaN or infinity outside the mask")
    return x, mask


def training(
    X: NDArray[Any], mask: Bool | None, y: NDArray[Any], segments: NDArray[Any] | None, features: int, outputs: int
) -> tuple[Float64, Bool | None, Float64, Ints]:
    """Checked training data: features with 0 under the mask, the mask or None, targets, bins since the last border.

    Raises:
        InputError: shapes that do not fit, fewer than 20 bins, values that are not finite.
    """
    x, mask = inputs(X, mask, features)
    if len(x) < 20:
        raise InputError(f"{len(x)} bins are too few to fit a decoder on; it takes at least 20")
    if segments is not None and np.shape(segments) != (len(x),):
        raise InputError(f"segments must have shape ({len(x)},), got {np.shape(segments)}")
    return x, mask, target(y, len(x), outputs), history(segments, len(x))


def target(y: NDArray[Any], bins: int, outputs: int) -> Float64:
    """Checked targets `[bins, outputs]`.

    Raises:
        InputError: another shape, or values that are not finite.
    """
    y = np.asarray(y, np.float64)
    if y.shape != (bins, outputs):
        raise InputError(f"targets must have shape ({bins}, {outputs}), got {y.shape}")
    if not np.isfinite(y).all():
        raise InputError("the targets hold NaN or infinity")
    return y


def agree(who: str, learnt: tuple[int, int], setup: Setup) -> None:
    """A decoder that has learnt something is only prepared for the sizes it learnt.

    Raises:
        ConfigError: other sizes.
    """
    here = setup.features, len(setup.intent)
    if learnt != here:
        raise ConfigError(
            f"this {who} was fitted for {learnt[0]} features and {learnt[1]} intents, but here are {here[0]} and {here[1]}"
        )


def unfitted(who: str) -> ConfigError:
    """What a decoder says that is asked before it has learnt anything."""
    return ConfigError(f"this {who} has learnt nothing yet: fit it, or restore a saved one")


def saved(who: str, arrays: Mapping[str, NDArray[Any]], names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The arrays of a saved decoder.

    Raises:
        InputError: one is missing, or is not numbers.
    """
    given = {name: np.asarray(value) for name, value in arrays.items()}
    if lost := [name for name in names if name not in given]:
        raise InputError(f"the saved {who} lacks {lost[0]!r}; is this another decoder's file?")
    for name in names:
        if given[name].dtype.kind not in "biuf" or not np.isfinite(given[name]).all():
            raise InputError(f"the saved {who}'s {name!r} holds something else than finite numbers")
    return {name: given[name] for name in names}


def shaped(who: str, given: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse arrays that do not fit together.

    Raises:
        InputError: one has another shape.
    """
    for name, shape in shapes.items():
        if given[name].shape != shape:
            raise InputError(f"the saved {who}'s {name!r} has shape {given[name].shape}, expected {shape}")


@dataclass(frozen=True, eq=False)
class Scale:
    """Mean and scale of each column; a column that never varies gets `live` False and is left out."""

    mean: Float64
    sd: Float64
    live: Bool

    @classmethod
    def of(cls, values: Float64, missing: Bool | None = None) -> Scale:
        """From the observed entries; `values` holds 0 where `missing`."""
        seen = np.full(values.shape[1], len(values)) if missing is None else (~missing).sum(0)
        n = np.maximum(seen, 1)
        mean = values.sum(0) / n
        centred = values - mean if missing is None else np.where(missing, 0.0, values - mean)
        sd = np.sqrt(np.einsum("ij,ij->j", centred, centred) / n)
        live = (sd > 1e-9 * np.maximum(1.0, np.abs(mean))) & (seen > 1)
        return cls(mean, np.where(live, sd, 1.0), live)

    def apply(self, values: Float64, missing: Bool | None = None) -> Float64:
        """Standardised; 0 (the mean) where missing and in columns that never varied."""
        z = values - self.mean
        z /= self.sd
        z[:, ~self.live] = 0.0
        if missing is not None:
            z[missing] = 0.0
        return z


def by_steps(decoder: Any, X: Float64, mask: Bool | None, past: Ints, outputs: int) -> Float32:
    """Repeated `step`, with `reset` at every border: what `predict` must equal."""
    out = np.empty((len(X), outputs), np.float32)
    nothing = np.zeros(X.shape[1], bool)
    for k in range(len(X)):
        if past[k] == 1:
            decoder.reset()
        out[k] = decoder.step(X[k], nothing if mask is None else mask[k])
    return out


def score(y: Float64, guess: Float64) -> float:
    """Mean over the columns of the coefficient of determination: what the inner validation maximises."""
    residual = ((y - guess) ** 2).sum(0)
    total = ((y - y.mean(0)) ** 2).sum(0)
    used = total > 0
    return float((1 - residual[used] / total[used]).mean()) if used.any() else 0.0
