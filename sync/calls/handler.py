"""CallHandler: executes what one caller asks for, and answers that caller alone.

It stands behind every way in: a line on the Unix socket, a WebSocket message, an event target between nodes. Who calls
is decided by whoever made the connection; what a request says about its identity is not read.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeAlias

import msgspec

from storage.engine.errors import EngineError
from storage.engine.payload import dumps
from storage.events.envelope import EventEnvelope
from storage.events.target import EventTarget
from storage.operations.abort import Abort
from storage.operations.spec import Identity
from sync.calls.errors import (
    MALFORMED,
    AbortedError,
    BusyError,
    CallFailed,
    CallTimeoutError,
    ExecutionError,
    ValidationError,
)
from sync.calls.events import Call
from sync.calls.recorder import Recorder
from sync.calls.registry import Registry

MAX_CALLS = 16
"""Calls of one caller that run at once; the next one waits."""
MAX_WAITING = 1_000
"""Calls of one caller that may wait, where it cannot be held back."""
MAX_SUBSCRIPTIONS = 32
IDLE_TIMEOUT_MS = 3_600_000
"""A subscription that names no idle time-out and says nothing for an hour is over."""
MAX_ID = 64

Send: TypeAlias = Callable[[str, str, dict[str, Any]], Awaitable[None]]
"""Sends an event to the caller: type, the caller's own name for the request, payload."""


