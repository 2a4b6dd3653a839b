"""A TCP proxy on the loopback that does what networks do: waits, slices, loses, flips, stalls, cuts, replays.

Between real processes or inside a test, on the test's event loop. `up` is what the client sends, `down` what it gets;
knobs may be turned while connections are open. Everything random comes from one seed, which is logged.

    async with ChaosProxy(hub.port, seed=7) as proxy:
        proxy.up.latency_s = 0.3
        …dial proxy.port…
        proxy.cut()
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

log = logging.getLogger("chaos")

CHUNK = 65_536
TICK_S = 0.02


@dataclass
class Knobs:
    """What happens to the bytes of one direction; as it is made, nothing does."""

    latency_s: float = 0.0
    jitter_s: float = 0.0
    """So much more at most, at random; the order of the bytes stays."""
    rate: float = 0.0
    """Bytes a second; 0: as fast as it goes. Slowloris is a rate of 1 and a slice of 1."""
    slice: int = 0
    """At most so many bytes at once; 0: as they come."""
    stall: bool = False
    """Nothing passes, the sockets stay open: a black hole."""
    drop_after: int | None = None
    """After so many bytes of a connection nothing of it passes any more, and nobody is told."""
    cut_after: int | None = None
    """After so many bytes of a connection both its sockets get a reset."""
    half_close_after: int | None = None
    """After so many bytes this direction ends (FIN); the other one goes on."""
    truncate_after: int | None = None
    """After so many bytes the connection ends in good order in the middle of whatever it was."""
    flip_every: int = 0
    """About every so many bytes one bit is another; 0: never."""
    flip_from: int = 0
    """The first bytes of a connection that are left alone (the upgrade, the handshake)."""


@dataclass(eq=False)
class Pipe:
    """One client connection and its own to the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    said: bytearray = field(default_factory=bytearray)
    """What the client has sent, when it is recorded."""
    passed: dict[str, int] = field(default_factory=lambda: {"up": 0, "down": 0})
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def reset(self) -> None:
        """RST to both ends."""
        for writer in (self.client, self.server):
            sock = writer.get_extra_info("socket")
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class ChaosProxy:
    """Listens on `port` of 127.0.0.1 (or `host`) and passes everything to the server's port, as the knobs say."""

    def __init__(self, server_port: int, *, seed: int = 0, host: str = "127.0.0.1", record: bool = False) -> None:
        self.server_port = server_port
        self.up = Knobs()
        self.down = Knobs()
        self.refuse = False
        """New connections get a reset at once."""
        self.record = record
        self.pipes: list[Pipe] = []
        """Connections that are open, oldest first."""
        self.zombies: list[Pipe] = []
        """Of whose server side the client knows nothing any more (`orphan`)."""
        self.connections = 0
        self.flipped = 0
        self.port = 0
        self._host = host
        self._random = random.Random(seed)
        self._server: asyncio.Server | None = None
        self._handlers: set[asyncio.Task[None]] = set()
        log.warning("chaos proxy with seed %d", seed)

    async def __aenter__(self) -> ChaosProxy:
        self._server = await asyncio.start_server(self._accept, self._host, 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for pipe in [*self.pipes, *self.zombies]:
            pipe.reset()
            for task in pipe.tasks:
                task.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)
        await self._server.wait_closed()

    # -- what a test does ------------------------------------------------------------------------------------------

    def calm(self) -> None:
        """All knobs back; connections stay as they are."""
        self.up, self.down, self.refuse = Knobs(), Knobs(), False

    def cut(self) -> None:
        """Reset every open connection."""
        for pipe in [*self.pipes]:
            pipe.reset()

    async def redialled(self) -> None:
        """Reset every open connection, and wait until the client has dialled again."""
        old = set(self.pipes)
        self.cut()
        while not set(self.pipes) - old:
            await asyncio.sleep(TICK_S / 4)

    def orphan(self) -> Pipe:
        """Cut the newest connection on the client's side only: the server goes on believing in it."""
        pipe = self.pipes[-1]
        for task in pipe.tasks:
            task.cancel()
        pipe.client.transport.abort()
        self.zombies.append(pipe)
        return pipe

    async def replay(self, said: bytes, *, zombie: Pipe | None = None) -> bytes:
        """Send recorded bytes of a client once more, on a connection of their own or on a zombie's; what is answered.

        Returns when the server closes, or has nothing to say for a while.
        """
        if zombie is not None:
            with suppress(OSError):
                zombie.server.write(said)
                await zombie.server.drain()
            return b""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server_port)
        head, end, rest = said.partition(b"\r\n\r\n")
        writer.write(head + end)
        heard = b""
        with suppress(OSError):
            heard = await reader.read(CHUNK)  # the upgrade is answered before a client says more
            writer.write(rest)
        with suppress(OSError, TimeoutError):
            while chunk := await asyncio.wait_for(reader.read(CHUNK), 1.0):
                heard += chunk
        writer.transport.abort()
        return heard

    # -- one connection --------------------------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self.connections += 1
        try:
            if self.refuse:
                writer.transport.abort()
                return
            try:
                back, forth = await asyncio.open_connection("127.0.0.1", self.server_port)
            except OSError:
                writer.transport.abort()
                return
            pipe = Pipe(writer, forth)
            self.pipes.append(pipe)
            pipe.tasks = [
                asyncio.create_task(self._pass(pipe, "up", reader, forth)),
                asyncio.create_task(self._pass(pipe, "down", back, writer)),
            ]
            try:
                await asyncio.wait(pipe.tasks)
            finally:
                for work in pipe.tasks:
                    work.cancel()
                await asyncio.gather(*pipe.tasks, return_exceptions=True)
                self.pipes.remove(pipe)
                writer.transport.abort()
                if pipe not in self.zombies:
                    forth.transport.abort()
        finally:
            self._handlers.discard(task)

    async def _pass(self, pipe: Pipe, way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # What was read waits here with the moment at which it may go on: latency is no rate.
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(256)
        due = 0.0

        async def read() -> None:
            nonlocal due
            loop = asyncio.get_running_loop()
            with suppress(OSError):
                while data := await reader.read(CHUNK):
                    if way == "up" and self.record:
                        pipe.said += data
                    knobs = self._knobs(way)
                    due = max(due, loop.time() + knobs.latency_s + self._random.random() * knobs.jitter_s)
                    await waiting.put((due, data))
            await waiting.put((due, b""))

        reading = asyncio.create_task(read())
        try:
            with suppress(OSError):
                while True:
                    at, data = await waiting.get()
                    await asyncio.sleep(max(0.0, at - asyncio.get_running_loop().time()))
                    if not data:
                        break
                    if not await self._deliver(pipe, way, data, writer):
                        return
                if writer.can_write_eof():
                    writer.write_eof()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _deliver(self, pipe: Pipe, way: str, data: bytes, writer: asyncio.StreamWriter) -> bool:
        """Pass some bytes on; False when this direction has ended."""
        while data:
            while self._knobs(way).stall:
                await asyncio.sleep(TICK_S)
            knobs, passed = self._knobs(way), pipe.passed[way]
            size = min(len(data), knobs.slice or len(data))
            if knobs.rate:
                size = min(size, max(1, int(knobs.rate * TICK_S)))
            limits = (knobs.drop_after, knobs.cut_after, knobs.half_close_after, knobs.truncate_after)
            size = min(size, *(max(0, limit - passed) for limit in limits if limit is not None), size)
            if size:
                writer.write(self._flip(knobs, passed, data[:size]))
                await writer.drain()
                pipe.passed[way] += size
                data = data[size:]
                if knobs.rate:
                    await asyncio.sleep(size / knobs.rate)
                elif knobs.slice:
                    await asyncio.sleep(0)
                continue
            if knobs.cut_after is not None and passed >= knobs.cut_after:
                pipe.reset()
            elif knobs.truncate_after is not None and passed >= knobs.truncate_after:
                pipe.client.close()
                pipe.server.close()
            elif knobs.half_close_after is not None and passed >= knobs.half_close_after:
                writer.write_eof()
            else:  # dropped: the rest of this direction goes nowhere
                await asyncio.Event().wait()
            return False
        return True

    def _flip(self, knobs: Knobs, passed: int, data: bytes) -> bytes:
        if not knobs.flip_every or passed < knobs.flip_from:
            return data
        changed = bytearray(data)
        for at in range(len(changed)):
            if self._random.random() * knobs.flip_every < 1.0:
                changed[at] ^= 1 << self._random.randrange(8)
                self.flipped += 1
        return bytes(changed)

    def _knobs(self, way: str) -> Knobs:
        return self.up if way == "up" else self.down
