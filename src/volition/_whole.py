"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write to a file beside it and move that into place, so that a reader finds the old content, the new, or nothing.

    A device or a pipe (`/dev/null`, `/dev/stdout`) is written into, never replaced.

    Raises:
        OSError: the place cannot be written; nothing is left behind.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_bytes(content)
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:  # Ctrl-C too
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
