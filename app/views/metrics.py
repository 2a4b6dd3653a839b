"""What a node and a hub measure about themselves: one list, for `system.metrics`, for Prometheus and for the docs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from app.views.room import read_room
from storage.engine import Snapshot
from storage.engine.pauses import paused_queues
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
class Declared:
    """A metric that there is. Names and labels stay; new ones may come."""

    name: str
    type: Literal["gauge", "counter", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


DECLARED = (
    Declared("spoke_info", "gauge", "The program: 1.", ("version",)),
    Declared("spoke_service_up", "gauge", "1 while a service runs.", ("service",)),
    Declared("spoke_service_restarts_total", "counter", "How often a service crashed and began again.", ("service",)),
    Declared("spoke_calls_total", "counter", "Calls that this process executed.", ("operation", "outcome")),
    Declared("spoke_commit_seconds", "histogram", "How long commits of this process took, fsync included."),
    Declared("spoke_database_bytes", "gauge", "Size of the database file."),
    Declared("spoke_database_free_bytes", "gauge", "Pages of the file that hold nothing."),
    Declared("spoke_storage_used_bytes", "gauge", "What the file holds, empty pages not counted."),
    Declared(
        "spoke_storage_max_bytes",
        "gauge",
        "What it may hold (storage.max_bytes), if there is a limit, and what is done then.",
        ("policy",),
    ),
    Declared("spoke_wal_bytes", "gauge", "Size of the write-ahead log."),
    Declared("spoke_disk_free_bytes", "gauge", "Free space where the database is."),
    Declared("spoke_stream_last_offset", "gauge", "Offset of a stream's newest event.", ("topic",)),
    Declared("spoke_consumer_offset", "gauge", "How far a consumer has read.", ("consumer", "topic")),
    Declared("spoke_queue_jobs", "gauge", "Jobs that wait or run.", ("queue", "state")),
    Declared("spoke_queue_dead_jobs", "gauge", "Jobs that failed for good.", ("queue",)),
    Declared("spoke_queue_paused", "gauge", "1 for a queue that is paused; the others are not told.", ("queue",)),
    Declared("spoke_sessions", "gauge", "Sessions.", ("status",)),
    Declared("spoke_rejected_events", "gauge", "Events that are not of their stream's kind."),
    Declared("spoke_link_state", "gauge", "1 for the state that the link is in.", ("state",)),
    Declared("spoke_link_connected", "gauge", "1 while the hub is reached."),
    Declared("spoke_link_breaks", "gauge", "How often the connection was lost."),
    Declared("spoke_link_unsent_events", "gauge", "Events that the hub does not have on disk.", ("topic",)),
    Declared("spoke_link_unsent_bytes", "gauge", "What those hold, estimated.", ("topic",)),
    Declared("spoke_link_unsent_seconds", "gauge", "Age of the oldest of those; 0 when there is none.", ("topic",)),
    Declared("spoke_link_refused_events", "gauge", "Events in the hub's quarantine.", ("topic",)),
    Declared("spoke_link_gaps", "gauge", "How often events were gone before they were sent.", ("topic",)),
    Declared("spoke_link_duplicate_events", "gauge", "Events of the hub that came again; each is stored once."),
    Declared("spoke_hub_sessions", "gauge", "Spokes that are connected, of a tenant whose file is open.", ("tenant",)),
    Declared("spoke_hub_spokes", "gauge", "Spokes that ever came.", ("tenant",)),
    Declared("spoke_hub_events", "gauge", "Events of spokes that are here.", ("tenant",)),
    Declared("spoke_hub_gaps", "gauge", "Holes in spokes' logs that nobody can fill.", ("tenant",)),
    Declared("spoke_hub_quarantined_events", "gauge", "Events that cannot be read.", ("tenant",)),
    Declared("spoke_hub_duplicate_events", "gauge", "Events that came again; each is stored once.", ("tenant",)),
    Declared("spoke_hub_database_bytes", "gauge", "Size of a database file.", ("database",)),
    Declared("spoke_hub_storage_used_bytes", "gauge", "What it holds, empty pages not counted.", ("database",)),
    Declared(
        "spoke_hub_storage_max_bytes",
        "gauge",
        "What a tenant's may hold (storage.max_bytes), if there is a limit, and what is done then.",
        ("database", "policy"),
    ),
    Declared("spoke_hub_wal_bytes", "gauge", "Size of its write-ahead log.", ("database",)),
    Declared("spoke_hub_queue_jobs", "gauge", "Jobs that wait or run.", ("database", "queue", "state")),
    Declared("spoke_hub_queue_dead_jobs", "gauge", "Jobs that failed for good.", ("database", "queue")),
    Declared("spoke_hub_queue_paused", "gauge", "1 for a queue that is paused.", ("database", "queue")),
    Declared("spoke_hub_disk_free_bytes", "gauge", "Free space where the databases are."),
)
BY_NAME = {one.name: one for one in DECLARED}


@dataclass(frozen=True, slots=True)
class Metric:
    """A value now, of a metric that is declared."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def help(self) -> str:
        """What it is, in one line."""
        return BY_NAME[self.name].help


def read_metrics(snapshot: Snapshot, path: Path, now_s: float, max_bytes: int | None = None) -> list[Metric]:
    """Everything that the node's file tells; `path` is that file, `now_s` unix seconds, `max_bytes` what it may hold.

    A few milliseconds, whatever the size of the log.
    """
    return [*_sizes(snapshot, path, max_bytes), *_streams(snapshot), *_work(snapshot), *_link(snapshot, now_s)]


