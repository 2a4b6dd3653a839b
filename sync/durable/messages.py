"""What the two ends of durable calls say to each other: events on `calls>PEER` and `results>PEER`.

`X>PEER` here arrives as `X@ME` there, exactly once and in order: that is the link's promise (`sync/link`).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from storage.engine import Event
from storage.events import envelope
from storage.events.call_events import CallAborted, CallRequested
from storage.operations.spec import Execution
from sync.durable.states import State

MIN_ID, MAX_ID = 8, 64
MAX_MS = 2**53

CALLEE = "callee@durable"
CALLER = "caller@durable"
"""The consumers of what arrives: their positions say what is done with."""


class Request(CallRequested, frozen=True, rename="camel", omit_defaults=True, kw_only=True, tag="call.requested"):
    """`call.requested` of a durable call. `identity` says on whose behalf, for people; the callee does not go by it."""

    execution: Execution | None = None
    """The class that the caller asks for; None: the operation's own."""


AnyRequest: TypeAlias = Request | CallAborted

Kind: TypeAlias = Literal["call.running", "call.responded", "call.error", "call.aborted"]


class Result(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """How a call stands at the callee. `operation_id` is there for a caller that has lost its memory of the call."""

    type: Kind
    request_id: str
    operation_id: str
    state: State
    timestamp: str
    output: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """The ResponseEnvelope; absent with DONE when it is longer than an event may be (`message` says so)."""
    code: str | None = None
    message: str | None = None
    hint: str | None = None
    details: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def kind_of(state: State) -> Kind:
    """The type of the event that reports a state."""
    match state:
        case State.RUNNING:
            return "call.running"
        case State.DONE:
            return "call.responded"
        case State.CANCELLED:
            return "call.aborted"
        case _:
            return "call.error"


_requests: msgspec.json.Decoder[AnyRequest] = msgspec.json.Decoder(AnyRequest)
_results = msgspec.json.Decoder(Result)


def decode_request(event: Event) -> AnyRequest:
    """Decode an event of `calls@PEER`.

    Raises:
        EventShapeError: it is neither a request nor an abort, or under no id or with no time that can be kept.
    """
    request = envelope.decode(event, _requests)
    name = request.request_id
    if not MIN_ID <= len(name) <= MAX_ID or not name.isascii() or not name.isprintable():
        raise envelope.EventShapeError(f"requestId: {MIN_ID} to {MAX_ID} ASCII characters, a UUID for instance")
    if isinstance(request, Request) and request.deadline is not None and not 0 <= request.deadline < MAX_MS:
        raise envelope.EventShapeError(f"{event.topic} offset {event.offset}: the deadline is no time")
    return request


def decode_result(event: Event) -> Result:
    """Decode an event of `results@PEER`.

    Raises:
        EventShapeError: it is no result, or of a state that no callee reports.
    """
    result = envelope.decode(event, _results)
    if result.state in (State.QUEUED, State.SENT, State.RECEIVED) or result.type != kind_of(result.state):
        raise envelope.EventShapeError(f"{event.topic} offset {event.offset}: {result.type} with state {result.state}")
    return result
