"""Comparing a spoke's log with what the hub has of it, event by event."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from storage.engine import Snapshot
from sync.hub.ingest import received
from sync.link.chain import LogEvent

CHUNK = 2_048


@dataclass(frozen=True, slots=True)
class Comparison:
    """Counts of events; the logs agree when only `matched` is not 0 and `missing` is what was not sent yet."""

    matched: int
    missing: int
    """In the spoke's log, not in the hub's."""
    duplicates: int
    """Twice or out of order in the hub's log."""
    different: int
    """The same offset, another key, payload or time."""
    phantom: int
    """In the hub's log, not in the spoke's."""

    @property
    def agrees(self) -> bool:
        """Whether the hub has every event exactly once, byte for byte."""
        return not (self.missing or self.duplicates or self.different or self.phantom)


def compare(spoke: Snapshot, hub: Snapshot, node_id: str, topic: str) -> Comparison:
    """Walk both logs side by side, in offset order, in bounded memory."""
    matched = missing = duplicates = different = phantom = 0
    theirs = received(hub, node_id, topic)
    last = 0
    arrived = next(theirs, None)
    for event in log_of(spoke, topic):
        while arrived is not None and (arrived.offset <= last or arrived.offset < event.offset):
            if arrived.offset <= last:
                duplicates += 1
            else:
                phantom += 1
                last = arrived.offset
            arrived = next(theirs, None)
        if arrived is None or arrived.offset > event.offset:
            missing += 1
            continue
        if arrived == event:
            matched += 1
        else:
            different += 1
        last = event.offset
        arrived = next(theirs, None)
    while arrived is not None:
        if arrived.offset <= last:
            duplicates += 1
        else:
            phantom += 1
            last = arrived.offset
        arrived = next(theirs, None)
    return Comparison(matched, missing, duplicates, different, phantom)


def log_of(source: Snapshot, topic: str) -> Iterator[LogEvent]:
    """Yield a topic of a spoke's own log in order."""
    after = 0
    while rows := source.rows(
        "SELECT offset, key, payload, created_at FROM _honker_stream WHERE topic = ? AND offset > ?"
        " ORDER BY offset LIMIT ?",
        (topic, after, CHUNK),
    ):
        for row in rows:
            yield LogEvent(*row)
        after = rows[-1][0]
