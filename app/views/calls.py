"""The calls of a session as the waterfall shows them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from storage.engine import Snapshot

CallStatus: TypeAlias = Literal["pending", "running", "completed", "failed", "aborted"]


class _Failure(msgspec.Struct):
    code: str
    message: str


class _Attributes(msgspec.Struct, rename="camel"):
    """What a row of the waterfall needs of a call's attributes; input and output are not decoded."""

    request_id: str
    operation_id: str
    status: CallStatus
    parent_request_id: str | None = None
    error: _Failure | None = None
    started_at: str | None = None
    completed_at: str | None = None
    duration_ms: float | None = None


_decoder: msgspec.json.Decoder[_Attributes] = msgspec.json.Decoder(_Attributes)


@dataclass(frozen=True, slots=True)
class Call:
    """A call; times are unix milliseconds, None where nobody knows them."""

    request_id: str
    parent_id: str | None
    operation_id: str
    status: CallStatus
    started_ms: float | None
    completed_ms: float | None
    duration_ms: float | None
    error: str | None

    @property
    def ended(self) -> bool:
        """Whether its outcome is known."""
        return self.status not in ("pending", "running")


def read_calls(snapshot: Snapshot, graph_id: str) -> list[Call]:
    """The calls of a session (or of the graph `calls`), in the order of the log."""
    rows = snapshot.rows("SELECT attributes FROM nodes WHERE graph_id = ? ORDER BY rowid", (graph_id,))
    return [decode_call(row[0]) for row in rows]


def call_attributes(snapshot: Snapshot, graph_id: str, request_id: str) -> dict[str, Any] | None:
    """Everything that is known about one call, decoded; None when there is no such call."""
    rows = snapshot.rows("SELECT attributes FROM nodes WHERE graph_id = ? AND key = ?", (graph_id, request_id))
    if not rows:
        return None
    found: dict[str, Any] = json.loads(rows[0][0])
    return found


def decode_call(attributes: str) -> Call:
    """The call that a node of a call graph is, from the JSON text of its attributes."""
    found = _decoder.decode(attributes)
    started, completed = milliseconds(found.started_at), milliseconds(found.completed_at)
    lasted = found.duration_ms
    if lasted is None and started is not None and completed is not None:
        lasted = completed - started
    failure = found.error
    return Call(
        found.request_id,
        found.parent_request_id,
        found.operation_id,
        found.status,
        started,
        completed,
        lasted,
        f"{failure.code}: {failure.message}" if failure else None,
    )


def milliseconds(timestamp: str | None) -> float | None:
    """A time as events carry it, unix milliseconds; a foreign program's text that is no time counts as unknown."""
    if timestamp is None:
        return None
    try:
        return datetime.fromisoformat(timestamp).timestamp() * 1000
    except (ValueError, OverflowError):
        return None


class CallReader:
    """The calls of a graph, read again and again: only what is new or had no outcome yet is read and decoded."""

    def __init__(self, graph_id: str) -> None:
        self._graph_id = graph_id
        self._forget()

    def _forget(self) -> None:
        self._calls: list[Call] = []
        self._index: dict[str, int] = {}
        self._open: set[str] = set()
        self._last = 0

    @property
    def calls(self) -> Sequence[Call]:
        """What was read last, in the order of the log."""
        return self._calls

    def read(self, snapshot: Snapshot) -> list[Call] | None:
        """All calls in the order of the log, a list of its own; None when nothing changed since the last time."""
        known = snapshot.rows(
            "SELECT count(*) FROM nodes WHERE graph_id = ? AND rowid <= ?", (self._graph_id, self._last)
        )[0][0]
        if known != len(self._calls):  # the rows were made anew
            self._forget()
        changed = self._last == 0
        for call in self._closed(snapshot):
            self._calls[self._index[call.request_id]] = call
            self._open.discard(call.request_id)
            changed = True
        for rowid, attributes in snapshot.rows(
            "SELECT rowid, attributes FROM nodes WHERE graph_id = ? AND rowid > ? ORDER BY rowid",
            (self._graph_id, self._last),
        ):
            call = decode_call(attributes)
            self._index[call.request_id] = len(self._calls)
            self._calls.append(call)
            if not call.ended:
                self._open.add(call.request_id)
            self._last, changed = rowid, True
        return list(self._calls) if changed else None

    def _closed(self, snapshot: Snapshot) -> list[Call]:
        """The calls that had no outcome and have one now."""
        if not self._open:
            return []
        rows = snapshot.rows(
            "SELECT attributes FROM nodes WHERE graph_id = ? AND key IN (SELECT value FROM json_each(?))",
            (self._graph_id, json.dumps(sorted(self._open))),
        )
        return [call for (attributes,) in rows if (call := decode_call(attributes)).ended]
