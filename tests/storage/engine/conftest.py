"""An engine database in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import engine
from storage.engine import Database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "engine.db"


@pytest.fixture
def db(path: Path) -> Iterator[Database]:
    database = engine.open(path)
    yield database
    database.close()
