"""The link over real sockets and files: breaks, restarts, keys, restored and copied databases."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

import pytest
from msgspec.structs import replace
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from storage.engine import Database, Transaction
from storage.identity.api_keys import revoke_key
from storage.process_lock import LockHeldError
from storage.tenants import node_id, open_system_database, open_tenant_database
from sync.hub import session
from sync.hub.keys import authenticate, create_key, list_spoke_keys
from sync.hub.server import Hub
from sync.link import receiver
from sync.link.chain import LogEvent, extend
from sync.link.errors import PlainTextError, UnauthorizedError
from sync.link.frames import (
    SUBPROTOCOL,
    Ack,
    Challenge,
    Failure,
    Hello,
    Offer,
    Probe,
    Ready,
    Recover,
    Welcome,
    Window,
    decode,
    encode,
    pack,
)
from sync.link.lineage import Generation
from sync.logs.chains import events_between
from sync.logs.incoming import IncomingLogs
from sync.spoke import uplink
from sync.spoke.status import read_status
from tests.sync.rig import (
    LIMIT_S,
    compared,
    in_sync,
    make_key,
    running_hub,
    running_uplink,
    status_when,
    waited,
)

LATER = lambda: int(time.time() * 1000) + 3_600_000  # noqa: E731 - a hub that has not heard of a node for long


def theirs_rows(folder: Path, topic: str) -> list[str]:
    db = open_tenant_database(folder / "tenant-local.db")
    rows = db.query("SELECT payload FROM _honker_stream WHERE topic = ? ORDER BY offset", (topic,))
    db.close()
    return [str(row["payload"]) for row in rows]


def publish(db: Database, number: int, topic: str = "call-protocol", size: int = 50) -> None:
    with db.transaction() as tx:
        db.stream(topic).append([(f"k{i}", f'{{"n":{i},"pad":"{"x" * size}"}}', i) for i in range(number)], tx)


async def test_everything_arrives_once_and_new_events_follow(tenant: Database, tmp_path: Path) -> None:
    publish(tenant, 5_000)
    publish(tenant, 10, "session-events")
    key = make_key(tmp_path / "hub")
    async with running_hub(tmp_path / "hub") as hub, running_uplink(tenant, hub.port, key):
        await status_when(tenant, in_sync)
        publish(tenant, 7)
        status = await status_when(tenant, in_sync)
    assert [stream.unsent for stream in status.streams] == [0, 0]
    result = compared(tenant, tmp_path / "hub" / "tenant-local.db")
    assert (result.matched, result.agrees) == (5_007, True)
    assert compared(tenant, tmp_path / "hub" / "tenant-local.db", "session-events").matched == 10


async def test_a_hub_that_restarts_again_and_again_gets_everything_once(tenant: Database, tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    key = make_key(folder)
    port = 0
    async with asyncio.timeout(LIMIT_S):
        async with running_hub(folder) as hub:
            port = hub.port
        async with running_uplink(tenant, port, key):
            for _ in range(3):
                await status_when(tenant, lambda s: s.state in ("offline", "live"))
                publish(tenant, 3_000)
                async with running_hub(folder, port):
                    await status_when(tenant, in_sync)
    result = compared(tenant, folder / "tenant-local.db")
    assert (result.matched, result.agrees) == (9_000, True)


async def test_connections_cut_in_the_middle_lose_and_repeat_nothing(
    tenant: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub drops the connection after some stored frames, before it acknowledges them."""
    folder = tmp_path / "hub"
    key = make_key(folder)
    publish(tenant, 30_000)
    stored, deadly = 0, {2, 4, 6}
    real = IncomingLogs.store

    async with running_hub(folder) as hub:

        def store_and_count(self: IncomingLogs, tx: Transaction, question: receiver.Store) -> receiver.Stored:
            nonlocal stored
            answer = real(self, tx, question)
            stored += question.events is not None
            return answer

        monkeypatch.setattr(IncomingLogs, "store", store_and_count)
        send = ServerConnection.send

        async def send_or_die(self: ServerConnection, message: bytes) -> None:
            if deadly and stored >= min(deadly):
                deadly.remove(min(deadly))
                self.transport.abort()
            await send(self, message)

        monkeypatch.setattr(ServerConnection, "send", send_or_die)
        async with running_uplink(tenant, hub.port, key):
            status = await status_when(tenant, in_sync)
    assert not deadly
    assert status.breaks >= 2
    result = compared(tenant, folder / "tenant-local.db")
    assert (result.matched, result.agrees) == (30_000, True)


