"""Looking a database file over: what is damaged, what is not as it should be, and what to do about it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import apsw

from storage import engine
from storage.backup import KEEP_COPIES, backups_before_migration
from storage.engine import Snapshot, schema
from storage.engine.errors import EngineError
from storage.migrations import newer
from storage.projections.projection import Projection

WAL_BYTES = 64 * 1024 * 1024
"""A write-ahead log that has grown so far has not been brought into the file for long: somebody reads all the time."""
FREE_PART = 4
"""More than a fourth of the file without content is worth a word."""
SAMPLE = 1_000
"""Of each projected log, so many of the newest events are looked for in the rows."""
SHOWN = 10
"""Lines of SQLite's own findings that are passed on."""

RESTORE = (
    "stop every program that uses it, then: spoke restore BACKUP --replace; without one: spoke db salvage FILE OUT"
)
REBUILD = "spoke db rebuild"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was found: a `problem` has to be mended, a `note` may be. `fix` is what to do."""

    level: Literal["problem", "note"]
    about: str
    text: str
    fix: str


def check(
    path: Path, migrations: Sequence[str], projections: Sequence[Projection] = (), *, quick: bool = False
) -> list[Finding]:
    """Look a file over; nothing is written. Safe while it is in use; writers wait for nothing.

    Args:
        path: the file.
        migrations: those that it should have.
        projections: what should be in step with its log.
        quick: leave out what reads every index (SQLite's `quick_check`) and foreign keys.
    """
    try:
        db = engine.open(path, read_only=True, max_readers=1)
    except EngineError as error:
        return [Finding("problem", "open", str(error), RESTORE)]
    found: list[Finding] = []
    try:
        with db.snapshot() as snapshot:
            found.extend(_look(snapshot, path, migrations, projections, quick))  # keeps what came before an error
    except EngineError as error:
        found.append(Finding("problem", "read", str(error), RESTORE))
    finally:
        db.close()
    return found


def _look(
    snapshot: Snapshot, path: Path, migrations: Sequence[str], projections: Sequence[Projection], quick: bool
) -> Iterator[Finding]:
    damaged = False
    for finding in _integrity(snapshot, quick):
        damaged = True
        yield finding
    if damaged:
        return  # what else were said of it would rest on sand
    if not quick:
        yield from _foreign_keys(snapshot)
    ((version,),) = snapshot.rows("PRAGMA user_version")
    if version > len(migrations):
        yield Finding("problem", "schema", newer(str(path), version, len(migrations)), "upgrade this program")
        return
    if version < len(migrations):
        text = f"schema version {version}, this program has {len(migrations)}"
        yield Finding("note", "schema", text, "it is migrated, after a backup, when it is opened: spoke status")
    sound = True
    for finding in _schema(snapshot, migrations[:version]):
        sound = False
        yield finding
    if not sound:
        return
    for projection in projections:
        yield from _projection(snapshot, projection)
    yield from _sizes(snapshot, path)


def _integrity(snapshot: Snapshot, quick: bool) -> Iterator[Finding]:
    name = "quick_check" if quick else "integrity_check"
    found = [str(text) for (text,) in snapshot.rows(f"PRAGMA {name}({SHOWN})")]
    if found != ["ok"]:
        for text in found:
            yield Finding("problem", "damage", text, RESTORE)


def _foreign_keys(snapshot: Snapshot) -> Iterator[Finding]:
    broken: dict[tuple[str, str], int] = {}
    for table, _, parent, _ in snapshot.rows("PRAGMA foreign_key_check"):
        broken[table, parent] = broken.get((table, parent), 0) + 1
    for (table, parent), number in broken.items():
        text = f"{number} rows of {table} name a row of {parent} that is not there"
        yield Finding("problem", "foreign keys", text, f"{REBUILD}, if they are rows of sessions or call graphs")


def _schema(snapshot: Snapshot, migrations: Sequence[str]) -> Iterator[Finding]:
    expected = made_by(migrations)
    there = {(kind, name): sql for kind, name, sql in snapshot.rows("SELECT type, name, sql FROM sqlite_schema")}
    for (kind, name), sql in expected.items():
        if (kind, name) not in there:
            yield Finding("problem", "schema", f"{kind} {name} is missing", RESTORE)
        elif not name.startswith("_honker_") and _plain(there[kind, name]) != _plain(sql):
            # Honker's own tables may be of a newer version of Honker, with columns more.
            yield Finding("problem", "schema", f"{kind} {name} is not what the migrations make", RESTORE)


def made_by(migrations: Sequence[str]) -> dict[tuple[str, str], str]:
    """By type and name: what the engine and these migrations make in a new file."""
    connection = apsw.Connection(":memory:")
    try:
        connection.execute(schema.STATEMENTS)
        for migration in migrations:
            connection.execute(migration)
        rows = connection.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
    finally:
        connection.close()
    return {(str(kind), str(name)): str(sql) for kind, name, sql in rows}


def _plain(sql: str | None) -> str:
    return re.sub(r"\s+", " ", sql or "").replace('"', "").strip()


def _projection(snapshot: Snapshot, projection: Projection) -> Iterator[Finding]:
    """Is the cursor on the log, and are the newest events behind it in the rows?"""
    topic = projection.topic
    ((last,),) = snapshot.rows("SELECT max(offset) FROM _honker_stream WHERE topic = ?", (topic,))
    rows = snapshot.rows(
        "SELECT offset FROM _honker_stream_consumers WHERE name = ? AND topic = ?", (projection.consumer, topic)
    )
    cursor = int(rows[0][0]) if rows else 0
    begins = snapshot.rows("SELECT value FROM node_facts WHERE name = ?", (f"log_begins:{topic}",))
    if cursor > max(int(last or 0), int(begins[0][0]) if begins else 0):
        text = f"the rows of {topic} are made from events up to {cursor}, the log ends at {last or 0}"
        yield Finding(
            "problem", "projection", text, f"{REBUILD}; events that the hub has come back when it is connected"
        )
        return
    sql = _MISSING.get(topic)
    if sql is None:
        return
    ((missing,),) = snapshot.rows(sql, (topic, cursor, SAMPLE))
    if missing:
        text = f"{missing} of the newest {SAMPLE} events of {topic} are in no row"
        yield Finding("problem", "projection", text, REBUILD)


_MISSING = {
    "call-protocol": (
        "SELECT count(*) FROM (SELECT offset, topic, payload FROM _honker_stream WHERE topic = ? AND offset <= ?"
        " ORDER BY offset DESC LIMIT ?) AS e WHERE json_valid(e.payload) AND e.payload ->> '$.type' = 'call.requested'"
        " AND NOT EXISTS (SELECT 1 FROM nodes WHERE id = e.payload ->> '$.requestId')"
        " AND NOT EXISTS (SELECT 1 FROM projection_rejects r WHERE r.topic = e.topic AND r.offset = e.offset)"
    ),
    "session-events": (
        "SELECT count(*) FROM (SELECT offset, topic, payload FROM _honker_stream WHERE topic = ? AND offset <= ?"
        " ORDER BY offset DESC LIMIT ?) AS e WHERE json_valid(e.payload) AND e.payload ->> '$.type' = 'session.started'"
        " AND NOT EXISTS (SELECT 1 FROM sessions WHERE id = e.payload ->> '$.sessionId')"
        " AND NOT EXISTS (SELECT 1 FROM projection_rejects r WHERE r.topic = e.topic AND r.offset = e.offset)"
    ),
}


def _sizes(snapshot: Snapshot, path: Path) -> Iterator[Finding]:
    ((pages,),) = snapshot.rows("PRAGMA page_count")
    ((free,),) = snapshot.rows("PRAGMA freelist_count")
    ((size,),) = snapshot.rows("PRAGMA page_size")
    if free * FREE_PART > pages and free * size > 1_000_000:
        text = f"{free * size / 1e6:.1f} of {pages * size / 1e6:.1f} MB hold nothing"
        yield Finding("note", "space", text, "spoke db vacuum gives them back to the disk")
    wal = Path(f"{path}-wal")
    grown = wal.stat().st_size if wal.exists() else 0  # never open(): closing it would drop SQLite's locks
    if grown > WAL_BYTES:
        text = f"the write-ahead log has {grown / 1e6:.0f} MB"
        yield Finding("problem", "write-ahead log", text, "end the program that reads without a pause, or restart all")
    copies = [copy for _, copy in backups_before_migration(os.fspath(path))]
    if len(copies) > KEEP_COPIES:
        kept = sum(copy.stat().st_size for copy in copies)
        text = f"{len(copies)} copies from before migrations, {kept / 1e6:.1f} MB"
        yield Finding("note", "copies", text, f"when all is well: spoke db copies --prune keeps {KEEP_COPIES}")
