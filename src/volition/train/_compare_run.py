"""What becomes of units of work: each is done once and kept whole; one whose worker died is done again, once.

Only this process writes. A worker, wherever it is, hands its result back; so a worker that dies leaves nothing behind, and a
cluster needs no common disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from volition._whole import write_whole
from volition.errors import ConfigError
from volition.train.compare import Unit

_ATTEMPTS = 2  # of a unit whose worker dies: the second time it is the unit's own doing
_POLL_S = 0.2


@dataclass(frozen=True)
class Outcome:
    """What came of a unit: its row, or why there is none; `died` where the worker was lost and the unit is not to blame."""

    key: str
    row: dict[str, Any] | None = None
    error: str = ""
    died: bool = False


class Pool(Protocol):
    """Where units are worked on."""

    @property
    def free(self) -> int:
        """How many more units it takes now."""
        ...

    def submit(self, unit: Unit) -> None:
        """Begin with a unit."""
        ...

    def wait(self, seconds: float) -> list[Outcome]:
        """What has ended, at the latest after so long."""
        ...

    def close(self) -> None:
        """Stop everything that is still in work; leaves no process."""
        ...


class Store:
    """A folder with one JSON file a unit. It belongs to one process at a time; the lock falls with the process.

    Raises:
        ConfigError: the folder cannot be written, holds something else, or another process is at work in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "units"
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"{folder}: is a file; choose another folder")
        if folder.is_dir() and not self.folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"{folder}: is not empty and holds no comparison; choose another folder")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder, os.O_RDONLY)
        except OSError as error:
            raise ConfigError(f"{folder}: cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise ConfigError(
                f"{folder}: another comparison is at work here; wait for it, or choose another folder"
            ) from None
        for part in self.folder.glob(".*.part"):  # of a process that was killed while it wrote
            with contextlib.suppress(OSError):
                part.unlink()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._lock)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def get(self, key: str) -> dict[str, Any] | None:
        """What `work` returned for a unit, or None.

        Raises:
            ConfigError: the file is damaged.
        """
        path = self._path(key)
        try:
            row = json.loads(path.read_text(encoding="utf-8"))["row"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            raise ConfigError(f"{path}: damaged; remove it, and the unit is done again") from None
        if not isinstance(row, dict):
            raise ConfigError(f"{path}: damaged; remove it, and the unit is done again")
        return row

    def put(self, unit: Unit, row: dict[str, Any]) -> None:
        """Keep a result, whole."""
        text = json.dumps({"unit": asdict(unit), "row": row}, indent=1, ensure_ascii=False)
        try:
            write_whole(self._path(unit.key), (text + "\n").encode())
        except OSError as error:
            raise ConfigError(f"{self.folder}: cannot be written: {error.strerror}") from None


def run(units: Sequence[Unit], pool: Callable[[], Pool], store: Store, watch: Callable[[int, int], None]) -> dict[str, str]:
    """Do what is not done yet.

    Args:
        units: equal ones are done once.
        pool: makes the workers, if there is anything to do.
        store: where results are and go.
        watch: called with how many units are finished (failed ones too), and of how many.

    Returns:
        key -> why, of the units that could not be done; they are not stored, and tried again the next time.
    """
    wanted = {unit.key: unit for unit in units}
    waiting = deque(key for key in wanted if store.get(key) is None)
    failed: dict[str, str] = {}
    watch(len(wanted) - len(waiting), len(wanted))
    if not waiting:
        return failed
    attempts: Counter[str] = Counter()
    left = len(waiting)
    workers = pool()
    try:
        while left:
            while waiting and workers.free > 0:
                key = waiting.popleft()
                attempts[key] += 1
                workers.submit(wanted[key])
            for outcome in workers.wait(_POLL_S):
                if outcome.row is not None:
                    store.put(wanted[outcome.key], outcome.row)
                elif outcome.died and attempts[outcome.key] < _ATTEMPTS:
                    waiting.appendleft(outcome.key)
                    continue
                else:
                    failed[outcome.key] = outcome.error
                left -= 1
            watch(len(wanted) - left, len(wanted))
    finally:
        workers.close()
    return failed
