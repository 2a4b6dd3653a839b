"""Looking writes nothing, makes nothing, and sees what others have committed."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.engine.errors import EngineError
from storage.looking import look
from storage.tenants import find_fact, open_tenant_database


def test_looking_beside_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "tenant-local.db"
    with pytest.raises(EngineError):
        look(path, lambda _: None)
    assert not path.exists()
    db = open_tenant_database(path)
    with db.transaction() as tx:
        tx.execute("INSERT INTO node_facts VALUES ('a', '1')")
    assert look(path, lambda snapshot: find_fact(snapshot, "a")) == "1"
    db.close()
    with pytest.raises(EngineError):
        look(path, lambda snapshot: snapshot.rows("INSERT INTO node_facts VALUES ('b', '1')"))
    path.write_bytes(b"no database" * 100)
    with pytest.raises(EngineError):
        look(path, lambda snapshot: snapshot.rows("SELECT 1 FROM node_facts"))
