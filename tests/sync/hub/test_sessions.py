"""Sessions of nodes with keys of their own over TLS; their keys replaced; streams of other nodes; live calls."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as changed
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from storage.identity.devices import KEY_LIFETIME_S, find_device, revoke_device
from storage.tenants import node_id, open_system_database, open_tenant_database
from sync.hub.certificates import SERVER_FILE, Certificates, server_context
from sync.hub.keys import create_key, operator
from sync.hub.server import Hub
from sync.link.chain import LogEvent, extend
from sync.link.device import DeviceKey
from sync.link.frames import SUBPROTOCOL, Call, Challenge, Failure, Hello, Offer, Ready, Welcome, decode, encode, pack
from sync.link.lineage import Generation
from sync.spoke.device_keys import DeviceKeys
from sync.spoke.join import join
from sync.spoke.ratchet import save_ratchet
from sync.spoke.status import LinkStatus, read_status
from sync.spoke.trust import Trust
from sync.spoke.uplink import Dialling, Uplink
from tests.sync.joining import certificates, token
from tests.sync.rig import LIMIT_S, compared, in_sync, running_hub, status_when, waited


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("own"))


@asynccontextmanager
async def tls_hub(folder: Path, own: Certificates, **options: Any) -> AsyncIterator[Hub]:
    context = server_context(own.folder / SERVER_FILE)
    async with running_hub(folder, tls=context, ca_pem=own.ca.pem, **options) as hub:
        yield hub


class Node:
    """A machine with a database and a key of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.db = open_tenant_database(folder / "node.db")
        DeviceKey.generate().save(folder / "device.pem")
        self.keys = DeviceKeys(folder / "device.pem")
        with self.db.snapshot() as snapshot:
            self.id = node_id(snapshot)
        self.dialling: Dialling | None = None

    async def join(self, hub: Hub, own: Certificates, tenant: str = "local", **options: Any) -> None:
        url = f"wss://127.0.0.1:{hub.port}"
        made = token(hub.system, own.pin, tenant, **options)
        joined = await join(url, made, self.keys.current(), self.id, f"node-{self.id[:4]}")
        with self.db.transaction() as tx:
            save_ratchet(tx, joined.hub_id, joined.ratchet, 0)
        self.dialling = Dialling((url,), device_keys=self.keys, hub_id=joined.hub_id, trust=Trust(joined.ca_pem))

    @asynccontextmanager
    async def linked(self, **options: Any) -> AsyncIterator[Uplink]:
        assert self.dialling is not None, "it joined"
        stop = asyncio.Event()
        given: dict[str, Any] = {"name": "edge", "agent": "test", "random": lambda: 0.001, **options}
        uplink = Uplink(self.db, dialling=self.dialling, **given)
        async with asyncio.TaskGroup() as group:
            group.create_task(uplink.run(stop))
            try:
                yield uplink
            finally:
                stop.set()

    def publish(self, number: int, topic: str = "session-events") -> None:
        with self.db.transaction() as tx:
            self.db.stream(topic).append([(self.id, json.dumps({"n": n}), n) for n in range(number)], tx)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path / "node")
    yield made
    made.db.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path / "other")
    yield made
    made.db.close()


def live(status: LinkStatus) -> bool:
    return status.state == "live"


async def test_a_node_that_joined_sends_over_tls_and_is_cut_off_when_it_is_revoked(
    node: Node, own: Certificates, tmp_path: Path
) -> None:
    async with tls_hub(tmp_path / "hub", own) as hub:
        await node.join(hub, own, "acme")
        node.publish(1_000, "call-protocol")
        async with node.linked():
            await status_when(node.db, in_sync)
            with hub.system.transaction() as tx:
                revoke_device(tx, node.id, actor_id=operator(tx).id, now=int(time.time()))
            status = await status_when(node.db, lambda s: s.state == "refused")
    assert status.error_code == "REVOKED"
    assert compared(node.db, tmp_path / "hub" / "tenant-acme.db").matched == 1_000


