"""Hubs in a thread beside the test, for commands that run in this process or another."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

from storage.engine import Database
from storage.identity.devices import enrol_device
from storage.identity.join_tokens import find_join_token
from storage.tenants import open_system_database
from sync.hub.certificates import Certificates
from tests.sync.joining import LIMIT_S, certificates, enrolling, token
from tests.sync.rig import make_key, running_hub

T = TypeVar("T")


@contextmanager
def beside(serving: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """What an asynchronous context gives, while it runs on a loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="beside")
    thread.start()
    stop = threading.Event()
    ready: Future[T] = Future()

    async def run() -> None:
        async with serving as given:
            ready.set_result(given)
            await asyncio.to_thread(stop.wait)

    running = asyncio.run_coroutine_threadsafe(run(), loop)

    def failed(done: Future[None]) -> None:
        if not ready.done():
            ready.set_exception(done.exception() or RuntimeError("it ended before it began"))

    running.add_done_callback(failed)
    try:
        yield ready.result(LIMIT_S)
    finally:
        stop.set()
        try:
            running.result(LIMIT_S)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(LIMIT_S)
            loop.close()


@contextmanager
def joinable(folder: Path, names: list[str] | None = None) -> Iterator[tuple[str, Database, Certificates]]:
    """Address, `system.db` and certificates (for this machine, or `names`) of a hub that enrols."""
    own = certificates(folder / "tls", names)
    db = open_system_database(folder / "system.db")
    try:
        with beside(enrolling(db, own)) as url:
            yield url, db, own
    finally:
        db.close()


@contextmanager
def serving(folder: Path, tenant: str = "local") -> Iterator[tuple[str, str]]:
    """Address of a hub that takes events, and an API key for it."""
    folder.mkdir(parents=True, exist_ok=True)
    key = make_key(folder, tenant=tenant)
    with beside(running_hub(folder)) as hub:
        yield f"ws://127.0.0.1:{hub.port}", key


def enrolled(node: Path) -> None:
    """A node that joined the hub of this data directory."""
    (node / "hub").mkdir(parents=True, exist_ok=True)
    db = open_system_database(node / "hub" / "system.db")
    made = token(db, None)
    with db.transaction() as tx:
        enrol_device(tx, find_join_token(tx, made.id), "node-1", "workshop-pc", bytes(32), int(time.time()))
    db.close()
