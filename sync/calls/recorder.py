"""Calls in the log: `call.requested` is committed before the work begins, its outcome when it ends.

A crash in between leaves a call that is pending: it began, and nobody knows how it ended. It is never run again by
itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from storage.engine import Database, Transaction
from storage.engine.payload import dumps
from storage.events.call_events import (
    STREAM,
    CallAborted,
    CallError,
    CallIdentity,
    CallMetadata,
    CallRequested,
    CallResponded,
)
from storage.events.envelope import encode, iso
from storage.operations.abort import Abort
from storage.operations.spec import Identity, OperationContext
from sync.calls.errors import ABORTED, AbortedError, CallFailed
from sync.calls.registry import Registry

AbortPolicy: TypeAlias = Literal["abort-dependents", "continue-running"]
"""What becomes of the calls that an aborted call has made (`reference/alkdev.md` 2.10)."""

HIDDEN = {"redacted": True}
"""What the log shows of the input and output of a sensitive operation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call to be executed: which operation, with what, for whom, inside what."""

    operation_id: str
    input: Any
    identity: Identity | None = None
    parent_request_id: str | None = None
    session_id: str | None = None
    request_id: str | None = None
    """The call's id, where the caller has made one; it must be fresh."""
    abort: Abort = field(default_factory=Abort)
    """Set it to stop the call, also before it has begun."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended; `output` is the ResponseEnvelope's data."""

    request_id: str
    output: dict[str, Any] | None
    error: CallFailed | None


def _took(began: datetime, now: datetime) -> CallMetadata:
    return CallMetadata(duration_ms=round((now - began).total_seconds() * 1000, 3))


