"""What systemd is told, and when it is told nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.services.sd_notify import Manager, manager, notifying, writer_of
from storage.engine import BusyError, Database
from storage.tenants import open_tenant_database


@pytest.fixture
def systemd(tmp_path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(tmp_path / "notify"))
    listening.settimeout(20)
    return listening


def at(systemd: socket.socket, watchdog_s: float | None = None) -> Manager:
    return Manager(str(systemd.getsockname()), watchdog_s)


async def heard(systemd: socket.socket) -> str:
    return (await asyncio.to_thread(systemd.recv, 4096)).decode()


async def nothing() -> None:
    pass


async def test_ready_alive_stopping(systemd: socket.socket) -> None:
    stop = asyncio.Event()
    with systemd:
        async with notifying(nothing, stop, at(systemd, 0.03)):
            assert [await heard(systemd) for _ in range(4)] == ["READY=1", *["WATCHDOG=1"] * 3]
            stop.set()
            while (said := await heard(systemd)) == "WATCHDOG=1":
                pass
            assert said == "STOPPING=1"


async def test_who_does_not_live_is_silent(systemd: socket.socket) -> None:
    hangs = asyncio.Event()
    beats = 0

    async def alive() -> None:
        nonlocal beats
        beats += 1
        if beats == 2:
            hangs.set()
            await asyncio.Event().wait()

    with systemd:
        async with notifying(alive, asyncio.Event(), at(systemd, 0.03)):
            assert await heard(systemd) == "READY=1"
            await hangs.wait()
        systemd.settimeout(0)
        with pytest.raises(BlockingIOError):
            systemd.recv(4096)


async def test_the_writer_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db = open_tenant_database(tmp_path / "tenant-local.db")
    await writer_of(db)()

    async def refuses(self: Database, work: object) -> None:
        raise BusyError("busy")

    monkeypatch.setattr(Database, "run", refuses)
    await writer_of(db)()
    db.close()


async def test_no_manager_no_word() -> None:
    async with notifying(nothing, asyncio.Event(), None):
        pass


async def test_a_manager_that_does_not_listen_is_an_error(tmp_path: Path) -> None:
    async def body() -> None:
        async with notifying(nothing, asyncio.Event(), Manager(str(tmp_path / "nobody"), None)):
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    with pytest.raises(FileNotFoundError):
        await body()


@pytest.mark.parametrize("command", [["run"], ["hub", "run", "--port", "0"]])
def test_the_services_of_a_node_and_a_hub_tell_it(systemd: socket.socket, tmp_path: Path, command: list[str]) -> None:
    environment = {
        **os.environ,
        "SPOKE_DATA_DIR": str(tmp_path / "data"),
        "SPOKE_CONFIG": str(tmp_path / "spoke.toml"),
        "NOTIFY_SOCKET": str(systemd.getsockname()),
        "WATCHDOG_USEC": "300000",
    }
    said: list[str] = []
    with systemd, subprocess.Popen([sys.executable, "-m", "app", *command], env=environment) as running:
        systemd.settimeout(60)
        while len(said) < 3:
            said.append(systemd.recv(4096).decode())
        running.send_signal(signal.SIGTERM)
        while said[-1] != "STOPPING=1":
            said.append(systemd.recv(4096).decode())
        assert running.wait(60) == 0
    assert said[:3] == ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]


def test_the_environment_is_read_once() -> None:
    environment = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7", "HOME": "/"}
    assert manager(dict(environment), 7) == Manager("@x", 3.0)
    assert manager(dict(environment), 8) == Manager("@x", None)
    assert manager(environment, 7) is not None
    assert environment == {"HOME": "/"}
    assert manager(environment, 7) is None


def test_an_abstract_address() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0spoke-test-notify")
        listening.settimeout(20)
        Manager("@spoke-test-notify", None).tell("READY=1", "STATUS=x")
        assert listening.recv(4096) == b"READY=1\nSTATUS=x"
