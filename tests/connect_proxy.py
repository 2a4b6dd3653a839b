"""An HTTP proxy on the loopback that knows CONNECT and nothing else, as companies have them; hosts are what it says.

async with ConnectProxy({"hub.example": hub.port}, user="ada:secret") as proxy:
    …dial wss://hub.example through proxy.address…
    proxy.cut()
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType


class ConnectProxy:
    """Passes bytes to ports of this machine. What it refuses and when it dies is in the hands of the test."""

    def __init__(self, hosts: Mapping[str, int], *, user: str | None = None, status: int | None = None) -> None:
        """`user` is `NAME:PASSWORD`, without which it answers 407; `status` is its answer to whatever is asked."""
        self.hosts = hosts
        self.user = user
        self.status = status
        self.asked: list[str] = []
        """Where to it was asked to connect, refused or not."""
        self.passed = 0
        """Connections that it let through."""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        """Where it listens, without a password."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen; on the port of before, when it did."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def die(self) -> None:
        """Stop listening, and end every connection in the middle of whatever it was."""
        assert self._server is not None, "it was started"
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def cut(self) -> None:
        """End every connection, and listen on."""
        for writer in list(self._open):
            writer.transport.abort()

    async def __aenter__(self) -> ConnectProxy:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.die()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            target = head[0].split()[1]
            self.asked.append(target)
            status = self._answer(target, head[1:])
            writer.write(f"HTTP/1.1 {status} said\r\n\r\n".encode())
            if status == 200:
                self.passed += 1
                await self._pass(reader, writer, self.hosts[target.rpartition(":")[0]])
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _answer(self, target: str, headers: list[str]) -> int:
        if self.status is not None:
            return self.status
        if self.user is not None:
            basic = f"Proxy-Authorization: Basic {b64encode(self.user.encode()).decode()}"
            if basic.lower() not in (header.lower() for header in headers):
                return 407
        return 200 if target.rpartition(":")[0] in self.hosts else 403

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        above, up = await asyncio.open_connection("127.0.0.1", port)
        self._open.add(up)
        try:
            ways = [asyncio.create_task(_copy(reader, up)), asyncio.create_task(_copy(above, writer))]
            await asyncio.wait(ways)
        finally:
            self._open.discard(up)
            up.close()
            with suppress(OSError):
                await up.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
