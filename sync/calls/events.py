"""What the log says of a call: pure functions from a call and a time to the text of an event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from storage.engine.payload import dumps
from storage.events.call_events import (
    CallAborted,
    CallCompleted,
    CallError,
    CallIdentity,
    CallMetadata,
    CallRequested,
    CallResponded,
)
from storage.events.envelope import encode, iso
from storage.operations.abort import Abort
from storage.operations.spec import Identity
from sync.calls.errors import CallFailed

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
    deadline: int | None = None
    """Unix milliseconds; kept in the log, watched by whoever executes the call (`sync.calls.handler`)."""
    idle_timeout: int | None = None
    """Milliseconds between two events of a subscription; likewise."""
    trusted: bool = False
    """Part of another call, whose caller was checked. Never set from what came over a wire."""
    abort: Abort = field(default_factory=Abort)
    """Set it to stop the call, also before it has begun."""


def requested(call: Call, request_id: str, now: datetime, *, hidden: bool = False) -> str:
    """`call.requested`."""
    who = call.identity
    return encode(
        CallRequested(
            request_id=request_id,
            operation_id=call.operation_id,
            input=msgspec.Raw(dumps(HIDDEN if hidden else call.input).encode()),
            parent_request_id=call.parent_request_id,
            deadline=call.deadline,
            idle_timeout=call.idle_timeout,
            identity=CallIdentity(who.id, list(who.scopes), {k: list(v) for k, v in who.resources.items()})
            if who is not None
            else None,
            metadata=CallMetadata(session_id=call.session_id) if call.session_id is not None else None,
            timestamp=iso(now),
        )
    )


def local_envelope(operation_id: str, data: Any, now: datetime) -> dict[str, Any]:
    """The ResponseEnvelope of an operation that ran here."""
    meta = {"source": "local", "operationId": operation_id, "timestamp": round(now.timestamp() * 1000)}
    return {"data": data, "meta": meta}


def responded(operation_id: str, request_id: str, data: Mapping[str, Any], began: datetime, now: datetime) -> str:
    """`call.responded`."""
    output = msgspec.Raw(dumps(local_envelope(operation_id, data, now)).encode())
    return encode(CallResponded(request_id=request_id, output=output, timestamp=iso(now), metadata=_took(began, now)))


def completed(request_id: str, began: datetime, now: datetime) -> str:
    """`call.completed`: a subscription came to its end."""
    return encode(CallCompleted(request_id=request_id, timestamp=iso(now), metadata=_took(began, now)))


def aborted(request_id: str, began: datetime, now: datetime) -> str:
    """`call.aborted`."""
    return encode(CallAborted(request_id=request_id, timestamp=iso(now), metadata=_took(began, now)))


def failed(
    request_id: str, code: str, message: str, failure: CallFailed | None, began: datetime | None, now: datetime
) -> str:
    """`call.error`; `began` is None where nobody knows how long it took."""
    details = failure.details if failure is not None else None
    return encode(
        CallError(
            request_id=request_id,
            code=code,
            message=message,
            details=msgspec.Raw(dumps(details).encode()) if details else msgspec.UNSET,
            timestamp=iso(now),
            metadata=_took(began, now) if began is not None else None,
        )
    )


def _took(began: datetime, now: datetime) -> CallMetadata:
    return CallMetadata(duration_ms=round((now - began).total_seconds() * 1000, 3))
