"""Opening: new files, Honker's files, files that are none; what the file looks like; locks that survive."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import apsw
import pytest

from storage import engine
from storage.engine import (
    CannotOpenError,
    ClosedError,
    Database,
    DiskError,
    FullError,
    NotADatabaseError,
    ReadOnlyError,
)
from storage.engine.errors import NoSharedMemoryError, from_apsw
from tests.conftest import SHARED

SCHEMA = SHARED / "reference" / "honker-schema.txt"


def normal(sql: str) -> str:
    """SQL without the differences that mean nothing: white space, IF NOT EXISTS."""
    return re.sub(r"\s+", "", sql.replace("IF NOT EXISTS ", ""))


def test_the_tables_are_honkers_to_the_letter(db: Database) -> None:
    if not SCHEMA.is_file():
        pytest.skip("shared data absent: honker-schema.txt")
    theirs = SCHEMA.read_text().split("-- after queue()")[1].split("user_version [")[0]
    expected = {
        (kind, name): normal(sql)
        for kind, name, sql in re.findall(
            r"^(table|index|view) (\w+) \| (.*?)(?=^\w+ \w+ \| |\Z)", theirs, re.MULTILINE | re.DOTALL
        )
        if name.startswith("_honker")
    }
    ours = {
        (row["type"], row["name"]): normal(row["sql"])
        for row in db.query("SELECT type, name, sql FROM sqlite_schema WHERE name GLOB '_honker*'")
    }
    assert len(expected) == 15
    assert ours == expected


def test_pragmas(db: Database) -> None:
    pragmas = {}
    with db.transaction() as tx:
        for name in ("journal_mode", "foreign_keys", "cache_size", "temp_store", "page_size"):
            pragmas[name] = tx.rows(f"PRAGMA {name}")[0][0]
    assert pragmas == {
        "journal_mode": "wal",
        "foreign_keys": 1,
        "cache_size": -32000,
        "temp_store": 2,
        "page_size": 4096,
    }


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("normal", 1)])
def test_durability_is_a_choice(tmp_path: Path, durability: engine.Durability, synchronous: int) -> None:
    db = engine.open(tmp_path / "d.db", durability=durability)
    with db.transaction() as tx:
        assert tx.rows("PRAGMA synchronous") == [(synchronous,)]
    db.barrier()
    with db.transaction() as tx:
        assert tx.rows("PRAGMA synchronous") == [(synchronous,)]
    db.close()


def test_a_file_of_honkers_is_ours(tmp_path: Path) -> None:
    source = SHARED / "data" / "honker" / "honker-0.5.0.db"
    if not source.is_file():
        pytest.skip("shared data absent: honker-0.5.0.db")
    copy = tmp_path / "honker.db"
    shutil.copy(source, copy)
    facts = json.loads(source.with_suffix(".json").read_text())
    db = engine.open(copy)
    try:
        for table, rows in facts["rows"].items():
            assert db.query(f"SELECT count(*) AS n FROM {table}") == [{"n": rows}], table
        (consumer,) = facts["consumers"]
        stream = db.stream(consumer["topic"])
        assert stream.get_offset(consumer["name"]) == consumer["offset"]
        behind = stream.read(after=consumer["offset"])
        assert behind
        assert all(event.payload is not None for event in behind)
        assert stream.publish({"new": True}) > behind[-1].offset
    finally:
        db.close()


def test_a_new_file_is_for_its_owner_alone(path: Path, db: Database) -> None:
    db.stream("s").publish(1)
    for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        assert file.stat().st_mode & 0o777 == 0o600


def test_a_foreign_file_is_refused_and_untouched(path: Path) -> None:
    path.write_bytes(b"hello" * 1_000)
    with pytest.raises(NotADatabaseError):
        engine.open(path)
    assert path.read_bytes() == b"hello" * 1_000


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CannotOpenError):
        engine.open(tmp_path / "no" / "x.db")


def test_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="memory"):
        engine.open(":memory:")


def test_read_only_reads_beside_a_writer_and_writes_nothing(path: Path, db: Database) -> None:
    db.stream("s").publish(1)
    other = engine.open(path, read_only=True)
    try:
        assert [event.payload for event in other.stream("s").read()] == [1]
        with pytest.raises(ReadOnlyError):
            other.stream("s").publish(2)
    finally:
        other.close()


LOCK_PROBE = """
import sys, apsw
c = apsw.Connection(sys.argv[1])
try:
    c.execute("BEGIN IMMEDIATE")
except apsw.BusyError:
    print("busy")
else:
    print("got it")
