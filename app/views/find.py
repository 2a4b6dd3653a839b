"""Full text: where a text stands in calls, messages and events; a scan, newest first (decision 0016)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len

from app.views.text import clip, fit, safe
from storage.engine import Snapshot

KINDS = ("calls", "messages", "events")
CHUNK = 20_000
"""Rows looked at in one query: some 10 ms, so that progress moves and ^C is heard."""
AROUND = 40
"""Characters of context on either side of what was found."""

_LAST = {
    "calls": "SELECT coalesce(max(rowid), 0) FROM nodes",
    "messages": "SELECT coalesce(max(rowid), 0) FROM parts",
    "events": "SELECT coalesce(max(offset), 0) FROM _honker_stream",
}
_ROWS = {
    "calls": """SELECT n.key, n.graph_id, CAST(n.attributes AS BLOB)
FROM nodes n JOIN graphs g ON g.id = n.graph_id AND g.graph_type_id = 'call-graph'
WHERE n.rowid > ? AND n.rowid <= ? AND (n.attributes LIKE ? ESCAPE '\\' OR n.attributes LIKE ? ESCAPE '\\')
ORDER BY n.rowid DESC LIMIT ?""",
    "messages": """SELECT message_id, session_id, CAST(data AS BLOB) FROM parts
WHERE rowid > ? AND rowid <= ? AND (data LIKE ? ESCAPE '\\' OR data LIKE ? ESCAPE '\\')
ORDER BY rowid DESC LIMIT ?""",
    "events": """SELECT offset, topic, CAST(payload AS BLOB) FROM _honker_stream
WHERE offset > ? AND offset <= ? AND (payload LIKE ? ESCAPE '\\' OR payload LIKE ? ESCAPE '\\')
ORDER BY offset DESC LIMIT ?""",
}
"""Of each kind: id, where it belongs, and the text; as bytes, for a foreign program can store what is not UTF-8."""
_FIELDS = {"operationId": "operation", "input": "input", "output": "output", "error": "error"}


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that holds the text.

    `id` is a request id, a message id or an offset; `within` the session (or graph) of a call or message, the topic of
    an event; `where` the part that holds it: operation, input, output or error of a call, else the column. `snippet`
    is as it is stored, JSON, and `start` and `end` bound what was found in it.
    """

    kind: str
    id: str
    within: str
    where: str
    snippet: str
    start: int
    end: int


def find(
    snapshot: Snapshot,
    text: str,
    kinds: Sequence[str] = KINDS,
    limit: int = 20,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Found]:
    """What holds the text, the newest of each kind first, up to `limit` of each.

    Case does not matter in ASCII. Text is looked for as JSON writes it, with and without `\\\\u` escapes. `progress` is
    told the rows looked at so far, and of how many (of the kinds together, by their keys).
    """
    forms = [json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (False, True)]
    patterns = [f"%{_escaped(form)}%" for form in forms]
    last = {kind: int(snapshot.rows(_LAST[kind])[0][0]) for kind in kinds}
    done, total = 0, sum(last.values())
    for kind in kinds:
        left = limit
        for upto in range(last[kind], 0, -CHUNK):
            for id_, within, stored in snapshot.rows(_ROWS[kind], (max(0, upto - CHUNK), upto, *patterns, left)):
                left -= 1
                yield _found(kind, str(id_), str(within), stored, forms)
            done += min(upto, CHUNK)
            if progress is not None:
                progress(done, total)
            if left == 0:
                break


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _found(kind: str, id_: str, within: str, stored: bytes, forms: Sequence[str]) -> Found:
    text = stored.decode(errors="replace")
    where, text = _part(text, forms) if kind == "calls" else ("payload" if kind == "events" else "data", text)
    at, length = next(((at, len(form)) for form in forms if (at := _index(text, form)) >= 0), (0, 0))
    first, last = max(0, at - AROUND), min(len(text), at + length + AROUND)
    before = "…" if first else ""
    snippet = before + text[first:last] + ("…" if last < len(text) else "")
    start = at - first + len(before)
    return Found(kind, id_, within, where, snippet, start, start + length)


def _part(text: str, forms: Sequence[str]) -> tuple[str, str]:
    """The part of a call that holds one of the forms, as JSON; the whole where none of the four does."""
    try:
        attributes: Any = json.loads(text)
    except (ValueError, RecursionError):
        return "attributes", text
    for field, name in _FIELDS.items():
        for ascii_only in (False, True):
            part = json.dumps(attributes.get(field), ensure_ascii=ascii_only, separators=(",", ":"))
            if field in attributes and any(_index(part, form) >= 0 for form in forms):
                return name, part
    return "attributes", text


def _index(text: str, form: str) -> int:
    """Where the form stands, as LIKE compares: only letters of ASCII have no case."""
    return _lower(text).find(_lower(form))


def _lower(text: str) -> str:
    return text.lower() if text.isascii() else text.translate(_LOWER)


_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def found_line(found: Found, width: int, mark: Callable[[str], str] = str) -> str:
    """One line: kind, id, where, snippet, in at most `width` cells; `mark` is put around what was found."""
    within = found.within if found.kind == "events" else found.within[:8]
    head = f"{found.kind[:-1]:<8}{safe(found.id[:8]):<9}{fit(safe(within), 15)} {found.where:<10}"
    before, hit, after = (
        safe(found.snippet[: found.start]),
        safe(found.snippet[found.start : found.end]),
        safe(found.snippet[found.end :]),
    )
    room = max(10, width - cell_len(head))
    hit = clip(hit, room)
    room -= cell_len(hit)
    before = _clip_left(before, max(room // 2, room - cell_len(after)))
    return (head + before + mark(hit) + clip(after, room - cell_len(before))).rstrip()


def _clip_left(text: str, width: int) -> str:
    """The end of a text that fits."""
    if cell_len(text) <= width:
        return text
    while text and cell_len(text) > width - 1:
        text = text[1:]
    return f"…{text}" if width > 0 else ""
