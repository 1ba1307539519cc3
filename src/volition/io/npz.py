"""NumPy archives (.npz): every array of a file; pickled objects are never loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from volition.errors import InputError
from volition.io._layout import Value


def variables(path: Path) -> dict[str, Value]:
    """All arrays of a NumPy archive.

    Args:
        path: a file written with `numpy.savez` or `savez_compressed`.

    Raises:
        InputError: the file is truncated, is not an archive, or holds pickled objects.
    """
    try:
        with path.open("rb") as stream:  # numpy leaves a file open that it cannot read
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise InputError(f"{path}: holds a single array, not an archive of named arrays; write it with numpy.savez")
            with archive:
                return {name: archive[name] for name in archive.files}
    except InputError:
        raise
    except Exception as error:  # zipfile, zlib, numpy's header parser: each has its own types
        if "Object arrays" in str(error):
            raise InputError(f"{path}: holds pickled Python objects, which are never loaded; save plain arrays") from error
        reason = str(error).split("\n", 1)[0][:120] or type(error).__name__
        raise InputError(f"{path}: not a readable .npz archive, truncated or foreign ({reason})") from error
