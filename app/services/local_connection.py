"""One connection of the local API, whatever carries its lines: calls, and streams that are followed.

One JSON object a line, an EventEnvelope whose `id` is the caller's own name for the request (`docs/local-api.md`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import msgspec

from app.services.supervisor import health
from storage.engine import Database, Event
from storage.engine.errors import EngineError
from storage.engine.payload import dumps
from storage.engine.stream import last_offset
from storage.operations.spec import Identity
from storage.scopes import covers
from sync.calls.errors import ACCESS_DENIED, EXECUTION_ERROR, MALFORMED
from sync.calls.handler import CallHandler
from sync.calls.recorder import Recorder
from sync.calls.registry import Registry

MAX_LINE_BYTES = 1_048_576
MAX_TOPICS = 32
HANG_UP_POLL_S = 0.2
"""How often to look whether a peer that has closed its side is still there for the answers."""


class LineTooLongError(Exception):
    """More than `MAX_LINE_BYTES` without an end."""


class Lines(Protocol):
    """What carries the lines."""

    async def read(self) -> bytes | None:
        """The next line, with its end where it has one; None when there are no more. Raises LineTooLongError."""

    async def write(self, text: bytes) -> None:
        """Send a line; waits while the peer does not read, which holds up its own answers and nothing else."""

    def gone(self) -> bool:
        """Whether the peer cannot get answers any more."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What connections work on."""

    db: Database
    registry: Registry
    recorder: Recorder


class _Line(msgspec.Struct, frozen=True):
    type: str
    id: str = ""
    payload: msgspec.Raw = msgspec.Raw(b"{}")


class _Subscribe(msgspec.Struct, frozen=True, rename="camel"):
    """A stream, and the offset to begin behind (default: now)."""

    topic: str
    after: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None


class Connection:
    """One peer, whose identity is known."""

    def __init__(self, serving: Serving, lines: Lines, identity: Identity) -> None:
        self._db = serving.db
        self._lines = lines
        self._identity = identity
        self._calls = CallHandler(serving.registry, serving.recorder, identity, self._send)
        self._topics: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Read lines until the peer is done, then answer what is still running; a peer that is gone ends its calls."""
        try:
            while await self._one_line():
                continue
            # `echo … | socat` closes its side at once and waits for the answer.
            while self._calls.tasks:
                await asyncio.wait(self._calls.tasks, timeout=HANG_UP_POLL_S)
                if self._lines.gone():
                    return
        finally:
            for task in self._topics.values():
                task.cancel()
            await asyncio.gather(*self._topics.values(), return_exceptions=True)
            await self._calls.close()

    async def _one_line(self) -> bool:
        try:
            text = await self._lines.read()
        except LineTooLongError:
            await self._fail("", "TOO_LARGE", f"a line has at most {MAX_LINE_BYTES} bytes")
            return False
        if text is None:
            return False
        if not text.strip():
            return True
        if not text.endswith(b"\n"):
            await self._fail("", MALFORMED, "the last line has no end; it was not read")
            return False
        try:
            await self._handle(msgspec.json.decode(text, type=_Line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            await self._fail("", MALFORMED, f"not an event envelope: {error}")
        return True

    async def _handle(self, got: _Line) -> None:
        match got.type:
            case "call.requested":
                await self._calls.requested(got.id, got.payload)
            case "call.aborted":
                await self._calls.aborted(got.id, got.payload)
            case "__subscribe":
                await self._subscribe(got.id, msgspec.json.decode(got.payload, type=_Subscribe))
            case "__unsubscribe":
                task = self._topics.pop(msgspec.json.decode(got.payload, type=_Subscribe).topic, None)
                if task is not None:
                    task.cancel()
            case "__health":
                await self._send("__health", got.id, health())
            case other:
                await self._fail(
                    got.id, "UNKNOWN_TYPE", f"{other[:60]!r}: call.requested, call.aborted, __subscribe, __unsubscribe"
                )

    async def _subscribe(self, name: str, wanted: _Subscribe) -> None:
        if wanted.topic in self._topics:
            return
        if not covers(self._identity.scopes, "stream:read"):
            await self._fail(name, ACCESS_DENIED, f"{self._identity.id} may not follow streams: needs stream:read")
            return
        if len(self._topics) >= MAX_TOPICS:
            await self._fail(name, "TOO_MANY", f"{MAX_TOPICS} subscriptions")
            return
        after = wanted.after
        if after is None:
            after = await self._db.read(lambda snapshot: last_offset(snapshot, wanted.topic))
        await self._send("__subscribed", name, {"topic": wanted.topic, "after": after})
        self._topics[wanted.topic] = asyncio.create_task(self._follow(wanted.topic, after))

    async def _follow(self, topic: str, after: int) -> None:
        events: AsyncIterator[Event] = self._db.stream(topic).subscribe(from_offset=after)
        try:
            async for event in events:
                await self._send_event(topic, event)
        except EngineError as error:
            self._topics.pop(topic, None)
            await self._fail("", EXECUTION_ERROR, f"{topic} is not followed any more: {error}")

    async def _send_event(self, topic: str, event: Event) -> None:
        await self._lines.write(b'{"type":"stream.event","id":%b,"payload":%b}\n' % (_json(topic), _event(event)))

    async def _fail(self, name: str, code: str, message: str) -> None:
        await self._send("call.error", name, {"code": code, "message": message})

    async def _send(self, kind: str, name: str, payload: dict[str, Any]) -> None:
        await self._lines.write(line(kind, name, payload))


def line(kind: str, name: str, payload: dict[str, Any]) -> bytes:
    """An envelope as a line."""
    return (dumps({"type": kind, "id": name, "payload": payload}) + "\n").encode()


def _json(text: str) -> bytes:
    return msgspec.json.encode(text)


def _event(event: Event) -> bytes:
    """An event of a stream; its payload is passed on as it is stored."""
    head = msgspec.json.encode({"offset": event.offset, "key": event.key, "createdAt": event.created_at})
    return b'%b,"payload":%b}' % (head[:-1], event.payload_json.encode(errors="replace"))
