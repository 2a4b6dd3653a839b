"""Calls in the log: `call.requested` is committed before the work begins, its outcome when it ends.

A crash in between leaves a call that is pending: it began, and nobody knows how it ended. It is never run again by
itself; `end_what_is_left` says in the log that its process is gone.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal, TypeAlias

from storage.engine import Database, Transaction
from storage.events.call_events import STREAM
from storage.operations.abort import Abort
from storage.operations.spec import Model, OperationContext
from storage.running import running
from sync.calls import events
from sync.calls.counting import Ended
from sync.calls.errors import ABORTED, AbortedError, CallFailed
from sync.calls.events import HIDDEN, Call
from sync.calls.registry import Registry

AbortPolicy: TypeAlias = Literal["abort-dependents", "continue-running"]
"""What becomes of the calls that an aborted call has made (`reference/alkdev.md` 2.10)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended; `output` is the ResponseEnvelope's data."""

    request_id: str
    output: dict[str, Any] | None
    error: CallFailed | None


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
        with self._db.transaction() as tx:
            self._begin(tx, [(request_id, self._requested(registry, call, request_id)) for call, request_id in begun])
        outcomes: list[Outcome] = []
        texts: list[tuple[str, str]] = []
        try:
            for call, request_id in begun:
                if registry.is_transactional(call.operation_id):
                    outcomes.append(self._run_in_transaction(registry, call, request_id))
                    continue
                outcome, event = self._run(registry, call, request_id)
                outcomes.append(outcome)
                texts.append((request_id, event))
        finally:
            # An interrupt (^C) in the middle: what ended is recorded, the rest stays pending, which is the truth.
            self._end(texts)
        return outcomes

    def execute_with(
        self,
        registry: Registry,
        call: Call,
        began: Callable[[Transaction], bool],
        ended: Callable[[Transaction, Outcome], None],
        *,
        again: bool = False,
    ) -> None:
        """Execute one call whose beginning and end are written elsewhere too, in the transactions of the log.

        `began(tx)` commits with `call.requested` before the work begins, `ended(tx, outcome)` with the outcome; for a
        `transactional` operation all of it and the effects are one transaction. When `began` returns False, what it
        wrote is committed, nothing runs, and the log says nothing. `again`: the request is in the log already.

        Raises:
            EngineError: the file cannot be written; the call stands as the last commit left it.
            Exception: of `ended`, or an outcome that has no JSON form; likewise.
        """
        request_id = call.request_id or self._new_id()
        with self._db.transaction() as tx:
            if not began(tx):
                return
            if not again:
                self._append(tx, [(request_id, self._requested(registry, call, request_id))])
            if registry.is_transactional(call.operation_id):
                outcome, event = self._run(registry, call, request_id, tx)
                self._append(tx, [(request_id, event)], despite_limit=True)
                ended(tx, outcome)
                return
        outcome, event = self._run(registry, call, request_id)
        with self._db.transaction() as tx:
            self._append(tx, [(request_id, event)], despite_limit=True)
            ended(tx, outcome)

    def lost(self, tx: Transaction, request_id: str, failure: CallFailed) -> None:
        """Record that a call of an earlier process has ended without an outcome that anybody knows."""
        event = events.failed(request_id, failure.code, failure.message, failure, None, self._clock())
        self._append(tx, [(request_id, event)], despite_limit=True)

    @contextmanager
    def manual(self, call: Call) -> Iterator[ManualCall]:
        """Record a call whose work the caller does itself; `succeed()` gives its output.

        An exception out of the block is recorded as `call.error` and raised on.
        """
        request_id = self._new_id()
        with self._db.transaction() as tx:
            self._begin(tx, [(request_id, events.requested(call, request_id, self._clock()))])
        manual = ManualCall(request_id, call)
        began = self._clock()
        try:
            yield manual
            if manual.output is None:
                raise CallFailed("the call ended without an output")
        except BaseException as error:
            failure = error if isinstance(error, CallFailed) else None
            code = failure.code if failure else ABORTED if isinstance(error, KeyboardInterrupt) else CallFailed.code
            message = failure.message if failure else f"{type(error).__name__}: {error}"
            self._end([(request_id, events.failed(request_id, code, message, failure, began, self._clock()))])
            raise
        event = events.responded(call.operation_id, request_id, manual.output, began, self._clock())
        self._end([(request_id, event)])

    async def subscribe(self, registry: Registry, call: Call) -> AsyncGenerator[dict[str, Any], None]:
        """Run a subscription and yield its outputs as JSON values; for use on an event loop.

        The log gets `call.requested` before the first output and one event at the end: `call.completed`,
        `call.error`, or `call.aborted` when the call was aborted or the caller left. The outputs in between are not
        logged: a subscription to the log would feed itself.

        Raises:
            CallFailed: as the subscription failed.
        """
        request_id = call.request_id or self._new_id()
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        first = (request_id, self._requested(registry, call, request_id))
        await self._db.run(lambda tx: self._begin(tx, [first]))
        began = self._clock()
        ending = partial(events.aborted, request_id, began)
        outcome: Ended = "aborted"
        with self._tracked(request_id, call), call.abort.calling(lambda: _tell(loop, stop)):
            outputs = registry.subscribe(call.operation_id, call.input, self._context(registry, call, request_id, None))
            try:
                async with aclosing(_until(stop, outputs)) as coming:
                    async for output in coming:
                        yield output.model_dump(mode="json", by_alias=True)
                if stop.is_set():
                    raise AbortedError("the call was aborted")
                ending, outcome = partial(events.completed, request_id, began), "completed"
            except AbortedError:
                raise
            except CallFailed as error:
                ending = partial(events.failed, request_id, error.code, error.message, error, began)
                outcome = "failed"
                raise
            finally:
                registry.count(call.operation_id, outcome)
                last = (request_id, ending(self._clock()))
                await _finished(self._db.run(lambda tx: self._end([last], tx)))

    def is_known(self, request_id: str) -> bool:
        """Whether there is a call of that id: one that runs here, or one that the projector has seen."""
        with self._lock:
            if request_id in self._running:
                return True
        with self._db.snapshot() as snapshot:
            return bool(snapshot.rows("SELECT 1 FROM nodes WHERE id = ?", (request_id,)))

    def _run_in_transaction(self, registry: Registry, call: Call, request_id: str) -> Outcome:
        with self._db.transaction() as tx:
            outcome, event = self._run(registry, call, request_id, tx)
            self._end([(request_id, event)], tx)
        return outcome

    def _run(
        self, registry: Registry, call: Call, request_id: str, tx: Transaction | None = None
    ) -> tuple[Outcome, str]:
        began = self._clock()
        with self._tracked(request_id, call):
            context = self._context(registry, call, request_id, tx)
            try:
                with tx.transaction() if tx is not None else nullcontext():  # a failed call undoes its own writes only
                    output = registry.execute(call.operation_id, call.input, context, trusted=call.trusted)
                    document = output.model_dump(mode="json", by_alias=True)
            except CallFailed as error:
                registry.count(call.operation_id, "aborted" if call.abort.requested else "failed")
                if call.abort.requested:
                    stopped = AbortedError("the call was aborted", details={"after": error.message})
                    return Outcome(request_id, None, stopped), events.aborted(request_id, began, self._clock())
                event = events.failed(request_id, error.code, error.message, error, began, self._clock())
                return Outcome(request_id, None, error), event
        registry.count(call.operation_id, "completed")
        shown = HIDDEN if registry.is_sensitive(call.operation_id) else document
        event = events.responded(call.operation_id, request_id, shown, began, self._clock())
        return Outcome(request_id, document, None), event

    def _context(self, registry: Registry, call: Call, request_id: str, tx: Transaction | None) -> OperationContext:
        return OperationContext(
            request_id,
            call.identity,
            call.parent_request_id,
            call.session_id,
            db=self._db,
            tx=tx,
            abort=call.abort,
            compose=partial(self._compose, registry, call, request_id, tx),
        )

    def _compose(
        self, registry: Registry, parent: Call, parent_id: str, tx: Transaction | None, operation_id: str, value: Any
    ) -> dict[str, Any]:
        """A call that a handler makes (`OperationContext.call`)."""
        if parent.abort.requested:
            raise AbortedError("the call was aborted")
        call = Call(
            operation_id=operation_id,
            input=value,
            identity=parent.identity,
            parent_request_id=parent_id,
            session_id=parent.session_id,
            trusted=True,
        )
        with parent.abort.calling(call.abort.set):
            if tx is None:
                (outcome,) = self.execute(registry, [call])
            else:
                # In the parent's transaction, events and all: what a failing parent takes back has not happened.
                request_id = self._new_id()
                self._append(tx, [(request_id, self._requested(registry, call, request_id))])
                outcome, event = self._run(registry, call, request_id, tx)
                self._append(tx, [(request_id, event)], despite_limit=True)
        if outcome.error is not None:
            raise outcome.error
        assert outcome.output is not None, "a call without an error has an output"
        return outcome.output

    def _requested(self, registry: Registry, call: Call, request_id: str) -> str:
        return events.requested(call, request_id, self._clock(), hidden=registry.is_sensitive(call.operation_id))

    def _append(self, tx: Transaction, texts: Sequence[tuple[str, str]], *, despite_limit: bool = False) -> None:
        at = int(self._clock().timestamp())
        self._db.stream(STREAM).append([(key, text, at) for key, text in texts], tx, despite_limit=despite_limit)

    def _begin(self, tx: Transaction, texts: Sequence[tuple[str, str]]) -> None:
        self._append(tx, texts)
        running(self._db).began(tx, "call", [request_id for request_id, _ in texts])

    def _end(self, texts: Sequence[tuple[str, str]], tx: Transaction | None = None) -> None:
        if texts:
            with nullcontext(tx) if tx is not None else self._db.transaction() as inside:
                self._append(inside, texts, despite_limit=True)
                running(self._db).ended(inside, "call", [request_id for request_id, _ in texts])


