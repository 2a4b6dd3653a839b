"""The drop folder: every complete line of every `*.ndjson` or `*.jsonl` file in it becomes an event, exactly once.

How far a file was read is written in the transaction of its events, so a crash at any point neither loses a line nor
takes one twice. A file may grow, be renamed (rotation), be cut to nothing and begin anew, and go. A last line without
its end is read when its end has come. A line that is no event is kept with its number and the reason, in the table
`ingest_rejects` and in `NAME.rejected` beside the file; the lines behind it are read.

    {"type": "call.requested", …}       -> call-protocol    the five call events, as docs/architecture.md has them
    {"type": "session.started", …}      -> session-events   and the other two
    {"topic": "mine", "payload": …}     -> a stream of one's own; "key" may be there
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from storage.engine import Database, Transaction
from storage.engine.errors import EngineError, FullError
from storage.events import call_events, session_events
from storage.events.call_events import AnyCallEvent, CallIdentity, CallRequested
from storage.events.envelope import encode
from storage.events.session_events import AnySessionEvent
from storage.private_file import write_private

SUFFIXES = (".ndjson", ".jsonl")
MAX_LINE_BYTES = 1_048_576
BATCH_BYTES = 4_194_304
BATCH_LINES = 2_000
HEAD_BYTES = 512
KEEP_TEXT = 2_000
SAFETY_POLL_S = 15.0
STEP_MS = 250
"""watchfiles wakes up so often, also when nothing happens: 10 ms cost 0.3 % of a core on an idle machine."""
RESERVED = (call_events.STREAM, session_events.STREAM, "audit-events")

log = logging.getLogger("spoke.ingest")

_KNOWN = "SELECT id, head, offset, line FROM ingest_files WHERE device = ? AND inode = ? ORDER BY id DESC LIMIT 1"

_calls: msgspec.json.Decoder[AnyCallEvent] = msgspec.json.Decoder(AnyCallEvent)
_sessions: msgspec.json.Decoder[AnySessionEvent] = msgspec.json.Decoder(AnySessionEvent)


class _Tag(msgspec.Struct):
    type: str | None = None
    topic: str | None = None


class _Own(msgspec.Struct):
    topic: str
    payload: msgspec.Raw
    key: str | None = None


_tags = msgspec.json.Decoder(_Tag)
_own = msgspec.json.Decoder(_Own)


class LineError(ValueError):
    """A line that is no event; says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event to write: into which stream, under which key."""

    topic: str
    key: str | None
    text: str


@dataclass(frozen=True, slots=True)
class _Lines:
    """Whole lines from a place in a file on; `end` is behind the last of them."""

    entries: Sequence[Entry]
    rejects: Sequence[tuple[int, str, str]]
    end: int
    last_line: int


def parse(line: bytes) -> Entry:
    """Make an event of a line. Pure. What it says of who called is not believed: identities come from here.

    Raises:
        LineError: it is none.
    """
    if len(line) > MAX_LINE_BYTES:
        raise LineError(f"longer than {MAX_LINE_BYTES} bytes")
    try:
        tag = _tags.decode(line)
        if tag.topic is not None:
            own = _own.decode(line)
            if own.topic in RESERVED or not 1 <= len(own.topic) <= 128 or not own.topic.isprintable():
                raise LineError(f"no stream of one's own: {own.topic[:60]!r}")
            return Entry(own.topic, own.key, bytes(own.payload).decode())
        if tag.type is not None and tag.type.startswith("session."):
            session = _sessions.decode(line)
            return Entry(session_events.STREAM, session.session_id, encode(session))
        call = _calls.decode(line)
        if isinstance(call, CallRequested):
            call = msgspec.structs.replace(call, identity=CallIdentity("ingest", [], {}))
        return Entry(call_events.STREAM, call.request_id, encode(call))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LineError(str(error)) from error


def sweep(db: Database, folder: Path) -> int:
    """Read everything that is new in the folder; returns how many events that were.

    A file that cannot be read is told in the log and left for the next time; it harms no other.
    """
    done = 0
    for path in _files(folder):
        try:
            done += _drain(db, path)
        except OSError as error:
            log.warning("%s: %s", path, error.strerror)
    return done


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)


def _drain(db: Database, path: Path) -> int:
    # O_NOFOLLOW and the check behind it: a link could point at any file of this user's, a pipe would block for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            return 0
        total = 0
        while True:
            events = _step(db, path, file, about)
            if events is None:
                return total
            total += events


def _step(db: Database, path: Path, file: IO[bytes], about: os.stat_result) -> int | None:
    """Take the next lines in one transaction; None when there is none."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if b"\n" not in head and len(head) < HEAD_BYTES:
        return None  # the first line is not complete: nothing to know the file by yet
    with db.snapshot() as snapshot:
        known = snapshot.rows(_KNOWN, (about.st_dev, about.st_ino))
    file_id, offset, line = None, 0, 0
    if known and _is_same(head, bytes(known[0][1])) and os.fstat(file.fileno()).st_size >= known[0][2]:
        file_id, _, offset, line = known[0]
    file.seek(offset)
    found = _read(file, offset, line)
    if found.last_line == line:
        return None
    with db.transaction() as tx:
        if tx.rows(_KNOWN, (about.st_dev, about.st_ino)) != known:
            return 0  # another process was faster: its step counts, and ours begins anew
        if file_id is None:
            kept = head[: head.find(b"\n") + 1] if b"\n" in head else head
            (file_id,) = tx.rows(
                "INSERT INTO ingest_files (device, inode, head, name, offset, line, events, rejected, updated_at)"
                " VALUES (?, ?, ?, ?, 0, 0, 0, 0, 0) RETURNING id",
                (about.st_dev, about.st_ino, _mark(kept), path.name),
            )[0]
        _write(db, tx, int(file_id), path.name, found)
    if found.rejects:
        log.warning("%s: %d lines are no events: %s.rejected", path, len(found.rejects), path.name)
        _write_rejects(db, int(file_id), path)
    return len(found.entries)


