"""The calling end: a request is an event and a row in the caller's own transaction; results move the row.

Nothing here waits or talks to anybody: what is written goes out over the link, what arrives is read from the log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, TypeAlias

import msgspec

from storage.engine import Event, Snapshot, Transaction
from storage.engine.payload import dumps
from storage.engine.stream import append_event
from storage.events.call_events import CallAborted, CallIdentity
from storage.events.envelope import EventShapeError, encode, iso
from storage.operations.spec import Execution, Identity
from storage.projections.projection import Projection, reject
from sync.calls.errors import CallFailed, CallTimeoutError, from_code
from sync.durable.errors import (
    INDETERMINATE,
    IndeterminateError,
    KeyTakenError,
    NoSuchCallError,
    PeerAwayError,
    QuotaExceededError,
    TooLargeError,
)
from sync.durable.messages import CALLER, Request, Result, decode_result
from sync.durable.states import ENDED, State, hear, may_move
from sync.durable.topics import calls_to, results_from
from sync.link.chain import MAX_EVENT_BYTES

QUOTA = 1_000
"""Calls to one peer that have not ended."""

Offline: TypeAlias = Literal["queue", "fail_fast"]


@dataclass(frozen=True, slots=True)
class DurableCall:
    """A call that this end asked for. Times are unix milliseconds; texts of `Json` columns as they are stored."""

    call_id: str
    peer: str
    operation_id: str
    state: State
    execution: Execution | None
    deadline: int | None
    idempotency_key: str | None
    recovered: bool
    created_at: int
    ended_at: int | None
    input: str | None
    identity: str | None
    result: str | None
    late_result: str | None


_COLUMNS = (
    "call_id, peer, operation_id, state, execution, deadline, idempotency_key, recovered, created_at, ended_at, input,"
    " identity, result, late_result"
)


def request(
    tx: Transaction,
    peer: str,
    operation_id: str,
    value: Any,
    *,
    call_id: str,
    now_ms: int,
    present: bool,
    deadline_ms: int | None = None,
    execution: Execution | None = None,
    offline: Offline = "queue",
    idempotency_key: str | None = None,
    identity: Identity | None = None,
    quota: int = QUOTA,
) -> DurableCall:
    """Ask a peer to execute an operation: it is asked when `tx` commits, and that is not forgotten in any crash.

    Args:
        tx: the caller's own transaction, so that what it does and what it asks for happen together.
        peer: a node id, or `hub`.
        operation_id: what to execute there.
        value: its input, anything that has a JSON form.
        call_id: a fresh one, a UUID.
        now_ms: our time, to remember when it was.
        present: whether the peer is connected, as far as the caller knows.
        deadline_ms: the hub's time at which the call is of no use any more.
        execution: a class that the operation allows; None for the operation's own.
        offline: what to do when the peer is away.
        idempotency_key: a call with the same key to the same peer, however it stands, is returned instead.
        identity: on whose behalf, for the record; what the call may do is the peer's decision.
        quota: how many calls to the peer may be under way.

    Raises:
        PeerAwayError, QuotaExceededError, KeyTakenError, TooLargeError: nothing was written.
        PayloadError: the input has no JSON form.
    """
    text = dumps(value)
    if idempotency_key is not None:
        known = _find(tx, "peer = ? AND idempotency_key = ?", (peer, idempotency_key))
        if known is not None:
            if (known.operation_id, known.input) != (operation_id, text):
                raise KeyTakenError(f"the key {idempotency_key!r} is that of the call {known.call_id}")
            return known
    if offline == "fail_fast" and not present:
        raise PeerAwayError(f"{peer} is not connected")
    pending = tx.rows("SELECT count(*) FROM link_calls WHERE peer = ? AND ended_at IS NULL", (peer,))[0][0]
    if int(pending or 0) >= quota:
        raise QuotaExceededError(f"{pending} calls to {peer} have not ended", details={"quota": quota})
    asker = None
    if identity is not None:
        named = {name: list(actions) for name, actions in identity.resources.items()}
        asker = CallIdentity(identity.id, list(identity.scopes), named)
    event = encode(
        Request(
            request_id=call_id,
            operation_id=operation_id,
            input=msgspec.Raw(text.encode()),
            deadline=deadline_ms,
            identity=asker,
            execution=execution,
            timestamp=_iso(now_ms),
        )
    )
    if len(event.encode()) > MAX_EVENT_BYTES:
        raise TooLargeError(f"the input of {operation_id} has {len(text)} bytes; at most {MAX_EVENT_BYTES} are carried")
    offset = append_event(tx, calls_to(peer), call_id, event)
    tx.execute(
        "INSERT INTO link_calls (call_id, peer, operation_id, input, execution, state, deadline, idempotency_key,"
        " identity, offset, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            call_id,
            peer,
            operation_id,
            text,
            execution,
            State.QUEUED,
            deadline_ms,
            idempotency_key,
            None if asker is None else encode(asker),
            offset,
            now_ms,
        ),
    )
    tx.touch("calls", "placed")
    return get(tx, call_id)


def get(source: Snapshot | Transaction, call_id: str) -> DurableCall:
    """A call by its id.

    Raises:
        NoSuchCallError: there is none.
    """
    found = _find(source, "call_id = ?", (call_id,))
    if found is None:
        raise NoSuchCallError(f"no call {call_id!r}")
    return found


def list_calls(
    source: Snapshot, *, peer: str | None = None, pending: bool = False, limit: int = 100
) -> list[DurableCall]:
    """Calls, the newest first; `pending` ones have not ended."""
    where = f"(?1 IS NULL OR peer = ?1){' AND ended_at IS NULL' if pending else ''}"
    rows = source.rows(
        f"SELECT {_COLUMNS} FROM link_calls WHERE {where} ORDER BY created_at DESC, call_id LIMIT ?2", (peer, limit)
    )
    return [_call(row) for row in rows]


def cancel(tx: Transaction, call_id: str, now_ms: int) -> bool:
    """Give a call up: the peer does not begin it, or is asked to stop it. False when it has ended already.

    A result that comes all the same is kept as a late one.

    Raises:
        NoSuchCallError: there is none.
    """
    call = get(tx, call_id)
    if call.state in ENDED:
        return False
    _give_up(tx, call, State.CANCELLED, now_ms)
    return True


def expire(tx: Transaction, hub_ms: int) -> int:
    """Give up the calls whose deadline has passed; returns how many. `hub_ms` is the hub's time."""
    rows = tx.rows(
        f"SELECT {_COLUMNS} FROM link_calls WHERE ended_at IS NULL AND deadline IS NOT NULL AND deadline <= ?"
        " ORDER BY deadline",
        (hub_ms,),
    )
    for row in rows:
        _give_up(tx, _call(row), State.EXPIRED, hub_ms)
    return len(rows)


