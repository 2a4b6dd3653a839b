"""Everything that is known about a session, in one JSON document."""

from __future__ import annotations

from typing import Any

import msgspec

from app.views.exports.trace import MessageRow, Trace

FORMAT = "spoke.session/1"


def render(trace: Trace) -> str:
    """The document; inputs, outputs and parts are the JSON that was recorded."""
    session = trace.session
    return msgspec.json.encode(
        {
            "format": FORMAT,
            "session": {
                "sessionId": session.id,
                "title": session.title,
                "source": session.source,
                "status": session.status,
                "startedAt": session.started_ms,
                "endedAt": session.ended_ms,
                "recordedAt": session.recorded_ms,
            },
            "calls": [msgspec.Raw(trace.attributes[call.request_id].encode()) for call in trace.tree.calls],
            "messages": [_message(message) for message in trace.messages],
        }
    ).decode()


def _message(message: MessageRow) -> dict[str, Any]:
    return {
        "messageId": message.id,
        "role": message.role,
        "agent": message.agent,
        "timestamp": message.at,
        "parts": [
            {"partId": part_id, "type": kind, "data": msgspec.Raw(data.encode())}
            for part_id, kind, data in message.parts
        ],
    }
