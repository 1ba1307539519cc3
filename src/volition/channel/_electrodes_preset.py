"""Measured electrodes: what each recorded channel was made of, and how simulated channels are drawn from them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from volition.errors import InputError, UnknownNameError
from volition.signal import Float64

_HERE = Path(__file__).parent


@dataclass(frozen=True, eq=False)
class Preset:
    """One row per recorded electrode; all voltages in LSB of the 10-bit converter.

    Attributes:
        power: `[n, 6]` LSB² of the four processes of the potential, of pink and of hash, each in its own band.
        offset: `[n]` mean voltage.
        rate_hz: `[n]` spikes per second of the electrode's unit at rest.
        trough: `[n]` depth of its spike.
        width: `[n]` which of the templates, narrow to wide.
        railed: part of the electrodes that sit at a rail.
    """

    power: Float64
    offset: Float64
    rate_hz: Float64
    trough: Float64
    width: NDArray[np.int64]
    railed: float

    def as_json(self) -> str:
        """Text of the table, 4 significant digits."""

        def short(values: NDArray[np.float64]) -> list[float]:
            return [float(f"{v:.4g}") for v in values]

        rows = zip(self.power, self.offset, self.rate_hz, self.trough, self.width, strict=True)
        body = ",\n".join(json.dumps([*short(p), *short(np.array([o, r, t])), int(w)]) for p, o, r, t, w in rows)
        head = json.dumps([*(f"potential_{j}" for j in range(4)), "pink", "hash", "offset", "rate_hz", "trough", "width"])
        return f'{{"columns": {head},\n"railed": {self.railed:.4g},\n"rows": [\n{body}\n]}}\n'

    @classmethod
    def from_json(cls, text: str, where: str) -> Preset:
        """Read a table back.

        Raises:
            InputError: the text is not a table of this kind.
        """
        try:
            table = json.loads(text)
            rows = np.array(table["rows"], float)
            if rows.ndim != 2 or rows.shape[1] != 10 or not np.isfinite(rows).all() or (rows[:, :6] < 0).any():
                raise ValueError("rows must hold ten finite numbers each, powers not negative")
            return cls(rows[:, :6], rows[:, 6], rows[:, 7], rows[:, 8], rows[:, 9].astype(int), float(table["railed"]))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{where}: not a table of electrodes ({error})") from None

    @classmethod
    def load(cls, name: str) -> Preset:
        """A table that ships with the package ("n1"), or a file ending in .json.

        Raises:
            UnknownNameError: nothing is called so.
            InputError: the file is not there or no such table.
        """
        path = Path(name) if name.endswith(".json") else _HERE / f"_electrodes_{name}.json"
        if not path.is_file():
            if name.endswith(".json"):
                raise InputError(f"{name}: no such file")
            raise UnknownNameError(
                "preset", name, [p.stem.removeprefix("_electrodes_") for p in _HERE.glob("_electrodes_*.json")]
            )
        return cls.from_json(path.read_text(encoding="utf-8"), str(path))

    def draw(self, channels: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Which row each channel gets: every row equally often, in random order (in order where there are as many)."""
        n = len(self.power)
        if channels == n:
            return np.arange(n)
        return rng.permutation(np.concatenate([np.tile(np.arange(n), channels // n), rng.permutation(n)[: channels % n]]))
