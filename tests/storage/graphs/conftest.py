from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.engine import Database
from storage.tenants import open_tenant_database


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = open_tenant_database(tmp_path / "tenant-local.db", durability="normal")
    yield db
    db.close()
