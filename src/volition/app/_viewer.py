"""What a command shows while it runs, by the name of `--viewer`: the page, the terminal's view, both, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol

from volition.errors import ConfigError

if TYPE_CHECKING:
    from volition.view._gather import Gather
    from volition.view.server import Page
    from volition.view.terminal import Terminal

Viewer = Literal["auto", "terminal", "page", "none"]
CALIBRATION_SPEED = 10.0  # most simulated seconds a second while somebody looks on; the page's user may choose another
_TERMINAL_SPEED = 4.0  # beside a page that is not open


class View(Protocol):
    """What all viewers have in common."""

    gather: Gather

    @property
    def cost_s(self) -> float:
        """Time spent on it, waiting for the eye included."""

    def expect(self, seconds: float, speed: float) -> None:
        """Announce how many simulated seconds follow, and how fast they are to be shown."""

    def anew(self, note: str) -> None:
        """Another loop follows; what was kept of the one before is no part of it. The note is a line to show."""

    def __call__(self, loop: Any) -> None:
        """Once a bin."""

    def __enter__(self) -> Any: ...

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None: ...


class Both:
    """The terminal's view, and beside it a page that sets the pace only while it is open."""

    def __init__(self, terminal: Terminal, page: Page) -> None:
        self._terminal, self._page = terminal, page
        self.gather, self.url = terminal.gather, page.url
        terminal.note = f"Ctrl-C ends   {page.url}"

    @property
    def cost_s(self) -> float:
        """Time spent here, waiting for the eye included."""
        return self._terminal.cost_s + self._page.cost_s

    def expect(self, seconds: float, speed: float) -> None:
        """Announce what follows; the terminal alone is followed at a few times real time."""
        self._terminal.expect(seconds, max(speed, _TERMINAL_SPEED))
        self._page.expect(seconds, speed)

    def anew(self, note: str) -> None:
        """Another loop follows."""
        self._terminal.anew(note)
        self._page.anew(note)
        self.gather = self._terminal.gather

    def __call__(self, loop: Any) -> None:
        """Once a bin."""
        self._terminal.paced = not self._page.open
        self._terminal(loop)
        before = self._page.cost_s
        self._page(loop)
        self._terminal.skip(self._page.cost_s - before)

    def __enter__(self) -> Both:
        self._terminal.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._terminal.__exit__(kind, error, trace)
        self._page.__exit__(kind, error, trace)


@contextmanager
def opened(
    name: Viewer, port: int, check: Callable[[], None], offer: Callable[[], Mapping[str, Sequence[str]]] | None = None
) -> Iterator[View | None]:
    """The viewer, to be used as `watch` inside a `with` of its own; a page listens already: a taken port is known early.

    Args:
        name: of the viewer.
        port: of the page.
        check: called often while a page is paused; may raise `KeyboardInterrupt`.
        offer: says what the page may choose from; then the caller is to catch `view.server.Chosen`.

    Raises:
        ConfigError: the port cannot be had ("auto" without a port does without the page).
    """
    if name == "none":
        yield None
        return
    from volition.view.terminal import Terminal

    if name == "terminal":
        yield Terminal()
        return
    from volition.view.server import Page, PageConfig

    page = Page(PageConfig(port=port, unseen=name == "page"), check, offer() if offer else None)
    try:
        page.__enter__()
    except ConfigError:
        if name == "page" or port:
            raise
        yield Terminal()  # a machine without a loopback still has a demo
        return
    with page:
        yield page if name == "page" else Both(Terminal(), page)


def announce(view: View | None) -> None:
    """Say where the page is, and show it."""
    url = getattr(view, "url", "")
    if url:
        print(f"watch it at {url}", flush=True)
        show(url)


def show(url: str) -> None:
    """Open an address in the user's browser, without waiting for it; not where nobody looks (no display, far away)."""
    import os
    import sys

    display = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not display or os.environ.get("SSH_CONNECTION") or not sys.stdout.isatty():
        return
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
