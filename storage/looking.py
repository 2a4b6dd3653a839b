"""Looking into a database file that others work with: nothing is written, made or migrated."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from storage import engine
from storage.engine import Snapshot

T = TypeVar("T")


def look(path: str | os.PathLike[str], read: Callable[[Snapshot], T]) -> T:
    """What `read` finds in one consistent state of a file.

    Raises:
        EngineError: there is no such file, it is no database of ours, or it cannot be read.
    """
    db = engine.open(path, read_only=True, max_readers=1)
    try:
        with db.snapshot() as snapshot:
            return read(snapshot)
    finally:
        db.close()
