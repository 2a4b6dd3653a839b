"""Recomputing the chain of a log and holding it against what was noted of it: checkpoints, and the hub's position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from storage.engine import Snapshot
from storage.engine.stream import last_offset
from sync.link.chain import Cursor, extend
from sync.link.lineage import Generation
from sync.logs.chains import events_between, known_before, log_begins
from sync.logs.generations import generations

Finding: TypeAlias = Literal["same", "differs", "unknown"]
"""`unknown`: nothing was noted, or the events that the note speaks of were deleted by retention."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What the events of one log were found to be.

    `notes` is how many noted hashes were recomputed; `differs_at` the first offset at which one is another.
    """

    topic: str
    events: int
    notes: int
    hub_offset: int | None
    """The hub's position, as its last acknowledgement said; None: it never acknowledged anything of this log."""
    hub: Finding
    differs_at: int | None

    @property
    def good(self) -> bool:
        """Whether nothing contradicts what was noted."""
        return self.hub != "differs" and self.differs_at is None


def verify(source: Snapshot, topic: str, hub_id: str | None) -> Verified:
    """Recompute the hashes of a log from its events alone, in bounded memory.

    What it proves when the hub's position is the same: the hub has acknowledged exactly the events that are here, in
    this order, each byte of them, up to that offset. It says nothing of what happened to the hub's file afterwards; the
    next session asks it.
    """
    rows = source.rows(
        "SELECT gen_id, offset, hash FROM link_positions WHERE hub_id = ? AND topic = ?", (hub_id, topic)
    )
    gen_id, position = (rows[0][0], Cursor(rows[0][1], rows[0][2])) if rows else (None, None)
    events = notes = 0
    hub: Finding = "unknown"
    differs: int | None = None
    for generation in generations(source, topic):
        if not generation.active and generation.gen_id != gen_id:
            continue
        theirs = position if generation.gen_id == gen_id else None
        walked = _walk(source, topic, generation, theirs)
        events, notes = events + walked.events, notes + walked.notes
        hub = walked.hub if theirs is not None else hub
        differs = walked.differs_at if differs is None else differs
    return Verified(topic, events, notes, None if position is None else position.offset, hub, differs)


def _walk(source: Snapshot, topic: str, generation: Generation, position: Cursor | None) -> Verified:
    end = generation.end if generation.end is not None else max(last_offset(source, topic), generation.base)
    begins = log_begins(source, topic)
    start: Cursor | None = Cursor(generation.base, generation.gen_id)
    if begins > generation.base:  # its first events are gone: from the first hash behind which all of them are here
        start = _first_note(source, topic, generation, begins)
    noted: dict[int, bytes] = dict(
        source.rows(
            "SELECT offset, hash FROM link_checkpoints WHERE topic = ? AND gen_id = ? AND offset <= ?",
            (topic, generation.gen_id, end),
        )
    )
    if position is not None and start is not None and position.offset <= end:
        noted.setdefault(position.offset, position.hash)
    events = notes = 0
    differs = None
    hub: Finding = "unknown"
    if start is None:
        return Verified(topic, 0, 0, None, hub, None)
    chain = start.hash
    if position is not None and position.offset == start.offset:
        hub = "same" if position.hash == chain else "differs"
    for event in events_between(source, topic, start.offset, end):
        chain = extend(chain, (event,))
        events += 1
        if event.offset in noted:
            notes += 1
            if noted[event.offset] != chain and differs is None:
                differs = event.offset
        if position is not None and event.offset == position.offset:
            hub = "same" if position.hash == chain else "differs"
    if hub == "unknown" and position is not None and start.offset < position.offset:
        hub = "differs"  # the event of the position is not here, and it was not deleted by retention
    return Verified(topic, events, notes, None, hub, differs)


def _first_note(source: Snapshot, topic: str, generation: Generation, begins: int) -> Cursor | None:
    rows = source.rows(
        "SELECT offset, hash FROM link_checkpoints WHERE topic = ? AND gen_id = ? AND offset >= ?"
        " ORDER BY offset LIMIT 1",
        (topic, generation.gen_id, begins),
    )
    return Cursor(*rows[0]) if rows else known_before(source, topic, generation, begins)
