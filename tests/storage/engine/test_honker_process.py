"""The real Honker and this engine, in two processes on one file at the same time.

Honker's wheels need glibc 2.38, so it does not run on Debian 12. Where it does:
`SPOKE_HONKER="python3"`, or through a chroot of Debian 13 that has it, with a folder that both see:
`SPOKE_HONKER="chroot /tmp/deb13 python3" SPOKE_HONKER_DIR=/tmp/interop:/interop`.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import uuid
from pathlib import Path

import pytest

from storage import engine

NUMBER = 1_500

THEIRS = """
import asyncio, sys, honker
db = honker.open(sys.argv[1])
number = int(sys.argv[2])
inbox, outbox = db.queue("to-honker"), db.queue("to-ours")
async def jobs():
    left = number
    async for job in inbox.claim("honker"):
        with db.transaction() as tx:
            outbox.enqueue({"echo": job.payload}, tx=tx)
        assert job.ack()
        left -= 1
        if not left:
            return
async def events():
    left = number
    async for event in db.stream("ours").subscribe("honker-consumer", save_every_n=10):
        db.stream("theirs").publish({"echo": event.payload})
        left -= 1
        if not left:
            return
async def notes():
    left = 50
    async for note in db.listen("ping"):
        with db.transaction() as tx:
            tx.notify("pong", note.payload)
        left -= 1
        if not left:
            return
async def main():
    tasks = [asyncio.create_task(work()) for work in (jobs, events, notes)]
    await asyncio.sleep(0.3)
    print("ready", flush=True)
    await asyncio.gather(*tasks)
asyncio.run(main())
print("done", flush=True)
"""


async def test_both_work_on_one_file_at_the_same_time(tmp_path: Path) -> None:
    command = os.environ.get("SPOKE_HONKER")
    if not command:
        pytest.skip("no Honker process: its wheels need glibc 2.38, set SPOKE_HONKER")
    here, _, there = os.environ.get("SPOKE_HONKER_DIR", f"{tmp_path}:{tmp_path}").partition(":")
    name = f"{uuid.uuid4().hex}.db"
    db = engine.open(Path(here) / name, durability="normal")
    arguments = [*shlex.split(command), "-c", THEIRS, f"{there}/{name}", str(NUMBER)]
    honker = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220 - read on threads
    assert honker.stdout is not None
    assert await asyncio.to_thread(honker.stdout.readline) == "ready\n"

    async def send() -> None:
        for n in range(NUMBER):
            await db.run(lambda tx: db.queue("to-honker").enqueue(n, tx=tx))  # noqa: B023 - awaited
            await db.run(lambda tx: db.stream("ours").publish(n, tx=tx))  # noqa: B023
            if n % 30 == 0:
                await db.run(lambda tx: tx.notify("ping", n))  # noqa: B023

    async def jobs() -> list[int]:
        found = []
        async for job in db.queue("to-ours").claim("ours"):
            found.append(job.payload["echo"])
            assert await asyncio.to_thread(job.ack)
            if len(found) == NUMBER:
                break
        return found

    async def events() -> list[int]:
        found = []
        async for event in db.stream("theirs").subscribe("our-consumer"):
            found.append(event.payload["echo"])
            if len(found) == NUMBER:
                break
        return found

    async def notes() -> list[int]:
        found = []
        async for note in db.listen("pong"):
            found.append(note.payload)
            if len(found) == 50:
                break
        return found

    async with asyncio.timeout(100):
        _, claimed, read, heard = await asyncio.gather(send(), jobs(), events(), notes())
    assert sorted(claimed) == list(range(NUMBER))
    assert read == list(range(NUMBER))
    assert heard == list(range(0, NUMBER, 30))
    assert await asyncio.to_thread(honker.stdout.readline) == "done\n"
    honker.stdout.close()
    assert await asyncio.to_thread(honker.wait) == 0
    assert db.query("SELECT count(*) AS n FROM _honker_live") == [{"n": 0}]
    assert db.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    db.close()