_OF_A_HUB = {
    f"spoke_{name}": f"spoke_hub_{name}"
    for name in (
        "database_bytes",
        "storage_used_bytes",
        "storage_max_bytes",
        "wal_bytes",
        "queue_jobs",
        "queue_dead_jobs",
        "queue_paused",
    )
}


def read_hub_file(snapshot: Snapshot, path: Path, max_bytes: int | None = None) -> Iterator[Metric]:
    """What a file of a hub tells: its size and its queues."""
    for one in (*_sizes(snapshot, path, max_bytes), *_queues(snapshot)):
        if one.name in _OF_A_HUB:
            yield Metric(_OF_A_HUB[one.name], one.value, {"database": path.stem, **one.labels})


def read_hub_tenant(snapshot: Snapshot, slug: str, connected: int) -> Iterator[Metric]:
    """What a hub holds of the spokes of a tenant."""
    labels = {"tenant": slug}
    ((spokes, events, duplicates, gaps, quarantined),) = snapshot.rows(
        "SELECT (SELECT count(*) FROM link_spokes), (SELECT coalesce(sum(events), 0) FROM link_cursors),"
        " (SELECT coalesce(sum(duplicates), 0) FROM link_cursors),"
        " (SELECT count(*) FROM link_gaps), (SELECT count(*) FROM link_quarantine)"
    )
    yield Metric("spoke_hub_sessions", connected, labels)
    yield Metric("spoke_hub_spokes", spokes, labels)
    yield Metric("spoke_hub_events", events, labels)
    yield Metric("spoke_hub_gaps", gaps, labels)
    yield Metric("spoke_hub_quarantined_events", quarantined, labels)
    yield Metric("spoke_hub_duplicate_events", duplicates, labels)


def disk_free(folder: Path) -> int:
    """Free bytes where a folder is, for whoever is not root."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def table() -> str:
    """The table of docs/metrics.md."""
    rows = ["| name | type | labels | what |", "|---|---|---|---|"]
    for one in DECLARED:
        labels = "".join(f"{', ' if at else ''}`{name}`" for at, name in enumerate(one.labels))
        rows.append(f"| `{one.name}` | {one.type} | {labels}{' ' if labels else ''}| {one.help} |")
    return "\n".join(rows)


def _sizes(snapshot: Snapshot, path: Path, max_bytes: int | None) -> Iterator[Metric]:
    ((pages,),) = snapshot.rows("PRAGMA page_count")
    ((free,),) = snapshot.rows("PRAGMA freelist_count")
    ((size,),) = snapshot.rows("PRAGMA page_size")
    yield Metric("spoke_database_bytes", pages * size)
    yield Metric("spoke_database_free_bytes", free * size)
    room = read_room(snapshot, max_bytes)
    yield Metric("spoke_storage_used_bytes", room.used_bytes)
    if room.max_bytes is not None:
        yield Metric("spoke_storage_max_bytes", room.max_bytes, {"policy": str(room.policy)})
    try:
        wal = os.stat(f"{path}-wal").st_size  # never open(): closing it would drop SQLite's locks
    except OSError:
        wal = 0
    yield Metric("spoke_wal_bytes", wal)
    yield Metric("spoke_disk_free_bytes", disk_free(path.parent))


def _streams(snapshot: Snapshot) -> Iterator[Metric]:
    for topic, offset in snapshot.rows(_LAST_OFFSETS):
        yield Metric("spoke_stream_last_offset", offset, {"topic": topic})
    for name, topic, offset in snapshot.rows("SELECT name, topic, offset FROM _honker_stream_consumers"):
        labels = {"consumer": name, "topic": topic}
        yield Metric("spoke_consumer_offset", offset, labels)


def _queues(snapshot: Snapshot) -> Iterator[Metric]:
    for queue, state, jobs in snapshot.rows("SELECT queue, state, count(*) FROM _honker_live GROUP BY queue, state"):
        yield Metric("spoke_queue_jobs", jobs, {"queue": queue, "state": state})
    for queue, jobs in snapshot.rows("SELECT queue, count(*) FROM _honker_dead GROUP BY queue"):
        yield Metric("spoke_queue_dead_jobs", jobs, {"queue": queue})
    for queue in paused_queues(snapshot):
        yield Metric("spoke_queue_paused", 1, {"queue": queue})


def _work(snapshot: Snapshot) -> Iterator[Metric]:
    yield from _queues(snapshot)
    for status, sessions in snapshot.rows("SELECT status, count(*) FROM sessions GROUP BY status"):
        yield Metric("spoke_sessions", sessions, {"status": status})
    ((rejects,),) = snapshot.rows("SELECT count(*) FROM projection_rejects")
    yield Metric("spoke_rejected_events", rejects)


def _link(snapshot: Snapshot, now_s: float) -> Iterator[Metric]:
    link = read_status(snapshot)
    for state in STATES:
        yield Metric("spoke_link_state", state == link.state, {"state": state})
    if link.state == "unpaired":
        return
    yield Metric("spoke_link_connected", link.state in ("live", "catching-up", "draining"))
    yield Metric("spoke_link_breaks", link.breaks)
    yield Metric("spoke_link_duplicate_events", link.duplicates)
    for stream in link.streams:
        labels = {"topic": stream.topic}
        yield Metric("spoke_link_unsent_events", stream.unsent, labels)
        yield Metric("spoke_link_unsent_bytes", stream.unsent_bytes, labels)
        since_ms = stream.unsent_since_ms
        yield Metric("spoke_link_unsent_seconds", 0 if since_ms is None else max(0, now_s - since_ms / 1000), labels)
        yield Metric("spoke_link_refused_events", stream.refused, labels)
        yield Metric("spoke_link_gaps", stream.gaps, labels)
