"""The server of the page: HTTP and WebSocket on one port, asyncio in a thread of its own, every client for itself.

The loop's thread only puts the newest message into a slot and rings; it never waits. Each client takes what is newest when
it is ready for more: a slow one misses frames (they are counted), a dead one costs a little memory until its ping times out.

Who may connect: the name in `Host` must be a loopback name where the server is bound to loopback (a foreign page cannot get
in by rebinding its own name), the socket wants the token and an `Origin` equal to the host, and bound elsewhere the page
wants the token, too. Messages are small, few, and on a closed list (`_wire.parse`).
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from volition.errors import ConfigError
from volition.view._wire import Act, RefusedError, parse

_MESSAGE_BYTES = 1024
_PAGES, _SOCKETS = 8, 64  # pages open at once; connections of any kind at once
_MESSAGES_S, _REFUSALS = 60, 20  # a page sends a few a second; who sends more, or nonsense, is shown the door
_BUFFER = 16 * 1024
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
KINDS = ("hello", "order", "status", "frame")  # in the order in which they are sent
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}


class _Connection(ServerConnection):
    """A connection that counts; one too many is cut before anything is read from it."""

    open_count = 0  # per server: see `PageSocket._factory`

    def connection_made(self, transport: Any) -> None:
        kind = type(self)
        self._refused = kind.open_count >= _SOCKETS
        if self._refused:
            transport.abort()
            return
        kind.open_count += 1
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)  # what a slow client still gets is not old
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._refused:
            type(self).open_count -= 1
            super().connection_lost(exc)


class _Client:
    """What one page has been sent."""

    def __init__(self) -> None:
        self.ring = asyncio.Event()
        self.ring.set()
        self.seen = dict.fromkeys(KINDS, 0)
        self.refusals, self.window_s, self.messages = 0, 0.0, 0


class PageSocket:
    """Serves files, sends the newest of each kind of message, hands on what may be asked.

    Attributes:
        url: where the page is.
        token: what a socket must show.
        pages: pages connected now.
        sent, dropped: frames, over all pages.
        refused: messages and connections that were not let in.

    Args:
        host, port: where to listen; port 0 takes any free one.
        files: path -> (content type, content); "{token}" in the page is filled in.
        find: what else is served: path -> (content type, content) or None; called in threads of their own.
        receive: called in the server's thread with each act; must not wait.

    Raises:
        ConfigError: the port cannot be had.
    """

    def __init__(
        self,
        host: str,
        port: int,
        files: dict[str, tuple[str, bytes]],
        receive: Callable[[Act], None],
        find: Callable[[str], tuple[str, bytes] | None] | None = None,
    ) -> None:
        self._files, self._receive, self._find = files, receive, find
        self.token = secrets.token_urlsafe(24)
        self.sent = self.dropped = self.refused = self.pages = 0
        self._slots: dict[str, tuple[int, str | bytes]] = dict.fromkeys(KINDS, (0, b""))
        self._clients: set[_Client] = set()
        self._local = _is_loopback(host)
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.port}" + ("" if self._local else f"/?token={self.token}")
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="volition-page", daemon=True)
        self._thread.start()
        self._ready.wait(5)

    # --- from the loop's thread -------------------------------------------------------------------------------------

    def publish(self, kind: str, message: str | bytes) -> None:
        """Make this the newest message of its kind; never waits."""
        self._slots[kind] = (self._slots[kind][0] + 1, message)
        if self._clients:
            self._call(self._wake)

    def close(self) -> None:
        """Let the newest messages go out, then close every connection."""
        self._call(self._finish)
        self._thread.join(3)

    def _call(self, what: Callable[[], Any]) -> None:
        try:
            self._loop.call_soon_threadsafe(what)
        except RuntimeError:  # the server has ended
            return

    # --- in the server's thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        quiet = logging.getLogger("volition.page")
        quiet.addHandler(logging.NullHandler())
        quiet.propagate = False  # what strangers send is no news to the user's terminal
        server: Server = await serve(
            self._converse,
            sock=self._socket,
            process_request=self._answer,
            create_connection=type("Connection", (_Connection,), {"open_count": 0}),
            compression=None,
            server_header=None,
            max_size=_MESSAGE_BYTES,
            max_queue=8,
            write_limit=_BUFFER,
            open_timeout=5,
            close_timeout=1,
            logger=quiet,
        )
        self._ready.set()
        await self._end.wait()
        await asyncio.sleep(0.3 if self._clients else 0)
        server.close()
        try:
            await asyncio.wait_for(server.wait_closed(), 1.5)
        except TimeoutError:  # a client that has stopped answering
            return

    def _finish(self) -> None:
        self._end.set()

    def _wake(self) -> None:
        for client in self._clients:
            client.ring.set()

    async def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """HTTP: a file, a refusal, or None: let the socket be opened."""
        where = urlsplit(request.path)
        host = request.headers.get("Host", "")
        names = {f"{name}:{self.port}" for name in _LOOPBACK_NAMES}
        if self._local and host.lower() not in names:
            return self._refuse(403, "not this name")
        shown = parse_qs(where.query).get("token", [""])[0]
        known = hmac.compare_digest(shown.encode(), self.token.encode())
        if where.path == "/socket":
            if request.headers.get("Origin", "").lower() != f"http://{host.lower()}":
                return self._refuse(403, "foreign origin")
            if not known:
                return self._refuse(403, "wrong token")
            if len(self._clients) >= _PAGES:
                return self._refuse(503, "too many pages")
            return None
        plain = where.path in self._files and where.path != "/"  # of the package, no secret
        if not plain and not self._local and not known:
            return self._refuse(403, "token needed")
        found = self._files.get(where.path)
        if found is None and self._find is not None:
            found = await asyncio.to_thread(self._find, where.path)
        if found is None:
            return _response(404, "Not Found", b"nothing here\n")
        kind, content = found
        return _response(200, "OK", content.replace(b"{token}", self.token.encode()) if where.path == "/" else content, kind)

    def _refuse(self, code: int, why: str) -> Response:
        self.refused += 1
        return _response(code, "Refused", f"{why}\n".encode())

    async def _converse(self, connection: ServerConnection) -> None:
        client = _Client()
        self._clients.add(client)
        self.pages = len(self._clients)
        sender = asyncio.create_task(self._send(connection, client))
        try:
            async for message in connection:
                if not self._take(client, message):
                    await connection.close(1008, "refused")
                    return
        except ConnectionClosed:
            return
        finally:
            sender.cancel()
            self._clients.discard(client)
            self.pages = len(self._clients)

    def _take(self, client: _Client, message: str | bytes) -> bool:
        """Hand on an act; False where the client has used up our patience."""
        now = time.monotonic()
        if now - client.window_s >= 1:
            client.window_s, client.messages = now, 0
        client.messages += 1
        try:
            self._receive(parse(message))
        except RefusedError:
            self.refused += 1
            client.refusals += 1
        return client.messages <= _MESSAGES_S and client.refusals <= _REFUSALS

    async def _send(self, connection: ServerConnection, client: _Client) -> None:
        """Send what is new, for ever; waits for this client only."""
        try:
            while True:
                await client.ring.wait()
                client.ring.clear()
                for kind, (number, message) in list(self._slots.items()):
                    seen = client.seen[kind]
                    if number == seen:
                        continue
                    client.seen[kind] = number
                    if kind == "frame":
                        self.sent += 1
                        self.dropped += number - seen - 1 if seen else 0
                    await connection.send(message)
        except ConnectionClosed:
            return


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=64)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"the page cannot listen on {host}:{port}: {why}; choose another --port (0: any)") from error


def _response(code: int, reason: str, body: bytes, kind: str = "text/plain; charset=utf-8") -> Response:
    headers = Headers(
        {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Connection": "close",
            "Cache-Control": "no-store",
            "Content-Security-Policy": _POLICY,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
    )
    return Response(code, reason, headers, body)
