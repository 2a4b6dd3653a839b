"""F-32: a session that lasts is asked for its key again, in band; who cannot show it is cut off, the events stay."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from storage.engine import Database
from storage.identity.devices import enrol_device
from storage.identity.join_tokens import find_join_token
from storage.tenants import node_id
from sync.hub import server, session
from sync.hub.ratchets import save_ratchet
from sync.hub.server import Hub
from sync.link.device import DeviceKey
from sync.link.ratchet import begin
from sync.spoke import ratchet, uplink
from sync.spoke.device_keys import DeviceKeys
from sync.spoke.uplink import Dialling, Uplink
from tests.sync.hub.test_link import publish
from tests.sync.joining import token
from tests.sync.rig import LIMIT_S, compared, in_sync, running_hub, status_when

KEY = DeviceKey.generate()


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "RENEW_EVERY_S", 0.0)
    monkeypatch.setattr(server, "REVIEW_EVERY_S", 0.02)
    monkeypatch.setattr(server, "REVIEW_AFTER_S", 0.0)


@asynccontextmanager
async def joined(db: Database, folder: Path) -> AsyncIterator[Hub]:
    """A hub, and a spoke that dials it with a key of its own."""
    async with running_hub(folder) as hub:
        made = token(hub.system, None)
        us = await db.read(node_id)
        with hub.system.transaction() as tx:
            enrol_device(tx, find_join_token(tx, made.id), us, "workshop", KEY.public, int(time.time()))
            save_ratchet(tx, us, begin(b"first"))
        with db.transaction() as tx:
            ratchet.save_ratchet(tx, hub.hub_id, b"first", 0)
        stop = asyncio.Event()
        KEY.save(folder / "device.pem")
        keys = DeviceKeys(folder / "device.pem")
        dialling = Dialling((f"ws://127.0.0.1:{hub.port}",), device_keys=keys, hub_id=hub.hub_id)
        link = Uplink(db, dialling=dialling, name="edge", agent="test", random=lambda: 0.001)
        async with asyncio.TaskGroup() as group:
            group.create_task(link.run(stop))
            try:
                yield hub
            finally:
                stop.set()


async def test_f32_a_session_shows_its_key_again_and_goes_on(tenant: Database, tmp_path: Path) -> None:
    async with joined(tenant, tmp_path / "hub") as hub:
        await status_when(tenant, in_sync)
        (presence,) = hub.present.values()
        seen = set[float]()
        async with asyncio.timeout(LIMIT_S):
            while len(seen) < 5:
                publish(tenant, 20)
                seen.add(presence.renewed)
                await asyncio.sleep(0.01)
        status = await status_when(tenant, in_sync)
        assert list(hub.present.values()) == [presence], "it is the same session"
    assert status.breaks == 0
    assert compared(tenant, tmp_path / "hub" / "tenant-local.db").agrees


async def test_f32_who_cannot_show_it_is_cut_off(
    tenant: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uplink, "sign_renewal", lambda *_: bytes(64))
    async with joined(tenant, tmp_path / "hub"):
        status = await status_when(tenant, lambda status: status.state == "refused")
        publish(tenant, 3)
    assert status.error_code == "UNAUTHORIZED"


async def test_f32_who_says_nothing_is_cut_off(
    tenant: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "PROOF_WITHIN_S", 0.1)
    monkeypatch.setattr(session.HubLink, "proved", _deaf)
    async with joined(tenant, tmp_path / "hub"):
        status = await status_when(tenant, lambda status: status.state == "refused")
    assert status.error_code == "UNAUTHORIZED"


async def _deaf(self: session.HubLink, frame: object) -> None:
    """The answer never came."""
