"""A clock and ids for recorders in tests."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime


def now() -> datetime:
    return datetime(2026, 11, 24, 12, tzinfo=UTC)


def ids() -> Callable[[], str]:
    return lambda: str(uuid.uuid4())
