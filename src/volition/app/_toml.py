"""Values of TOML: checked against the fields of a dataclass, and written."""

from __future__ import annotations

import dataclasses
import json
import math
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from volition.errors import ConfigError

_SAY = {int: "an integer", float: "a number", bool: "true or false", str: "text", Path: "text (a path)"}


class _WrongTypeError(Exception):
    """Holds what was expected."""


def _convert(value: Any, hint: Any) -> Any:
    """A TOML value as the type of a field."""
    origin = get_origin(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _one_of(value, get_args(hint))
    if origin is Literal:
        if value in get_args(hint):
            return value
        raise _WrongTypeError(f"one of {', '.join(map(repr, get_args(hint)))}")
    if origin is tuple or hint is tuple:
        return _tuple(value, get_args(hint))
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return hint(**{k: typed(hint, k, v, hint.__name__) for k, v in value.items()})
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise _WrongTypeError(_SAY.get(hint, getattr(hint, "__name__", str(hint))))


def _one_of(value: Any, hints: Sequence[Any]) -> Any:
    wanted = []
    for hint in hints:
        if hint is type(None):
            continue
        try:
            return _convert(value, hint)
        except _WrongTypeError as error:
            wanted.append(str(error))
    raise _WrongTypeError(" or ".join(wanted))


def _tuple(value: Any, hints: Sequence[Any]) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise _WrongTypeError("a list, as in [1, 2]")
    if not hints:
        return tuple(value)
    if len(hints) == 2 and hints[1] is Ellipsis:
        try:
            return tuple(_convert(v, hints[0]) for v in value)
        except _WrongTypeError as error:
            raise _WrongTypeError(f"a list with {error} at each place") from None
    if len(hints) != len(value):
        raise _WrongTypeError(f"a list of {len(hints)}")
    return tuple(_convert(v, h) for v, h in zip(value, hints, strict=True))


def typed(cls: Any, key: str, value: Any, where: str) -> Any:
    """The value of a field of `cls`, as the type the field is annotated with.

    Args:
        cls: a dataclass.
        key: one of its fields.
        value: what TOML holds.
        where: what to call the place in messages.

    Raises:
        ConfigError: the value has another type.
    """
    hints = get_type_hints(cls)
    if key not in hints:
        raise ConfigError(f"{where}: unknown key {key!r}")
    try:
        return _convert(value, hints[key])
    except _WrongTypeError as wanted:
        raise ConfigError(f"{where}: {key} must be {wanted}, got {value!r}") from None


def _value(value: Any) -> str:
    """One value in TOML's spelling."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)  # nan, inf, -inf are TOML
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if bare else json.dumps(key)


def dump(document: Mapping[str, Any]) -> str:
    r"""A document of two levels as TOML; None is left out, as TOML has no such value.

    >>> print(dump({"seed": 1, "decoder": {"name": "kalman", "lags": (1, 2), "file": None}}))
    seed = 1
    <BLANKLINE>
    [decoder]
    name = "kalman"
    lags = [1, 2]
    <BLANKLINE>
    """
    lines = [f"{_key(k)} = {_value(v)}" for k, v in document.items() if not isinstance(v, Mapping) and v is not None]
    for name, table in document.items():
        if isinstance(table, Mapping):
            lines += ["", f"[{_key(name)}]", *(f"{_key(k)} = {_value(v)}" for k, v in table.items() if v is not None)]
    return "\n".join(lines) + "\n"