def _mark(first: bytes) -> bytes:
    """What a file is known by: the length of its first line, as far as it was looked at, and a hash of it."""
    return len(first).to_bytes(2, "big") + hashlib.sha256(first).digest()


def _is_same(head: bytes, mark: bytes) -> bool:
    return _mark(head[: int.from_bytes(mark[:2], "big")]) == mark


def _read(file: IO[bytes], offset: int, line: int) -> _Lines:
    entries: list[Entry] = []
    rejects: list[tuple[int, str, str]] = []
    end = offset
    for text, length in _whole_lines(file):
        end += length
        line += 1
        if not text.strip():
            continue
        try:
            entries.append(parse(text.rstrip(b"\r\n")))
        except LineError as error:
            rejects.append((line, str(error), text[:KEEP_TEXT].decode(errors="replace").rstrip("\r\n")))
        if end - offset >= BATCH_BYTES or len(entries) + len(rejects) >= BATCH_LINES:
            break
    return _Lines(entries, rejects, end, line)


def _whole_lines(file: IO[bytes]) -> Iterator[tuple[bytes, int]]:
    """Lines that have their end, and how many bytes each takes; of one that is too long only the beginning is kept."""
    while True:
        text = file.readline(MAX_LINE_BYTES + 2)
        length, last = len(text), text
        while last and not last.endswith(b"\n"):
            last = file.readline(MAX_LINE_BYTES)
            length += len(last)
        if not last:
            return  # its end has not come yet
        yield text, length


def _write(db: Database, tx: Transaction, file_id: int, name: str, found: _Lines) -> None:
    at = int(db.clock())
    by_topic: dict[str, list[tuple[str | None, str, int]]] = {}
    for entry in found.entries:
        by_topic.setdefault(entry.topic, []).append((entry.key, entry.text, at))
    for topic, events in by_topic.items():
        db.stream(topic).append(events, tx)
    tx.executemany(
        "INSERT INTO ingest_rejects (file_id, line, reason, text) VALUES (?, ?, ?, ?)",
        [(file_id, number, reason, text) for number, reason, text in found.rejects],
    )
    tx.execute(
        "UPDATE ingest_files SET name = ?, offset = ?, line = ?, events = events + ?, rejected = rejected + ?,"
        " updated_at = ? WHERE id = ?",
        (name, found.end, found.last_line, len(found.entries), len(found.rejects), at, file_id),
    )


def _write_rejects(db: Database, file_id: int, path: Path) -> None:
    """Write the quarantine file anew from the table: whole or not at all, and never twice the same line."""
    rows = db.query("SELECT line, reason, text FROM ingest_rejects WHERE file_id = ? ORDER BY line", (file_id,))
    entries = [{"line": row["line"], "reason": row["reason"], "text": row["text"]} for row in rows]
    text = "".join(f"{msgspec.json.encode(entry).decode()}\n" for entry in entries)
    write_private(path.with_name(f"{path.name}.rejected"), text)


async def run(db: Database, folder: Path, stop: asyncio.Event) -> None:
    """Read the folder now, and whenever something in it changes, until `stop`. Makes the folder (0700)."""
    import watchfiles

    await asyncio.to_thread(folder.mkdir, 0o700, True, True)
    await asyncio.to_thread(_remake_rejects, db, folder)
    watching = watchfiles.awatch(
        folder,
        stop_event=stop,
        recursive=False,
        debounce=STEP_MS,
        step=STEP_MS,
        yield_on_timeout=True,
        rust_timeout=int(SAFETY_POLL_S * 1000),
        watch_filter=None,
    )
    changed = asyncio.ensure_future(_next(watching))
    await asyncio.sleep(0)  # its first step makes the watch: what comes during the first sweep is not missed
    try:
        while not stop.is_set():
            try:
                events = await asyncio.to_thread(sweep, db, folder)
            except FullError as error:  # what was taken counts; the rest waits in its file for the next look
                log.warning("%s rests until there is room: %s", folder, error)
                events = 0
            if events:
                log.info("%d events taken from %s", events, folder)
                continue
            try:
                await changed
            except StopAsyncIteration:
                return
            changed = asyncio.ensure_future(_next(watching))
    finally:
        changed.cancel()
        await asyncio.gather(changed, return_exceptions=True)


async def _next(changes: AsyncIterator[object]) -> None:
    await anext(changes)


def _remake_rejects(db: Database, folder: Path) -> None:
    """A crash may have come between the table and the file."""
    try:
        for row in db.query("SELECT id, name FROM ingest_files WHERE rejected > 0"):
            path = folder / str(row["name"])
            if path.exists() and not path.with_name(f"{path.name}.rejected").exists():
                _write_rejects(db, int(row["id"]), path)
    except (OSError, EngineError) as error:
        log.warning("%s: %s", folder, error)