@pytest.mark.parametrize("key", ["", "alk_wrong", "x" * 5_000])
async def test_a_wrong_key_is_refused_and_says_what_to_do(tenant: Database, tmp_path: Path, key: str) -> None:
    make_key(tmp_path / "hub")
    async with running_hub(tmp_path / "hub") as hub, running_uplink(tenant, hub.port, key):
        status = await status_when(tenant, lambda s: s.state == "refused")
    assert status.error_code == "UNAUTHORIZED"
    assert status.hint is not None
    assert "spoke hub key create" in status.hint
    assert status.unsent == 0


async def test_a_node_that_shows_no_key_and_signs_nothing_is_refused(tmp_path: Path) -> None:
    async with running_hub(tmp_path / "hub") as hub:
        assert (await talk(hub, None, encode(HELLO))).code == "UNAUTHORIZED"


async def test_a_second_hub_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    async with running_hub(tmp_path / "hub"):
        with pytest.raises(LockHeldError):
            await Hub(tmp_path / "hub", port=0).run(asyncio.Event())


def test_plain_text_stays_on_this_machine(tmp_path: Path) -> None:
    with pytest.raises(PlainTextError):
        Hub(tmp_path, host="0.0.0.0")


async def test_a_restored_hub_is_filled_up_again(tenant: Database, tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    key = make_key(folder)
    publish(tenant, 1_000)
    async with running_hub(folder) as hub, running_uplink(tenant, hub.port, key):
        await status_when(tenant, in_sync)
    shutil.copytree(folder, tmp_path / "backup")
    publish(tenant, 6_000)
    async with running_hub(folder) as hub, running_uplink(tenant, hub.port, key):
        await status_when(tenant, in_sync)
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "backup", folder)
    publish(tenant, 10)
    async with running_hub(folder) as hub, running_uplink(tenant, hub.port, key):
        await status_when(tenant, in_sync)
    result = compared(tenant, folder / "tenant-local.db")
    assert (result.matched, result.agrees) == (7_010, True)


async def synced_copy(tmp_path: Path, *, more_after_copy: int) -> tuple[Path, Path, str]:
    """A spoke that synced, was copied, and synced on: the copy is older than what the hub has."""
    key = make_key(tmp_path / "hub")
    db = open_tenant_database(tmp_path / "node.db")
    publish(db, 100)
    async with running_hub(tmp_path / "hub") as hub, running_uplink(db, hub.port, key):
        await status_when(db, in_sync)
    db.close()
    shutil.copy(tmp_path / "node.db", tmp_path / "copy.db")
    copy = open_tenant_database(tmp_path / "copy.db")
    with copy.transaction() as tx:  # else a test that waits for it would take the state of before for that of now
        tx.execute("UPDATE link_status SET state = 'offline'")
    copy.close()
    db = open_tenant_database(tmp_path / "node.db")
    publish(db, more_after_copy)
    async with running_hub(tmp_path / "hub") as hub, running_uplink(db, hub.port, key):
        await status_when(db, in_sync)
    db.close()
    return tmp_path / "copy.db", tmp_path / "hub", key


async def test_a_restored_spoke_gets_back_what_it_lost(tmp_path: Path) -> None:
    copy, folder, key = await synced_copy(tmp_path, more_after_copy=50)
    db = open_tenant_database(copy)
    async with running_hub(folder, clock_ms=LATER) as hub, running_uplink(db, hub.port, key):
        status = await status_when(db, in_sync)
        publish(db, 5)
        await status_when(db, in_sync)
    result = compared(db, folder / "tenant-local.db")
    assert (result.matched, result.agrees, result.orphans) == (155, True, 0)
    assert status.streams[0].generation == 1
    original = open_tenant_database(tmp_path / "node.db")
    with db.snapshot() as ours, original.snapshot() as theirs:
        assert list(events_between(ours, "call-protocol", 0, 150)) == list(
            events_between(theirs, "call-protocol", 0, 150)
        )
    original.close()
    db.close()


