"""`spoke run` ends: what runs ends first, and what does not end is cut off."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.services.local_client import NoDaemonError, ask_health
from storage.tenants import open_tenant_database

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
            if number:
                time.sleep(0.3)  # two signals at once are one
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


def answers(path: Path) -> bool:
    try:
        return bool(json.dumps(ask_health(path)))
    except NoDaemonError:
        return False
