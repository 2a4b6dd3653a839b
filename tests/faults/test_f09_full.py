"""F-09 to F-12: disks that are full, on real file systems of a few megabytes; limits of the process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from storage.engine import Database, FullError, Transaction, used_bytes
from storage.tenants import node_id, open_tenant_database
from sync.link import receiver
from sync.logs.incoming import IncomingLogs
from sync.peer import conversation
from tests.faults.ledger import FULL, STREAM, digest, judge
from tests.faults.machines import LIMIT_S, Machines, Spoke, until
from tests.sync.hub.test_link import publish
from tests.sync.rig import make_key, running_hub, running_uplink, status_when, waited

NO_MOUNT = "mounting a small file system needs root"


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        pytest.skip(NO_MOUNT)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "spokefault", str(folder)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"{NO_MOUNT}: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all that is left, as another program would."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 16, 4_096, 1):
            try:
                while file.write(b"\0" * size) == size:
                    continue
            except OSError:
                continue
    return ballast


def arrived(spoke: Spoke) -> int:
    verdict = spoke.verdict()
    assert verdict.good, verdict
    return verdict.ok


def test_f09_a_spoke_whose_disk_is_full_goes_on_sending(machines: Machines) -> None:
    """The writer is told; what is published drains, over the connection that there is and over new ones."""
    with ExitStack() as stack:
        stack.callback(machines.stop)
        stack.enter_context(small_disk(machines.folder / "edge", 32))
        hub = machines.start_hub()
        spoke = machines.spoke()
        process = spoke.start()
        spoke.wait_for(lambda status: status.state == "live", process)
        os.killpg(hub.pid, signal.SIGSTOP)  # so that a backlog waits while the disk fills up
        try:
            writer = spoke.writer(size=20_000)
            assert writer.wait(LIMIT_S) == FULL
            fill(spoke.folder)
        finally:
            os.killpg(hub.pid, signal.SIGCONT)
        backlog = len(spoke.ledger.read_text().splitlines())
        assert backlog > 100
        until(lambda: machines.stored() >= backlog, process)
        assert arrived_of(spoke, machines) == backlog
        writer = spoke.writer(1)
        assert writer.wait(LIMIT_S) == FULL, "it is still full"
        subprocess.run(["mount", "-o", "remount,size=40m", str(spoke.folder)], check=True)
        spoke.write(3)
        spoke.wait_synced(process)
        assert arrived(spoke) == backlog + 3


def arrived_of(spoke: Spoke, machines: Machines) -> int:
    """Like `arrived`, from a copy of the spoke's file: to open one on a full disk needs room for its WAL index."""
    image = machines.folder / "image"
    image.mkdir(exist_ok=True)
    for name in ("tenant-local.db", "tenant-local.db-wal"):
        shutil.copy(spoke.folder / name, image / name)
    db = open_tenant_database(image / "tenant-local.db")
    try:
        with machines.hub_file() as theirs:
            verdict = judge(spoke.ledger, db, theirs)
    finally:
        db.close()
    assert verdict.good, verdict
    return verdict.ok


def test_f09_a_new_session_begins_on_a_full_disk(machines: Machines) -> None:
    """The hub restarts while the spoke's disk is full: the ratchet of the new session must still find room."""
    with ExitStack() as stack:
        stack.callback(machines.stop)
        stack.enter_context(small_disk(machines.folder / "edge", 32))
        hub = machines.start_hub()
        spoke = machines.spoke()
        process = spoke.start()
        spoke.wait_for(lambda status: status.state == "live", process)
        os.killpg(hub.pid, signal.SIGSTOP)
        writer = spoke.writer(size=20_000)
        assert writer.wait(LIMIT_S) == FULL
        fill(spoke.folder)
        machines.kill(hub)
        backlog = len(spoke.ledger.read_text().splitlines())
        machines.start_hub()
        until(lambda: machines.stored() >= backlog, process)
        assert arrived_of(spoke, machines) == backlog


LIMIT = 16 * 1024 * 1024
LIMITED = {"SPOKE_STORAGE__MAX_BYTES": str(LIMIT), "SPOKE_RETENTION__MAX_EVENTS": "10"}


def drop(spoke: Spoke, number: int, size: int) -> None:
    """Put events into the drop folder, and into the ledger: they are there, whoever takes them when."""
    inbox = spoke.folder / "inbox"
    inbox.mkdir(exist_ok=True)
    texts = [json.dumps({"tag": "drop", "n": n, "pad": "x" * size}) for n in range(1, number + 1)]
    with (inbox / "new").open("w") as file:
        file.writelines(f'{{"topic":"{STREAM}","payload":{text}}}\n' for text in texts)
    (inbox / "new").rename(inbox / "events.ndjson")
    with spoke.ledger.open("a") as ledger:
        ledger.writelines(f"drop {n} {digest(text)}\n" for n, text in enumerate(texts, 1))