class Recorder:
    """Records calls in a tenant file. Clock and ids are given, so that tests and replays are exact."""

    def __init__(self, db: Database, clock: Callable[[], datetime], new_id: Callable[[], str]) -> None:
        self._db = db
        self._clock = clock
        self._new_id = new_id
        self._running: dict[str, tuple[str | None, Abort]] = {}
        """By request id: the parent's, and how to stop it."""
        self._lock = threading.Lock()

    def new_id(self) -> str:
        """A fresh request id."""
        return self._new_id()

    def abort(self, request_id: str, policy: AbortPolicy = "abort-dependents") -> int:
        """Ask a running call to stop, and by default every call that it led to and that still runs here.

        A call that its handler stops for it is recorded as `call.aborted`; one that ends by itself before it looks is
        recorded as it ended. Returns how many calls were asked; 0 when none of that id runs in this process.
        """
        with self._lock:
            if request_id not in self._running:
                return 0
            wanted = {request_id}
            grown = policy == "abort-dependents"
            while grown:
                more = {rid for rid, (parent, _) in self._running.items() if parent in wanted and rid not in wanted}
                wanted |= more
                grown = bool(more)
            aborts = [self._running[rid][1] for rid in wanted]
        for abort in aborts:  # outside the lock: listeners may take their time
            abort.set()
        return len(aborts)

    def running(self) -> list[str]:
        """Request ids of the calls that run here now."""
        with self._lock:
            return list(self._running)

    @contextmanager
    def _tracked(self, request_id: str, call: Call) -> Iterator[None]:
        with self._lock:
            self._running[request_id] = (call.parent_request_id, call.abort)
        try:
            yield
        finally:
            with self._lock:
                del self._running[request_id]

    def execute(self, registry: Registry, calls: Sequence[Call]) -> list[Outcome]:
        """Execute calls in order and record each; returns their outcomes in the same order.

        All requests are committed together before the first call runs, all outcomes together after the last: two
        commits however many calls. The outcome of a `transactional` operation commits with its effects: either both
        are there, or neither. A call that fails is an outcome, not an exception.

        Raises:
            EngineError: the log cannot be written; then no call ran, or (on the second commit) outcomes are unknown.
        """
        begun = [(call, call.request_id or self._new_id()) for call in calls]
        self._publish(
            [
                (request_id, encode(self._requested(call, request_id, hidden=registry.is_sensitive(call.operation_id))))
                for call, request_id in begun
            ]
        )
        outcomes: list[Outcome] = []
        events: list[tuple[str, str]] = []
        try:
            for call, request_id in begun:
                if registry.is_transactional(call.operation_id):
                    outcomes.append(self._run_in_transaction(registry, call, request_id))
                    continue
                outcome, event = self._run(registry, call, request_id)
                outcomes.append(outcome)
                events.append((request_id, event))
        finally:
            # An interrupt (^C) in the middle: what ended is recorded, the rest stays pending, which is the truth.
            self._publish(events)
        return outcomes

    @contextmanager
    def manual(self, call: Call) -> Iterator[ManualCall]:
        """Record a call whose work the caller does itself; `succeed()` gives its output.

        An exception out of the block is recorded as `call.error` and raised on.
        """
        request_id = self._new_id()
        self._publish([(request_id, encode(self._requested(call, request_id)))])
        running = ManualCall(request_id, call)
        began = self._clock()
        try:
            yield running
            if running.output is None:
                raise CallFailed("the call ended without an output")
        except BaseException as error:
            failure = error if isinstance(error, CallFailed) else None
            code = failure.code if failure else ABORTED if isinstance(error, KeyboardInterrupt) else CallFailed.code
            message = failure.message if failure else f"{type(error).__name__}: {error}"
            self._publish([(request_id, self._failed(request_id, code, message, failure, began))])
            raise
        self._publish([(request_id, self._responded(call.operation_id, request_id, running.output, began))])

    def _run_in_transaction(self, registry: Registry, call: Call, request_id: str) -> Outcome:
        with self._db.transaction() as tx:
            outcome, event = self._run(registry, call, request_id, tx)
            self._db.stream(STREAM).append([(request_id, event, int(self._clock().timestamp()))], tx)
        return outcome

    def _run(
        self, registry: Registry, call: Call, request_id: str, tx: Transaction | None = None
    ) -> tuple[Outcome, str]:
        began = self._clock()
        with self._tracked(request_id, call):
            context = OperationContext(
                request_id,
                call.identity,
                call.parent_request_id,
                call.session_id,
                db=self._db,
                tx=tx,
                abort=call.abort,
            )
            try:
                with tx.transaction() if tx is not None else nullcontext():  # a failed call undoes its own writes only
                    output = registry.execute(call.operation_id, call.input, context)
                    document = output.model_dump(mode="json", by_alias=True)
            except CallFailed as error:
                if call.abort.requested:
                    stopped = AbortedError("the call was aborted", details={"after": error.message})
                    return Outcome(request_id, None, stopped), self._aborted(request_id, began)
                event = self._failed(request_id, error.code, error.message, error, began)
                return Outcome(request_id, None, error), event
        shown = HIDDEN if registry.is_sensitive(call.operation_id) else document
        return Outcome(request_id, document, None), self._responded(call.operation_id, request_id, shown, began)

    def _requested(self, call: Call, request_id: str, *, hidden: bool = False) -> CallRequested:
        who = call.identity
        return CallRequested(
            request_id=request_id,
            operation_id=call.operation_id,
            input=msgspec.Raw(dumps(HIDDEN if hidden else call.input).encode()),
            parent_request_id=call.parent_request_id,
            identity=CallIdentity(who.id, list(who.scopes), {k: list(v) for k, v in who.resources.items()})
            if who is not None
            else None,
            metadata=CallMetadata(session_id=call.session_id) if call.session_id is not None else None,
            timestamp=iso(self._clock()),
        )

    def _responded(self, operation_id: str, request_id: str, data: dict[str, Any], began: datetime) -> str:
        now = self._clock()
        meta = {"source": "local", "operationId": operation_id, "timestamp": round(now.timestamp() * 1000)}
        output = msgspec.Raw(dumps({"data": data, "meta": meta}).encode())
        return encode(
            CallResponded(request_id=request_id, output=output, timestamp=iso(now), metadata=_took(began, now))
        )

    def _aborted(self, request_id: str, began: datetime) -> str:
        now = self._clock()
        return encode(CallAborted(request_id=request_id, timestamp=iso(now), metadata=_took(began, now)))

    def _failed(self, request_id: str, code: str, message: str, failure: CallFailed | None, began: datetime) -> str:
        now = self._clock()
        details = failure.details if failure is not None else None
        return encode(
            CallError(
                request_id=request_id,
                code=code,
                message=message,
                details=msgspec.Raw(dumps(details).encode()) if details else msgspec.UNSET,
                timestamp=iso(now),
                metadata=_took(began, now),
            )
        )

    def _publish(self, events: Sequence[tuple[str, str]]) -> None:
        if not events:
            return
        at = int(self._clock().timestamp())
        with self._db.transaction() as tx:
            self._db.stream(STREAM).append([(key, text, at) for key, text in events], tx)


class ManualCall:
    """A call in progress whose work the caller does."""

    def __init__(self, request_id: str, call: Call) -> None:
        self.request_id = request_id
        self.call = call
        self.output: dict[str, Any] | None = None

    def succeed(self, output: dict[str, Any]) -> None:
        """Give the output; it is recorded when the block ends."""
        self.output = output