class Requested(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The payload of `call.requested`. Other fields, such as an identity, are passed over."""

    operation_id: str
    input: msgspec.Raw = msgspec.Raw(b"{}")
    request_id: str | None = None
    """The caller's choice, if it is fresh; it becomes the call's id in the log."""
    parent_request_id: str | None = None
    deadline: int | None = None
    """Unix milliseconds; behind it the caller gets TIMEOUT, and the call is asked to stop."""
    idle_timeout: int | None = None
    """Milliseconds between two events of a subscription."""
    session_id: str | None = None


class Reference(msgspec.Struct, frozen=True, rename="camel"):
    """The payload of `call.aborted`: which call; without it, the one that the envelope's id names."""

    request_id: str | None = None


class CallHandler:
    """Calls of one authenticated caller. Belongs to one event loop; handlers of operations run on threads."""

    def __init__(
        self,
        registry: Registry,
        recorder: Recorder,
        identity: Identity,
        send: Send,
        clock_ms: Callable[[], int] = lambda: int(time.time() * 1000),
    ) -> None:
        self._registry = registry
        self._recorder = recorder
        self._identity = identity
        self._send = send
        self._clock_ms = clock_ms
        self._slots = asyncio.Semaphore(MAX_CALLS)
        self._subscriptions = 0
        self._running: dict[str, tuple[str, Abort]] = {}
        """By request id: the caller's name for the call, and how to stop it."""
        self.tasks: set[asyncio.Task[None]] = set()
        """What runs."""

    async def requested(self, name: str, payload: bytes | msgspec.Raw) -> None:
        """Begin a call; waits while this caller has `MAX_CALLS` of them. `name` comes back with every answer.

        Everything that goes wrong is an answer (`call.error`), never an exception.
        """
        try:
            request = msgspec.json.decode(payload, type=Requested)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            malformed = {"requestId": _id_of(payload), "code": MALFORMED, "message": f"not a call.requested: {error}"}
            await self._send("call.error", name, {key: value for key, value in malformed.items() if value is not None})
            return
        abort, request_id = Abort(), request.request_id or self._recorder.new_id()
        if request_id in self._running:
            await self.refuse(name, _taken(request_id), request_id)
            return
        self._running[request_id] = name, abort  # before anything is awaited: the next message may be its abort
        try:
            if request.request_id is not None:
                await self._check_id(request.request_id)
            kind = await asyncio.to_thread(self._kind, request)
        except CallFailed as error:
            del self._running[request_id]
            await self.refuse(name, error, request_id)
            return
        if kind == "subscription":
            if self._subscriptions >= MAX_SUBSCRIPTIONS:
                del self._running[request_id]
                await self.refuse(name, BusyError(f"{MAX_SUBSCRIPTIONS} subscriptions run"), request_id)
                return
            self._subscriptions += 1
            self.start(self._subscription(name, request, request_id, abort))
            return
        await self._slots.acquire()
        self.start(self._call(name, request, request_id, abort))

    async def aborted(self, name: str, payload: bytes | msgspec.Raw = b"{}") -> None:
        """Ask calls to stop, and what they led to. One that has ended meanwhile is no error: the answers crossed."""
        wanted = _id_of(payload)
        for request_id, (known, abort) in list(self._running.items()):
            if request_id == wanted or (wanted is None and known == name):
                await asyncio.to_thread(self._abort, request_id, abort)

    async def close(self) -> None:
        """Abort everything and wait for it: nobody is there for the answers."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that ends with this handler."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _abort(self, request_id: str, abort: Abort) -> None:
        abort.set()
        self._recorder.abort(request_id)

    def _kind(self, request: Requested) -> str:
        try:
            given = json.loads(bytes(request.input))
        except (ValueError, RecursionError) as error:
            raise ValidationError(f"input of {request.operation_id[:100]}: {error}") from error
        self._registry.check(request.operation_id, given)  # a call that cannot be is in no log
        return self._registry.get_spec(request.operation_id).type

    async def _check_id(self, wanted: str) -> None:
        if not 8 <= len(wanted) <= MAX_ID or not wanted.isascii() or not wanted.isprintable():
            raise ValidationError(f"requestId: 8 to {MAX_ID} ASCII characters, a UUID for instance")
        if await asyncio.to_thread(self._recorder.is_known, wanted):
            raise _taken(wanted)

    def _to_execute(self, request: Requested, request_id: str, abort: Abort) -> Call:
        return Call(
            operation_id=request.operation_id,
            input=json.loads(bytes(request.input)),
            identity=self._identity,
            parent_request_id=request.parent_request_id,
            session_id=request.session_id,
            request_id=request_id,
            deadline=request.deadline,
            idle_timeout=request.idle_timeout,
            abort=abort,
        )

    def _seconds_left(self, deadline: int | None) -> float | None:
        return None if deadline is None else max(0.0, (deadline - self._clock_ms()) / 1000)

    async def _call(self, name: str, request: Requested, request_id: str, abort: Abort) -> None:
        call = self._to_execute(request, request_id, abort)
        try:
            working = asyncio.ensure_future(asyncio.to_thread(self._recorder.execute, self._registry, [call]))
            done, _ = await asyncio.wait({working}, timeout=self._seconds_left(request.deadline))
            if not done:
                await asyncio.to_thread(self._abort, request_id, abort)
                working.add_done_callback(lambda ended: ended.exception())  # its outcome is in the log
                late = CallTimeoutError(
                    "the deadline has passed; the call was asked to stop", details={"deadline": request.deadline}
                )
                await self.refuse(name, late, request_id)
                return
            (outcome,) = working.result()
            if outcome.error is not None:
                await self.refuse(name, outcome.error, request_id)
            else:
                await self._respond(name, request, request_id, outcome.output)
        except (EngineError, ValueError, RecursionError) as error:
            await self.refuse(name, ExecutionError(str(error)), request_id)
        except asyncio.CancelledError:
            self._abort(request_id, abort)  # the caller has gone, or we stop: nobody waits for the answer
            raise
        finally:
            self._running.pop(request_id, None)
            self._slots.release()

    async def _subscription(self, name: str, request: Requested, request_id: str, abort: Abort) -> None:
        call = self._to_execute(request, request_id, abort)
        idle_ms = request.idle_timeout or IDLE_TIMEOUT_MS
        try:
            async with aclosing(self._recorder.subscribe(self._registry, call)) as outputs:
                while (output := await self._next(outputs, idle_ms, request.deadline)) is not None:
                    await self._respond(name, request, request_id, output)
            await self._send("call.completed", name, {"requestId": request_id})
        except AbortedError:
            await self._send("call.aborted", name, {"requestId": request_id})
        except CallFailed as error:
            await self.refuse(name, error, request_id)
        except EngineError as error:
            await self.refuse(name, ExecutionError(str(error), hint=error.hint), request_id)
        finally:
            self._running.pop(request_id, None)
            self._subscriptions -= 1

    async def _next(
        self, outputs: AsyncGenerator[dict[str, Any], None], idle_ms: int, deadline: int | None
    ) -> dict[str, Any] | None:
        left = self._seconds_left(deadline)
        seconds = idle_ms / 1000 if left is None else min(idle_ms / 1000, left)
        try:
            async with asyncio.timeout(seconds):
                return await anext(outputs, None)
        except TimeoutError:
            if left is not None and left < idle_ms / 1000:
                raise CallTimeoutError("the deadline has passed", details={"deadline": deadline}) from None
            message = f"nothing came for {idle_ms} ms"
            raise CallTimeoutError(message, details={"idleTimeout": idle_ms}) from None

    async def _respond(self, name: str, request: Requested, request_id: str, data: Any) -> None:
        output = {"data": data, "meta": {"source": "local", "operationId": request.operation_id}}
        await self._send("call.responded", name, {"requestId": request_id, "output": output})

    async def refuse(self, name: str, error: CallFailed, request_id: str | None) -> None:
        """Answer with an error."""
        payload = {
            "requestId": request_id,
            "code": error.code,
            "message": error.message,
            "hint": error.hint or None,
            "details": error.details,
        }
        await self._send("call.error", name, {key: value for key, value in payload.items() if value is not None})


def _taken(request_id: str) -> ValidationError:
    return ValidationError(f"requestId {request_id} is taken", hint="make a fresh id for every call")


@asynccontextmanager
async def serving(
    target: EventTarget, registry: Registry, recorder: Recorder, identity: Identity, **options: Any
) -> AsyncIterator[CallHandler]:
    """While the block runs, execute the calls that come over an event target; all of them are `identity`'s.

    Answers carry the id of the request's envelope (the caller's reply topic, see `sync.calls.pending`), so that only
    the caller hears them. Over a target a caller cannot be held back: what is behind `MAX_WAITING` calls gets BUSY.
    """

    async def send(kind: str, name: str, payload: dict[str, Any]) -> None:
        await target.dispatch_event(EventEnvelope(kind, name, msgspec.Raw(dumps(payload).encode())))

    handler = CallHandler(registry, recorder, identity, send, **options)
    waiting: asyncio.Queue[EventEnvelope] = asyncio.Queue()
    unwanted: set[str | None] = set()

    def hear(event: EventEnvelope) -> None:
        if event.type == "call.aborted":
            if not waiting.empty():
                unwanted.add(_id_of(event.payload))  # it may be one of those that wait
            handler.start(handler.aborted(event.id, event.payload))
        elif waiting.qsize() >= MAX_WAITING:
            handler.start(handler.refuse(event.id, BusyError(f"{MAX_WAITING} calls wait"), _id_of(event.payload)))
        else:
            waiting.put_nowait(event)

    async def work() -> None:
        while True:
            event = await waiting.get()
            request_id = _id_of(event.payload)
            if request_id is not None and request_id in unwanted:
                await send("call.aborted", event.id, {"requestId": request_id})
            else:
                await handler.requested(event.id, event.payload)
            if waiting.empty():
                unwanted.clear()

    target.add_event_listener("call.requested:*", hear)
    target.add_event_listener("call.aborted:*", hear)
    handler.start(work())
    try:
        yield handler
    finally:
        target.remove_event_listener("call.requested:*", hear)
        target.remove_event_listener("call.aborted:*", hear)
        await handler.close()


def _id_of(payload: bytes | msgspec.Raw) -> str | None:
    try:
        return msgspec.json.decode(payload, type=Reference).request_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