async def test_a_restored_spoke_that_wrote_on_begins_a_generation_and_overwrites_nothing(tmp_path: Path) -> None:
    copy, folder, key = await synced_copy(tmp_path, more_after_copy=50)
    original = open_tenant_database(tmp_path / "node.db")
    db = open_tenant_database(copy)
    publish(db, 80, size=10)
    publish(db, 5, "session-events")
    async with running_hub(folder, clock_ms=LATER) as hub, running_uplink(db, hub.port, key):
        status = await status_when(db, in_sync)
    assert status.streams[0].generation == 2
    result = compared(db, folder / "tenant-local.db")
    assert (result.matched, result.agrees, result.orphans) == (180, True, 50)
    assert compared(original, folder / "tenant-local.db").missing == 0  # what the hub had is untouched
    db.close()
    original.close()


async def test_two_copies_that_are_both_alive_are_found(tmp_path: Path) -> None:
    copy, folder, key = await synced_copy(tmp_path, more_after_copy=1)
    original, db = open_tenant_database(tmp_path / "node.db"), open_tenant_database(copy)
    async with running_hub(folder) as hub, running_uplink(original, hub.port, key):
        await status_when(original, in_sync)
        publish(db, 3)
        async with running_uplink(db, hub.port, key):
            status = await status_when(db, lambda s: s.state == "refused")
        publish(original, 3)
        await status_when(original, in_sync)
    assert status.error_code == "IDENTITY_CONFLICT"
    assert compared(original, folder / "tenant-local.db").agrees
    db.close()
    original.close()


