"""A copied node becomes a node of its own: over TLS, with tokens, through a real hub; and the crash in between."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from storage.engine import Database
from storage.tenants import find_fact, node_id, open_tenant_database
from sync.durable import caller
from sync.hub.certificates import SERVER_FILE, server_context
from sync.hub.server import Hub
from sync.link.device import load_device_key, open_device_key
from sync.link.errors import DeviceKeyError
from sync.spoke import reidentify as module
from sync.spoke.device_keys import DeviceKeys
from sync.spoke.join import join
from sync.spoke.ratchet import load_ratchet, save_ratchet
from sync.spoke.reidentify import KEY_OF_ANOTHER, drop_foreign_key, reidentify
from sync.spoke.status import read_status, write_status
from sync.spoke.trust import Trust
from sync.spoke.uplink import Dialling
from tests.sync.joining import certificates, token
from tests.sync.rig import compared, in_sync, linked, running_hub, status_when


class Node:
    """A data directory: database and key."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.db = open_tenant_database(folder / "tenant.db")
        self.key = folder / "device.pem"

    @property
    def id(self) -> str:
        with self.db.snapshot() as snapshot:
            return node_id(snapshot)

    def copy(self, to: Path) -> Node:
        self.db.close()
        shutil.copytree(self.folder, to)
        self.db = open_tenant_database(self.folder / "tenant.db")
        return Node(to)

    def record(self, label: str, number: int) -> None:
        with self.db.transaction() as tx:
            self.db.stream("call-protocol").append([(None, f'{{"n":"{label}{i}"}}', i) for i in range(number)], tx)

    async def join(self, hub: Hub, pin: bytes) -> None:
        drop_foreign_key(self.db, self.key)
        joined = await join(url_of(hub), token(hub.system, pin), open_device_key(self.key), self.id, self.folder.name)
        with self.db.transaction() as tx:
            save_ratchet(tx, joined.hub_id, joined.ratchet, load_ratchet(tx, joined.hub_id)[1])

    @asynccontextmanager
    async def linked(self, hub: Hub, ca_pem: str) -> AsyncIterator[None]:
        with self.db.transaction() as tx:  # else the state of an earlier session is taken for that of this one
            write_status(tx, state="offline", at_ms=0, hub_url=url_of(hub), hub_id=hub.hub_id)
        dialling = Dialling((url_of(hub),), device_keys=DeviceKeys(self.key), hub_id=hub.hub_id, trust=Trust(ca_pem))
        async with linked(self.db, dialling, self.folder.name):
            yield


def url_of(hub: Hub) -> str:
    return f"wss://127.0.0.1:{hub.port}"


def payloads(folder: Path, node: str) -> list[str]:
    db = open_tenant_database(folder / "tenant-local.db")
    try:
        return [
            str(row["payload"])
            for row in db.query(
                "SELECT payload FROM _honker_stream WHERE topic = ? ORDER BY offset", (f"call-protocol@{node}",)
            )
        ]
    finally:
        db.close()


async def test_the_original_goes_on_and_the_copy_arrives_as_another_node_once(tmp_path: Path) -> None:
    own = certificates(tmp_path / "tls")
    folder = tmp_path / "hub"
    tls = server_context(own.folder / SERVER_FILE)
    ca = own.ca.pem
    async with running_hub(folder, tls=tls, ca_pem=ca) as hub:
        original = Node(tmp_path / "original")
        await original.join(hub, own.pin)
        original.record("both", 100)
        async with original.linked(hub, ca):
            await status_when(original.db, in_sync)
        original.record("waiting", 3)  # when the copy is made, the hub does not have these
        copy = original.copy(tmp_path / "copy")
        copy.record("copy", 5)
        original.record("original", 4)
        async with original.linked(hub, ca):
            await status_when(original.db, in_sync)
            async with copy.linked(hub, ca):
                status = await status_when(copy.db, lambda status: status.state == "refused")
            assert status.error_code == "IDENTITY_CONFLICT"
            assert "spoke reidentify" in (status.hint or "")
            done = reidentify(copy.db, copy.key, 1)
            assert (done.old_node_id, done.node_id) == (original.id, copy.id)
            assert original.id != copy.id
            assert (done.kept, not copy.key.exists()) == (8, True)
            assert (await copy.db.read(read_status)).unsent == 8
            await copy.join(hub, own.pin)
            async with copy.linked(hub, ca):
                await status_when(copy.db, in_sync)
                copy.record("later", 2)
                await status_when(copy.db, in_sync)
            original.record("on", 1)
            await status_when(original.db, in_sync)
    mine = [f'{{"n":"{label}{i}"}}' for label, n in (("waiting", 3), ("copy", 5), ("later", 2)) for i in range(n)]
    assert payloads(folder, copy.id) == mine
    assert len(payloads(folder, original.id)) == 108
    for node, matched in ((original, 108), (copy, 10)):
        result = compared(node.db, folder / "tenant-local.db")
        assert (result.matched, result.agrees, result.orphans) == (matched, True, 0)
    theirs = open_tenant_database(folder / "tenant-local.db")
    assert theirs.query("SELECT count(*) AS n FROM link_gaps") == [{"n": 0}]
    (row,) = theirs.query(
        "SELECT reason, lower(hex(parent)) AS parent FROM link_cursors WHERE node_id = ? AND topic = 'call-protocol'",
        (copy.id,),
    )
    (first,) = original.db.query(
        "SELECT lower(hex(gen_id)) AS gen_id FROM link_generations WHERE topic = 'call-protocol'"
    )
    assert (row["reason"], row["parent"]) == ("reidentified", first["gen_id"])
    theirs.close()
    for node in (original, copy):
        node.db.close()