async def _finished(work: Coroutine[Any, Any, None]) -> None:
    """Wait for something to its end, also when this task is cancelled meanwhile (then that is raised after it).

    A caller that leaves cancels the task that serves it, and the end of the call belongs into the log all the same.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()


def _tell(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(stop.set)


async def _until(stop: asyncio.Event, outputs: AsyncGenerator[Model, None]) -> AsyncGenerator[Model, None]:
    """What comes, until `stop`; the source is closed at the end, whatever the end is."""
    stopped = asyncio.ensure_future(stop.wait())
    coming: asyncio.Future[Model] | None = None
    try:
        while not stop.is_set():
            coming = asyncio.ensure_future(_next(outputs))
            await asyncio.wait({coming, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                return
            try:
                output = coming.result()
            except StopAsyncIteration:
                return
            yield output
    finally:
        stopped.cancel()
        if coming is not None and not coming.done():
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        await outputs.aclose()


async def _next(outputs: AsyncGenerator[Model, None]) -> Model:
    return await anext(outputs)


class ManualCall:
    """A call in progress whose work the caller does."""

    def __init__(self, request_id: str, call: Call) -> None:
        self.request_id = request_id
        self.call = call
        self.output: dict[str, Any] | None = None

    def succeed(self, output: dict[str, Any]) -> None:
        """Give the output; it is recorded when the block ends."""
        self.output = output
