"""House-keeping of a tenant file: what is over is deleted, what grows is cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storage.engine import BusyError, Cut, Database, Limits
from storage.engine.connection import connect
from storage.engine.errors import translated

DAY_S = 86_400
MAX_NOTIFICATIONS = 10_000
"""Channels have no replay: what is older is of use to nobody but a process that is reading just now."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule that every tenant file has from the start; the user may pause or change it."""

    name: str
    expression: str
    queue: str
    payload: dict[str, Any] = field(default_factory=dict)


SCHEDULES = (
    Schedule("retention-cleanup", "0 3 * * *", "maintenance", {"task": "cleanup-expired-graphs", "olderThanDays": 90}),
    Schedule("log-retention", "30 * * * *", "maintenance", {"task": "log-retention"}),
)


NOBODY: Mapping[str, Sequence[str]] = {}


def cut_log(
    db: Database, limits: Limits, required: Sequence[str], awaited: Mapping[str, Sequence[str]] = NOBODY
) -> dict[str, int]:
    """Delete the events of every stream that are beyond the limits; returns how many of each.

    Nothing goes that a required consumer has not read, on streams of which it has read before; nor what a consumer that
    is `awaited` on a stream has not read: it holds all of it until it comes. How far a stream was cut is kept in
    `node_facts` (`log_begins:STREAM`), so that a rebuild does not take the missing part for nothing.
    """
    found = {}
    for plan, needed in _plans(db, limits, required, awaited):
        topic = plan.topic
        if plan.until <= 0 or plan.events == 0:
            continue
        with (
            db.transaction() as tx
        ):  # before the first is deleted: a crash in between leaves a mark too early, not none
            tx.execute(
                "INSERT INTO node_facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET"
                " value = max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER))",
                (f"log_begins:{topic}", str(plan.until)),
            )
        found[topic] = db.retain_stream(topic, limits, needed).events
    return found


def plan_log(
    db: Database, limits: Limits, required: Sequence[str], awaited: Mapping[str, Sequence[str]] = NOBODY
) -> list[Cut]:
    """Say of every stream what `cut_log` would delete of it now, and who holds the rest; deletes nothing."""
    return [plan for plan, _ in _plans(db, limits, required, awaited)]


def _plans(
    db: Database, limits: Limits, required: Sequence[str], awaited: Mapping[str, Sequence[str]]
) -> Iterator[tuple[Cut, list[str]]]:
    if limits == Limits():
        return
    for row in db.query("SELECT DISTINCT topic FROM _honker_stream ORDER BY topic"):
        topic = str(row["topic"])
        known = [
            str(r["name"]) for r in db.query("SELECT name FROM _honker_stream_consumers WHERE topic = ?", (topic,))
        ]
        needed = list(dict.fromkeys([*awaited.get(topic, ()), *(name for name in required if name in known)]))
        yield db.retain_stream(topic, limits, needed, dry_run=True), needed


@dataclass(frozen=True, slots=True)
class Vacuumed:
    """The size of a file in bytes before and after."""

    before: int
    after: int


def free_bytes(path: Path) -> int:
    """How much of a file are empty pages, which `vacuum` gives back; half-empty ones come to that."""
    connection = connect(str(path), durability="normal", query_only=True, read_only=True)
    try:
        with translated(str(path)):
            return int(connection.pragma("freelist_count")) * int(connection.pragma("page_size"))
    finally:
        connection.close()


def vacuum(path: Path) -> Vacuumed:
    """Write a file anew without its empty pages, and give their space back to the disk.

    One transaction of SQLite's: a crash, a power cut or a full disk leaves the file as it was. Takes as much space
    again as the file holds, in TMPDIR (or /var/tmp) and beside the file. Other programs wait, so none should run.

    Raises:
        FullError: there is no room; nothing was changed.
        BusyError: another program is reading or writing.
    """
    before = path.stat().st_size
    connection = connect(str(path), durability="full", query_only=False)
    try:
        with translated(str(path)):
            connection.pragma("temp_store", "file")  # a copy in memory would be as large as the file
            connection.execute("VACUUM")
            ((busy, _, _),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if busy:
            raise BusyError(f"{path}: another program reads it, so that its old pages are still needed")
    finally:
        connection.close()
    return Vacuumed(before, path.stat().st_size)


def clean_up(db: Database, older_than_days: int) -> dict[str, int]:
    """Delete archived graphs last changed so long ago, durable calls that ended then, and the engine's left-overs.

    Returns how many of each.

    Graphs go in transactions of their own. Events of streams are never deleted here. Idempotent; a crash leaves the
    rest for the next time.
    """
    before = int(db.clock()) - older_than_days * DAY_S
    graphs = 0
    while True:
        with db.transaction() as tx:
            gone = tx.rows(
                "DELETE FROM graphs WHERE id IN (SELECT id FROM graphs WHERE status = 'archived' AND updated_at < ?"
                " LIMIT 10) RETURNING id",
                (before,),
            )
            for (graph_id,) in gone:
                tx.notify("graph:updated", {"graphId": graph_id, "changes": ["deleted"]})
        graphs += len(gone)
        if not gone:
            break
    dead = sum(
        db.retain_dead(str(row["queue"]), Limits(max_age_s=older_than_days * DAY_S))
        for row in db.query("SELECT DISTINCT queue FROM _honker_dead")
    )
    with db.transaction() as tx:
        calls = 0
        for table in ("link_calls", "link_received_calls"):
            tx.execute(f"DELETE FROM {table} WHERE ended_at < ?", (before * 1_000,))
            calls += tx.changes
    return {
        "graphs": graphs,
        "durableCalls": calls,
        "notifications": db.prune_notifications(older_than_s=3_600, max_keep=MAX_NOTIFICATIONS),
        "deadJobs": dead,
        "rateLimits": db.sweep_rate_limits(DAY_S),
    }
