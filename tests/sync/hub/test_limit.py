"""A hub whose tenant's file may hold no more: its spokes are told, wait, and lose nothing; other tenants go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.engine import Database, used_bytes
from storage.tenants import open_tenant_database
from sync.peer import conversation
from tests.sync.hub.test_link import publish
from tests.sync.rig import compared, in_sync, make_key, running_hub, running_uplink, status_when


async def test_spokes_wait_until_there_is_room(
    tenant: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "FULL_RETRY_S", 0.2)
    folder = tmp_path / "hub"
    key, others = make_key(folder), make_key(folder, "other", "acme")
    other = open_tenant_database(tmp_path / "other.db")
    try:
        async with running_hub(folder) as hub:
            local = await hub.tenant("local")
            with local.snapshot() as snapshot:
                limit = used_bytes(snapshot) + 300_000
            local.max_bytes = limit
            publish(tenant, 3_000, size=3_000)
            async with running_uplink(tenant, hub.port, key):
                status = await status_when(tenant, lambda status: status.error_code == "STORAGE_FULL")
                assert status.hint
                assert status.error is not None
                assert "storage.max_bytes" in status.error
                assert status.unsent > 0
                assert status.unsent_bytes > 3_000
                publish(other, 50)
                async with running_uplink(other, hub.port, others):
                    await status_when(other, in_sync)
                with local.snapshot() as snapshot:
                    assert limit <= used_bytes(snapshot) < limit + 1_500_000, "over it by one frame at most"
                publish(tenant, 10)
                hub.max_bytes = None
                await status_when(tenant, in_sync)
        assert compared(tenant, folder / "tenant-local.db").agrees
    finally:
        other.close()


async def test_the_limit_is_that_of_every_file_also_of_those_that_are_opened_later(tmp_path: Path) -> None:
    make_key(tmp_path / "hub")
    async with running_hub(tmp_path / "hub", max_bytes=20_000_000) as hub:
        first = await hub.tenant("local")
        hub.max_bytes = 30_000_000
        second = await hub.tenant("acme")
        assert (first.max_bytes, second.max_bytes) == (30_000_000, 30_000_000)
        assert hub.system.max_bytes is None, "accounts, keys and the audit trail are no events of spokes"
