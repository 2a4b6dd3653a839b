"""A port of this machine: `/healthz`, `/readyz`, `/metrics`, and the local API as a WebSocket on `/call`."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from app.services.api_keys import identity_of
from app.services.local_connection import MAX_LINE_BYTES, Connection, Serving
from app.services.supervisor import states
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


class Loopback:
    """Serves the port."""

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
        async with listening(
            self._port,
            page=self._page,
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

    async def _page(self, path: str) -> Page | None:
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
        problems = [f"{one.name}: {one.error}" for one in states.values() if one.state == "waiting"]
        try:
            await self._serving.db.read(lambda snapshot: snapshot.rows("SELECT 1"))
        except EngineError as error:
            problems.append(f"database: {error}")
        text = "\n".join(problems) or "ready"
        return Page(503 if problems else 200, "text/plain; charset=utf-8", f"{text}\n".encode())

    def _metrics(self) -> bytes:
        from app.services.prometheus import exposition

        return exposition(self._serving.db)