async def test_an_old_key_is_replaced_while_the_link_goes_on(node: Node, own: Certificates, tmp_path: Path) -> None:
    async with tls_hub(tmp_path / "hub", own) as hub:
        await node.join(hub, own)
        first = node.keys.current().public
        with hub.system.transaction() as tx:
            tx.execute("UPDATE devices SET key_not_after = ?", (int(time.time()) + KEY_LIFETIME_S // 3,))
        async with node.linked():
            await waited(hub.system, lambda: device(hub, node).next_public_key is not None)
            await until(lambda: node.keys.current().public != first)
        async with node.linked():
            await waited(hub.system, lambda: device(hub, node).public_key == node.keys.current().public)
            node.publish(3)
            await status_when(node.db, in_sync)
    assert node.keys.previous() is not None


async def test_a_key_past_its_date_can_be_replaced_and_nothing_else(
    node: Node, own: Certificates, tmp_path: Path
) -> None:
    async with tls_hub(tmp_path / "hub", own) as hub:
        await node.join(hub, own)
        first = node.keys.current().public
        with hub.system.transaction() as tx:
            tx.execute("UPDATE devices SET key_not_after = ?", (int(time.time()) - 10,))
        node.publish(5)
        async with node.linked():
            status = await status_when(node.db, in_sync)
    assert status.state == "live"
    assert node.keys.current().public != first


async def test_a_hub_that_was_restored_still_takes_the_key_before(
    node: Node, own: Certificates, tmp_path: Path
) -> None:
    async with tls_hub(tmp_path / "hub", own) as hub:
        await node.join(hub, own)
        old = node.keys.current()
        DeviceKey.generate().save(tmp_path / "node" / "device.pem.next")
        node.keys.finish_rotation()  # the hub that knew of it was replaced by an older copy
        assert node.keys.current().public != old.public
        async with node.linked():
            await status_when(node.db, live)


async def test_another_hub_under_the_same_address_is_refused(node: Node, own: Certificates, tmp_path: Path) -> None:
    async with tls_hub(tmp_path / "hub", own) as hub:
        await node.join(hub, own)
        port = hub.port
    async with tls_hub(tmp_path / "another", own, port=port), node.linked():
        status = await status_when(node.db, lambda s: s.state == "refused")
    assert status.error_code == "UNAUTHORIZED"


async def test_a_wrong_ca_is_said_and_nothing_is_sent(node: Node, own: Certificates, tmp_path: Path) -> None:
    async with tls_hub(tmp_path / "hub", own) as hub:
        await node.join(hub, own)
        port = hub.port
    async with tls_hub(tmp_path / "hub", certificates(tmp_path / "foreign"), port=port), node.linked():
        status = await status_when(node.db, lambda s: s.state == "refused")
    assert status.error_code == "TLS"


async def test_the_second_address_is_tried_when_the_first_does_not_answer(
    node: Node, own: Certificates, tmp_path: Path
) -> None:
    async with tls_hub(tmp_path / "hub", own) as hub:
        await node.join(hub, own)
        assert node.dialling is not None
        urls = ("wss://127.0.0.1:1", *node.dialling.urls)
        node.dialling = Dialling(urls, device_keys=node.keys, hub_id=node.dialling.hub_id, trust=node.dialling.trust)
        async with node.linked():
            status = await status_when(node.db, live)
    assert status.hub_url == urls[1]


async def test_paused_and_resumed(node: Node, own: Certificates, tmp_path: Path) -> None:
    from sync.spoke.status import PAUSED

    async with tls_hub(tmp_path / "hub", own) as hub:
        await node.join(hub, own)
        async with node.linked():
            await status_when(node.db, live)
            with node.db.transaction() as tx:
                tx.execute("INSERT INTO node_facts VALUES (?, '1')", (PAUSED,))
                tx.notify(PAUSED, {})
            await status_when(node.db, lambda s: s.state == "paused")
            node.publish(4)
            await waited(await hub.tenant("local"), lambda: not hub.present)
            assert (await node.db.read(read_status)).unsent == 4
            with node.db.transaction() as tx:
                tx.execute("DELETE FROM node_facts WHERE name = ?", (PAUSED,))
                tx.notify(PAUSED, {})
            await status_when(node.db, in_sync)


# -- streams of other nodes ------------------------------------------------------------------------------------------


async def test_a_node_follows_streams_of_its_tenant_and_of_no_other(
    node: Node, other: Node, own: Certificates, tmp_path: Path
) -> None:
    stranger = Node(tmp_path / "stranger")
    topic = f"session-events@{other.id}"
    async with tls_hub(tmp_path / "hub", own) as hub:
        await node.join(hub, own, scopes=("streams:read:session-events",))
        await other.join(hub, own)
        await stranger.join(hub, own, "elsewhere", scopes=("*",))
        other.publish(50)
        other.publish(50, "call-protocol")
        async with other.linked():
            await status_when(other.db, in_sync)
        async with node.linked(follows=("*@*",)), stranger.linked(follows=("*@*",)):
            await waited(node.db, lambda: len(node.db.stream(topic).read()) == 50)
            async with other.linked():
                other.publish(7)
                await waited(node.db, lambda: len(node.db.stream(topic).read()) == 57)
            await status_when(stranger.db, live)
    ours = [event.payload_json for event in node.db.stream(topic).read()]
    assert ours == [event.payload_json for event in other.db.stream("session-events").read()]
    topics = {row["topic"] for row in node.db.query("SELECT DISTINCT topic FROM _honker_stream")}
    assert topics == {topic}, "not what its scopes do not name"
    assert stranger.db.query("SELECT DISTINCT topic FROM _honker_stream") == []
    stranger.db.close()


async def test_a_stream_that_begins_later_is_followed_in_the_same_session(
    node: Node, other: Node, own: Certificates, tmp_path: Path
) -> None:
    topic = f"session-events@{other.id}"
    async with tls_hub(tmp_path / "hub", own) as hub:
        await node.join(hub, own, scopes=("streams:read",))
        async with node.linked(follows=("session-events@*",)):
            await status_when(node.db, live)
            await other.join(hub, own)
            async with other.linked():
                other.publish(20)
                await waited(node.db, lambda: len(node.db.stream(topic).read()) == 20)
                other.publish(3)
                await waited(node.db, lambda: len(node.db.stream(topic).read()) == 23)
            assert hub.present[node.id].peer.epoch == 1


async def test_without_the_scope_nothing_is_followed(
    node: Node, other: Node, own: Certificates, tmp_path: Path
) -> None:
    async with tls_hub(tmp_path / "hub", own) as hub:
        await node.join(hub, own)
        await other.join(hub, own)
        other.publish(5)
        async with other.linked():
            await status_when(other.db, in_sync)
        async with node.linked(follows=("*@*",)):
            await status_when(node.db, live)
            names = [sender.name for sender in hub.present[node.id].conversation.exchange.senders]
    assert names == ["calls", "results"]
    assert node.db.query("SELECT DISTINCT topic FROM _honker_stream") == []


# -- live calls ------------------------------------------------------------------------------------------------------


async def test_live_calls_both_ways(node: Node, own: Certificates, tmp_path: Path) -> None:
    async def told(frame: Call) -> str:
        return json.dumps({"type": "call.responded", "requestId": frame.call_id, "output": json.loads(frame.input)})

    async with tls_hub(tmp_path / "hub", own) as hub:
        await node.join(hub, own)
        async with node.linked(on_call=told):
            await status_when(node.db, live)
            async with asyncio.timeout(LIMIT_S):
                event = json.loads(await hub.call(node.id, "test.echo", {"n": 7}))
        assert (event["type"], event["output"]) == ("call.responded", {"n": 7})
        with pytest.raises(Exception, match=r"is not here|has left"):
            await hub.call(node.id, "test.echo", {})


async def test_a_spoke_that_answers_no_calls_says_so(node: Node, own: Certificates, tmp_path: Path) -> None:
    async with tls_hub(tmp_path / "hub", own) as hub:
        await node.join(hub, own)
        async with node.linked():
            await status_when(node.db, live)
            async with asyncio.timeout(LIMIT_S):
                event = json.loads(await hub.call(node.id, "test.echo", {}))
    assert event["type"] == "call.error"


# -- what a spoke can say of others' streams -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["call-protocol@{other}", "calls>{other}", "x@y", ">", "@"])
async def test_no_name_reaches_the_stream_of_another_node(tmp_path: Path, other: Node, name: str) -> None:
    folder = tmp_path / "hub"
    folder.mkdir()
    system = open_system_database(folder / "system.db")
    key = create_key(system, "edge")
    system.close()
    gen = b"g" * 16
    event = LogEvent(1, None, "{}", 0)
    async with running_hub(folder) as hub:
        async with connect(
            f"ws://127.0.0.1:{hub.port}",
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            additional_headers={"Authorization": f"Bearer {key}"},
        ) as socket:
            assert isinstance(decode(await socket.recv()), Challenge)
            await socket.send(encode(Hello(2, "evil", "evil", "test", b"b" * 16, b"", 0, b"")))
            welcome = decode(await socket.recv())
            assert isinstance(welcome, Welcome)
            await socket.send(encode(Ready(welcome.epoch)))
            offer = Offer(0, "call-protocol", [Generation(1, gen)])
            await socket.send(encode(changed(offer, name=name.format(other=other.id))))
            await socket.send(encode(pack(0, 1, 0, [event], extend(gen, [event]))))
            while not isinstance(frame := decode(await socket.recv()), Failure):
                pass
            assert frame.code in ("REFUSED", "MALFORMED")
        db = await hub.tenant("local")
        rows = db.query("SELECT topic FROM _honker_stream WHERE topic LIKE '%@%' OR topic LIKE '%>%'")
    assert rows == []


def device(hub: Hub, node: Node) -> Any:
    with hub.system.snapshot() as system:
        return find_device(system, node.id)


async def until(good: Callable[[], bool]) -> None:
    """Wait for something that no database tells of."""
    async with asyncio.timeout(LIMIT_S):
        while not good():
            await asyncio.sleep(0.01)