"""


def probe(path: Path) -> str:
    done = subprocess.run([sys.executable, "-c", LOCK_PROBE, str(path)], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_locks_survive_opening_the_same_file_again(path: Path, db: Database) -> None:
    """Closing any descriptor of a file drops the process's POSIX locks on it: the engine must never open() it."""
    with db.transaction():
        assert probe(path) == "busy"
        other = engine.open(path)
        other.query("SELECT 1")
        other.close()
        assert probe(path) == "busy"
    assert probe(path) == "got it"


def test_the_probe_would_see_a_lost_lock(path: Path, db: Database) -> None:
    with db.transaction():
        os.close(os.open(f"{path}-shm", os.O_RDONLY))  # what the engine must never do
        assert probe(path) == "got it"


async def test_read_only_hears_of_new_commits(path: Path, db: Database) -> None:
    """Without a connection that could write: a follower gets what is published after it began to wait."""
    other = engine.open(path, read_only=True)
    try:
        events = other.stream("s").subscribe()
        async with asyncio.timeout(60):
            waiting = asyncio.ensure_future(anext(events))
            db.stream("s").publish("new")
            assert (await waiting).payload == "new"
            updates = other.update_events()
            waiting_update = asyncio.ensure_future(anext(updates))
            while not waiting_update.done():
                db.stream("s").publish("more")
                await asyncio.sleep(0.01)
    finally:
        other.close()
    with pytest.raises(ClosedError):
        await other.wake.add(None).wait()


@contextmanager
def without_privileges() -> Iterator[None]:
    """Root may write everywhere; nobody may not."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65_534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def locked_away() -> Iterator[Path]:
    """A database that everybody may read, closed, in a directory that nobody may write to."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        db = engine.open(folder / "t #1?.db")
        db.stream("s").publish(1)
        db.close()
        (folder / "t #1?.db").chmod(0o444)
        folder.chmod(0o555)
        yield folder / "t #1?.db"
        folder.chmod(0o755)


def test_read_only_in_a_directory_that_cannot_be_written(locked_away: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else could write meanwhile, unseen, so it is refused; on a read-only file system nobody could."""
    with without_privileges(), pytest.raises(NoSharedMemoryError) as refused:
        engine.open(locked_away, read_only=True).query("SELECT 1")
    assert "copy the file" in refused.value.hint
    real = os.statvfs

    def read_only(file: str) -> SimpleNamespace:
        return SimpleNamespace(f_flag=real(file).f_flag | os.ST_RDONLY)

    with monkeypatch.context() as patched:
        patched.setattr("storage.engine.connection.os.statvfs", read_only)
        with without_privileges():
            db = engine.open(locked_away, read_only=True)
            assert [event.payload for event in db.stream("s").read()] == [1]
            db.close()
        wal = Path(f"{locked_away}-wal")
        locked_away.parent.chmod(0o755)
        wal.write_bytes(b"x")
        locked_away.parent.chmod(0o555)
        with without_privileges(), pytest.raises(NoSharedMemoryError):  # what is in there would be missed
            engine.open(locked_away, read_only=True).query("SELECT 1")


def test_read_only_beside_a_writer_in_a_directory_that_cannot_be_written(locked_away: Path) -> None:
    """What the writer shares is used; what it commits later is seen."""
    locked_away.chmod(0o644)
    if os.geteuid() != 0:
        locked_away.parent.chmod(0o755)
    writer = engine.open(locked_away)
    writer.stream("s").publish(2)
    locked_away.parent.chmod(0o555)
    with without_privileges():
        db = engine.open(locked_away, read_only=True)
        assert [event.payload for event in db.stream("s").read()] == [1, 2]
        writer.stream("s").publish(3)
        assert [event.payload for event in db.stream("s").read()] == [1, 2, 3]
        db.close()
    writer.close()


@pytest.mark.parametrize(
    ("code", "free", "kind"),
    [
        (apsw.SQLITE_IOERR_SHMSIZE, 0, FullError),
        (apsw.SQLITE_IOERR_WRITE, 0, FullError),
        (apsw.SQLITE_IOERR_SHMSIZE, 1_000_000, DiskError),
        (apsw.SQLITE_IOERR_READ, 0, DiskError),
    ],
)
def test_an_io_error_of_a_full_disk_is_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, free: int, kind: type[Exception]
) -> None:
    """SQLite says "disk I/O error" where it cannot make a `-shm` for want of room: no case for dmesg."""
    error = apsw.IOError("disk I/O error")
    vars(error)["extendedresult"] = code
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=free, f_frsize=1))
    assert type(from_apsw(error, str(tmp_path / "a.db"))) is kind
