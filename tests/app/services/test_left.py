"""A process is killed while it records: what it left is ended, once, by whoever looks next."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from app.services import left
from app.services.projector import catch_up
from app.services.sessions import SessionRecorder
from storage.engine import Database
from storage.running import running
from storage.tenants import open_tenant_database

LIMIT_S = 60


def log(db: Database, topic: str) -> list[dict[str, Any]]:
    rows = db.query("SELECT payload FROM _honker_stream WHERE topic = ? ORDER BY offset", (topic,))
    return [json.loads(row["payload"]) for row in rows]


def killed_recording(data: Path) -> None:
    """`spoke record` that was killed with all its group while its command ran."""
    began = data.parent / "began"
    command = [
        sys.executable,
        "-m",
        "app",
        "record",
        "--title",
        "long",
        "--",
        "sh",
        "-c",
        f"touch {began}; exec sleep 60",
    ]
    process = subprocess.Popen(command, env={**os.environ, "SPOKE_DATA_DIR": str(data)}, start_new_session=True)
    limit = time.monotonic() + LIMIT_S
    while not began.exists():
        assert process.poll() is None
        assert time.monotonic() < limit, "it does not begin"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(LIMIT_S)


def test_a_killed_record_is_shown_as_what_it_is(tmp_path: Path) -> None:
    killed_recording(tmp_path / "data")
    environment = {**os.environ, "SPOKE_DATA_DIR": str(tmp_path / "data")}
    for _ in range(2):  # the second look ends nothing again
        command = [sys.executable, "-m", "app", "session", "show", "--json"]
        shown = json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60).stdout)
        assert shown["status"] == "aborted"
        (call,) = shown["calls"]
        assert (call["status"], call["error"].split(":")[0]) == ("failed", "INDETERMINATE")
    db = open_tenant_database(tmp_path / "data" / "tenant-local.db")
    assert [event["type"] for event in log(db, "call-protocol")] == ["call.requested", "call.error"]
    assert [event["type"] for event in log(db, "session-events")] == ["session.started", "session.ended"]
    db.close()


async def test_the_services_look_for_it(tmp_path: Path, tenant: Database) -> None:
    other = open_tenant_database(Path(tenant.path))
    session = SessionRecorder(other, left._now, left._new_id).start("theirs", ours=True)
    stop = asyncio.Event()
    looking = asyncio.create_task(left.run(tenant, stop, every_s=0.001))
    other.close()
    async with asyncio.timeout(LIMIT_S):
        while len(log(tenant, "session-events")) < 2:
            await asyncio.sleep(0.001)
    stop.set()
    await looking
    assert log(tenant, "session-events")[-1]["status"] == "aborted"
    assert log(tenant, "session-events")[-1]["sessionId"] == session


def test_a_session_that_is_not_of_one_process_goes_on(tenant: Database) -> None:
    """`spoke session start` is for several commands after one another."""
    other = open_tenant_database(Path(tenant.path))
    recorder = SessionRecorder(other, left._now, left._new_id)
    kept = recorder.start("over several commands")
    ended = recorder.start("ended well", ours=True)
    recorder.end(ended, "completed")
    other.close()
    assert left.end_what_is_left(tenant) == 0
    catch_up(tenant)
    states = {row["id"]: row["status"] for row in tenant.query("SELECT id, status FROM sessions")}
    assert (states[kept], states[ended]) == ("active", "completed")
    assert tenant.query("SELECT * FROM running") == []
    with tenant.snapshot() as snapshot:
        assert running(tenant).left(snapshot) == []