def test_a_crash_before_the_key_is_gone_leaves_no_key_that_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(tmp_path / "copy")
    old, key = node.id, open_device_key(node.key)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "drop_foreign_key", crash)
        reidentify(node.db, node.key, 1)
    assert node.id != old
    assert load_device_key(node.key) == key  # still there
    drop_foreign_key(node.db, node.key)  # what joining calls first
    with pytest.raises(DeviceKeyError):
        load_device_key(node.key)
    mine = open_device_key(node.key)
    drop_foreign_key(node.db, node.key)  # and never again: this key is its own
    assert load_device_key(node.key) == mine
    with node.db.snapshot() as snapshot:
        assert find_fact(snapshot, KEY_OF_ANOTHER) is None
    node.db.close()


def test_calls_stay_with_the_node_that_they_were_made_with(tenant: Database, tmp_path: Path) -> None:
    """What the hub has asked the other node is not executed here; what was asked of the hub is answered there."""
    with tenant.transaction() as tx:
        for number in (1, 2):
            caller.request(tx, "hub", "x.y", {}, call_id=f"c{number}", now_ms=1, present=True)
        write_status(tx, state="live", at_ms=1, hub_url="wss://hub", hub_id="h")
        offsets = [row[0] for row in tx.rows("SELECT offset FROM link_calls ORDER BY call_id")]
        tx.execute(
            "INSERT INTO link_generations (topic, number, gen_id, reason, created_at)"
            " VALUES ('calls>hub', 1, x'00', 'first', 1), ('results>hub', 1, x'01', 'first', 1),"
            " ('node', 1, x'02', 'first', 1)"
        )
        tx.execute("INSERT INTO link_positions VALUES ('h', 'calls>hub', x'00', ?, x'ff', 1)", (offsets[0],))
        tenant.stream("node").append([(None, "{}", 1), (None, "{}", 1)], tx)
        ((said,),) = tx.rows("SELECT max(offset) FROM _honker_stream WHERE topic = 'node'")
        tx.execute("INSERT INTO link_positions VALUES ('h', 'node', x'02', ?, x'ff', 1)", (said,))
        tenant.stream("calls@hub").append([(None, "{}", 1)], tx)
        tenant.stream("results>hub").append([(None, "{}", 1)], tx)
        tx.execute(
            "INSERT INTO link_received_calls (call_id, peer, operation_id, lane, state, offset, received_at)"
            " VALUES ('r', 'hub', 'x.y', 'x', 'RECEIVED', 1, 1)"
        )
    done = reidentify(tenant, tmp_path / "device.pem", 7)
    assert {log.topic: log.kept for log in done.logs} == {
        "calls>hub": 1,
        "results>hub": 0,
        "node": 1,  # what this node offers was said in the other one's name
    }
    states = {row["call_id"]: row["state"] for row in tenant.query("SELECT call_id, state FROM link_calls")}
    assert states == {"c1": "INDETERMINATE", "c2": "QUEUED"}
    assert tenant.query("SELECT * FROM link_received_calls") == []
    assert tenant.stream("calls@hub").get_offset("callee@durable") > 0
