"""What runs and where; what is left when a process is gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from storage import engine
from storage.engine import Database, DiskError
from storage.process_lock import holder
from storage.running import FOLDER, forget, running
from storage.tenants import open_tenant_database

KILLED = """
import os, signal, sys
from pathlib import Path
from storage.running import running
from storage.tenants import open_tenant_database

db = open_tenant_database(Path(sys.argv[1]))
with db.transaction() as tx:
    running(db).began(tx, "call", ["b", "a"])
    running(db).began(tx, "session", ["s"])
os.kill(os.getpid(), signal.SIGKILL)
"""


def left(db: Database) -> list[tuple[str, str]]:
    with db.snapshot() as snapshot:
        return list(running(db).left(snapshot))


def test_what_runs_here_is_not_left(tenant: Database) -> None:
    with tenant.transaction() as tx:
        running(tenant).began(tx, "call", ["a", "b"])
    assert left(tenant) == []
    (process,) = {row["process"] for row in tenant.query("SELECT process FROM running")}
    file = Path(tenant.path).parent / FOLDER / process
    assert holder(file) is not None
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    with tenant.transaction() as tx:
        running(tenant).ended(tx, "call", ["a", "b", "never began"])
    assert tenant.query("SELECT * FROM running") == []


def test_a_transaction_that_is_rolled_back_began_nothing(tenant: Database) -> None:
    with pytest.raises(KeyError), tenant.transaction() as tx:
        running(tenant).began(tx, "call", ["a"])
        raise KeyError
    assert tenant.query("SELECT * FROM running") == []


def test_what_a_killed_process_ran_is_left(tenant: Database) -> None:
    with tenant.transaction() as tx:
        running(tenant).began(tx, "call", ["ours"])
    subprocess.run([sys.executable, "-c", KILLED, tenant.path], check=False, timeout=60)
    assert left(tenant) == [("call", "a"), ("call", "b"), ("session", "s")]
    with tenant.transaction() as tx:
        for kind, each in running(tenant).left(tx):
            running(tenant).ended(tx, kind, [each])
    assert left(tenant) == []
    assert [row["id"] for row in tenant.query("SELECT id FROM running")] == ["ours"]


def test_a_database_that_was_closed_runs_nothing_more(tmp_path: Path, tenant: Database) -> None:
    """And leaves no file: only who is killed does."""
    other = open_tenant_database(Path(tenant.path))
    with other.transaction() as tx:
        running(other).began(tx, "session", ["s"])
    assert left(tenant) == []
    other.close()
    assert left(tenant) == [("session", "s")]
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_typed_error(tmp_path: Path, tenant: Database) -> None:
    (tmp_path / FOLDER).write_text("in the way")
    with pytest.raises(DiskError, match=FOLDER), tenant.transaction() as tx:
        running(tenant).began(tx, "call", ["a"])
    (tmp_path / FOLDER).unlink()
    with tenant.transaction() as tx:
        running(tenant).began(tx, "call", ["a"])


def test_a_copy_runs_nothing(tmp_path: Path, tenant: Database) -> None:
    with tenant.transaction() as tx:
        running(tenant).began(tx, "call", ["a"])
        forget(tx)
    assert tenant.query("SELECT * FROM running") == []
    older = engine.open(tmp_path / "older.db")  # a file of a program that did not know it
    with older.transaction() as tx:
        forget(tx)
    older.close()
