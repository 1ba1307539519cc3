"""The one exception family: every error that a user can cause ends in one of these, with one clear line.

The command line prints `str(error)` and exits with `error.exit_code`. A message says what was wrong, where, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class VolitionError(Exception):
    """Root of the family."""

    exit_code = 2


class InputError(VolitionError):
    """A file or an array does not hold what it should: truncated, foreign, wrong shape, NaN, negative counts."""


class ConfigError(VolitionError):
    """A configuration value is unknown, of the wrong type or out of range, or two stages do not fit together."""


class UnknownNameError(ConfigError):
    """A name that nothing is registered under."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"
        super().__init__(f"unknown {kind} {name!r}; {hint}")
        self.name, self.nearest = name, (near[0] if near else None)


class MissingExtraError(VolitionError):
    """A component needs a package, a file or a device that is not here."""


class LogError(VolitionError):
    """A run's log cannot be read or written."""
