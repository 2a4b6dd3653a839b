"""Ends what a killed process left running: its calls as INDETERMINATE, the sessions that were its own as aborted."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from app.services.waiting import stopped_within
from storage.engine import Database
from storage.running import running

if TYPE_CHECKING:
    import asyncio

EVERY_S = 15.0
"""Also before the first time: a node whose files were put back hears from the hub first what it had said after them."""


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return str(uuid.uuid4())


def end_what_is_left(db: Database, clock: Callable[[], datetime] = _now) -> int:
    """Say in the log what nobody else will say any more; returns how many calls and sessions that were.

    Exactly once for each, whoever looks: event and row change in one transaction, which asks again.
    """
    here = running(db)
    with db.snapshot() as snapshot:
        if not here.left(snapshot):
            return 0
    from app.services.sessions import SessionRecorder
    from sync.calls.recorder import Recorder
    from sync.durable.errors import IndeterminateError

    calls, sessions = Recorder(db, clock, _new_id), SessionRecorder(db, clock, _new_id)
    gone = IndeterminateError("its process ended before the call did, and nobody knows how far it came")
    with db.transaction() as tx:
        left = here.left(tx)
        for kind, each in left:
            if kind == "call":
                calls.lost(tx, each, gone)
            else:
                sessions.end(each, "aborted", tx)
            here.ended(tx, kind, [each])
    return len(left)


async def run(db: Database, stop: asyncio.Event, every_s: float = EVERY_S) -> None:
    """Look for it now and then, until `stop`."""
    import asyncio

    while not await stopped_within(stop, every_s):
        await asyncio.to_thread(end_what_is_left, db)
