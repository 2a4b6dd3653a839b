"""Comparing a spoke's log with what the hub has of it, event by event."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from storage.engine import Snapshot
from sync.hub.streams import topic_of
from sync.link.chain import LogEvent
from sync.logs.chains import END, events_between
from sync.logs.generations import generations
from sync.logs.incoming import received


@dataclass(frozen=True, slots=True)
class Comparison:
    """Counts of events; the logs agree when only `matched` is not 0 and `missing` is what was not sent yet."""

    matched: int = 0
    missing: int = 0
    """In the spoke's log, not in the hub's."""
    duplicates: int = 0
    """Twice or out of order in the hub's log."""
    different: int = 0
    """The same offset, another key, payload or time."""
    phantom: int = 0
    """In the hub's log, not in the spoke's."""
    orphans: int = 0
    """Only in the hub's log, and known to be: tails of generations that the spoke lost and went on without."""

    @property
    def agrees(self) -> bool:
        """Whether the hub has every event exactly once, byte for byte."""
        return not (self.missing or self.duplicates or self.different or self.phantom)

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(
            self.matched + other.matched,
            self.missing + other.missing,
            self.duplicates + other.duplicates,
            self.different + other.different,
            self.phantom + other.phantom,
            self.orphans + other.orphans,
        )


def compare(spoke: Snapshot, hub: Snapshot, node_id: str, topic: str) -> Comparison:
    """Walk both logs side by side, generation by generation, in bounded memory."""
    found, known = Comparison(), set[bytes]()
    for generation in generations(spoke, topic):
        known.add(generation.gen_id)
        end = END if generation.end is None else generation.end
        ours = events_between(spoke, topic, generation.base, end)
        theirs = received(hub, node_id, topic, lambda name: topic_of(node_id, name), generation.gen_id)
        found += _compare(ours, theirs, end)
    for gen_id, events in hub.rows(
        "SELECT gen_id, events FROM link_cursors WHERE node_id = ? AND topic = ?", (node_id, topic)
    ):
        if gen_id not in known:
            found += Comparison(orphans=events)
    return found


def _compare(ours: Iterator[LogEvent], theirs: Iterator[LogEvent], end: int) -> Comparison:
    matched = missing = duplicates = different = phantom = orphans = 0
    last = 0
    arrived = next(theirs, None)
    for event in ours:
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
        if arrived.offset > end:
            orphans += 1
        elif arrived.offset <= last:
            duplicates += 1
        else:
            phantom += 1
            last = arrived.offset
        arrived = next(theirs, None)
    return Comparison(matched, missing, duplicates, different, phantom, orphans)
