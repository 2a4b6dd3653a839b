"""Wake-ups are never missed: in this process, and from another one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from storage import engine
from storage.engine import ClosedError, Database, FileReplacedError, wake
from storage.engine.inotify import Inotify
from storage.engine.stream import read_events

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
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        db.stream("s").publish(1, tx=tx)
        raise ZeroDivisionError
    assert not await waiter.wait(0)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
async def test_a_cancellation_beside_a_wake_up_is_kept(db: Database, turns: int) -> None:
    """Whoever is told to stop at the moment when there is news stops."""
    waiter = db.wake.add(None)

    async def listen() -> None:
        while True:
            waiter.clear()
            await waiter.wait(LIMIT_S)

    task = asyncio.create_task(listen())
    for _ in range(5):
        await asyncio.sleep(0)
    waiter.wake()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    for _ in range(20):
        await asyncio.sleep(0)
    assert task.cancelled()


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


STRESS = """
import sys, random, time
from storage import engine
seed, commits = int(sys.argv[2]), int(sys.argv[3])
rng = random.Random(seed)
db = engine.open(sys.argv[1], durability=rng.choice(["full", "normal"]))
n = 0
while n < commits:
    kind = rng.random()
    if kind < 0.05:  # a transaction that is undone
        try:
            with db.transaction() as tx:
                db.stream("s").publish("never", tx=tx)
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
    elif kind < 0.08:  # another program that opens, checkpoints and leaves
        db.close()
        db = engine.open(sys.argv[1], durability="normal")
    elif kind < 0.1:
        with db.exclusive() as connection:
            connection.pragma("wal_checkpoint", rng.choice(["passive", "restart"]))
    elif kind < 0.15:
        time.sleep(rng.random() * 0.003)
    else:
        db.stream("s").publish([seed, n])
        n += 1
db.close()
"""


@pytest.mark.parametrize("backend", ["kernel", "polling"])
async def test_no_commit_of_ten_thousand_is_missed(path: Path, backend: str) -> None:
    """Random commits by processes that come and go. The consumer does not poll: it waits for wake-ups."""
    total = 10_000 if backend == "kernel" else 1_000
    rounds, writers = 4, 3
    each = total // rounds // writers
    db = engine.open(path, durability="normal", watcher_backend=backend)

    def write() -> None:
        for number in range(rounds):
            processes = [
                subprocess.Popen([sys.executable, "-c", STRESS, str(path), str(number * writers + i), str(each)])
                for i in range(writers)
            ]
            for process in processes:
                assert process.wait() == 0

    thread = threading.Thread(target=write)
    waiter = db.wake.add([("stream", "s")])
    seen: dict[int, int] = {}
    position, count = 0, 0
    thread.start()
    async with asyncio.timeout(110):
        while count < rounds * writers * each:
            waiter.clear()
            events = await db.read(lambda snapshot: read_events(snapshot, "s", position, 1_000))  # noqa: B023
            for event in events:
                seed, number = event.payload
                assert number == seen.get(seed, -1) + 1
                seen[seed] = number
                position, count = event.offset, count + 1
            if not events:
                assert await waiter.wait(30), f"a commit was missed after {count} events"
    await asyncio.to_thread(thread.join)
    db.close()


@pytest.mark.parametrize("backend", ["kernel", "polling"])
@pytest.mark.parametrize("how", ["removed", "replaced"])
async def test_a_file_that_is_replaced_under_us_ends_every_wait(path: Path, backend: str, how: str) -> None:
    db = engine.open(path, watcher_backend=backend)
    waiters = [asyncio.ensure_future(db.wake.add(topics).wait()) for topics in (None, [("stream", "s")])]
    await asyncio.sleep(0)
    if how == "replaced":
        other = engine.open(path.with_name("other.db"))
        other.close()
        os.replace(path.with_name("other.db"), path)
    else:
        os.unlink(path)
    async with asyncio.timeout(LIMIT_S):
        for result in await asyncio.gather(*waiters, return_exceptions=True):
            assert isinstance(result, FileReplacedError)
    with pytest.raises(FileReplacedError):
        await db.wake.add(None).wait()
    db.close()


async def test_update_events_yield_for_commits(db: Database) -> None:
    events = db.update_events()
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    db.stream("s").publish(1)
    async with asyncio.timeout(LIMIT_S):
        await waiting
    await events.aclose()  # type: ignore[attr-defined]


async def test_an_idle_listener_sleeps(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """With inotify, nothing but the safety poll wakes the watching thread."""
    hub = db.wake
    rounds: list[float | None] = []
    real = Inotify.wait

    def counted(self: Inotify, timeout_s: float) -> bool:
        rounds.append(timeout_s)
        return real(self, timeout_s)

    monkeypatch.setattr(Inotify, "wait", counted)
    waiter = hub.add([("stream", "never")])
    assert not await waiter.wait(1.0)
    assert 1 <= len(rounds) <= 6
    assert set(rounds) == {wake.SAFETY_POLL_S}
