"""An engine database in a folder of its own; modules whose tests move the clock open it with that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import engine
from storage.engine import Database, Queue
from tests.storage.engine.clock import Clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "engine.db"


@pytest.fixture
def db(path: Path) -> Iterator[Database]:
    database = engine.open(path)
    yield database
    database.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(db: Database) -> Queue:
    return db.queue("q", visibility_timeout_s=10, max_attempts=3)
