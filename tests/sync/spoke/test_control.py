"""Pause, resume, now, begin again, and stopping with events on their way: over a real hub."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from storage.engine import Database, Transaction
from storage.tenants import open_tenant_database
from sync.link import receiver
from sync.logs.incoming import IncomingLogs
from sync.spoke import uplink
from sync.spoke.status import acked_position, nudge, pause, read_status, resume, rewind
from tests.sync.rig import LIMIT_S, compared, in_sync, make_key, running_hub, running_uplink, status_when, waited


def publish(db: Database, number: int) -> None:
    with db.transaction() as tx:
        db.stream("call-protocol").append([(None, f'{{"n":{i}}}', i) for i in range(number)], tx)


async def test_a_paused_link_rests_until_it_is_resumed(tenant: Database, tmp_path: Path) -> None:
    key = make_key(tmp_path / "hub")
    publish(tenant, 10)
    async with running_hub(tmp_path / "hub") as hub:
        async with running_uplink(tenant, hub.port, key):
            await status_when(tenant, in_sync)
            with tenant.transaction() as tx:
                pause(tx, 1)
            await status_when(tenant, lambda status: status.state == "paused")
            await waited(tenant, lambda: not hub.present)
            publish(tenant, 5)
        async with running_uplink(tenant, hub.port, key):  # restarted: it rests still
            status = await status_when(tenant, lambda status: status.state == "paused")
            assert status.unsent == 5
            with tenant.transaction() as tx:
                resume(tx)
            await status_when(tenant, in_sync)
    assert compared(tenant, tmp_path / "hub" / "tenant-local.db").matched == 15


async def test_a_rewound_stream_is_compared_anew_and_nothing_is_sent_twice(tenant: Database, tmp_path: Path) -> None:
    key = make_key(tmp_path / "hub")
    publish(tenant, 10)
    async with running_hub(tmp_path / "hub") as hub, running_uplink(tenant, hub.port, key):
        await status_when(tenant, in_sync)
        theirs = await hub.tenant("local")
        assert theirs.query("SELECT sessions FROM link_spokes") == [{"sessions": 1}]
        with tenant.transaction() as tx:
            assert rewind(tx, "call-protocol")
            assert acked_position(tx, "call-protocol", hub.hub_id) == (0, None)
        await status_when(tenant, lambda status: in_sync(status) and status.streams[0].acked_offset == 10)
        assert theirs.query("SELECT sessions FROM link_spokes") == [{"sessions": 2}]
    result = compared(tenant, tmp_path / "hub" / "tenant-local.db")
    assert (result.matched, result.agrees) == (10, True)


async def test_a_nudge_dials_at_once_and_a_commit_of_another_process_does_not(
    tenant: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialled = 0

    def far_away(*_: object, **__: object) -> float:
        nonlocal dialled
        dialled += 1
        return 3_600.0

    monkeypatch.setattr(uplink, "delay_s", far_away)
    key = make_key(tmp_path / "hub")
    async with running_hub(tmp_path / "hub") as hub:
        port = hub.port
    other = open_tenant_database(str(tenant.query("PRAGMA database_list")[0]["file"]))
    async with running_uplink(tenant, port, key):
        await status_when(tenant, lambda status: status.state == "offline")
        seen = tenant.wake.add(None)
        for _ in range(20):
            seen.clear()
            publish(other, 1)
            await seen.wait(LIMIT_S)
        assert dialled == 1
        async with running_hub(tmp_path / "hub", port):
            with other.transaction() as tx:
                nudge(tx)
            await status_when(tenant, in_sync)
        tenant.wake.remove(seen)
    other.close()


async def test_an_uplink_that_stops_waits_for_what_is_on_its_way(
    tenant: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key(tmp_path / "hub")
    go_on, storing = threading.Event(), threading.Event()
    store = IncomingLogs.store

    def held(self: IncomingLogs, tx: Transaction, question: receiver.Store) -> receiver.Stored:
        if question.name == "call-protocol" and question.events is not None:
            storing.set()
            assert go_on.wait(LIMIT_S)
        return store(self, tx, question)

    monkeypatch.setattr(IncomingLogs, "store", held)
    monkeypatch.setattr(uplink, "STOP_GRACE_S", float(LIMIT_S))
    publish(tenant, 10)
    async with running_hub(tmp_path / "hub") as hub:

        async def let_go() -> None:
            await status_when(tenant, lambda status: status.state == "draining")
            publish(tenant, 1)  # not begun any more
            go_on.set()

        async with asyncio.TaskGroup() as group, running_uplink(tenant, hub.port, key):
            assert await asyncio.to_thread(storing.wait, LIMIT_S)
            group.create_task(let_go())
        status = await tenant.read(read_status)
    assert (status.state, status.unsent, status.streams[0].acked_offset) == ("offline", 1, 10)


async def test_a_hub_that_stops_says_so(tenant: Database, tmp_path: Path) -> None:
    key = make_key(tmp_path / "hub")
    async with running_hub(tmp_path / "hub") as hub:
        port = hub.port
    async with running_uplink(tenant, port, key):
        async with running_hub(tmp_path / "hub", port):
            await status_when(tenant, in_sync)
        status = await status_when(tenant, lambda status: status.state == "offline" and status.breaks == 1)
    assert (status.error_code, "nothing is lost" in (status.hint or "")) == ("OVERLOADED", True)
