"""A training of networks in a file, so that after an interruption it goes on as if there had been none.

What a later epoch depends on is kept: the weights, their running mean, the optimiser's moments, both sources of random
numbers and the best epoch so far; and what came of the descents before this one. An .npz without pickle, written whole or
not at all. On one CPU, with as many threads, the result equals an unbroken training to the last digit; on a GPU it does not,
because sums differ there from run to run and its random numbers are not kept.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volition._whole import write_whole
from volition.errors import InputError
from volition.signal import Float32, Float64

EVERY_S = 20.0  # between two saves; one of the default GRU on 96 features is 47 MB and takes 0.15 s of CPU
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Trained:
    """What came of it: weights, the epoch that was best, R² on what was held out there, how much the errors were
    larger there than expected, as the logarithm of a factor, `[k]`, and how far windows were mixed.
    """  # noqa: D205

    weights: dict[str, Float32]
    epochs: int
    validation: float
    shift: Float64
    mixup: float = 0.0


def _arrays(found: Trained) -> dict[str, NDArray[Any]]:
    numbers = np.array([found.epochs, found.validation, found.mixup])
    return {"numbers": numbers, "shift": found.shift, **_into("weights", found.weights)}


def _trained(arrays: Arrays) -> Trained:
    epochs, validation, mixup = arrays["numbers"].tolist()
    return Trained(_under("weights", arrays), int(epochs), validation, arrays["shift"], mixup)


def _into(folder: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    return {f"{folder}/{name}": value for name, value in arrays.items()}


def _under(folder: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(f"{folder}/"): value for name, value in arrays.items() if name.startswith(f"{folder}/")}


class Descent:
    """One network on its way along the cosine.

    Attributes:
        network, optimizer: PyTorch's.
        rng: of batches and of what is changed in them.
        mean: averaged weights.
        best: the best epoch on held-out data, and how it was there.
        epoch: how many are over.
        waited: how many since the best one.
        steps: of the optimiser.
    """

    def __init__(self, network: Any, optimizer: Any, rng: np.random.Generator, outputs: int) -> None:
        self.network, self.optimizer, self.rng = network, optimizer, rng
        self.mean = {name: p.detach().clone() for name, p in network.state_dict().items()}
        self.best = Trained({}, 0, -math.inf, np.zeros(outputs))
        self.epoch = self.waited = self.steps = 0

    def average(self, keep: float) -> None:
        """After a step: the averaged weights keep this share, less in the beginning."""
        self.steps += 1
        kept = min(keep, self.steps / (self.steps + 10))
        for name, p in self.network.state_dict().items():
            self.mean[name].lerp_(p, 1 - kept)

    def judged(self, r2: float, shift: Float64) -> None:
        """After an epoch: R² and shift of the averaged weights on held-out data."""
        self.waited = 0 if r2 > self.best.validation else self.waited + 1
        if r2 > self.best.validation:
            self.best = Trained(self.numbers(), self.epoch, r2, shift)

    def numbers(self) -> dict[str, Float32]:
        """The averaged weights."""
        return {name: p.detach().cpu().numpy().copy() for name, p in self.mean.items()}

    def arrays(self, torch: Any) -> dict[str, NDArray[Any]]:
        """All of it."""
        moments = {
            f"{k}/{name}": value.cpu().numpy()
            for k, row in self.optimizer.state_dict()["state"].items()
            for name, value in row.items()
        }
        return {
            "counts": np.array([self.epoch, self.waited, self.steps]),
            "numpy": np.array(json.dumps(self.rng.bit_generator.state)),
            "torch": torch.get_rng_state().numpy(),
            **_into("network", {name: p.detach().cpu().numpy() for name, p in self.network.state_dict().items()}),
            **_into("mean", self.numbers()),
            **_into("moments", moments),
            **_into("best", _arrays(self.best)),
        }

    def restore(self, torch: Any, arrays: Arrays) -> None:
        """Take it back, PyTorch's random numbers included."""
        tensors = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items() if name != "numpy"}
        self.epoch, self.waited, self.steps = arrays["counts"].tolist()
        self.rng.bit_generator.state = json.loads(str(arrays["numpy"]))
        self.network.load_state_dict(_under("network", tensors))
        for name, p in _under("mean", tensors).items():
            self.mean[name].copy_(p)
        state: dict[int, dict[str, Any]] = {}
        for name, value in _under("moments", tensors).items():
            k, what = name.split("/")
            state.setdefault(int(k), {})[what] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        self.best = _trained(_under("best", arrays))
        torch.set_rng_state(tensors["torch"])


class Checkpoint:
    """Where a training is kept.

    Args:
        path: of the file; None keeps nothing.
        what: all that the training depends on. What was kept of another one is not taken, and written over in time.

    Raises:
        InputError: there is something else in the file.
    """

    def __init__(self, path: Path | None, *what: Any) -> None:
        self._path = path
        self._saved = time.monotonic()
        self._over: list[Trained] = []
        self._now: dict[str, NDArray[Any]] = {}
        self._taken = 0
        if path is None:
            return
        self._key = _key(what)
        if path.exists():
            self._load(path)

    def over(self) -> Trained | None:
        """What came of the next descent, if it was over before the interruption."""
        self._taken += 1
        return self._over[self._taken - 1] if self._taken <= len(self._over) else None

    def resume(self, torch: Any, descent: Descent) -> None:
        """Where the interruption fell into this descent, set it to where it was."""
        if self._now:
            descent.restore(torch, self._now)
            self._now = {}

    def keep(self, torch: Any, descent: Descent) -> None:
        """At the end of an epoch: save, unless that was just done."""
        if self._path is not None and time.monotonic() - self._saved >= EVERY_S:
            self._save(descent.arrays(torch))

    def end(self, found: Trained) -> None:
        """A descent is over."""
        self._over.append(found)
        if self._path is not None and time.monotonic() - self._saved >= EVERY_S:
            self._save({})

    def _save(self, now: Arrays) -> None:
        kept = io.BytesIO()
        content: dict[str, Any] = {"key": np.array(self._key), **_into("now", now)}
        for k, found in enumerate(self._over):
            content |= _into(f"over/{k}", _arrays(found))
        np.savez(kept, **content)
        if self._path is not None:
            try:
                write_whole(self._path, kept.getvalue())
            except OSError as error:
                raise InputError(f"cannot write {self._path}: {error.strerror}") from error
        self._saved = time.monotonic()

    def _load(self, path: Path) -> None:
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                if str(file["key"]) != self._key:
                    return
                arrays = {name: file[name] for name in file.files}
            while part := _under(f"over/{len(self._over)}", arrays):
                self._over.append(_trained(part))
            self._now = _under("now", arrays)
        except (OSError, EOFError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: not a saved training ({type(error).__name__}: {error})") from None


def _key(what: tuple[Any, ...]) -> str:
    """A hash of arrays and of whatever else tells itself by `repr`."""
    found = hashlib.sha256()
    for one in what:
        if isinstance(one, np.ndarray):
            found.update(f"{one.dtype}{one.shape}".encode() + np.ascontiguousarray(one).tobytes())
        else:
            found.update(repr(one).encode())
        found.update(b"\0")
    return found.hexdigest()
