"""What the migrations make is what the tables and the modules declare."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from storage import engine, tables
from storage.engine import Database
from storage.graphs.module import module_to_db_schema
from storage.graphs.shipped import SHIPPED
from storage.graphs.types import find_graph_type
from storage.migrations import migrate, system, tenant
from storage.sqlalchemy import create_engine

KINDS = [("tenant", tenant.MIGRATIONS, tables.TENANT), ("system", system.MIGRATIONS, tables.SYSTEM)]


def describe(db: Database, names: Sequence[str]) -> dict[str, Any]:
    """Everything that matters of tables: columns, keys, indexes, checks, rowid."""
    found: dict[str, Any] = {}
    for name in names:
        sql = db.query("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?", (name,))[0]["sql"]
        columns = {
            row["name"]: (re.sub(r"\(.*", "", row["type"]), row["notnull"] or row["pk"], row["dflt_value"], row["pk"])
            for row in db.query(f"PRAGMA table_info({name})")
        }
        keys = sorted(
            (row["table"], row["from"], row["to"], row["on_delete"])
            for row in db.query(f"PRAGMA foreign_key_list({name})")
        )
        indexes = sorted(
            (
                row["unique"],
                row["origin"],
                row["name"] if row["origin"] == "c" else "",
                tuple(column["name"] for column in db.query(f"PRAGMA index_info({row['name']})")),
            )
            for row in db.query(f"PRAGMA index_list({name})")
        )
        checks = sorted(re.sub(r"\s+", " ", text) for text in re.findall(r"CHECK \(((?:[^()]|\([^()]*\))*)\)", sql))
        found[name] = {
            "columns": columns,
            "keys": keys,
            "indexes": indexes,
            "checks": checks,
            "without rowid": "WITHOUT ROWID" in sql,
        }
    return found


@pytest.mark.parametrize(("kind", "migrations", "declared"), KINDS, ids=[kind[0] for kind in KINDS])
def test_the_migrated_file_has_the_declared_schema(
    kind: str, migrations: Sequence[str], declared: sa.MetaData, tmp_path: Path
) -> None:
    migrated, made = engine.open(tmp_path / "migrated.db"), engine.open(tmp_path / "declared.db")
    try:
        migrate(migrated, migrations)
        declared.create_all(create_engine(made))
        names = [
            row["name"]
            for row in migrated.query("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
            if not row["name"].startswith(("_honker_", "engine_", "sqlite_"))
        ]
        assert names == sorted(declared.tables)
        ours, theirs = describe(migrated, names), describe(made, names)
        for name in names:
            assert ours[name] == theirs[name], name
    finally:
        migrated.close()
        made.close()


@pytest.mark.parametrize(("kind", "migrations", "declared"), KINDS, ids=[kind[0] for kind in KINDS])
def test_the_seeded_types_are_those_of_the_modules(
    kind: str, migrations: Sequence[str], declared: sa.MetaData, tmp_path: Path
) -> None:
    db = engine.open(tmp_path / "t.db")
    try:
        migrate(db, migrations)
        with db.snapshot() as snapshot:
            for module in SHIPPED:
                assert asdict(find_graph_type(snapshot, module.name)) == asdict(module_to_db_schema(module))
            assert snapshot.rows("SELECT count(*) FROM graph_types") == [(len(SHIPPED),)]
    finally:
        db.close()
