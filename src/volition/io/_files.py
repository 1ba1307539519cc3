"""What every reader and writer needs of a file: is it there, what is in it, its hash, and replacing it in one go."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from volition.errors import InputError

_MAGIC = {
    b"MATLAB": "a MATLAB file",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "a zip archive",
    b"\x1f\x8b": "a gzip file",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89PNG": "a PNG image",
    b"%PDF": "a PDF document",
    b"\x93NUMPY": "a single NumPy array",
}


def present(path: Path) -> None:
    """Refuse what cannot be read at all.

    Raises:
        InputError: the path does not exist, is a folder, is empty or may not be read.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder, not a file")
        if not path.exists():
            raise InputError(f"{path}: no such file")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty (0 bytes)")
        with path.open("rb"):
            pass
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def content(path: Path) -> str:
    """What the first bytes say that a file is: "a MATLAB file", "an HDF5 file", "text", "unknown data", ..."""
    with path.open("rb") as stream:
        head = stream.read(1024)
    if head[:6] == b"MATLAB" and b"MATLAB 7.3" in head[:128]:
        return "an HDF5 file"  # version 7.3: an HDF5 file behind a 512-byte MATLAB header
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            return what
    printable = sum(byte >= 32 or byte in b"\t\r\n" for byte in head)
    return "text" if printable == len(head) else "unknown data"


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file in one go: the body writes to the path it is given, which then takes the name `path`.

    The temporary file lies in the same folder (a rename is atomic only inside one file system); when the body fails,
    nothing is left behind and an older file under the name stays as it was.

    Raises:
        InputError: the folder is missing or cannot be written to.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name a file in it")
        with temporary.open("wb"):
            pass
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
