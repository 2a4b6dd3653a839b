"""Files of every released version are migrated; what was in them is there afterwards; a crash leaves a usable file."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage import engine
from storage.backup import backup
from storage.engine.errors import EngineError, SqlError
from storage.graphs.queries import all_edges, get_node
from storage.migrations import NewerFileError, migrate, system, tenant
from storage.secrets import get_secret
from storage.tenants import open_system_database, open_tenant_database
from tests.storage.migrations.store import FOLDER, KEYRING

STORED = sorted(FOLDER.glob("*.sqlite.gz"))


def unpacked(file: Path, folder: Path) -> Path:
    path = folder / file.name.removesuffix(".sqlite.gz")
    path.write_bytes(gzip.decompress(file.read_bytes()))
    return path


def test_the_released_versions_are_stored() -> None:
    """From the first on, without a hole; what is not released yet is not there."""
    for kind, migrations in (("tenant", tenant.MIGRATIONS), ("system", system.MIGRATIONS)):
        numbers = [int(file.name.split("-")[1][:4]) for file in STORED if file.name.startswith(kind)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert 1 <= len(numbers) <= len(migrations)


@pytest.mark.parametrize("file", [f for f in STORED if f.name.startswith("tenant")], ids=lambda file: file.name)
def test_a_stored_tenant_file_is_migrated_and_keeps_everything(file: Path, tmp_path: Path) -> None:
    db = open_tenant_database(unpacked(file, tmp_path))
    with db.transaction() as tx:
        assert tx.rows("PRAGMA user_version") == [(len(tenant.MIGRATIONS),)]
        assert get_node(tx, "g1", "a").attributes == {"size": 1}
        assert [(edge.source, edge.target) for edge in all_edges(tx, "g1")] == [("a", "b")]
        assert json.loads(tx.rows("SELECT attributes FROM nodes WHERE key = 'r1'")[0][0])["status"] == "completed"
        assert tx.rows("SELECT title, status FROM sessions") == [("stored", "active")]
        assert get_secret(tx, KEYRING, "stored", datetime(2026, 1, 1, tzinfo=UTC)) == "hunter2"
        assert tx.rows("PRAGMA integrity_check") == [("ok",)]
        assert tx.rows("PRAGMA foreign_key_check") == []
    assert len(db.stream("call-protocol").read()) == 2
    assert db.queue("maintenance").claim_one("w") is not None
    db.close()


@pytest.mark.parametrize("file", [f for f in STORED if f.name.startswith("system")], ids=lambda file: file.name)
def test_a_stored_system_file_is_migrated_and_keeps_everything(file: Path, tmp_path: Path) -> None:
    db = open_system_database(unpacked(file, tmp_path))
    with db.snapshot() as snapshot:
        assert snapshot.rows("SELECT slug FROM organizations") == [("acme",)]
        assert snapshot.rows("SELECT count(*) FROM api_keys") == [(1,)]
        assert snapshot.rows("SELECT count(*) FROM audit_logs")[0][0] >= 4
        assert snapshot.rows("PRAGMA integrity_check") == [("ok",)]
    db.close()


def test_an_older_file_is_backed_up_before_it_is_migrated(tmp_path: Path) -> None:
    db = engine.open(tmp_path / "t.db")
    assert migrate(db, ["CREATE TABLE a (x); INSERT INTO a VALUES (1);"]) == 1
    assert not list(tmp_path.glob("*.backup"))  # there was nothing to keep
    assert migrate(db, ["CREATE TABLE a (x);", "DELETE FROM a;", "CREATE TABLE b (x);"]) == 2
    db.close()
    copy = engine.open(tmp_path / "t.db.v1.backup", read_only=True)
    assert copy.query("SELECT x FROM a") == [{"x": 1}]
    copy.close()
    assert (tmp_path / "t.db.v1.backup").stat().st_mode & 0o777 == 0o600


def test_a_migration_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    db = engine.open(tmp_path / "t.db")
    with pytest.raises(SqlError):
        migrate(db, ["CREATE TABLE a (x);", "CREATE TABLE b (x); INSERT INTO nowhere VALUES (1);"])
    assert db.query("PRAGMA user_version") == [{"user_version": 1}]
    assert [row["name"] for row in db.query("SELECT name FROM sqlite_schema WHERE name IN ('a', 'b')")] == ["a"]
    assert migrate(db, ["CREATE TABLE a (x);", "CREATE TABLE b (x);"]) == 1
    db.close()


def test_without_room_for_the_backup_nothing_is_migrated(tmp_path: Path) -> None:
    db = engine.open(tmp_path / "t.db")
    migrate(db, ["CREATE TABLE a (x);"])
    (tmp_path / "t.db.v1.backup").mkdir()
    (tmp_path / "t.db.v1.backup" / "file").touch()
    with pytest.raises(OSError, match="backup"):
        migrate(db, ["CREATE TABLE a (x);", "DROP TABLE a;"])
    assert db.query("PRAGMA user_version") == [{"user_version": 1}]
    db.close()


def test_a_newer_file_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    db = open_tenant_database(path)
    with db.transaction() as tx:
        tx.execute("PRAGMA user_version = 99")
    db.close()
    before = path.read_bytes()
    with pytest.raises(NewerFileError, match="schema version 99"):
        open_tenant_database(path)
    assert path.read_bytes() == before


MIGRATE = """
import sys
from storage import engine
from storage.migrations import migrate
db = engine.open(sys.argv[1])
fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) INSERT INTO a SELECT i FROM n;"
steps = ["CREATE TABLE a (x);" + fill] + [f"CREATE TABLE t{i} AS SELECT * FROM a;" for i in range(20)]
print("begun", flush=True)
migrate(db, steps)
print("done", flush=True)
"""


@pytest.mark.parametrize("pages", [3, 40, 90])
def test_sigkill_in_the_middle_leaves_whole_migrations(tmp_path: Path, pages: int) -> None:
    """Killed when the file and its WAL have grown to some size: at different steps."""
    path = tmp_path / "t.db"
    process = subprocess.Popen([sys.executable, "-c", MIGRATE, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    while process.poll() is None:
        size = sum(file.stat().st_size for file in tmp_path.glob("t.db*") if file.exists())
        if size > pages * 100_000:
            os.kill(process.pid, signal.SIGKILL)
            break
    process.wait(60)
    process.stdout.close()
    db = engine.open(path)
    version = db.query("PRAGMA user_version")[0]["user_version"]
    names = {row["name"] for row in db.query("SELECT name FROM sqlite_schema WHERE name GLOB 't[0-9]*' OR name = 'a'")}
    assert names == ({"a"} if version else set()) | {f"t{i}" for i in range(version - 1)}
    assert db.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    db.close()
    done = subprocess.run([sys.executable, "-c", MIGRATE, str(path)], capture_output=True, text=True, timeout=100)
    assert done.stdout.split() == ["begun", "done"], done.stderr


def test_a_backup_is_one_state_of_a_database_in_use(tmp_path: Path) -> None:
    db = engine.open(tmp_path / "t.db")
    with db.transaction() as tx:
        tx.execute("CREATE TABLE a (x)")
        tx.executemany("INSERT INTO a VALUES (?)", [("x" * 500,) for _ in range(60_000)])
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))
        with db.transaction() as tx:
            tx.execute("DELETE FROM a WHERE rowid % 2")  # writers go on, and are not in the copy

    backup(db.path, tmp_path / "copy.db", progress)
    db.close()
    assert len(seen) > 1
    assert seen[-1][0] == seen[-1][1]
    copy = engine.open(tmp_path / "copy.db", read_only=True)
    assert copy.query("SELECT count(*) AS n FROM a") == [{"n": 60_000}]
    copy.close()
    assert not list(tmp_path.glob("*.partial"))


def test_a_backup_into_nowhere_is_an_error(tmp_path: Path) -> None:
    db = engine.open(tmp_path / "t.db")
    with pytest.raises((EngineError, OSError)):
        backup(db.path, tmp_path / "nowhere" / "copy.db")
    db.close()
