"""WebSocket connections and plain pages on one port of this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from weakref import WeakKeyDictionary

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from storage.operations.spec import Identity
from sync.events.socket import Socket
from sync.link.errors import LOOPBACK

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Page:
    """An answer to a plain GET."""

    status: int
    content_type: str
    body: bytes


@asynccontextmanager
async def listening(
    port: int,
    *,
    page: Callable[[str], Awaitable[Page | None]],
    authenticate: Callable[[str], Identity | None],
    accept: Callable[[Socket, Identity], Awaitable[None]],
    path: str = "/call",
    max_bytes: int,
) -> AsyncIterator[int]:
    """Listen on 127.0.0.1 while the block runs; yields the port.

    A WebSocket upgrade on `path` with `Authorization: Bearer KEY` that `authenticate` knows is handed to `accept`,
    which owns the connection until it returns. Any other GET gets its page, or 404. Requests whose Host is not this
    machine are refused: a page in a browser could otherwise make its own name point here and read the answers (DNS
    rebinding).

    Raises:
        OSError: the port cannot be listened on.
    """
    known: WeakKeyDictionary[ServerConnection, Identity] = WeakKeyDictionary()

    async def process(connection: ServerConnection, request: Request) -> Response | None:
        if request.headers.get("Host", "").rsplit(":", 1)[0] not in LOOPBACK:
            return connection.respond(HTTPStatus.MISDIRECTED_REQUEST, "ask for 127.0.0.1 or localhost\n")
        if request.path != path:
            found = await page(request.path)
            if found is None:
                return connection.respond(HTTPStatus.NOT_FOUND, "nothing here\n")
            headers = Headers({"Content-Type": found.content_type, "Content-Length": str(len(found.body))})
            headers["Cache-Control"], headers["Connection"] = "no-store", "close"
            return Response(found.status, HTTPStatus(found.status).phrase, headers, found.body)
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        identity = authenticate(key) if scheme.lower() == "bearer" else None
        if identity is None:
            return connection.respond(HTTPStatus.UNAUTHORIZED, "show a key: Authorization: Bearer alk_…\n")
        known[connection] = identity
        return None

    async def handle(connection: ServerConnection) -> None:
        await accept(connection, known[connection])

    async with serve(
        handle,
        HOST,
        port,
        process_request=process,
        compression=None,
        max_size=max_bytes,
        server_header=None,
    ) as server:
        yield int(next(iter(server.sockets)).getsockname()[1])
