"""What a file knows of its copies, and a copy that is made while others write."""

from __future__ import annotations

import threading
from pathlib import Path

from storage import engine
from storage.backup import backup
from storage.copies import (
    BackupNote,
    Grown,
    RestoredNote,
    grown_since,
    last_backup,
    note_backup,
    note_restored,
    restored_from,
)
from storage.engine import Database


def test_notes_are_kept_and_replaced(tenant: Database) -> None:
    with tenant.transaction() as tx:
        assert (last_backup(tx), restored_from(tx)) == (None, None)
        note_backup(tx, BackupNote(1, "/a", 2))
        note_backup(tx, BackupNote(3, "/b", 4))
        note_restored(tx, RestoredNote(5, 4, "host", "/b"))
        assert last_backup(tx) == BackupNote(3, "/b", 4)
        assert restored_from(tx) == RestoredNote(5, 4, "host", "/b")


def test_what_came_since_the_last_backup(tenant: Database) -> None:
    stream = tenant.stream("s")
    first = stream.publish({"x": 1})
    for _ in range(3):
        stream.publish({"x": "é"}, key="k")
    with tenant.snapshot() as snapshot:
        assert grown_since(snapshot, BackupNote(7, "/a", first)) == Grown(7, 3, 3 * (len('{"x":"é"}'.encode()) + 1))


def test_writers_go_on_while_a_copy_is_made(tenant: Database, tmp_path: Path) -> None:
    """Between two steps of a copy a commit goes through; the copy is the state from before."""
    with tenant.transaction() as tx:
        tx.execute("CREATE TABLE ballast (x BLOB)")
        tx.executemany("INSERT INTO ballast VALUES (zeroblob(100000))", [()] * 400)
    written: list[int] = []

    def publish(done: int, total: int) -> None:
        if done < total:
            writer = threading.Thread(target=lambda: written.append(tenant.stream("s").publish({"x": done})))
            writer.start()
            writer.join(60)

    backup(tenant.path, tmp_path / "copy.db", publish)
    assert written, "the copy took more than one step"
    copy = engine.open(tmp_path / "copy.db", read_only=True)
    assert copy.query("SELECT count(*) AS n FROM _honker_stream WHERE topic = 's'") == [{"n": 0}]
    copy.close()
    assert len(tenant.stream("s").read()) == len(written)
