"""What a command shows while it runs, by the name of `--viewer`: the page, the terminal's view, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from volition.view.server import Page
    from volition.view.terminal import Terminal

Viewer = Literal["terminal", "page", "none"]
CALIBRATION_SPEED = 10.0  # most simulated seconds a second while somebody looks on; the page's user may choose another


@contextmanager
def opened(name: Viewer, port: int, check: Callable[[], None]) -> Iterator[Page | Terminal | None]:
    """The viewer, to be used as `watch` inside a `with` of its own; a page listens already: a taken port is known early.

    Args:
        name: of the viewer.
        port: of the page.
        check: called often while a page is paused; may raise `KeyboardInterrupt`.

    Raises:
        ConfigError: the port cannot be had.
    """
    if name == "page":
        from volition.view.server import Page, PageConfig

        with Page(PageConfig(port=port), check) as page:
            yield page
    elif name == "terminal":
        from volition.view.terminal import Terminal

        yield Terminal()
    else:
        yield None


def announce(view: Page | Terminal | None) -> None:
    """Say where the page is."""
    url = getattr(view, "url", "")
    if url:
        print(f"watch it at {url}", flush=True)
