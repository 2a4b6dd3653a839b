"""What a node measures about itself: one list, for `system.metrics` and for Prometheus alike."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from storage.engine import Snapshot
from sync.spoke.status import STATES, read_status

_LAST_OFFSETS = """
WITH RECURSIVE topics(name) AS (
  SELECT min(topic) FROM _honker_stream
  UNION ALL
  SELECT (SELECT min(topic) FROM _honker_stream WHERE topic > name) FROM topics WHERE name IS NOT NULL)
SELECT name, (SELECT max(offset) FROM _honker_stream WHERE topic = name) FROM topics WHERE name IS NOT NULL
"""
"""A seek for each topic: counting events would walk the whole index at every scrape."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A gauge: its value now."""

    name: str
    help: str
    value: float
    labels: dict[str, str] = field(default_factory=dict)


def read_metrics(snapshot: Snapshot, path: Path) -> list[Metric]:
    """Everything that the node's file tells; `path` is that file. A few milliseconds, whatever the size of the log."""
    return [*_sizes(snapshot, path), *_streams(snapshot), *_work(snapshot), *_link(snapshot)]


def _sizes(snapshot: Snapshot, path: Path) -> Iterator[Metric]:
    ((pages,),) = snapshot.rows("PRAGMA page_count")
    ((free,),) = snapshot.rows("PRAGMA freelist_count")
    ((size,),) = snapshot.rows("PRAGMA page_size")
    yield Metric("spoke_database_bytes", "Size of the database file.", pages * size)
    yield Metric("spoke_database_free_bytes", "Pages of the file that hold nothing.", free * size)
    try:
        wal = os.stat(f"{path}-wal").st_size  # never open(): closing it would drop SQLite's locks
    except OSError:
        wal = 0
    yield Metric("spoke_wal_bytes", "Size of the write-ahead log.", wal)
    disk = os.statvfs(path.parent)
    yield Metric("spoke_disk_free_bytes", "Free space where the database is.", disk.f_bavail * disk.f_frsize)


def _streams(snapshot: Snapshot) -> Iterator[Metric]:
    for topic, offset in snapshot.rows(_LAST_OFFSETS):
        yield Metric("spoke_stream_last_offset", "Offset of a stream's newest event.", offset, {"topic": topic})
    for name, topic, offset in snapshot.rows("SELECT name, topic, offset FROM _honker_stream_consumers"):
        labels = {"consumer": name, "topic": topic}
        yield Metric("spoke_consumer_offset", "How far a consumer has read.", offset, labels)


def _work(snapshot: Snapshot) -> Iterator[Metric]:
    for queue, state, jobs in snapshot.rows("SELECT queue, state, count(*) FROM _honker_live GROUP BY queue, state"):
        yield Metric("spoke_queue_jobs", "Jobs that wait or run.", jobs, {"queue": queue, "state": state})
    for queue, jobs in snapshot.rows("SELECT queue, count(*) FROM _honker_dead GROUP BY queue"):
        yield Metric("spoke_queue_dead_jobs", "Jobs that failed for good.", jobs, {"queue": queue})
    for status, sessions in snapshot.rows("SELECT status, count(*) FROM sessions GROUP BY status"):
        yield Metric("spoke_sessions", "Sessions.", sessions, {"status": status})
    ((rejects,),) = snapshot.rows("SELECT count(*) FROM projection_rejects")
    yield Metric("spoke_rejected_events", "Events that are not of their stream's kind.", rejects)


def _link(snapshot: Snapshot) -> Iterator[Metric]:
    link = read_status(snapshot)
    for state in STATES:
        yield Metric("spoke_link_state", "1 for the state that the link is in.", state == link.state, {"state": state})
    if link.state == "unpaired":
        return
    yield Metric(
        "spoke_link_connected", "1 while the hub is reached.", link.state in ("live", "catching-up", "draining")
    )
    yield Metric("spoke_link_breaks", "How often the connection was lost.", link.breaks)
    for stream in link.streams:
        labels = {"topic": stream.topic}
        yield Metric("spoke_link_unsent_events", "Events that the hub does not have on disk.", stream.unsent, labels)
        yield Metric("spoke_link_refused_events", "Events in the hub's quarantine.", stream.refused, labels)
        yield Metric("spoke_link_gaps", "How often events were gone before they were sent.", stream.gaps, labels)
