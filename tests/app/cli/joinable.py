"""A hub that enrols, in a thread beside the test, for commands that run in this process or another."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.engine import Database
from storage.identity.devices import enrol_device
from storage.identity.join_tokens import find_join_token
from storage.tenants import open_system_database
from sync.hub.certificates import Certificates
from tests.sync.joining import LIMIT_S, certificates, enrolling, token


@contextmanager
def joinable(folder: Path) -> Iterator[tuple[str, Database, Certificates]]:
    """Address, `system.db` and certificates of a hub."""
    own = certificates(folder / "tls")
    db = open_system_database(folder / "system.db")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="joinable")
    thread.start()
    serving = enrolling(db, own)
    try:
        url = asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result(LIMIT_S)
        yield url, db, own
        asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result(LIMIT_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(LIMIT_S)
        loop.close()
        db.close()


def enrolled(node: Path) -> None:
    """A node that joined the hub of this data directory."""
    (node / "hub").mkdir(parents=True, exist_ok=True)
    db = open_system_database(node / "hub" / "system.db")
    made = token(db, None)
    with db.transaction() as tx:
        enrol_device(tx, find_join_token(tx, made.id), "node-1", "workshop-pc", bytes(32), int(time.time()))
    db.close()
