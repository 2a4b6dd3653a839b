"""A port of this machine: `/healthz`, `/readyz`, `/metrics`, and the local API as a WebSocket on `/call`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from app.services.api_keys import identity_of
from app.services.local_connection import MAX_LINE_BYTES, Connection, Serving
from app.services.supervisor import problems
from storage.engine import Database
from storage.engine.errors import EngineError
from storage.operations.spec import Identity
from sync.events.listener import Page, listening
from sync.events.socket import Socket

MAX_CONNECTIONS = 64
TRY_AGAIN_LATER = 1013

log = logging.getLogger("spoke.api")


class _Messages:
    """The lines of a WebSocket: a message each."""

    def __init__(self, connection: Socket) -> None:
        self._connection = connection
        self._messages = aiter(connection)
        self._ended = False

    async def read(self) -> bytes | None:
        """See Lines."""
        message = await anext(self._messages, None)
        if message is None:
            self._ended = True
            return None
        return (message.encode() if isinstance(message, str) else message) + b"\n"

    async def write(self, text: bytes) -> None:
        """See Lines."""
        await self._connection.send(text[:-1].decode())

    def gone(self) -> bool:
        """See Lines."""
        return self._ended


class Pages:
    """`/healthz`, `/readyz` and `/metrics`, of a node and of a hub.

    Args:
        db: a file that must be readable for the process to be ready.
        metrics: what `/metrics` says; called on a thread.
        stop: set when the process is to end.
    """

    def __init__(self, db: Database, metrics: Callable[[], bytes], stop: asyncio.Event) -> None:
        self._db = db
        self._metrics = metrics
        self._stop = stop

    async def page(self, path: str) -> Page | None:
        """The answer to a GET; None when there is no such page."""
        match path:
            case "/healthz":
                return Page(200, "text/plain; charset=utf-8", b"ok\n")
            case "/readyz":
                return await self._ready()
            case "/metrics":
                return Page(200, "text/plain; version=0.0.4; charset=utf-8", await asyncio.to_thread(self._metrics))
            case _:
                return None

    async def _ready(self) -> Page:
        found = problems()
        if self._stop.is_set():
            found.append("stopping")
        try:
            await self._db.read(lambda snapshot: snapshot.rows("SELECT 1"))
        except EngineError as error:
            found.append(f"database: {error}")
        text = "\n".join(found) or "ready"
        return Page(503 if found else 200, "text/plain; charset=utf-8", f"{text}\n".encode())


class Loopback:
    """Serves the port of a node."""

    def __init__(self, serving: Serving, port: int, keys: Path) -> None:
        self._serving = serving
        self._port = port
        self._keys = keys
        self._open: set[asyncio.Task[None] | None] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`.

        Raises:
            OSError: the port is taken; the supervisor tries again.
        """
        from app.services.prometheus import node_exposition

        db = self._serving.db
        async with listening(
            self._port,
            page=Pages(db, lambda: node_exposition(db), stop).page,
            authenticate=self._authenticate,
            accept=self._accept,
            max_bytes=MAX_LINE_BYTES,
        ) as port:
            log.info("http://127.0.0.1:%d/healthz /readyz /metrics, ws://127.0.0.1:%d/call", port, port)
            await stop.wait()
            for task in self._open:
                if task is not None:
                    task.cancel()

    def _authenticate(self, key: str) -> Identity | None:
        try:
            return identity_of(self._keys, key)
        except EngineError as error:
            log.error("%s", error)
            return None

    async def _accept(self, connection: Socket, identity: Identity) -> None:
        if len(self._open) >= MAX_CONNECTIONS:
            await connection.close(TRY_AGAIN_LATER, f"{MAX_CONNECTIONS} connections")
            return
        task = asyncio.current_task()
        self._open.add(task)
        try:
            await Connection(self._serving, _Messages(connection), identity).run()
        finally:
            self._open.discard(task)


async def serve_pages(pages: Pages, port: int, stop: asyncio.Event) -> None:
    """Serve the pages alone, to anybody on this machine, until `stop`.

    Raises:
        OSError: the port is taken; the supervisor tries again.
    """
    async with listening(port, page=pages.page, authenticate=_nobody, accept=_hang_up, max_bytes=1_024) as bound:
        log.info("http://127.0.0.1:%d/healthz /readyz /metrics", bound)
        await stop.wait()


def _nobody(_: str) -> Identity | None:
    return None


async def _hang_up(connection: Socket, _: Identity) -> None:
    await connection.close()
