"""`spoke run` ends: what runs ends first, and what does not end is cut off."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import cast

import pytest

from app.services import draining, durable_calls
from app.services.local_client import NoDaemonError, ask_health
from storage.engine import Database
from storage.tenants import open_tenant_database
from sync.durable.callee import Callee

LIMIT_S = 60

PROGRAM = """
import sys, time
from app.services import draining, tenant
from app.main import main
draining.DRAIN_S = draining.begin.__defaults__[0]
draining.begin.__defaults__ = (float(sys.argv.pop(1)),)
original = tenant.handlers
def stuck(payload):
    print("began", flush=True)
    time.sleep(600)
tenant.handlers = lambda *args: {**original(*args), "maintenance": stuck}
main()
"""


@pytest.mark.parametrize(("seconds", "signals", "code"), [("0.2", 1, 0), ("600", 2, 130)])
def test_a_stuck_job_is_cut_off(tmp_path: Path, seconds: str, signals: int, code: int) -> None:
    data = tmp_path / "data"
    environment = {**os.environ, "SPOKE_DATA_DIR": str(data), "SPOKE_CONFIG": str(tmp_path / "spoke.toml")}
    command = [sys.executable, "-c", PROGRAM, seconds, "run"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        limit = time.monotonic() + LIMIT_S
        while not answers(data / "spoke.sock"):
            assert time.monotonic() < limit
            time.sleep(0.05)
        db = open_tenant_database(data / "tenant-local.db")
        db.queue("maintenance").enqueue({})
        db.close()
        assert process.stdout is not None
        assert process.stdout.readline() == "began\n"
        for number in range(signals):
            while number and answers(data / "spoke.sock"):  # two signals at once are one: the first must be seen
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == code
    finally:
        process.kill()
        _, err = process.communicate()
    db = open_tenant_database(data / "tenant-local.db")
    (row,) = db.query("SELECT state, attempts FROM _honker_live WHERE queue = 'maintenance'")
    db.close()
    if code == 0:
        assert row == {"state": "pending", "attempts": 0}, err
        assert "1 works did not end in time" in err
    else:
        assert row == {"state": "processing", "attempts": 1}, "as after a crash: its claim runs out"


class Stuck:
    """A called end whose one call does not end."""

    def __init__(self) -> None:
        self.began, self.go_on = threading.Event(), threading.Event()
        self._ready = [1]

    def recover(self) -> None:
        pass

    def take_in(self, _: object) -> bool:
        return False

    def stop_overdue(self) -> None:
        pass

    def next_deadline_ms(self) -> None:
        pass

    def ready(self, _: object) -> list[int]:
        found, self._ready = self._ready, []
        return found

    def claim(self, _: int) -> None:
        pass

    def run(self, _: int) -> None:
        self.began.set()
        self.go_on.wait(LIMIT_S)


async def test_a_durable_call_that_does_not_end_is_left_as_a_crash_would_leave_it(
    tenant: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "_ends_at", None)
    monkeypatch.setattr(draining, "_left", 0)
    callee, stop = Stuck(), asyncio.Event()
    answering = asyncio.create_task(durable_calls.answer(cast(Callee, callee), tenant, durable_calls.hub_alone, stop))
    assert await asyncio.to_thread(callee.began.wait, LIMIT_S)
    draining.begin(0)
    stop.set()
    await asyncio.wait_for(answering, LIMIT_S)
    assert draining._left == 1
    callee.go_on.set()


def answers(path: Path) -> bool:
    try:
        return bool(json.dumps(ask_health(path)))
    except NoDaemonError:
        return False
