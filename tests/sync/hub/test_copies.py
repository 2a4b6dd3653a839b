"""From joining to a conflict, over real TLS: a node joins, its folder is copied, and both copies come."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from storage.engine import Database
from storage.identity.devices import revoke_device
from storage.tenants import node_id, open_system_database, open_tenant_database
from sync.hub.admission import Admission, Greeting, Refusal, admit_device, confirm_session, note_alive, rotate
from sync.hub.certificates import SERVER_FILE, Certificates, server_context
from sync.hub.enrol import Desk, enrol
from sync.hub.keys import operator
from sync.link.device import load_device_key, open_device_key, sign_hello
from sync.link.enrolment import SUBPROTOCOL
from sync.link.frames import Rotation
from sync.link.ratchet import hash_of
from sync.spoke.device_keys import DeviceKeys
from sync.spoke.join import join
from sync.spoke.ratchet import load_ratchet, save_ratchet
from sync.spoke.trust import client_context
from tests.sync.joining import LIMIT_S, certificates, token, trail

SESSION = Subprotocol("session")
HUB = "hub-1"
encode = msgspec.msgpack.encode


def decode(message: bytes | str) -> Any:
    assert isinstance(message, bytes)
    return msgspec.msgpack.decode(message)


class Hub:
    """What the hub's server does with the functions of joining: two subprotocols on one port, live sessions, fences."""

    def __init__(self, db: Database, own: Certificates) -> None:
        self.db = db
        self.own = own
        self.desk = Desk(HUB, own.ca.pem)
        self.live: dict[str, ServerConnection] = {}
        self.ahead_ms = 0

    def now_ms(self) -> int:
        return int(time.time() * 1000) + self.ahead_ms

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        tls = server_context(self.own.folder / SERVER_FILE)
        protocols = [Subprotocol(SUBPROTOCOL), SESSION]
        async with serve(self.connection, "127.0.0.1", 0, ssl=tls, subprotocols=protocols) as server:
            yield f"wss://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"

    async def connection(self, connection: ServerConnection) -> None:
        if connection.subprotocol == SUBPROTOCOL:
            await enrol(connection, self.db, self.desk)
            return
        try:
            await self.session(connection)
        except ConnectionClosed:
            return  # a node that leaves

    async def session(self, connection: ServerConnection) -> None:
        nonce, fresh = secrets.token_bytes(32), secrets.token_bytes(32)
        await connection.send(encode(nonce))
        node, ratchet, epoch, boot, signature = decode(await connection.recv())
        greeting = Greeting(node, HUB, nonce, ratchet, epoch, boot, signature)
        live = node in self.live
        answer = await self.db.run(lambda tx: admit_device(tx, greeting, self.now_ms(), live=live, fresh=fresh))
        old = self.live.get(node)
        if isinstance(answer, Refusal):
            if answer.both and old is not None:
                await old.close(1008, answer.error.code)
            await connection.close(1008, answer.error.code)
            return
        if old is not None:
            await old.close(1008, "SUPERSEDED")
        self.live[node] = connection
        await self.work(connection, answer, fresh)

    async def work(self, connection: ServerConnection, admitted: Admission, fresh: bytes) -> None:
        node, epoch = admitted.device.id, admitted.verdict.state.epoch
        try:
            await connection.send(encode([epoch, fresh, admitted.standing]))
            while True:
                said = decode(await connection.recv())
                if said == "ready":
                    await self.db.run(lambda tx: confirm_session(tx, node, epoch, self.now_ms()))
                else:
                    await self.rotate(node, msgspec.convert(said, Rotation))
                await connection.send(encode("done"))
        finally:
            await self.db.run(lambda tx: note_alive(tx, node, epoch, self.now_ms()))
            if self.live.get(node) is connection:
                del self.live[node]

    async def rotate(self, node: str, new: Rotation) -> None:
        await self.db.run(lambda tx: rotate(tx, HUB, node, new, self.now_ms() // 1000))

    async def empty(self) -> None:
        """Wait until the hub has noted the end of all sessions."""
        async with asyncio.timeout(LIMIT_S):
            while self.live:
                await asyncio.sleep(0.01)


class Node:
    """A folder of a node: database and key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.db = open_tenant_database(folder / "tenant.db")
        with self.db.snapshot() as snapshot:
            self.id = node_id(snapshot)
        self.keys = DeviceKeys(folder / "device.pem")

    def copy(self, to: Path) -> Node:
        self.db.close()
        shutil.copytree(self.folder, to)
        self.db = open_tenant_database(self.folder / "tenant.db")
        return Node(to)

    @asynccontextmanager
    async def session(self, url: str, ca_pem: str, *, ready: bool = True) -> AsyncIterator[ClientConnection]:
        async with (
            asyncio.timeout(LIMIT_S),
            connect(url, ssl=client_context(ca_pem), subprotocols=[SESSION]) as socket,
        ):
            nonce = decode(await socket.recv())
            with self.db.snapshot() as snapshot:
                ratchet, epoch = load_ratchet(snapshot, HUB)
            signature = sign_hello(self.keys.current(), nonce, HUB, self.id, hash_of(ratchet), b"boot")
            await socket.send(encode([self.id, ratchet, epoch, b"boot", signature]))
            epoch, fresh, self.standing = decode(await socket.recv())
            with self.db.transaction() as tx:
                save_ratchet(tx, HUB, fresh, epoch)
            if ready:
                await socket.send(encode("ready"))
                assert decode(await socket.recv()) == "done"
            yield socket

    async def refused(self, url: str, ca_pem: str) -> str:
        try:
            async with self.session(url, ca_pem):
                return "accepted"
        except ConnectionClosed as closed:
            return "" if closed.rcvd is None else closed.rcvd.reason


async def joined(hub: Hub, url: str, folder: Path) -> Node:
    node = Node(folder)
    key = open_device_key(folder / "device.pem")
    result = await join(url, token(hub.db, hub.own.pin), key, node.id, "workshop")
    with node.db.transaction() as tx:
        save_ratchet(tx, result.hub_id, result.ratchet, 0)
    return node


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    own = certificates(tmp_path / "tls")
    db = open_system_database(tmp_path / "system.db")
    yield Hub(db, own)
    db.close()


async def closed_with(socket: ClientConnection) -> str:
    async with asyncio.timeout(LIMIT_S):
        await socket.wait_closed()
    return socket.close_reason or ""


async def test_a_copy_is_found_and_a_restored_node_is_not_locked_out(hub: Hub, tmp_path: Path) -> None:
    ca = hub.own.ca.pem
    async with hub.serving() as url:
        node = await joined(hub, url, tmp_path / "a")
        async with node.session(url, ca):
            pass
        copy = node.copy(tmp_path / "b")
        async with node.session(url, ca):
            assert await copy.refused(url, ca) == "IDENTITY_CONFLICT"
        assert await copy.refused(url, ca) == "IDENTITY_CONFLICT"
        await hub.empty()
        hub.ahead_ms = 11 * 60_000
        assert await copy.refused(url, ca) == "accepted"  # the other one is silent: this was restored
        assert await node.refused(url, ca) == "IDENTITY_CONFLICT"
    assert [action for action, _ in trail(hub.db, "device.")] == [
        "device.enrolled",
        "device.copied",
        "device.copied",
        "device.restored",
        "device.copied",
    ]
    for one in (node, copy):
        one.db.close()


async def test_the_newest_session_of_a_node_wins(hub: Hub, tmp_path: Path) -> None:
    ca = hub.own.ca.pem
    async with hub.serving() as url, AsyncExitStack() as stack:
        node = await joined(hub, url, tmp_path / "a")
        old = await stack.enter_async_context(node.session(url, ca))
        for _ in range(6):  # its connections hang, it comes back: never a conflict
            new = await stack.enter_async_context(node.session(url, ca, ready=False))
            assert await closed_with(old) == "SUPERSEDED"
            old = new
    assert not trail(hub.db, "device.copied")
    node.db.close()


async def test_a_key_is_rotated_and_a_node_revoked_over_the_wire(hub: Hub, tmp_path: Path) -> None:
    ca = hub.own.ca.pem
    async with hub.serving() as url:
        node = await joined(hub, url, tmp_path / "a")
        first = load_device_key(tmp_path / "a" / "device.pem")
        hub.ahead_ms = 200 * 86_400_000  # past its date
        async with node.session(url, ca) as socket:
            assert node.standing == "renew_only"
            await socket.send(encode(node.keys.begin_rotation(HUB, node.id)))
            assert decode(await socket.recv()) == "done"
            node.keys.finish_rotation()
        async with node.session(url, ca):
            assert node.standing == "active"
        assert node.keys.current() != first
        with hub.db.transaction() as tx:
            revoke_device(tx, node.id, actor_id=operator(tx).id, now=1)
        assert await node.refused(url, ca) == "REVOKED"
    node.db.close()
