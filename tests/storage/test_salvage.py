"""What can be read of a damaged file is read, what is lost is told, the damaged file is not touched."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from storage import engine
from storage.check import check
from storage.engine.errors import CannotOpenError
from storage.migrations import tenant
from storage.salvage import SalvageError, salvage
from storage.tenants import open_tenant_database

EVENTS = 3_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "t.db"
    db = open_tenant_database(path)
    with db.transaction() as tx:
        tx.execute("CREATE TABLE mine (name TEXT PRIMARY KEY, x) WITHOUT ROWID")
        tx.execute("CREATE INDEX mine_x ON mine (x)")
        tx.execute("CREATE VIEW ours AS SELECT x FROM mine")
        tx.executemany("INSERT INTO mine VALUES (?, ?)", [(f"n{i:06}", "y" * 50) for i in range(2_000)])
        tx.executemany(
            "INSERT INTO _honker_stream (topic, key, payload) VALUES ('s', NULL, ?)",
            [(f'{{"n":{i},"x":"{"z" * 100}"}}',) for i in range(EVENTS)],
        )
        tx.execute("DELETE FROM _honker_stream WHERE offset > ?", (EVENTS - 5,))
    db.close()
    return path


def pages_of(path: Path, table: str) -> tuple[list[int], list[int]]:
    """Leaves and inner pages of a table, by number."""
    db = engine.open(path)
    with db.exclusive() as connection:
        rows = connection.execute("SELECT pageno, pagetype FROM dbstat WHERE name = ? ORDER BY pageno", (table,))
        found = [(int(str(page)), str(kind)) for page, kind in rows]
    db.close()
    return [page for page, kind in found if kind == "leaf"], [page for page, kind in found if kind == "internal"]


def garble(path: Path, *pages: int) -> bytes:
    content = bytearray(path.read_bytes())
    for page in pages:
        content[(page - 1) * 4096 : page * 4096] = random.Random(page).randbytes(4096)
    path.write_bytes(content)
    return bytes(content)


def stored(path: Path) -> set[tuple[int, str]]:
    db = engine.open(path, read_only=True)
    rows = {(row["offset"], row["payload"]) for row in db.query("SELECT offset, payload FROM _honker_stream")}
    db.close()
    return rows


def test_of_a_good_file_everything_is_kept(file: Path, tmp_path: Path) -> None:
    tables = salvage(file, tmp_path / "out.db", tenant.MIGRATIONS)
    assert all(table.whole for table in tables)
    assert {table.table: table.rows for table in tables if table.rows > 100} == {"_honker_stream": 2_995, "mine": 2_000}
    assert stored(tmp_path / "out.db") == stored(file)
    assert check(tmp_path / "out.db", tenant.MIGRATIONS) == []
    assert (tmp_path / "out.db").stat().st_mode & 0o777 == 0o600
    db = open_tenant_database(tmp_path / "out.db")
    assert db.query("SELECT value FROM node_facts") == open_facts(file)
    assert db.stream("s").publish({}) == EVENTS + 1, "no offset is given twice"
    assert db.query("SELECT count(*) AS n FROM ours") == [{"n": 2_000}]
    db.close()
    assert not list(tmp_path.glob(".*"))


def open_facts(path: Path) -> list[dict[str, object]]:
    db = engine.open(path, read_only=True)
    rows = db.query("SELECT value FROM node_facts")
    db.close()
    return rows


@pytest.mark.parametrize("seed", range(4))
def test_around_damaged_leaves_everything_is_read(file: Path, tmp_path: Path, seed: int) -> None:
    leaves, _ = pages_of(file, "_honker_stream")
    before = stored(file)
    rng = random.Random(seed)
    chosen = rng.sample(leaves, 3) + [[leaves[0]], [leaves[-1]], [leaves[0], leaves[1]], []][seed]
    content = garble(file, *chosen)
    (saved,) = [t for t in salvage(file, tmp_path / "out.db", tenant.MIGRATIONS) if t.table == "_honker_stream"]
    assert file.read_bytes() == content
    after = stored(tmp_path / "out.db")
    assert after < before
    assert not saved.whole
    assert saved.rows == len(after)
    assert len(before) - len(after) <= len(set(chosen)) * 40, "at most what the damaged pages held"
    assert check(tmp_path / "out.db", tenant.MIGRATIONS) == []
    db = open_tenant_database(tmp_path / "out.db")
    assert db.stream("s").publish({}) == EVENTS + 1
    db.close()


def test_where_the_top_of_a_table_is_gone_others_are_kept(file: Path, tmp_path: Path) -> None:
    _, inner = pages_of(file, "_honker_stream")
    garble(file, inner[0])
    tables = {table.table: table for table in salvage(file, tmp_path / "out.db", tenant.MIGRATIONS)}
    assert (tables["mine"].rows, tables["mine"].whole) == (2_000, True)
    assert (tables["_honker_stream"].whole, tables["_honker_stream"].expected) == (False, 2_995)


def test_a_table_without_row_numbers_is_read_from_both_ends(file: Path, tmp_path: Path) -> None:
    leaves, _ = pages_of(file, "mine")
    garble(file, leaves[len(leaves) // 2])
    tables = {table.table: table for table in salvage(file, tmp_path / "out.db", tenant.MIGRATIONS)}
    assert 1_850 < tables["mine"].rows < 2_000
    assert tables["_honker_stream"].whole


def test_the_log_beside_the_file_is_read(file: Path, tmp_path: Path) -> None:
    db = open_tenant_database(file)
    db.stream("s").publish({"late": True})
    assert Path(f"{file}-wal").stat().st_size > 0
    before = Path(f"{file}-wal").read_bytes()
    salvage(file, tmp_path / "out.db", tenant.MIGRATIONS)
    assert Path(f"{file}-wal").read_bytes() == before
    db.close()
    assert stored(tmp_path / "out.db") == stored(file)


def test_what_cannot_be_is_said(file: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        salvage(tmp_path / "absent.db", tmp_path / "out.db", tenant.MIGRATIONS)
    (tmp_path / "taken.db").write_text("mine")
    with pytest.raises(CannotOpenError, match="something already"):
        salvage(file, tmp_path / "taken.db", tenant.MIGRATIONS)
    garble(file, 1)
    with pytest.raises(SalvageError, match="not even the list"):
        salvage(file, tmp_path / "out.db", tenant.MIGRATIONS)
    assert not (tmp_path / "out.db").exists()
