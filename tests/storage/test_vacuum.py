"""A file written anew is the same file, only smaller; and where it cannot be done nothing has changed."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import apsw
import pytest

from storage.engine.errors import FullError
from storage.maintenance import vacuum
from storage.tenants import open_tenant_database
from tests.faults.test_f09_full import fill, small_disk


def bloated(path: Path) -> Path:
    """A file of some 4 MB, half of it without content."""
    db = open_tenant_database(path)
    with db.transaction() as tx:
        tx.execute("CREATE TABLE kept (x BLOB)")
        tx.execute("CREATE TABLE gone (x BLOB)")
        for table in ("kept", "gone"):
            tx.executemany(f"INSERT INTO {table} VALUES (?)", [(os.urandom(100_000),)] * 20)
    with db.transaction() as tx:
        tx.execute("DELETE FROM gone")
    db.stream("s").publish({"x": 1})
    db.close()
    return path


def content(path: Path) -> list[tuple[apsw.SQLiteValue, ...]]:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        assert connection.pragma("integrity_check") == "ok"
        return connection.execute("SELECT x FROM kept UNION ALL SELECT payload FROM _honker_stream").fetchall()
    finally:
        connection.close()


def test_it_gives_the_empty_pages_back(tmp_path: Path) -> None:
    path = bloated(tmp_path / "t.db")
    before = content(path)
    done = vacuum(path)
    assert done.after == path.stat().st_size < done.before * 0.6
    assert content(path) == before
    assert vacuum(path).after == done.after


def test_on_a_full_disk_nothing_changes(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 24) as disk:
        path = bloated(disk / "t.db")
        before = content(path)
        fill(disk)
        with pytest.raises(FullError):
            vacuum(path)
        (disk / "ballast").unlink()
        assert content(path) == before
        vacuum(path)
        assert content(path) == before


def test_with_a_limit_on_files_nothing_changes(tmp_path: Path) -> None:
    path = bloated(tmp_path / "t.db")
    before, limit = content(path), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limit[1]))
    try:
        with pytest.raises(FullError):
            vacuum(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert content(path) == before
