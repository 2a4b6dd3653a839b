"""The formats as JSON Schema, written down from their specifications.

OTLP: opentelemetry-proto 1.x `trace.proto` in its JSON mapping (ids in hex, 64-bit numbers as text). Trace events: the
"Trace Event Format" document, complete and metadata events. Ours: `docs/session-export.md`.
"""

from __future__ import annotations

from typing import Any

TEXT = {"type": "string"}


def record(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    properties = {**required, **optional}
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


ATTRIBUTES = {"type": "array", "items": record({"key": TEXT, "value": record({"stringValue": TEXT})})}
NANO = {"type": "string", "pattern": "^[0-9]{1,20}$"}
SPAN_ID = {"type": "string", "pattern": "^(?!0+$)[0-9a-f]{16}$"}
SPAN = record(
    {
        "traceId": {"type": "string", "pattern": "^(?!0+$)[0-9a-f]{32}$"},
        "spanId": SPAN_ID,
        "name": TEXT,
        "kind": {"enum": [0, 1, 2, 3, 4, 5]},
        "startTimeUnixNano": NANO,
        "endTimeUnixNano": NANO,
        "attributes": ATTRIBUTES,
        "status": record({"code": {"enum": [0, 1, 2]}}, message=TEXT),
    },
    parentSpanId=SPAN_ID,
)
SCOPE_SPANS = record({"scope": record({"name": TEXT, "version": TEXT}), "spans": {"type": "array", "items": SPAN}})
RESOURCE_SPANS = record(
    {"resource": record({"attributes": ATTRIBUTES}), "scopeSpans": {"type": "array", "items": SCOPE_SPANS}}
)
OTLP = record({"resourceSpans": {"type": "array", "items": RESOURCE_SPANS}})

NATURAL = {"type": "integer", "minimum": 0}
COMPLETE = record(
    {
        "ph": {"const": "X"},
        "pid": NATURAL,
        "tid": NATURAL,
        "name": TEXT,
        "cat": TEXT,
        "ts": NATURAL,
        "dur": NATURAL,
        "args": record({"requestId": TEXT, "status": TEXT}, error=TEXT),
    },
    cname=TEXT,
)
METADATA = record(
    {
        "ph": {"const": "M"},
        "pid": NATURAL,
        "tid": NATURAL,
        "name": {"enum": ["process_name", "thread_name"]},
        "args": record({"name": TEXT}),
    }
)
CHROME = record(
    {
        "traceEvents": {"type": "array", "items": {"oneOf": [COMPLETE, METADATA]}},
        "displayTimeUnit": {"enum": ["ms", "ns"]},
        "otherData": {"type": "object", "additionalProperties": TEXT},
    }
)

MS = {"type": ["integer", "null"]}
STATUS = {"enum": ["pending", "running", "completed", "failed", "aborted"]}
DOCUMENT = record(
    {
        "format": {"const": "spoke.session/1"},
        "session": record(
            {
                "sessionId": TEXT,
                "title": TEXT,
                "source": TEXT,
                "status": {"enum": ["active", "completed", "failed", "aborted"]},
                "startedAt": MS,
                "endedAt": MS,
                "recordedAt": {"type": "integer"},
            }
        ),
        "calls": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"requestId": TEXT, "operationId": TEXT, "status": STATUS, "parentRequestId": TEXT},
                "required": ["requestId", "operationId", "status"],
            },
        },
        "messages": {
            "type": "array",
            "items": record(
                {
                    "messageId": TEXT,
                    "role": TEXT,
                    "agent": {"type": ["string", "null"]},
                    "timestamp": {"type": ["string", "null"]},
                    "parts": {"type": "array", "items": record({"partId": TEXT, "type": TEXT, "data": {}})},
                }
            ),
        },
    }
)
