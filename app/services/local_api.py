"""The local API: the call protocol on a Unix socket, one JSON object a line (`docs/local-api.md`).

Who may connect is decided by the kernel: the socket is 0600 in a folder of 0700, and the peer's user id must be ours
or root's. Whoever gets in may do everything, as at the terminal; what they send about their identity is not believed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import select
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from storage.engine import Database, Event
from storage.engine.errors import EngineError
from storage.engine.payload import dumps
from storage.operations.abort import Abort
from storage.operations.spec import Identity
from sync.calls.errors import TIMEOUT, CallFailed
from sync.calls.recorder import Call, Outcome, Recorder
from sync.calls.registry import Registry

MAX_LINE_BYTES = 1_048_576
MAX_CONNECTIONS = 64
MAX_CALLS = 16
"""Calls of one connection that run at once; the next one waits."""
MAX_SUBSCRIPTIONS = 32
HANG_UP_POLL_S = 0.2
"""How often to look whether a peer that has closed its side is still there for the answers."""
MAX_PATH_BYTES = 100
"""Of the socket's path: the kernel takes 108."""

log = logging.getLogger("spoke.api")


class SocketPathError(EngineError):
    """The path of the socket is too long for the kernel."""

    hint = "choose a shorter --data-dir"


class Line(msgspec.Struct, frozen=True):
    """What comes in: an EventEnvelope whose `id` is the caller's own name for the request."""

    type: str
    id: str = ""
    payload: msgspec.Raw = msgspec.Raw(b"{}")