def next_deadline(source: Snapshot) -> int | None:
    """The earliest deadline of a call that has not ended, in the hub's time."""
    rows = source.rows("SELECT min(deadline) FROM link_calls WHERE ended_at IS NULL AND deadline IS NOT NULL")
    return None if rows[0][0] is None else int(rows[0][0])


def sent(tx: Transaction, peer: str, offset: int) -> None:
    """The link has sent our calls to a peer up to this offset of `calls>PEER`."""
    tx.execute(
        "UPDATE link_calls SET state = 'SENT' WHERE peer = ? AND ended_at IS NULL AND offset <= ? AND state = 'QUEUED'",
        (peer, offset),
    )


def acked(tx: Transaction, peer: str, offset: int) -> None:
    """The peer has our calls on its disk, up to this offset of `calls>PEER`."""
    tx.execute(
        "UPDATE link_calls SET state = 'RECEIVED'"
        " WHERE peer = ? AND ended_at IS NULL AND offset <= ? AND state IN ('QUEUED', 'SENT')",
        (peer, offset),
    )


def results(peer: str, clock_ms: Callable[[], int]) -> Projection:
    """The consumer of a peer's results: run it with `storage.projections.projection.step`."""
    return Projection(CALLER, results_from(peer), partial(_apply, peer, clock_ms))


