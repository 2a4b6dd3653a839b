"""The five events of the call protocol, as they stand in the `call-protocol` stream (`reference/alkdev.md` 2.6).

Flat JSON objects, camelCase, `type` beside the fields. Inputs and outputs stay the JSON text they were (`Raw`): they
are stored, sent and projected without being decoded.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from storage.engine import Event
from storage.events import envelope

STREAM = "call-protocol"


class CallIdentity(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Who calls. Set by the receiver from the authenticated side, never believed from the wire."""

    id: str
    scopes: list[str] = []
    resources: dict[str, list[str]] = {}


class CallMetadata(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What the recorder knows beside the protocol's own fields."""

    session_id: str | None = None
    duration_ms: float | None = None
    imported_from: str | None = None


class CallEvent(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True, tag_field="type"):
    """What the five events share. `timestamp` is ISO-8601 UTC, absent where nobody knows it."""

    request_id: str
    timestamp: str | None = None
    metadata: CallMetadata | None = None


class CallRequested(CallEvent, frozen=True, tag="call.requested"):
    """A call begins. `deadline` is absolute (ms since the epoch), `idle_timeout` relative (ms between events)."""

    operation_id: str
    input: msgspec.Raw = msgspec.Raw(b"null")
    parent_request_id: str | None = None
    deadline: int | None = None
    idle_timeout: int | None = None
    identity: CallIdentity | None = None


class CallResponded(CallEvent, frozen=True, tag="call.responded"):
    """A call answers; `output` is a ResponseEnvelope."""

    output: msgspec.Raw = msgspec.Raw(b"null")


class CallCompleted(CallEvent, frozen=True, tag="call.completed"):
    """A subscription has ended."""


class CallError(CallEvent, frozen=True, tag="call.error"):
    """A call failed."""

    code: str
    message: str
    details: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class CallAborted(CallEvent, frozen=True, tag="call.aborted"):
    """A call was aborted."""


AnyCallEvent: TypeAlias = CallRequested | CallResponded | CallCompleted | CallError | CallAborted

_decoder: msgspec.json.Decoder[AnyCallEvent] = msgspec.json.Decoder(AnyCallEvent)


def decode(event: Event) -> AnyCallEvent:
    """Decode one event of the stream.

    Raises:
        EventShapeError: it is none of the five, or a field is missing or of another type.
    """
    return envelope.decode(event, _decoder)
