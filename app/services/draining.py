"""The end of the process: what runs may end, but not for ever."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Collection

from storage.engine import Database

log = logging.getLogger("spoke.stop")

DRAIN_S = 25.0
"""How long what runs may go on after the first SIGTERM; systemd kills after 90 s."""
CLOSE_S = 5.0
POLL_S = 0.5

_ends_at: float | None = None
_left = 0


def begin(seconds: float = DRAIN_S) -> None:
    """The process is to end: what runs has so long from now."""
    global _ends_at
    _ends_at = time.monotonic() + seconds


async def finished(works: Collection[asyncio.Future[None]]) -> bool:
    """Wait for works to end, if the process ends only until the time is up; whether all of them have ended.

    Those that have not, and cannot be ended from outside (threads), are left to `leave_if_needed`.
    """
    global _left
    pending = set(works)
    while pending := {work for work in pending if not work.done()}:
        if _ends_at is not None and time.monotonic() >= _ends_at:
            _left += len(pending)
            return False
        await asyncio.wait(pending, timeout=POLL_S)
    return True


def leave_if_needed(*databases: Database) -> None:
    """End the process at once when something was left running: its threads would hold it up.

    The databases are closed, which brings their logs into the files; where that hangs on what runs, they are left as
    a crash would leave them.
    """
    if not _left:
        return
    log.warning("%d works did not end in time and are cut off", _left)

    def close() -> None:
        for db in databases:
            db.close()

    closing = threading.Thread(target=close, daemon=True)
    closing.start()
    closing.join(CLOSE_S)
    logging.shutdown()
    os._exit(0)
