"""The command `volition`: finds the file of the subcommand in `app/` and hands it the options.

A file `app/<name>.py` is the subcommand `<name>`; the first line of its docstring is its line of help, read by `ast`.
Nothing is imported until it is chosen. Such a file holds

    a frozen dataclass named as the command in CamelCase (`Run`, `Decode`): its options, parsed by tyro;
    `main(options) -> int`: the exit code;
    optionally `parse(args) -> options`, for a command that must start faster than tyro can be imported.

Exit codes: 0 done, 1 the answer is no (a replay that differs, a goal that was missed), 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from volition.errors import UnknownNameError, VolitionError

_APP = Path(__file__).parent / "app"
_INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
_BROKEN_PIPE = 141  # 128 + SIGPIPE
_FULL = (errno.ENOSPC, errno.EDQUOT)
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def commands() -> dict[str, Path]:
    """Name -> file of every subcommand."""
    return {p.stem: p for p in sorted(_APP.glob("*.py")) if not p.stem.startswith("_")}


def usage() -> str:
    """The text of `volition --help`."""
    from volition._registry import first_line

    lines = [f"  {name:<10}{first_line(path)}" for name, path in commands().items()]
    return "\n".join(
        [
            "usage: volition COMMAND [options]",
            "",
            "A closed loop you can run: brain -> channel -> decoder -> effector -> feedback -> brain.",
            "",
            "commands:",
            *lines,
            "",
            "volition COMMAND --help shows a command's options; volition --version the version.",
            "",
        ]
    )


def _parse(name: str, module: Any, args: Sequence[str]) -> Any:
    """The options of a command, from its own parser or from tyro."""
    if hasattr(module, "parse"):
        return module.parse(args)
    from volition.app._parse import parse

    options = getattr(module, "".join(part.capitalize() for part in name.split("_")))
    return parse(options, prog=f"volition {name}", description=module.__doc__ or "", args=args)


def _run(argv: Sequence[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        sys.stdout.write(usage())
        return 0 if argv else 2
    name, *args = argv
    if name in ("--version", "-V"):
        from volition import __version__

        sys.stdout.write(f"volition {__version__}\n")
        return 0
    if name not in commands():
        raise UnknownNameError("command", name, commands())
    import importlib

    module = importlib.import_module(f"volition.app.{name}")
    return int(module.main(_parse(name, module, args)))


def _say(text: str) -> None:
    """One line on the standard error, whatever the message holds."""
    sys.stderr.write(f"volition: {' '.join(text.split())}\n")


def _open_stdout() -> None:
    """A stdout that takes everything: none at all becomes the null device, a character it has no code for becomes "?"."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (open as long as the process)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def _drop_stdout() -> None:
    """Send what is still to be written nowhere: the reader is gone, and the interpreter would complain at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, sys.stdout.fileno())
    except (OSError, ValueError):  # a stdout without a descriptor cannot have a broken pipe
        pass
    finally:
        os.close(null)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments, without the program's name; `sys.argv[1:]` by default.

    Returns:
        The exit code.
    """
    for variable in _THREADS:
        # Before NumPy is imported: a loop's matrices are small, and threads that wait for each other on a busy machine
        # made the same calibration take ten times as long.
        os.environ.setdefault(variable, "1")
    _open_stdout()
    try:
        code = _run(sys.argv[1:] if argv is None else list(argv))
        sys.stdout.flush()
    except KeyboardInterrupt as stop:
        _say(f"interrupted{': ' if stop.args else ''}{' '.join(map(str, stop.args))}")
        return _INTERRUPTED
    except BrokenPipeError:
        _drop_stdout()
        return _BROKEN_PIPE
    except OSError as error:
        if error.errno not in _FULL:
            raise
        _say(f"cannot write: {error.strerror}")
        _drop_stdout()
        return VolitionError.exit_code
    except VolitionError as error:
        _say(str(error))
        return error.exit_code
    return code
