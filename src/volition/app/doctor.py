"""What this machine offers and what is missing, to paste into an issue."""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from volition.app._output import emit, machine

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:.*extra == ['\"]([A-Za-z0-9._-]+))?")
_SLEEPS = 200


@dataclass(frozen=True)
class Doctor:
    """Options of `volition doctor`.

    Attributes:
        json: also save the rows as JSON here.
    """

    json: Path | None = None


def _row(what: str, value: Any, ok: bool = True) -> dict[str, Any]:
    return {"what": what, "value": value, "ok": ok}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def required() -> dict[str, list[str]]:
    """What our own metadata asks for: extra -> packages; the core is the extra ""."""
    found: dict[str, list[str]] = {"": []}
    for line in requires("volition") or ():
        match = _REQUIREMENT.match(line)
        if match:
            found.setdefault(match[2] or "", []).append(match[1])
    return found


def _packages() -> list[dict[str, Any]]:
    try:
        wanted = required()
    except PackageNotFoundError:
        return [_row("packages", "volition is not installed here, only run: what it needs is not known", ok=False)]
    rows = []
    for package in wanted.pop(""):
        found = _version(package)
        rows.append(_row(package, found or "missing; pip install volition brings it", found is not None))
    for extra, packages in wanted.items():
        versions = {p: _version(p) for p in packages}
        text = ", ".join(f"{p} {v}" for p, v in versions.items() if v)
        if not all(versions.values()):
            text = (
                f"not installed; pip install 'volition[{extra}]' adds {', '.join(p for p, v in versions.items() if not v)}"
            )
        rows.append(_row(f"extra [{extra}]", text))
    return rows


def _gl() -> dict[str, Any]:
    """Which offscreen renderer MuJoCo would use; it is found without rendering, which may take seconds in software."""
    import ctypes.util

    asked = os.environ.get("MUJOCO_GL", "")
    libraries = {"egl": "EGL", "osmesa": "OSMesa", "glfw": "glfw"}
    found = [name for name, library in libraries.items() if ctypes.util.find_library(library)]
    text = f"MUJOCO_GL={asked or '(not set)'}; libraries here: {', '.join(found) or 'none'}"
    return _row("GL backend", text + ("" if found else "; physics needs none"))


def _onnx() -> dict[str, Any]:
    try:
        import onnxruntime
    except ImportError as error:
        return _row("ONNX providers", f"cannot be imported: {error}", ok=False)
    providers = (p.removesuffix("ExecutionProvider") for p in onnxruntime.get_available_providers())
    return _row("ONNX providers", ", ".join(providers))


def _jitter() -> dict[str, Any]:
    """How much later than asked a sleep of 1 ms ends: the floor of every real-time run."""
    late = []
    for _ in range(_SLEEPS):
        start = time.perf_counter_ns()
        time.sleep(0.001)
        late.append((time.perf_counter_ns() - start - 1_000_000) / 1e3)
    late.sort()
    p50, p99 = late[_SLEEPS // 2], late[int(_SLEEPS * 0.99)]
    return _row("timer, late after 1 ms", f"p50 {p50:.0f} us, p99 {p99:.0f} us", p99 < 20_000)


def _folder() -> dict[str, Any]:
    try:
        with tempfile.TemporaryFile(dir="."):
            return _row("folder", "writable")
    except OSError as error:
        return _row("folder", f"not writable here ({error.strerror}): give --output", ok=False)


def main(options: Doctor) -> int:
    """Print the table; 1 if something that is needed is missing."""
    from volition import __version__

    about = machine()
    ram = f"{about['ram_gib']} GiB" if about["ram_gib"] else "memory unknown"
    rows = [
        _row("volition", __version__),
        _row("python", f"{platform.python_implementation()} {about['python']}", sys.version_info >= (3, 11)),
        _row("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
        _row("processor", f"{about['cpu']}, {about['cores']} cores, {ram}"),
        *_packages(),
        _gl(),
        _onnx(),
        _jitter(),
        _folder(),
    ]
    emit(rows, ("what", "value", "ok"), options.json)
    return 0 if all(r["ok"] for r in rows) else 1