def test_f09_a_file_at_its_limit_refuses_what_is_new_and_goes_on_with_room(machines: Machines) -> None:
    """`storage.max_bytes`: full while the hub is away; sent when it is back; with retention there is room again."""

    def said(*arguments: str) -> tuple[int, str]:
        process, spoken = machines.start(spoke.folder, *arguments, environment={**spoke.environment(), **LIMITED})
        return process.wait(LIMIT_S), spoken.read_text()

    def holds() -> int:
        with spoke.opened() as db, db.snapshot() as snapshot:
            return used_bytes(snapshot)

    hub = machines.start_hub()
    spoke = machines.spoke()
    process = spoke.start(more=LIMITED)
    spoke.write(1)
    spoke.wait_synced(process)
    machines.kill(hub)
    drop(spoke, 1_200, 20_000)
    until(lambda: holds() >= LIMIT, process)

    marker = machines.folder / "marker"
    code, text = said("record", "--", "touch", str(marker))
    assert (code, marker.exists()) == (74, False), "refused before it began"
    assert "storage.max_bytes" in text
    assert "spoke db retention" in text
    code, text = said("health", "storage")
    assert (code, text.startswith("SPOKE STORAGE CRITICAL")) == (2, True)
    code, text = said("sync", "status", "--json")
    status = json.loads(text)
    assert (code, status["storage"]["policy"], status["storage"]["level"]) == (0, "block", "critical")
    assert LIMIT * 0.8 < status["unsentBytes"] < LIMIT * 1.5
    assert said("sync", "pause")[0] == said("sync", "resume")[0] == 0, "what is no event of its own goes on"
    assert machines.stored() == 1

    machines.start_hub()
    spoke.wait_synced(process)
    assert 1 < machines.stored() < 1_200
    assert said("record", "--", "touch", str(marker))[0] == 74, "what the hub has still lies here"
    until(lambda: said("db", "retention")[0] == 0 and holds() < LIMIT, process)
    assert said("record", "--", "touch", str(marker))[0] == 0
    assert marker.exists()
    until(lambda: machines.stored() == 1_201, process)
    spoke.wait_synced(process)
    with spoke.opened() as ours, machines.hub_file() as theirs:
        verdict = judge(spoke.ledger, ours, theirs)
    assert verdict.good, verdict
    assert verdict.ok == 1_201


def test_f10_a_full_hub_is_said_and_recovers_by_itself(machines: Machines) -> None:
    """The spoke says why and buffers; a tenant on another disk is not touched; with room it goes on by itself."""
    with ExitStack() as stack:
        stack.callback(machines.stop)
        machines.hub_folder.mkdir()
        other, spoke = machines.spoke("other", "roomy"), machines.spoke()
        disk = stack.enter_context(small_disk(machines.folder / "small", 12))
        (machines.hub_folder / "tenant-local.db").symlink_to(disk / "tenant-local.db")
        machines.start_hub()
        process, others = spoke.start(), other.start()
        spoke.wait_for(lambda status: status.state == "live", process)
        ballast = fill(disk)
        spoke.write(200, size=20_000)
        status = spoke.wait_for(lambda status: status.error_code == "STORAGE_FULL", process)
        assert status.hint
        assert status.unsent > 0
        other.write(50)
        other.wait_synced(others)
        assert other.verdict("roomy").ok == 50
        ballast.unlink()
        spoke.wait_synced(process)
        assert arrived(spoke) == 200


def test_f11_a_limit_on_the_size_of_files(machines: Machines) -> None:
    """SQLite calls it an I/O error; the writer is told that there is no room, and the link takes what was published."""
    machines.start_hub()
    spoke = machines.spoke()
    spoke.write(1)
    limited = ["prlimit", f"--fsize={600_000}"]
    writer = spoke.writer(size=5_000, under=limited)
    assert writer.wait(LIMIT_S) == FULL
    process = spoke.start()
    spoke.wait_synced(process)
    assert arrived(spoke) == len(spoke.ledger.read_text().splitlines())


def test_f12_a_hub_without_descriptors_keeps_its_sessions(machines: Machines) -> None:
    """Connections beyond the limit wait or are dropped; who is there is served, and newcomers when there is room."""
    hub = machines.start_hub(under=["prlimit", "--nofile=96"])
    spoke = machines.spoke()
    process = spoke.start()
    spoke.wait_for(lambda status: status.state == "live", process)
    crowd = []
    for _ in range(120):
        one = socket.socket()
        one.settimeout(1)
        crowd.append(one)
        with suppress(TimeoutError):  # the kernel's queue is full too
            one.connect(("127.0.0.1", machines.port))
    spoke.write(200)
    spoke.wait_synced(process)
    assert arrived(spoke) == 200
    for one in crowd:
        one.close()
    late = machines.spoke("late")
    late.write(10)
    late.wait_synced(late.start())
    assert late.verdict().ok == 10
    assert hub.poll() is None


async def test_f09_what_the_hub_sends_waits_until_there_is_room(
    tenant: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls find no room at the spoke: its own events go on, in the same session; later the calls come."""
    monkeypatch.setattr(conversation, "FULL_RETRY_S", 0.3)
    real, full, refused = IncomingLogs.store, True, 0

    def store(self: IncomingLogs, tx: Transaction, question: receiver.Store) -> receiver.Stored:
        nonlocal refused
        if full and self._db is tenant:
            refused += 1
            raise FullError("injected")
        return real(self, tx, question)

    monkeypatch.setattr(IncomingLogs, "store", store)
    us = await tenant.read(node_id)
    key = make_key(tmp_path / "hub")
    async with running_hub(tmp_path / "hub") as hub:
        publish(await hub.tenant("local"), 3, f"calls>{us}")
        async with running_uplink(tenant, hub.port, key):
            for _ in range(3):
                publish(tenant, 100)
                await status_when(tenant, lambda status: status.streams[0].acked_offset > 0 and status.unsent == 0)
            assert refused > 0
            full = False
            await waited(tenant, lambda: len(tenant.stream("calls@hub").read()) == 3)