async def test_a_poisonous_event_is_put_aside_and_the_stream_goes_on(tenant: Database, tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    key = make_key(folder)
    publish(tenant, 10)
    with tenant.transaction() as tx:
        for payload in ("not json", '{"deep":' + "[" * 100_000, b"\xff\xfe", '"' + "x" * (4 * 1024 * 1024) + '"'):
            tx.execute("INSERT INTO _honker_stream (topic, payload) VALUES ('call-protocol', ?)", (payload,))
    publish(tenant, 10)
    async with running_hub(folder) as hub, running_uplink(tenant, hub.port, key):
        status = await status_when(tenant, lambda s: in_sync(s) and s.streams[0].refused == 4)
    assert status.state == "live"
    result = compared(tenant, folder / "tenant-local.db")
    assert (result.matched, result.agrees) == (24, True)
    theirs = open_tenant_database(folder / "tenant-local.db")
    codes = [row["code"] for row in theirs.query("SELECT code FROM link_quarantine ORDER BY offset")]
    assert codes == ["NOT_JSON", "TOO_DEEP", "NOT_CARRIED", "NOT_CARRIED"]
    assert theirs.query("SELECT count(*) AS n FROM _honker_stream WHERE topic LIKE 'call-protocol@%'") == [{"n": 20}]
    theirs.close()


async def test_both_directions_are_streams(tenant: Database, tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    key = make_key(folder)
    with tenant.snapshot() as snapshot:
        me = node_id(snapshot)
    async with running_hub(folder) as hub:
        theirs = await hub.tenant("local")
        publish(theirs, 300, f"calls>{me}")
        async with running_uplink(tenant, hub.port, key):
            await waited(tenant, lambda: tenant.query("SELECT count(*) AS n FROM _honker_stream")[0]["n"] == 300)
            publish(theirs, 5, f"results>{me}")
            await waited(tenant, lambda: tenant.query("SELECT count(*) AS n FROM _honker_stream")[0]["n"] == 305)
    sent = theirs_rows(folder, f"calls>{me}")
    got = tenant.query("SELECT payload FROM _honker_stream WHERE topic = 'calls@hub' ORDER BY offset")
    assert [row["payload"] for row in got] == sent


async def test_a_revoked_key_is_cut_off(tenant: Database, tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    key = make_key(folder)
    async with running_hub(folder) as hub, running_uplink(tenant, hub.port, key):
        await status_when(tenant, in_sync)
        with hub.system.transaction() as tx:
            (row,) = tx.rows("SELECT id, owner_id FROM api_keys")
            revoke_key(tx, row[0], actor_id=row[1], now=1)
        status = await status_when(tenant, lambda s: s.state == "refused")
        assert status.error_code == "REVOKED"
        publish(tenant, 3)
        assert (await tenant.read(read_status)).unsent == 3


async def test_stopping_does_not_wait_for_a_hub_that_never_answers(tenant: Database) -> None:
    """A machine that takes the connection and says nothing: the dialling would go on for its whole time-out."""
    accepted: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: accepted.append(writer), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with asyncio.timeout(uplink.OPEN_TIMEOUT_S / 2):
        async with running_uplink(tenant, port, "alk_x"):
            await status_when(tenant, lambda status: status.state == "connecting")
    silent.close()
    for writer in accepted:
        writer.close()
    await silent.wait_closed()


# -- hostile and broken peers ----------------------------------------------------------------------------------------


GEN = b"g" * 16
HELLO = Hello(2, "node-1", "edge", "test", b"b" * 16, b"", 0, b"")
OFFER = Offer(0, "call-protocol", [Generation(1, GEN)])


async def talk(hub: Hub, key: str | None, *messages: bytes | str) -> Failure:
    """Say something to the hub and return how it ends the conversation; READY is said in its place."""
    async with connect(
        f"ws://127.0.0.1:{hub.port}",
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        additional_headers={} if key is None else {"Authorization": f"Bearer {key}"},
        compression=None,
    ) as socket:
        assert isinstance(decode(await socket.recv()), Challenge)
        waiting = list(messages)
        async with asyncio.timeout(LIMIT_S):
            if waiting:
                await socket.send(waiting.pop(0))
            while True:
                frame = decode(await socket.recv())
                if isinstance(frame, Failure):
                    return frame
                if isinstance(frame, Welcome):
                    await socket.send(encode(Ready(frame.epoch)))
                    for message in waiting:
                        await socket.send(message)


def frame_of(*offsets: int, after: int = 0, chain: bytes | None = None) -> bytes:
    events = [LogEvent(offset, None, "{}", 0) for offset in offsets]
    return encode(pack(0, 1, after, events, extend(GEN, events) if chain is None else chain))


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (["hello"], "MALFORMED"),
        ([b""], "MALFORMED"),
        ([b"\xff" * 100], "MALFORMED"),
        ([frame_of(1)], "MALFORMED"),
        ([encode(HELLO), encode(HELLO)], "MALFORMED"),
        ([encode(replace(HELLO, version=99))], "VERSION"),
        ([encode(replace(HELLO, node_id=""))], "MALFORMED"),
        ([encode(replace(HELLO, node_id="a@b"))], "MALFORMED"),
        ([encode(replace(HELLO, name="\x1b[2J"))], "MALFORMED"),
        ([encode(replace(HELLO, epoch=-1))], "MALFORMED"),
        ([encode(HELLO), frame_of(1)], "MALFORMED"),
        ([encode(HELLO), encode(OFFER), encode(replace(OFFER, name="other"))], "MALFORMED"),
        ([encode(HELLO), encode(replace(OFFER, generations=[]))], "MALFORMED"),
        ([encode(HELLO), encode(replace(OFFER, generations=[Generation(1, b"short")]))], "MALFORMED"),
        ([encode(HELLO), encode(replace(OFFER, name="a@b"))], "REFUSED"),
        ([encode(HELLO), encode(replace(OFFER, stream=64))], "MALFORMED"),
        ([encode(HELLO), encode(OFFER), frame_of(6, after=5)], "GAP"),
        ([encode(HELLO), encode(OFFER), frame_of(1, chain=b"x" * 16)], "CORRUPT_FRAME"),
        ([encode(HELLO), encode(OFFER), frame_of(2, 1)], "MALFORMED"),
        ([encode(HELLO), encode(OFFER), encode(Ack(0, 1, 5, None, Window()))], "MALFORMED"),
        ([encode(HELLO), encode(OFFER), encode(Probe(0, 1, list(range(100))))], "MALFORMED"),
        ([encode(HELLO), encode(OFFER), encode(Recover(0, 7, 0))], "MALFORMED"),
    ],
)
async def test_a_peer_that_breaks_the_rules_is_told_and_stores_nothing(
    tmp_path: Path, messages: list[bytes | str], code: str
) -> None:
    key = make_key(tmp_path / "hub")
    async with running_hub(tmp_path / "hub") as hub:
        failure = await talk(hub, key, *messages)
    assert failure.code == code
    db = open_tenant_database(tmp_path / "hub" / "tenant-local.db")
    assert db.query("SELECT count(*) AS n FROM _honker_stream WHERE topic LIKE '%@%'") == [{"n": 0}]
    assert db.query("SELECT * FROM link_cursors WHERE events > 0") == []
    db.close()


async def test_one_bad_peer_does_not_disturb_another(tenant: Database, tmp_path: Path) -> None:
    key = make_key(tmp_path / "hub")
    async with running_hub(tmp_path / "hub") as hub, running_uplink(tenant, hub.port, key):
        for _ in range(5):
            await talk(hub, key, b"\xc1")
            publish(tenant, 10)
        await status_when(tenant, in_sync)
    assert compared(tenant, tmp_path / "hub" / "tenant-local.db").agrees


async def test_a_peer_that_says_nothing_is_sent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "HELLO_TIMEOUT_S", 0.05)
    key = make_key(tmp_path / "hub")
    async with running_hub(tmp_path / "hub") as hub:
        assert (await talk(hub, key)).code == "TIMEOUT"