class Requested(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The payload of `call.requested`. Other fields, such as an identity, are passed over."""

    operation_id: str
    input: msgspec.Raw = msgspec.Raw(b"{}")
    parent_request_id: str | None = None
    deadline: int | None = None
    """Unix milliseconds; behind it the caller gets TIMEOUT, and the call is asked to stop."""
    session_id: str | None = None


class Subscribe(msgspec.Struct, frozen=True, rename="camel"):
    """The payload of `__subscribe` and `__unsubscribe`: a stream, and the offset to begin behind (default: now)."""

    topic: str
    after: int | None = None


class LocalApi:
    """Serves one socket for one database."""

    def __init__(
        self,
        db: Database,
        registry: Registry,
        recorder: Recorder,
        path: Path,
        clock_ms: Callable[[], int] = lambda: int(time.time() * 1000),
    ) -> None:
        self._db = db
        self._registry = registry
        self._recorder = recorder
        self._path = path
        self._clock_ms = clock_ms
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
                writer.write(_line("error", "", {"code": "TOO_MANY", "message": f"{MAX_CONNECTIONS} connections"}))
            else:
                await _Connection(self, reader, writer, Identity(f"local:{uid}", ("*",))).run()
        except (ConnectionError, asyncio.CancelledError):
            return  # it has left, or we stop
        finally:
            if task is not None:
                self._open.discard(task)
            writer.close()

    def abort(self, request_id: str, abort: Abort) -> None:
        """Ask a call and its descendants to stop; also one that has not begun."""
        abort.set()
        self._recorder.abort(request_id)

    def new_id(self) -> str:
        """A request id."""
        return self._recorder.new_id()

    async def execute(self, request: Requested, request_id: str, abort: Abort, identity: Identity) -> Outcome:
        """Run a call on a worker thread, recorded."""
        call = Call(
            request_id=request_id,
            abort=abort,
            operation_id=request.operation_id,
            input=json.loads(bytes(request.input)),
            identity=identity,
            parent_request_id=request.parent_request_id,
            session_id=request.session_id,
        )

        def work() -> Outcome:
            self._registry.check(call.operation_id, call.input)  # a call that cannot be is in no log
            (outcome,) = self._recorder.execute(self._registry, [call])
            return outcome

        return await asyncio.to_thread(work)

    def seconds_left(self, deadline: int | None) -> float | None:
        """Until a deadline."""
        return None if deadline is None else max(0.0, (deadline - self._clock_ms()) / 1000)

    async def last_offset(self, topic: str) -> int:
        """Where a stream ends now."""
        from storage.engine.stream import last_offset

        return await self._db.read(lambda snapshot: last_offset(snapshot, topic))

    def follow(self, topic: str, after: int) -> AsyncIterator[Event]:
        """Events of a stream behind an offset, for ever."""
        return self._db.stream(topic).subscribe(from_offset=after)


class _Connection:
    def __init__(
        self, api: LocalApi, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, identity: Identity
    ) -> None:
        self._api = api
        self._reader = reader
        self._writer = writer
        self._identity = identity
        self._calls = asyncio.Semaphore(MAX_CALLS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._topics: dict[str, asyncio.Task[None]] = {}
        self._running: dict[str, tuple[str, Abort]] = {}
        """Calls that run: the caller's name for each, its request id, and how to stop it."""

    async def run(self) -> None:
        """Read lines until the peer is done, then answer what is still running."""
        try:
            while await self._one_line():
                continue
            # `echo … | socat` closes its side at once and waits for the answer: a peer that is gone ends its calls.
            while running := self._tasks - set(self._topics.values()):
                await asyncio.wait(running, timeout=HANG_UP_POLL_S)
                if hung_up(self._writer.get_extra_info("socket")):
                    return
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _one_line(self) -> bool:
        try:
            text = await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            if error.partial.strip():
                await self._fail("", "MALFORMED", "the last line has no end; it was not read")
            return False
        except asyncio.LimitOverrunError:
            await self._fail("", "TOO_LARGE", f"a line has at most {MAX_LINE_BYTES} bytes")
            return False
        if not text.strip():
            return True
        try:
            line = msgspec.json.decode(text, type=Line)
            await self._handle(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            await self._fail("", "MALFORMED", f"not an event envelope: {error}")
        return True

    async def _handle(self, line: Line) -> None:
        match line.type:
            case "call.requested":
                request = msgspec.json.decode(line.payload, type=Requested)
                await self._calls.acquire()
                running = self._api.new_id(), Abort()
                self._running[line.id] = running  # now: the next line may be its abort
                self._start(self._call(line.id, request, running))
            case "call.aborted":
                known = self._running.get(line.id)
                if known is not None:  # an answer may have crossed it on its way: then there is nothing to stop
                    await asyncio.to_thread(self._api.abort, *known)
            case "__subscribe":
                await self._subscribe(line.id, msgspec.json.decode(line.payload, type=Subscribe))
            case "__unsubscribe":
                topic = msgspec.json.decode(line.payload, type=Subscribe).topic
                task = self._topics.pop(topic, None)
                if task is not None:
                    task.cancel()
            case other:
                await self._fail(
                    line.id, "UNKNOWN_TYPE", f"{other[:60]!r}: call.requested, call.aborted, __subscribe, __unsubscribe"
                )

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _call(self, name: str, request: Requested, running: tuple[str, Abort]) -> None:
        try:
            working = asyncio.ensure_future(self._api.execute(request, *running, self._identity))
            left = self._api.seconds_left(request.deadline)
            done, _ = await asyncio.wait({working}, timeout=left)
            if not done:
                await asyncio.to_thread(self._api.abort, *running)
                working.add_done_callback(lambda ended: ended.exception())  # its outcome is in the log
                await self._fail(name, TIMEOUT, "the deadline has passed; the call was asked to stop")
                return
            outcome = working.result()
            if outcome.error is not None:
                await self._refuse(name, outcome.error, outcome.request_id)
                return
            output = {"data": outcome.output, "meta": {"source": "local", "operationId": request.operation_id}}
            await self._send("call.responded", name, {"requestId": outcome.request_id, "output": output})
        except CallFailed as error:
            await self._refuse(name, error, None)
        except (EngineError, ValueError, RecursionError) as error:
            await self._fail(name, "EXECUTION_ERROR", str(error))
        except asyncio.CancelledError:
            self._api.abort(*running)  # the peer has gone, or we stop: nobody waits for the answer
            raise
        finally:
            if self._running.get(name) == running:
                del self._running[name]
            self._calls.release()

    async def _subscribe(self, name: str, wanted: Subscribe) -> None:
        if wanted.topic in self._topics:
            return
        if len(self._topics) >= MAX_SUBSCRIPTIONS:
            await self._fail(name, "TOO_MANY", f"{MAX_SUBSCRIPTIONS} subscriptions")
            return
        after = wanted.after if wanted.after is not None else await self._api.last_offset(wanted.topic)
        self._topics[wanted.topic] = self._start(self._follow(wanted.topic, after))
        await self._send("__subscribed", name, {"topic": wanted.topic, "after": after})

    async def _follow(self, topic: str, after: int) -> None:
        async for event in self._api.follow(topic, after):
            await self._send_raw("stream.event", topic, _event(event))

    async def _refuse(self, name: str, error: CallFailed, request_id: str | None) -> None:
        payload = {"requestId": request_id, "code": error.code, "message": error.message, "hint": error.hint or None}
        if error.details:
            payload["details"] = error.details  # type: ignore[assignment]
        await self._send("call.error", name, {key: value for key, value in payload.items() if value is not None})

    async def _fail(self, name: str, code: str, message: str) -> None:
        await self._send("call.error", name, {"code": code, "message": message})

    async def _send(self, kind: str, name: str, payload: dict[str, Any]) -> None:
        self._writer.write(_line(kind, name, payload))
        await self._writer.drain()  # a peer that does not read holds up its own answers, and nothing else

    async def _send_raw(self, kind: str, name: str, payload: bytes) -> None:
        self._writer.write(b'{"type":%b,"id":%b,"payload":%b}\n' % (_json(kind), _json(name), payload))
        await self._writer.drain()


def hung_up(connection: socket.socket) -> bool:
    """Whether the peer has closed both directions: the kernel tells that apart from a side that was shut down."""
    poll = select.poll()
    poll.register(connection.fileno(), 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))


def peer_uid(connection: socket.socket) -> int:
    """The user id of the process at the other end, as the kernel knows it."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def _line(kind: str, name: str, payload: dict[str, Any]) -> bytes:
    return (dumps({"type": kind, "id": name, "payload": payload}) + "\n").encode()


def _json(text: str) -> bytes:
    return msgspec.json.encode(text)


def _event(event: Event) -> bytes:
    """An event of a stream; its payload is passed on as it is stored."""
    head = msgspec.json.encode({"offset": event.offset, "key": event.key, "createdAt": event.created_at})
    return b'%b,"payload":%b}' % (head[:-1], event.payload_json.encode(errors="replace"))
