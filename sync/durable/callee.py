"""The called end: takes calls in from the log, executes them once each as their class says, and answers in the log.

Three steps, each of whole transactions, so that a crash anywhere leaves a call that waits, one that is known to have
begun, or one that has ended:

* `take_in`: the events of `calls@PEER` become rows; rows and cursor in one transaction.
* `run`: `exactly_once_local` is one transaction: effects, outcome in the log, result, row. The other classes commit
  RUNNING first, and the outcome with the result at the end.
* `recover`, once at the start: what was RUNNING is run again (`idempotent`) or ends as INDETERMINATE (`at_most_once`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from storage.engine import Database, Event, Snapshot, Transaction
from storage.engine.errors import EngineError, PayloadError
from storage.engine.stream import last_offset, saved_offset
from storage.events.call_events import CallAborted
from storage.events.envelope import EventShapeError
from storage.operations.abort import Abort
from storage.operations.spec import Execution, Identity, OperationSpec
from storage.projections.projection import BATCH, Projection, reject, step
from sync.calls.access import check_access
from sync.calls.errors import (
    AbortedError,
    AccessDeniedError,
    CallFailed,
    CallTimeoutError,
    ExecutionError,
    ValidationError,
)
from sync.calls.events import Call
from sync.calls.recorder import Outcome, Recorder
from sync.calls.registry import Registry, validate
from sync.durable import received
from sync.durable.errors import IndeterminateError
from sync.durable.messages import CALLEE, decode_request
from sync.durable.received import Received
from sync.durable.states import State
from sync.durable.topics import calls_from

log = logging.getLogger("spoke.callee")


WhoIs = Callable[[str], Identity | None]
"""The identity of a peer, as this end knows it now; None when it may do nothing here (any more)."""


@dataclass(slots=True)
class _Running:
    call: Received
    abort: Abort = field(default_factory=Abort)


class Callee:
    """Executes the calls of other nodes on a tenant file. One process per file at a time; safe from several threads.

    Args:
        db: the tenant file.
        registry: what can be called.
        recorder: records them in `call-protocol`, like any other call.
        who_is: what a peer may do. What a request says of its caller is not believed.
        hub_time: the hub's time in unix milliseconds, or None while it is unknown.
        clock: our time, for what is written into results.
    """

    def __init__(
        self,
        db: Database,
        registry: Registry,
        recorder: Recorder,
        who_is: WhoIs,
        hub_time: Callable[[], int | None],
        clock: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._registry = registry
        self._recorder = recorder
        self._who_is = who_is
        self._hub_time = hub_time
        self._clock = clock
        self._running: dict[tuple[str, str], _Running] = {}
        """By peer and lane."""
        self._lock = threading.Lock()

    # -- after a crash -----------------------------------------------------------------------------------------------

    def recover(self) -> None:
        """Settle what an earlier process left running; before anything else, once."""
        with self._db.transaction() as tx:
            for call in received.interrupted(tx):
                if call.execution == "idempotent" and not call.cancelled:
                    continue  # it is the head of its lane: `run` runs it again
                if call.execution == "idempotent":
                    failure: CallFailed = AbortedError("cancelled while it ran; a crash came before its end")
                    received.end(tx, call, State.CANCELLED, self._clock(), failure=failure)
                else:
                    failure = IndeterminateError(f"{call.operation_id} ran when its node stopped; it is not run again")
                    received.end(tx, call, State.INDETERMINATE, self._clock(), failure=failure)
                self._recorder.lost(tx, call.call_id, failure)

    # -- taking in ---------------------------------------------------------------------------------------------------

    def take_in(self, peers: Sequence[str]) -> bool:
        """Make rows of the calls that have arrived; whether there may be more. Takes the write lock only for some."""
        more = False
        for peer in peers:
            topic = calls_from(peer)
            with self._db.snapshot() as snapshot:
                if last_offset(snapshot, topic) <= saved_offset(snapshot, CALLEE, topic):
                    continue
            unwanted: list[str] = []
            with self._db.transaction() as tx:
                count = step(tx, Projection(CALLEE, topic, partial(self._take, peer, unwanted)))
            more = more or count == BATCH
            for call_id in unwanted:  # after the commit: a crash before it finds the request still there
                self._stop(peer, call_id)
        return more

    def _take(self, peer: str, unwanted: list[str], tx: Transaction, events: Sequence[Event]) -> None:
        for event in events:
            try:
                request = decode_request(event)
            except EventShapeError as error:
                reject(tx, event, str(error))
                continue
            if isinstance(request, CallAborted):
                self._unwanted(tx, peer, request.request_id, unwanted)
            elif received.is_known(tx, peer, request.request_id):
                received.tell_again(tx, peer, request.request_id)
            else:
                taken = self._is_taken(tx, request.request_id)
                call = received.insert(tx, peer, event, request, self._now_ms())
                if taken:  # a peer does not speak in the log under the id of a call that is not its own
                    failure = ValidationError(f"the id {call.call_id} is taken here", hint="make a fresh one")
                    received.end(tx, call, State.REJECTED, self._clock(), failure=failure)

    def _unwanted(self, tx: Transaction, peer: str, call_id: str, unwanted: list[str]) -> None:
        call = received.find(tx, peer, call_id)
        if call is None:
            return  # it has ended; the answers crossed
        if call.state is State.RECEIVED:
            received.end(tx, call, State.CANCELLED, self._clock(), failure=AbortedError("cancelled before it began"))
            return
        tx.execute("UPDATE link_received_calls SET cancelled = 1 WHERE peer = ? AND call_id = ?", (peer, call_id))
        unwanted.append(call_id)

    def _is_taken(self, tx: Transaction, call_id: str) -> bool:
        if call_id in self._recorder.running() or received.is_known(tx, None, call_id):
            return True
        return bool(tx.rows("SELECT 1 FROM nodes WHERE id = ?", (call_id,)))

    # -- executing ---------------------------------------------------------------------------------------------------

    def ready(self, snapshot: Snapshot) -> list[Received]:
        """The calls that may begin now, at most one of a lane; one with a deadline waits while no hub time is known."""
        timed = self._hub_time() is not None
        with self._lock:
            busy = set(self._running)
        return [
            call
            for call in received.heads(snapshot)
            if (call.peer, call.lane) not in busy
            and (timed or call.deadline is None)
            and (call.state is State.RECEIVED or call.execution == "idempotent")
        ]

    def claim(self, call: Received) -> None:
        """Take its lane for a call that is `ready`; `run` gives it back."""
        with self._lock:
            assert (call.peer, call.lane) not in self._running, "one at a time in a lane"
            self._running[call.peer, call.lane] = _Running(call)

    def run(self, call: Received) -> None:
        """Execute a claimed call to its end, on this thread. Whatever is wrong with the call becomes its result.

        Raises:
            EngineError: the file cannot be written; the call stands as the last commit left it.
        """
        try:
            self._execute(call, self._running[call.peer, call.lane].abort)
        except CallFailed as error:  # before it began: afterwards failures are outcomes
            self._end(call, State.REJECTED, error)
        except PayloadError as error:
            self._end(call, State.FAILED, ExecutionError(f"the output has no JSON form: {error}"))
        except EngineError:
            raise
        except Exception as error:
            about = {"ids": {"call": call.call_id, "peer": call.peer}}
            log.exception("call %s of %s: a defect", call.call_id, call.operation_id, extra=about)
            self._end(call, State.FAILED, ExecutionError(f"{type(error).__name__}: {error}"))
        finally:
            with self._lock:
                del self._running[call.peer, call.lane]

    def _execute(self, call: Received, abort: Abort) -> None:
        who, execution = self._admit(call)
        work = Call(
            operation_id=call.operation_id,
            input=call.input,
            identity=who,
            request_id=call.call_id,
            deadline=call.deadline,
            abort=abort,
        )
        begin, finish = partial(self._begin, call, execution), partial(self._finish, call)
        self._recorder.execute_with(self._registry, work, begin, finish, again=call.state is State.RUNNING)

    def _admit(self, call: Received) -> tuple[Identity, Execution]:
        """Who calls, and in which class. Raises CallFailed: why not."""
        spec: OperationSpec[Any, Any] = self._registry.get_spec(call.operation_id)
        who = self._who_is(call.peer)
        if who is None:
            raise AccessDeniedError(f"{call.peer} may call nothing here")
        allowed = spec.executions
        if not allowed:
            raise ValidationError(f"{call.operation_id} cannot be called durably: it is a subscription, or secret")
        if call.execution is not None and call.execution not in allowed:
            raise ValidationError(
                f"{call.operation_id} does not run as {call.execution}", hint=f"ask for {' or '.join(allowed)}"
            )
        value = call.input
        check_access(spec.access_control, who, call.operation_id, value if isinstance(value, dict) else None)
        validate(spec, value)
        return who, call.execution or allowed[0]

    def _begin(self, call: Received, execution: Execution, tx: Transaction) -> bool:
        now = received.find(tx, call.peer, call.call_id)
        if now is None:
            return False  # cancelled since it was chosen
        hub_ms = self._hub_time()
        if call.deadline is not None and (hub_ms is None or hub_ms >= call.deadline):
            if hub_ms is not None:
                self._settle(tx, now, State.EXPIRED, _too_late(call))
            return False
        if execution == "at_most_once" and received.is_doubtful(tx, now):
            failure = IndeterminateError(f"{call.operation_id} may have run before this file was restored")
            self._settle(tx, now, State.INDETERMINATE, failure)
            return False
        if execution != "exactly_once_local" and now.state is State.RECEIVED:
            received.begin(tx, now, execution, self._clock())
        return True

    def _finish(self, call: Received, tx: Transaction, outcome: Outcome) -> None:
        now = received.find(tx, call.peer, call.call_id)
        assert now is not None, "only `run` ends a call that runs"
        error = outcome.error
        if error is None:
            received.end(tx, now, State.DONE, self._clock(), output=outcome.output)
        elif not isinstance(error, AbortedError):
            received.end(tx, now, State.FAILED, self._clock(), failure=error)
        elif not now.cancelled and self._is_late(call):
            received.end(tx, now, State.EXPIRED, self._clock(), failure=_too_late(call))
        else:
            received.end(tx, now, State.CANCELLED, self._clock(), failure=error)

    def _end(self, call: Received, state: State, failure: CallFailed) -> None:
        with self._db.transaction() as tx:
            now = received.find(tx, call.peer, call.call_id)
            if now is not None:
                self._settle(tx, now, state, failure)

    def _settle(self, tx: Transaction, call: Received, state: State, failure: CallFailed) -> None:
        """End a call that nothing is running of; one that had begun is open in the log, too."""
        if call.state is State.RUNNING:
            state = State.FAILED if state is State.REJECTED else state
            self._recorder.lost(tx, call.call_id, failure)
        received.end(tx, call, state, self._clock(), failure=failure)

    # -- time --------------------------------------------------------------------------------------------------------

    def stop_overdue(self) -> None:
        """Ask the calls that run beyond their deadline to stop."""
        for running in self._all_running():
            if self._is_late(running.call):
                self._stop(running.call.peer, running.call.call_id)

    def next_deadline_ms(self) -> int | None:
        """How long until a call that runs is overdue; None when there is none that can be."""
        hub_ms = self._hub_time()
        left = [
            running.call.deadline - hub_ms
            for running in self._all_running()
            if hub_ms is not None and running.call.deadline is not None and not running.abort.requested
        ]
        return max(0, min(left)) if left else None

    def _all_running(self) -> list[_Running]:
        with self._lock:
            return list(self._running.values())

    def _is_late(self, call: Received) -> bool:
        hub_ms = self._hub_time()
        return call.deadline is not None and hub_ms is not None and hub_ms >= call.deadline

    def _stop(self, peer: str, call_id: str) -> None:
        for running in self._all_running():
            if (running.call.peer, running.call.call_id) == (peer, call_id):
                running.abort.set()
                self._recorder.abort(call_id)  # and what it led to

    def _now_ms(self) -> int:
        return round(self._clock().timestamp() * 1000)


def _too_late(call: Received) -> CallFailed:
    return CallTimeoutError("the deadline has passed", details={"deadline": call.deadline})