async def test_another_account_cannot_write_into_a_nodes_log(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    mine, other = make_key(folder, "mine"), make_key(folder, "other")
    async with running_hub(folder) as hub:
        async with connect(
            f"ws://127.0.0.1:{hub.port}",
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            additional_headers={"Authorization": f"Bearer {mine}"},
        ) as socket:
            assert isinstance(decode(await socket.recv()), Challenge)
            await socket.send(encode(HELLO))
            assert isinstance(decode(await socket.recv()), Welcome)
        assert (await talk(hub, other, encode(HELLO))).code == "UNAUTHORIZED"


async def test_tenants_have_files_of_their_own(tenant: Database, tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    key = make_key(folder, "edge", "acme")
    publish(tenant, 10)
    async with running_hub(folder) as hub, running_uplink(tenant, hub.port, key):
        await status_when(tenant, in_sync)
    assert compared(tenant, folder / "tenant-acme.db").matched == 10
    assert not (folder / "tenant-local.db").exists()


async def test_the_hub_closes_with_a_reason_after_a_failure(tmp_path: Path) -> None:
    key = make_key(tmp_path / "hub")
    async with (
        running_hub(tmp_path / "hub") as hub,
        connect(
            f"ws://127.0.0.1:{hub.port}",
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            additional_headers={"Authorization": f"Bearer {key}"},
        ) as socket,
    ):
        await socket.recv()
        await socket.send(b"\xc1")
        await socket.recv()
        with pytest.raises(ConnectionClosed) as caught:
            await socket.recv()
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4400, "MALFORMED")


# -- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_opens_its_tenant_until_it_is_disabled(tmp_path: Path) -> None:
    system = open_system_database(tmp_path / "system.db")
    try:
        key = create_key(system, "edge", "acme")
        assert key.startswith("alk_")
        with system.snapshot() as snapshot:
            principal = authenticate(snapshot, key, now=0)
            assert (principal.name, principal.tenant) == ("edge", "acme")
            assert [(k.spoke, k.tenant, k.enabled) for k in list_spoke_keys(snapshot)] == [("edge", "acme", True)]
        stored = system.query("SELECT key_hash FROM api_keys")[0]["key_hash"]
        assert stored.startswith("sha256:")
        assert key not in stored
        for column, value in (("enabled", 0), ("revoked_at", 1), ("expires_at", 1)):
            with system.transaction() as tx:
                tx.execute("UPDATE api_keys SET enabled = 1, revoked_at = NULL, expires_at = NULL")
                tx.execute(f"UPDATE api_keys SET {column} = ?", (value,))
            with system.snapshot() as snapshot, pytest.raises(UnauthorizedError):
                authenticate(snapshot, key, now=10)
    finally:
        system.close()


@pytest.mark.parametrize("name", ["", "../x", "A", "a b", "-a", "a" * 49, "a/b", "a\0"])
def test_a_name_that_is_no_name_makes_no_key(tmp_path: Path, name: str) -> None:
    system = open_system_database(tmp_path / "system.db")
    try:
        with pytest.raises(ValueError, match="not a name"):
            create_key(system, name)
        with pytest.raises(ValueError, match="not a name"):
            create_key(system, "edge", name)
        assert system.query("SELECT * FROM accounts") == []
    finally:
        system.close()
