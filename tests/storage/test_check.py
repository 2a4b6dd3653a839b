"""`check` finds what is wrong, says what to do, and finds nothing where nothing is."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from app.services.projector import PROJECTIONS, catch_up
from storage.check import Finding, check
from storage.engine import Database
from storage.migrations import system, tenant
from storage.tenants import open_system_database, open_tenant_database
from tests.app.tui.conftest import fill


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "t.db"
    db = open_tenant_database(path)
    fill(db)
    db.close()
    return path


def found(path: Path, *, quick: bool = False) -> list[Finding]:
    return check(path, tenant.MIGRATIONS, PROJECTIONS, quick=quick)


def change(path: Path, work: Callable[[Database], object]) -> None:
    db = open_tenant_database(path)
    work(db)
    db.close()


def execute(path: Path, *statements: str) -> None:
    def work(db: Database) -> None:
        with db.exclusive() as connection:
            connection.execute("PRAGMA foreign_keys = OFF")
            for statement in statements:
                connection.execute(statement)

    change(path, work)


def test_a_good_file_has_no_findings_and_is_not_written_to(file: Path, tmp_path: Path) -> None:
    before = file.read_bytes()
    assert found(file) == found(file, quick=True) == []
    assert file.read_bytes() == before
    open_system_database(tmp_path / "system.db").close()
    assert check(tmp_path / "system.db", system.MIGRATIONS) == []


@pytest.mark.parametrize(
    ("statement", "about", "words"),
    [
        ("DROP TABLE sessions", "schema", "table sessions is missing"),
        ("DROP INDEX _honker_stream_topic", "schema", "index _honker_stream_topic is missing"),
        ("ALTER TABLE graphs ADD COLUMN mine TEXT", "schema", "table graphs is not"),
        ("DELETE FROM sessions", "projection", "of session-events are in no row"),
        ("DELETE FROM nodes", "projection", "of call-protocol are in no row"),
        ("DELETE FROM _honker_stream WHERE topic = 'call-protocol'", "projection", "the log ends at 0"),
        ("UPDATE nodes SET graph_id = 'nowhere'", "foreign keys", "of graphs that is not there"),
        ("PRAGMA user_version = 99", "schema", "schema version 99"),
    ],
)
def test_what_is_not_as_it_should_be_is_a_problem(file: Path, statement: str, about: str, words: str) -> None:
    execute(file, statement)
    findings = found(file)
    assert [finding for finding in findings if finding.about == about and words in finding.text], findings
    assert {finding.level for finding in findings} == {"problem"}
    assert all(finding.fix for finding in findings)


def test_tables_and_columns_of_others_are_none_of_ours(file: Path) -> None:
    execute(file, "CREATE TABLE mine (x)", "ALTER TABLE _honker_live ADD COLUMN claimed_at INTEGER")
    assert found(file) == []


def test_what_is_not_projected_yet_is_no_problem(file: Path) -> None:
    change(file, lambda db: [db.stream("call-protocol").publish({"type": "nonsense"}) for _ in range(5)])
    assert found(file) == []
    change(file, catch_up)
    assert found(file) == [], "an event that is in no row since it is none is accounted for"


def test_space_and_old_copies_are_notes(file: Path) -> None:
    execute(
        file,
        "CREATE TABLE ballast (x BLOB)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)"
        " INSERT INTO ballast SELECT zeroblob(100000) FROM n",
        "DROP TABLE ballast",
    )
    for version in (1, 2, 3):
        assert [finding.about for finding in found(file)] == ["space"], "two copies are kept on purpose"
        Path(f"{file}.v{version}.backup").write_bytes(b"x" * 1000)
    assert [(finding.level, finding.about) for finding in found(file)] == [("note", "space"), ("note", "copies")]


def test_damage_is_found_and_the_rest_is_not_judged(file: Path) -> None:
    content = bytearray(file.read_bytes())
    rng = random.Random(3)
    for page in range(1, len(content) // 4096):
        content[page * 4096 : page * 4096 + 40] = rng.randbytes(40)
    file.write_bytes(content)
    for quick in (False, True):
        findings = found(file, quick=quick)
        assert findings
        assert {finding.level for finding in findings} == {"problem"}
        assert {finding.about for finding in findings} <= {"damage", "read", "open"}
        assert "spoke restore" in findings[0].fix
    file.write_bytes(b"no database" * 1000)
    (finding,) = found(file)
    assert finding.about in ("open", "read")
    assert "not a database" in finding.text
