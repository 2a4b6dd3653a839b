"""PendingRequestMap: the caller's end of the call protocol over an event target (`reference/alkdev.md` 2.7).

Every map has a reply topic of its own, a random id that goes with each request as the envelope's id; answers come back
on `call.responded:ID` and so on, which nobody else hears. Within it, answers find their call by `payload.requestId`;
an answer to a request that is unknown, or was answered, is passed over.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from storage.engine.payload import dumps
from storage.events.envelope import EventEnvelope
from storage.events.pubsub import MAX_WAITING, SlowConsumerError
from storage.events.target import EventTarget, log
from sync.calls.errors import (
    EXECUTION_ERROR,
    AbortedError,
    CallTimeoutError,
    ExecutionError,
    from_code,
)

ANSWERS = ("call.responded", "call.error", "call.completed", "call.aborted")


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """The payload of any answer."""

    request_id: str
    output: Any = None
    code: str = EXECUTION_ERROR
    message: str = ""
    hint: str = ""
    details: dict[str, Any] | None = None


@dataclass(slots=True)
class _Pending:
    many: bool
    waiting: deque[Any] = field(default_factory=deque)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False
    error: Exception | None = None

    def end(self, error: Exception | None = None) -> None:
        if not self.ended:
            self.ended, self.error = True, error
            self.arrived.set()


class PendingRequestMap:
    """Calls that wait for their answers. Belongs to one event loop."""

    def __init__(
        self,
        target: EventTarget,
        new_id: Callable[[], str],
        clock_ms: Callable[[], int] = lambda: int(time.time() * 1000),
    ) -> None:
        self._target = target
        self._new_id = new_id
        self._clock_ms = clock_ms
        self._reply = new_id()
        self._pending: dict[str, _Pending] = {}
        for kind in ANSWERS:
            target.add_event_listener(f"{kind}:{self._reply}", self._answered)

    @property
    def pending(self) -> int:
        """Calls and subscriptions that wait."""
        return len(self._pending)

    async def call(
        self,
        operation_id: str,
        value: Any = None,
        *,
        parent_request_id: str | None = None,
        deadline: int | None = None,
        session_id: str | None = None,
    ) -> Any:
        """Call, and return the ResponseEnvelope's data.

        `deadline` is unix milliseconds; behind it the call is aborted at the other end. So it is when this is
        cancelled.

        Raises:
            CallTimeoutError: the deadline passed.
            AbortedError: the call was aborted, ended without an answer, or the target was closed.
            CallFailed: the error that the other end answered.
        """
        request_id, entry = self._enter(many=False)
        try:
            await self._request(request_id, operation_id, value, parent_request_id, session_id, deadline=deadline)
            left = None if deadline is None else max(0.0, (deadline - self._clock_ms()) / 1000)
            async with asyncio.timeout(left):
                await entry.arrived.wait()
        except TimeoutError:
            await self.abort(request_id)
            raise CallTimeoutError("no answer before the deadline", details={"deadline": deadline}) from None
        except asyncio.CancelledError:
            await asyncio.shield(self.abort(request_id))
            raise
        finally:
            self._pending.pop(request_id, None)
        if entry.waiting:
            return entry.waiting.popleft()
        raise entry.error or AbortedError("completed without response")

    async def subscribe(
        self,
        operation_id: str,
        value: Any = None,
        *,
        parent_request_id: str | None = None,
        idle_timeout: int | None = None,
        session_id: str | None = None,
    ) -> AsyncGenerator[Any, None]:
        """Subscribe, and yield the data of each response until the other end completes.

        `idle_timeout` is milliseconds between events. Leaving the loop early aborts the subscription at the other end;
        its natural end does not. At most 10 000 responses wait for a reader that is slow.

        Raises:
            CallTimeoutError: nothing came for `idle_timeout`; the subscription was aborted.
            SlowConsumerError: behind the last response that fitted; it was aborted.
            CallFailed: as `call`.
        """
        request_id, entry = self._enter(many=True)
        done = False
        try:
            await self._request(
                request_id, operation_id, value, parent_request_id, session_id, idle_timeout=idle_timeout
            )
            while True:
                while entry.waiting:
                    yield entry.waiting.popleft()
                if entry.ended:
                    done = not isinstance(entry.error, SlowConsumerError)
                    if entry.error is not None:
                        raise entry.error
                    return
                entry.arrived.clear()
                try:
                    async with asyncio.timeout(None if idle_timeout is None else idle_timeout / 1000):
                        await entry.arrived.wait()
                except TimeoutError:
                    message = f"nothing came for {idle_timeout} ms"
                    raise CallTimeoutError(message, details={"idleTimeout": idle_timeout}) from None
        finally:
            self._pending.pop(request_id, None)
            if not done:
                await asyncio.shield(self.abort(request_id))

    async def abort(self, request_id: str) -> None:
        """Tell the other end that nobody waits for a call any more."""
        await self._send("call.aborted", {"requestId": request_id})

    async def close(self) -> None:
        """End everything that waits with ABORTED, and hear no more; idempotent. The target stays open."""
        for kind in ANSWERS:
            self._target.remove_event_listener(f"{kind}:{self._reply}", self._answered)
        for entry in self._pending.values():
            entry.end(AbortedError("the connection was closed before the answer"))

    def _enter(self, *, many: bool) -> tuple[str, _Pending]:
        request_id, entry = self._new_id(), _Pending(many)
        self._pending[request_id] = entry
        return request_id, entry

    async def _request(
        self, request_id: str, operation_id: str, value: Any, parent: str | None, session: str | None, **limits: Any
    ) -> None:
        payload = {
            "requestId": request_id,
            "operationId": operation_id,
            "input": {} if value is None else value,
            "parentRequestId": parent,
            "sessionId": session,
        }
        await self._send("call.requested", {k: v for k, v in (payload | limits).items() if v is not None})

    async def _send(self, kind: str, payload: dict[str, Any]) -> None:
        await self._target.dispatch_event(EventEnvelope(kind, self._reply, msgspec.Raw(dumps(payload).encode())))

    def _answered(self, event: EventEnvelope) -> None:
        try:
            answer = msgspec.json.decode(event.payload, type=Answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            log.warning("an answer that is none: %s", error)
            return
        entry = self._pending.get(answer.request_id)
        if entry is None or entry.ended:
            return  # an orphan: late, twice, or not ours
        match event.type:
            case "call.responded":
                self._responded(entry, answer)
            case "call.error":
                entry.end(from_code(answer.code, answer.message, answer.details, answer.hint))
            case "call.aborted":
                entry.end(AbortedError("the call was aborted"))
            case _:
                entry.end(None if entry.many else AbortedError("completed without response"))

    def _responded(self, entry: _Pending, answer: Answer) -> None:
        output = answer.output
        if not isinstance(output, dict) or "data" not in output or "meta" not in output:
            entry.end(ExecutionError("the answer is no ResponseEnvelope"))
            return
        if len(entry.waiting) >= MAX_WAITING:
            entry.end(SlowConsumerError(f"more than {MAX_WAITING} responses waited"))
            return
        entry.waiting.append(output["data"])
        entry.arrived.set()
        if not entry.many:
            entry.end()
