"""Wake-ups are never missed: in this process, and from another one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from storage import engine
from storage.engine import ClosedError, Database

LIMIT_S = 60


async def test_a_commit_wakes_those_who_wait_for_its_topic_and_nobody_else(db: Database) -> None:
    mine, other, every = (
        db.wake.add([("stream", "mine")]),
        db.wake.add([("stream", "other")]),
        db.wake.add(None),
    )
    db.stream("mine").publish(1)
    assert await mine.wait(LIMIT_S)
    assert await every.wait(LIMIT_S)
    assert not await other.wait(0)


async def test_a_rolled_back_transaction_wakes_nobody(db: Database) -> None:
    waiter = db.wake.add(None)
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:  # noqa: PT012
        db.stream("s").publish(1, tx=tx)
        raise ZeroDivisionError
    assert not await waiter.wait(0)


async def test_a_wake_between_clear_and_wait_is_not_lost(db: Database) -> None:
    waiter = db.wake.add([("stream", "s")])
    for _ in range(200):
        waiter.clear()
        thread = threading.Thread(target=db.stream("s").publish, args=(1,))
        thread.start()
        assert await waiter.wait(LIMIT_S)
        thread.join()


async def test_listeners_get_every_notification_of_their_channel_once(db: Database) -> None:
    db.submit(lambda tx: tx.notify("a", "before")).result()
    listener = db.listen("a")
    for number in range(50):
        await db.run(lambda tx, n=number: tx.notify("a", n))  # type: ignore[misc]
        await db.run(lambda tx, n=number: tx.notify("b", n))  # type: ignore[misc]
    async with asyncio.timeout(LIMIT_S):
        assert [(await anext(listener)).payload for _ in range(50)] == list(range(50))
    listener.close()
    listener.close()


async def test_closing_the_database_ends_every_wait(path: Path) -> None:
    db = engine.open(path)
    waiting = asyncio.ensure_future(db.wake.add(None).wait())
    await asyncio.sleep(0)
    await asyncio.to_thread(db.close)
    with pytest.raises(ClosedError):
        await waiting


WRITER = """
import sys, random
from storage import engine
db = engine.open(sys.argv[1])
rng = random.Random(int(sys.argv[2]))
for n in range(int(sys.argv[3])):
    db.stream("s").publish([int(sys.argv[2]), n])
db.close()
"""


async def test_another_process_is_noticed(db: Database, path: Path) -> None:
    """Writers that come and go; the consumer gets every event, each writer's in order."""
    writers = 3
    each = 40

    def write() -> None:
        for seed in range(writers):
            subprocess.run([sys.executable, "-c", WRITER, str(path), str(seed), str(each)], check=True)

    thread = threading.Thread(target=write)
    thread.start()
    seen: list[list[int]] = []
    async with asyncio.timeout(LIMIT_S):
        async for event in db.stream("s").subscribe():
            seen.append(event.payload)
            if len(seen) == writers * each:
                break
    thread.join()
    assert seen == [[seed, n] for seed in range(writers) for n in range(each)]
