"""A session in the log: five calls, one of them tried again, one still running until the end comes."""

from __future__ import annotations

import json
from typing import Any

from storage.engine import Database

SESSION = "5e551011-0000-4000-8000-000000000001"
ENDS_MS = 1_795_507_240_000
"""2026-11-24T08:00:40Z"""


def at(second: float) -> str:
    return f"2026-11-24T08:00:{second:06.3f}Z"


def began(request_id: str, second: float, operation: str, parent: str | None = None, **more: object) -> dict[str, Any]:
    found = {"type": "call.requested", "requestId": request_id, "operationId": operation, "timestamp": at(second)}
    metadata = {"metadata": {"sessionId": SESSION}}
    return {**found, **metadata, **({} if parent is None else {"parentRequestId": parent}), **more}


def ended(request_id: str, second: float, error: str | None = None) -> dict[str, Any]:
    outcome = (
        {"type": "call.responded", "output": {"data": {}, "meta": {"source": "local"}}}
        if error is None
        else {"type": "call.error", "code": error, "message": "it did not go\x1b[31m"}
    )
    return {**outcome, "requestId": request_id, "timestamp": at(second)}


def session_event(kind: str, second: float, **more: object) -> dict[str, Any]:
    return {"type": f"session.{kind}", "sessionId": SESSION, "timestamp": at(second), **more}


START = session_event("started", 0, title="fix the build", source="spoke", slug="fix")
CALLS = [
    began("c1", 0, "agent.run"),
    began("c2", 0.1, "fs.list", "c1", input={"path": "/"}),
    began("c3", 0.2, "fs.stat", "c2"),
    ended("c3", 1),
    ended("c2", 2.5),
    began("c4", 2.5, "http.get", "c1"),
    ended("c4", 6, "TIMEOUT"),
    began("c5", 6, "http.get", "c1"),
]
REST = [ended("c5", 20), ended("c1", 40)]
END = session_event("ended", 40, status="completed")


def publish(db: Database, *events: dict[str, Any]) -> None:
    """Append the events, in one transaction."""
    with db.transaction() as tx:
        for event in events:
            call = event["type"].startswith("call.")
            row = (str(event["requestId" if call else "sessionId"]), json.dumps(event), ENDS_MS // 1000)
            db.stream("call-protocol" if call else "session-events").append([row], tx)


def record(db: Database) -> None:
    publish(db, START, *CALLS, *REST, END)
