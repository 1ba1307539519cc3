"""Which components exist: a file in a stage folder is a registration.

Reads file names and docstrings only (`ast`): listing everything imports nothing. `stage.find` is the public door.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from volition.errors import ConfigError, MissingExtraError, UnknownNameError

STAGES = ("brain", "channel", "decoder", "effector", "feedback")
KINDS = (*STAGES, "task")
_HERE = Path(__file__).parent
_DOCSTRING = re.compile(r'(?:\s|#[^\n]*\n)*[rR]?"""(?:[^"\\]|\\.|"(?!""))*"""', re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """One component: its kind, name, one-line description and where it comes from."""

    kind: str
    name: str
    summary: str
    origin: str


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise UnknownNameError("stage", kind, KINDS)


def builtin(kind: str) -> dict[str, Path]:
    """Name -> file of every component that ships in `volition.<kind>`."""
    _check_kind(kind)
    return {p.stem: p for p in sorted((_HERE / kind).glob("*.py")) if not p.stem.startswith("_")}


@lru_cache(maxsize=1)
def _entry_points() -> dict[str, dict[str, str]]:
    """Group -> name -> "module:Class", of all installed packages at once: finding them is the dear part."""
    from importlib.metadata import entry_points

    found = entry_points()
    groups = {f"volition.{kind}" for kind in KINDS} & set(found.groups)
    return {group: {ep.name: ep.value for ep in found.select(group=group)} for group in groups}


def _third_party(kind: str) -> dict[str, str]:
    """Name -> "module:Class" of every entry point in group `volition.<kind>`."""
    return _entry_points().get(f"volition.{kind}", {})


def first_line(path: Path) -> str:
    """First line of a module's docstring. Only the head of the file is parsed: a list must not cost what is in it."""
    text = path.read_text(encoding="utf-8")
    head = _DOCSTRING.match(text)
    doc = ast.get_docstring(ast.parse(head.group() if head else text)) or ""
    return doc.split("\n", 1)[0].strip()


def entries(kind: str) -> Iterator[Entry]:
    """Every component of a kind: ours first, then third parties'."""
    ours = builtin(kind)
    for name, path in ours.items():
        yield Entry(kind, name, first_line(path), "volition")
    for name, target in sorted(_third_party(kind).items()):
        if name not in ours:
            yield Entry(kind, name, f"(third party: {target})", target)


def class_name(name: str) -> str:
    """`steady_state` -> `SteadyState`: the public class of a component's file."""
    return "".join(part[:1].upper() + part[1:] for part in re.split("[_-]", name))


def _attribute(module: Any, name: str, where: str) -> Any:
    found = getattr(module, name, None)
    if not isinstance(found, type):
        raise ConfigError(f"{where} has no class {name!r}")
    return found


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    name = f"volition.file.{path.stem}"  # never the name of somebody else's module
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{path}: cannot be imported: {type(error).__name__}: {error}") from error
    cls = _attribute(module, class_name(path.stem), str(path))
    cls.found_in = str(path.resolve())  # so that a run can be built again
    return cls


def _from_module(target: str) -> Any:
    module_name, _, attribute = target.partition(":")
    if not module_name or module_name.startswith("."):
        raise ConfigError(f"{target!r}: expected the full name of a module and a class, as in package.module:Class")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and module_name.startswith(error.name):
            raise ConfigError(f"no module {module_name!r} (from {target!r})") from error
        raise MissingExtraError(f"{target} needs the package {error.name!r}, which is not installed") from error
    return _attribute(module, attribute, module_name)


def find(kind: str, name: str) -> Any:
    """The class registered under `name`.

    Args:
        kind: one of `KINDS`.
        name: a component's name, an entry point's name, "module.path:Class", or a path ending in `.py`.

    Raises:
        UnknownNameError: nothing is called so (the message names the nearest).
        ConfigError: the module or file exists but not the class.
        MissingExtraError: the component needs a package that is not installed.
    """
    _check_kind(kind)
    if name.endswith(".py"):
        return _from_file(Path(name))
    if ":" in name:
        return _from_module(name)
    ours = builtin(kind)
    if name in ours:
        return _from_module(f"volition.{kind}.{name}:{class_name(name)}")
    others = _third_party(kind)
    if name in others:
        return _from_module(others[name])
    raise UnknownNameError(kind, name, [*ours, *others])
