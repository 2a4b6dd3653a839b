"""The local API on a Unix socket: one JSON object a line (`docs/local-api.md`).

Who may connect is decided by the kernel: the socket is 0600 in a folder of 0700, and the peer's user id must be ours
or root's. Whoever gets in may do everything, as at the terminal.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import socket
import struct
from pathlib import Path

from app.services.local_connection import MAX_LINE_BYTES, Connection, LineTooLongError, Serving, line
from storage.engine.errors import EngineError
from sync.calls.access import owner

MAX_CONNECTIONS = 64
MAX_PATH_BYTES = 100
"""Of the socket's path: the kernel takes 108."""

log = logging.getLogger("spoke.api")


class SocketPathError(EngineError):
    """The path of the socket is too long for the kernel."""

    hint = "choose a shorter --data-dir"


class LocalApi:
    """Serves one socket for one database."""

    def __init__(self, serving: Serving, path: Path) -> None:
        self._serving = serving
        self._path = path
        self._open: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`; calls that run are finished first.

        The socket's file is removed first if it is left over: who runs this holds the lock of the data directory.

        Raises:
            SocketPathError: the path is too long.
            OSError: the socket cannot be made.
        """
        if len(os.fsencode(self._path)) > MAX_PATH_BYTES:
            raise SocketPathError(f"{self._path}: a socket's path has at most {MAX_PATH_BYTES} bytes")
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._connected, self._path, limit=MAX_LINE_BYTES)
        finally:
            os.umask(before)
        try:
            await stop.wait()
        finally:
            server.close()
            self._path.unlink(missing_ok=True)
            open_now = list(self._open)
            for task in open_now:
                task.cancel()
            await asyncio.gather(*open_now, return_exceptions=True)
            await server.wait_closed()  # from Python 3.12 on it waits for connections, which are gone by now

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
        try:
            uid = peer_uid(writer.get_extra_info("socket"))
            if uid not in (0, os.geteuid()):
                log.warning("refused user %d", uid)
            elif len(self._open) > MAX_CONNECTIONS:
                writer.write(line("call.error", "", {"code": "TOO_MANY", "message": f"{MAX_CONNECTIONS} connections"}))
            else:
                await Connection(self._serving, _SocketLines(reader, writer), owner(uid)).run()
        except (ConnectionError, asyncio.CancelledError):
            return  # it has left, or we stop
        finally:
            if task is not None:
                self._open.discard(task)
            writer.close()


class _SocketLines:
    """The lines of a Unix socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes | None:
        """See Lines."""
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            return error.partial or None
        except asyncio.LimitOverrunError:
            raise LineTooLongError from None

    async def write(self, text: bytes) -> None:
        """See Lines."""
        self._writer.write(text)
        await self._writer.drain()

    def gone(self) -> bool:
        """See Lines."""
        return hung_up(self._writer.get_extra_info("socket"))


def hung_up(connection: socket.socket) -> bool:
    """Whether the peer has closed both directions: the kernel tells that apart from a side that was shut down."""
    poll = select.poll()
    poll.register(connection.fileno(), 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))


def peer_uid(connection: socket.socket) -> int:
    """The user id of the process at the other end, as the kernel knows it."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])
