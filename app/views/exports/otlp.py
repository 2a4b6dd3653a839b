"""OTLP/JSON: one `ExportTraceServiceRequest`, a span for the session and one for each call below it."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from app import __version__
from app.views.calls import Call
from app.views.exports.trace import Trace
from app.views.waterfall.tree import ROOT

KIND_INTERNAL = 1
UNSET, OK, ERROR = 0, 1, 2


def trace_id(session_id: str) -> str:
    """32 hex digits that depend on nothing but the session's id."""
    return hashlib.sha256(b"trace\x1f" + session_id.encode()).hexdigest()[:32]


def span_id(session_id: str, request_id: str) -> str:
    """16 hex digits that depend on the ids alone."""
    return hashlib.sha256(f"span\x1f{session_id}\x1f{request_id}".encode()).hexdigest()[:16]


def render(trace: Trace) -> str:
    """The document."""
    session = trace.session
    start, end = trace.whole_ms
    root = {
        "traceId": trace_id(session.id),
        "spanId": span_id(session.id, ""),
        "name": session.title,
        "kind": KIND_INTERNAL,
        "startTimeUnixNano": _nano(start),
        "endTimeUnixNano": _nano(end),
        "attributes": _attributes(
            {
                "session.id": session.id,
                "spoke.source": session.source,
                "spoke.status": session.status,
                "spoke.times": trace.tree.note or "known",
            }
        ),
        "status": {"code": {"completed": OK, "active": UNSET}.get(session.status, ERROR)},
    }
    spans = [root, *(_span(trace, position, call) for position, call in enumerate(trace.tree.calls))]
    resource = _attributes({"service.name": "spoke", "service.version": __version__})
    scope = {"name": "spoke", "version": __version__}
    return msgspec.json.encode(
        {
            "resourceSpans": [
                {"resource": {"attributes": resource}, "scopeSpans": [{"scope": scope, "spans": spans}]},
            ]
        }
    ).decode()


def _span(trace: Trace, position: int, call: Call) -> dict[str, Any]:
    session_id, above = trace.session.id, trace.tree.parents[position]
    start, end = trace.span_ms(position)
    status: dict[str, Any] = {"code": {"completed": OK, "failed": ERROR, "aborted": ERROR}.get(call.status, UNSET)}
    if call.status in ("failed", "aborted"):
        status["message"] = call.error or call.status
    return {
        "traceId": trace_id(session_id),
        "spanId": span_id(session_id, call.request_id),
        "parentSpanId": span_id(session_id, "" if above == ROOT else trace.tree.calls[above].request_id),
        "name": call.operation_id,
        "kind": KIND_INTERNAL,
        "startTimeUnixNano": _nano(start),
        "endTimeUnixNano": _nano(end),
        "attributes": _attributes({"spoke.request_id": call.request_id, "spoke.status": call.status}),
        "status": status,
    }


def _nano(ms: float) -> str:
    """As proto3 JSON writes 64-bit numbers: text. Whole microseconds, so that a float's rounding does not show."""
    return str(max(0, round(ms * 1000)) * 1000)


def _attributes(values: dict[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]
