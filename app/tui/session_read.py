"""What the session screen has read, and what its filter looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.views.call_detail import Fact
from app.views.calls import Call
from app.views.filter import Filter
from app.views.messages import Line, Message
from app.views.sessions import SessionRow
from app.views.waterfall import CallTree


@dataclass(slots=True)
class Loaded:
    """What was read last; made on a reader thread."""

    session: SessionRow
    tree: CallTree
    newest: str | None
    """The call that began last."""
    new: int = 0
    """Calls that came since the list was held."""
    base: Sequence[int] | None = None
    critical: frozenset[str] = frozenset()
    messages: dict[str, Message] = field(default_factory=dict)
    lines: Sequence[Line] = ()
    facts: Sequence[Fact] = ()


def searched(call: Call, wanted: Filter) -> tuple[str, dict[str, object]]:
    """What a filter looks at: a line of text, and fields where the filter names some."""
    line = f"{call.operation_id} {call.status} {call.error or ''} {call.request_id}"
    if all(term.field is None for term in wanted.terms):
        return line, {}
    return line, {
        "op": call.operation_id,
        "state": call.status,
        "took": call.duration_ms,
        "error": call.error,
        "id": call.request_id,
    }
