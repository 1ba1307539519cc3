"""Where the targets are: a ring round the centre, or a grid of cells."""

from __future__ import annotations

from collections.abc import Iterator
from math import cos, hypot, pi, sin
from typing import Protocol

import numpy as np

from volition.errors import ConfigError
from volition.signal import Float64

Point = tuple[float, float]


class Layout(Protocol):
    """Targets of a task.

    Attributes:
        targets: how many there are to select from, N.
        wrong: whether staying on a wrong target selects it.
        radius: of a target's inner circle, m.
    """

    targets: int
    wrong: bool
    radius: float

    def centre(self, target: int) -> Point:
        """Middle of a target, m; -1 is the place to return to."""
        ...

    def at(self, x: float, y: float, target: int) -> int:
        """The target that (x, y) lies on, or -2. Where only the target asked for exists, no other is found."""
        ...

    def order(self, rng: np.random.Generator) -> Iterator[int]:
        """Targets for ever."""
        ...


NOWHERE, CENTRE = -2, -1


class Ring:
    """Centre-out and back: `targets` on a circle, each followed by a return to the centre.

    Every block of `targets` reaches goes to each once, in random order. A block begins with the centre.
    """

    wrong = False

    def __init__(self, workspace: Float64, targets: int, distance: float, radius: float) -> None:
        self.targets, self.radius = targets, radius
        (x0, y0), (x1, y1) = workspace[:, :2].tolist()
        if distance + radius > min(x1 - x0, y1 - y0) / 2:
            raise ConfigError(
                f"reach: targets of radius {radius} m at {distance} m do not fit in a workspace of "
                f"{x1 - x0:.3g} x {y1 - y0:.3g} m; make distance_m or radius_m smaller"
            )
        self._middle = ((x0 + x1) / 2, (y0 + y1) / 2)
        angles = [2 * pi * i / targets for i in range(targets)]
        self._centres = [(self._middle[0] + distance * cos(a), self._middle[1] + distance * sin(a)) for a in angles]

    def centre(self, target: int) -> Point:
        """Middle of a target, m; -1 is the centre of the ring."""
        return self._middle if target == CENTRE else self._centres[target]

    def at(self, x: float, y: float, target: int) -> int:
        """`target` if (x, y) is inside it, else -2: only the target asked for exists."""
        cx, cy = self.centre(target)
        return target if hypot(x - cx, y - cy) <= self.radius else NOWHERE

    def order(self, rng: np.random.Generator) -> Iterator[int]:
        """Shuffled blocks, out and back."""
        while True:
            for target in rng.permutation(self.targets).tolist():
                yield CENTRE
                yield target


class Grid:
    """Webgrid: `rows` x `columns` cells cover the workspace, one is lit (Nuyujukian et al. 2015).

    The next cell is drawn evenly from all others.
    """

    wrong = True

    def __init__(self, workspace: Float64, rows: int, columns: int) -> None:
        self.targets = rows * columns
        self._rows, self._columns = rows, columns
        (self._x0, self._y0), (x1, y1) = workspace[:, :2].tolist()
        self._width, self._height = (x1 - self._x0) / columns, (y1 - self._y0) / rows
        self.radius = min(self._width, self._height) / 2

    def centre(self, target: int) -> Point:
        """Middle of a cell, m; cells count along x first, from the lower corner."""
        row, column = divmod(target, self._columns)
        return self._x0 + (column + 0.5) * self._width, self._y0 + (row + 0.5) * self._height

    def at(self, x: float, y: float, target: int) -> int:
        """The cell of (x, y); the outer cells reach beyond the edge."""
        column = min(self._columns - 1, max(0, int((x - self._x0) / self._width)))
        row = min(self._rows - 1, max(0, int((y - self._y0) / self._height)))
        return row * self._columns + column

    def order(self, rng: np.random.Generator) -> Iterator[int]:
        """Any cell but the one before."""
        last = int(rng.integers(self.targets))
        while True:
            yield last
            last = (last + int(rng.integers(1, self.targets))) % self.targets