def failure_of(call: DurableCall) -> CallFailed | None:
    """Why a call that has ended did not end well; None when it did, or goes on."""
    if call.state not in ENDED or call.state is State.DONE:
        return None
    if call.result is None:
        message = f"the call {call.call_id} was given up: {call.state}"
        return CallTimeoutError(message) if call.state is State.EXPIRED else from_code("ABORTED", message)
    result = msgspec.json.decode(call.result, type=Result)
    message = result.message or f"the call ended as {result.state}"
    if result.code == INDETERMINATE:
        return IndeterminateError(message)
    details = None if result.details is msgspec.UNSET else msgspec.json.decode(result.details)
    return from_code(result.code or "ABORTED", message, details, result.hint or "")


def _apply(peer: str, clock_ms: Callable[[], int], tx: Transaction, events: Sequence[Event]) -> None:
    for event in events:
        try:
            result = decode_result(event)
        except EventShapeError as error:
            reject(tx, event, str(error))
            continue
        call = _find(tx, "call_id = ?", (result.request_id,))
        if call is not None and call.peer != peer:
            reject(tx, event, f"the call {result.request_id} is not one to {peer}")
            continue
        _hear(tx, peer, call, result, event.payload_json, clock_ms())
        tx.touch("calls", result.request_id)


def _hear(tx: Transaction, peer: str, call: DurableCall | None, result: Result, text: str, now_ms: int) -> None:
    ended = result.state in ENDED
    if call is None:  # this file was restored from before the call
        tx.execute(
            "INSERT INTO link_calls (call_id, peer, operation_id, state, result, recovered, created_at, ended_at)"
            " VALUES (?, ?, ?, ?, ?, 1, ?, ?)",
            (
                result.request_id,
                peer,
                result.operation_id,
                result.state,
                text if ended else None,
                now_ms,
                now_ms if ended else None,
            ),
        )
        return
    state, late = hear(call.state, result.state)
    if late:
        tx.execute(
            "UPDATE link_calls SET late_result = coalesce(late_result, ?) WHERE call_id = ?", (text, call.call_id)
        )
    elif state is not call.state:
        _set(tx, call, state, now_ms, text if ended else None)


def _give_up(tx: Transaction, call: DurableCall, state: State, now_ms: int) -> None:
    abort = encode(CallAborted(request_id=call.call_id, timestamp=_iso(now_ms)))
    append_event(tx, calls_to(call.peer), call.call_id, abort, despite_limit=True)
    _set(tx, call, state, now_ms, None)
    tx.touch("calls", call.call_id)


def _set(tx: Transaction, call: DurableCall, state: State, now_ms: int, result: str | None) -> None:
    assert may_move(call.state, state), "the caller asked"
    tx.execute(
        "UPDATE link_calls SET state = ?, result = ?, ended_at = ? WHERE call_id = ?",
        (state, result, now_ms if state in ENDED else None, call.call_id),
    )


def _find(source: Snapshot | Transaction, where: str, params: tuple[str, ...]) -> DurableCall | None:
    rows = source.rows(f"SELECT {_COLUMNS} FROM link_calls WHERE {where}", params)
    return _call(rows[0]) if rows else None


def _call(row: Sequence[Any]) -> DurableCall:
    call_id, peer, operation_id, state, execution, deadline, key, recovered, created, ended, *texts = row
    return DurableCall(
        call_id,
        peer,
        operation_id,
        State(state),
        execution,
        deadline,
        key,
        bool(recovered),
        created,
        ended,
        *texts,
    )


def _iso(ms: int) -> str:
    return iso(datetime.fromtimestamp(ms / 1000, UTC))
