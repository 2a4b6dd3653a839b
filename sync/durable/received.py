"""The rows of calls that others asked for: what the callee knows of each, and the one way in which each ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from storage.engine import Event, Snapshot, Transaction
from storage.engine.payload import dumps
from storage.engine.stream import append_event, last_offset
from storage.events.envelope import encode, iso
from storage.operations.spec import Execution
from storage.tenants import find_fact
from sync.calls.errors import CallFailed
from sync.calls.events import local_envelope
from sync.durable.messages import Request, Result, kind_of
from sync.durable.states import State, move
from sync.durable.topics import calls_from, results_to
from sync.link.chain import MAX_EVENT_BYTES


@dataclass(frozen=True, slots=True)
class Received:
    """A call that has not ended. `deadline` is in the hub's unix milliseconds."""

    peer: str
    call_id: str
    operation_id: str
    lane: str
    offset: int
    state: State
    execution: Execution | None
    """While it waits, the class that was asked for; once it runs, the class that it runs in."""
    deadline: int | None
    cancelled: bool
    request: str

    @property
    def input(self) -> Any:
        """The input, decoded."""
        return msgspec.json.decode(msgspec.json.decode(self.request, type=Request).input)


_COLUMNS = "peer, call_id, operation_id, lane, offset, state, execution, deadline, cancelled, request"


def insert(tx: Transaction, peer: str, event: Event, request: Request, now_ms: int) -> Received:
    """Take a call in; its lane is the namespace of its operation."""
    call = Received(
        peer,
        request.request_id,
        request.operation_id,
        request.operation_id.partition(".")[0],
        event.offset,
        State.RECEIVED,
        request.execution,
        request.deadline,
        False,
        event.payload_json,
    )
    tx.execute(
        "INSERT INTO link_received_calls (peer, call_id, operation_id, lane, execution, state, deadline, offset,"
        " request, received_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            peer,
            call.call_id,
            call.operation_id,
            call.lane,
            call.execution,
            call.state,
            call.deadline,
            event.offset,
            call.request,
            now_ms,
        ),
    )
    return call


def find(source: Snapshot | Transaction, peer: str, call_id: str) -> Received | None:
    """A call of a peer that has not ended, or None."""
    rows = source.rows(
        f"SELECT {_COLUMNS} FROM link_received_calls WHERE peer = ? AND call_id = ? AND ended_at IS NULL",
        (peer, call_id),
    )
    return _received(rows[0]) if rows else None


def is_known(source: Snapshot | Transaction, peer: str | None, call_id: str) -> bool:
    """Whether a peer (None: any) has asked for a call of that id before, ended or not."""
    rows = source.rows(
        "SELECT 1 FROM link_received_calls WHERE call_id = ?1 AND (?2 IS NULL OR peer = ?2) LIMIT 1", (call_id, peer)
    )
    return bool(rows)


def heads(source: Snapshot) -> list[Received]:
    """The first call of every lane that has one."""
    rows = source.rows(
        f"SELECT {_COLUMNS}, min(offset) FROM link_received_calls WHERE ended_at IS NULL GROUP BY peer, lane"
    )
    return [_received(row[:-1]) for row in rows]


def interrupted(source: Snapshot | Transaction) -> list[Received]:
    """The calls that run, as the file says: after a crash, those that it interrupted."""
    rows = source.rows(f"SELECT {_COLUMNS} FROM link_received_calls WHERE ended_at IS NULL AND state = 'RUNNING'")
    return [_received(row) for row in rows]


def doubt(tx: Transaction, peer: str) -> None:
    """What a peer has asked for up to now may have run before: this file was restored, and its calls came once more.

    The link says so in the transaction in which it stores such calls again. Effects in the file were undone with it,
    so those calls are simply done again; but one that runs at most once ends as INDETERMINATE.
    """
    tx.execute(
        "INSERT INTO node_facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (_doubt(peer), str(last_offset(tx, calls_from(peer)))),
    )


def is_doubtful(source: Snapshot | Transaction, call: Received) -> bool:
    """Whether a call is one of those that `doubt` spoke of."""
    until = find_fact(source, _doubt(call.peer))
    return until is not None and call.offset <= int(until)


def _doubt(peer: str) -> str:
    return f"calls_doubtful:{peer}"


def begin(tx: Transaction, call: Received, execution: Execution, now: datetime) -> None:
    """The call runs from now on, and its caller hears of it."""
    tx.execute(
        "UPDATE link_received_calls SET state = ?, execution = ? WHERE peer = ? AND call_id = ?",
        (move(call.state, State.RUNNING), execution, call.peer, call.call_id),
    )
    _tell(tx, call, encode(_result(call, State.RUNNING, now)))


def end(
    tx: Transaction,
    call: Received,
    state: State,
    now: datetime,
    *,
    output: Any = None,
    failure: CallFailed | None = None,
) -> None:
    """The call has ended: its row, and the result for its caller, which are there together or not at all."""
    output_json = dumps(local_envelope(call.operation_id, output, now)).encode() if state is State.DONE else None
    text = encode(_result(call, state, now, output_json, failure))
    if len(text.encode()) > MAX_EVENT_BYTES:
        told = CallFailed(f"{len(text)} bytes of result; at most {MAX_EVENT_BYTES} are carried")
        text = encode(_result(call, state, now, failure=told))
    tx.execute(
        "UPDATE link_received_calls SET state = ?, request = NULL, result = ?, ended_at = ?"
        " WHERE peer = ? AND call_id = ?",
        (move(call.state, state), text, _ms(now), call.peer, call.call_id),
    )
    _tell(tx, call, text)


def tell_again(tx: Transaction, peer: str, call_id: str) -> None:
    """Send the result of a call once more: its caller was restored from before it got it, and asks anew."""
    for (text,) in tx.rows(
        "SELECT result FROM link_received_calls WHERE peer = ? AND call_id = ? AND result IS NOT NULL", (peer, call_id)
    ):
        append_event(tx, results_to(peer), call_id, str(text), despite_limit=True)


def _tell(tx: Transaction, call: Received, text: str) -> None:
    append_event(tx, results_to(call.peer), call.call_id, text, despite_limit=True)


def _result(
    call: Received, state: State, now: datetime, output: bytes | None = None, failure: CallFailed | None = None
) -> Result:
    details = failure.details if failure is not None else None
    return Result(
        type=kind_of(state),
        request_id=call.call_id,
        operation_id=call.operation_id,
        state=state,
        timestamp=iso(now),
        output=msgspec.UNSET if output is None else msgspec.Raw(output),
        code=failure.code if failure is not None else None,
        message=failure.message if failure is not None else None,
        hint=(failure.hint or None) if failure is not None else None,
        details=msgspec.Raw(dumps(details).encode()) if details else msgspec.UNSET,
    )


def _received(row: Sequence[Any]) -> Received:
    peer, call_id, operation_id, lane, offset, state, execution, deadline, cancelled, request = row
    return Received(
        peer, call_id, operation_id, lane, offset, State(state), execution, deadline, bool(cancelled), request
    )


def _ms(now: datetime) -> int:
    return round(now.timestamp() * 1000)
