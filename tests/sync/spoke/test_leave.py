"""A node leaves its hub: what stays, what goes, where it can join again, and every step at which it may break off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage.engine import Database
from storage.private_file import sync
from storage.tenants import find_fact
from sync.durable import caller
from sync.durable.messages import CALLEE
from sync.hub.certificates import SERVER_FILE, server_context
from sync.hub.server import Hub
from sync.link.device import load_device_key, open_device_key
from sync.link.errors import JoinRefusedError
from sync.spoke.join import join
from sync.spoke.leave import LEAVING, Left, finish_leaving, leave
from sync.spoke.ratchet import load_ratchet, save_ratchet
from sync.spoke.status import UPLINK, pause, read_status, write_status
from tests.sync.joining import certificates, token
from tests.sync.rig import compared, in_sync, running_hub, status_when
from tests.sync.spoke.test_reidentify import Node, payloads, url_of


async def joins(node: Node, hub: Hub, pin: bytes, **options: Any) -> None:
    made = token(hub.system, pin, **options)
    joined = await join(url_of(hub), made, open_device_key(node.key), node.id, "edge")
    with node.db.transaction() as tx:
        save_ratchet(tx, joined.hub_id, joined.ratchet, load_ratchet(tx, joined.hub_id)[1])
    (node.folder / "hub.json").write_text("{}")


def leaves(node: Node) -> Left:
    return leave(node.db, node.folder / "hub.json", node.key, 7)


async def test_it_leaves_goes_to_another_hub_and_comes_back(tmp_path: Path) -> None:
    own = certificates(tmp_path / "tls")
    tls, ca = server_context(own.folder / SERVER_FILE), own.ca.pem
    one, two = tmp_path / "one", tmp_path / "two"
    node = Node(tmp_path / "node")
    async with running_hub(one, tls=tls, ca_pem=ca) as first, running_hub(two, tls=tls, ca_pem=ca) as second:
        await joins(node, first, own.pin)
        node.record("sent", 20)
        async with node.linked(first, ca):
            await status_when(node.db, in_sync)
        node.record("waits", 3)
        key = load_device_key(node.key)
        assert leaves(node) == Left(url_of(first), 3)
        status = await node.db.read(read_status)
        assert (status.state, status.hub_url, status.unsent) == ("unpaired", None, 23)
        assert not node.key.exists()
        await joins(node, second, own.pin)
        assert load_device_key(node.key) != key
        async with node.linked(second, ca):
            await status_when(node.db, in_sync)
        assert len(payloads(two, node.id)) == 23, "the next hub gets everything"
        leaves(node)
        with pytest.raises(JoinRefusedError):  # it has another key now
            await joins(node, first, own.pin)
        await joins(node, first, own.pin, node_id=node.id)
        node.record("later", 2)
        async with node.linked(first, ca):
            await status_when(node.db, in_sync)
    assert len(payloads(one, node.id)) == 25
    result = compared(node.db, one / "tenant-local.db")
    assert (result.matched, result.agrees, result.orphans) == (25, True, 0)
    node.db.close()


def joined(folder: Path) -> Node:
    """A node with everything that a hub leaves on it, made without one."""
    node = Node(folder)
    open_device_key(node.key)
    for suffix in (".next", ".previous"):
        node.key.with_name(node.key.name + suffix).write_bytes(b"")
    (folder / "hub.json").write_text("{}")
    with node.db.transaction() as tx:
        for number in (1, 2):
            caller.request(tx, "hub", "x.y", {}, call_id=f"c{number}", now_ms=1, present=True)
        first = tx.rows("SELECT min(offset) FROM link_calls")[0][0]
        write_status(tx, state="live", at_ms=1, hub_url="wss://hub", hub_id="h")
        save_ratchet(tx, "h", bytes(32), 4)
        pause(tx, 1)
        tx.execute(
            "INSERT INTO link_generations (topic, number, gen_id, reason, created_at)"
            " VALUES ('calls>hub', 1, x'00', 'first', 1)"
        )
        tx.execute("INSERT INTO link_positions VALUES ('h', 'calls>hub', x'00', ?, x'ff', 1)", (first,))
        node.db.stream("calls>hub").save_offset(UPLINK, first, tx)
        tx.execute(
            "INSERT INTO link_received_calls (call_id, peer, operation_id, lane, state, offset, received_at, ended_at)"
            " VALUES ('open', 'hub', 'x.y', 'x', 'RECEIVED', 1, 1, NULL), ('done', 'hub', 'x.y', 'x', 'DONE', 2, 1, 2)"
        )
        node.db.stream("calls@hub").append([(None, "{}", 1)], tx)
    return node


def is_joined(node: Node) -> bool:
    with node.db.snapshot() as snapshot:
        return (
            (node.folder / "hub.json").exists()
            and node.key.exists()
            and load_ratchet(snapshot, "h") == (bytes(32), 4)
            and read_status(snapshot).state == "live"
        )


def check_left(node: Node) -> None:
    assert sorted(path.name for path in node.folder.iterdir() if "tenant.db" not in path.name) == []
    with node.db.snapshot() as snapshot:
        status = read_status(snapshot)
        assert (status.state, status.hub_id, status.paused_at_ms) == ("unpaired", None, None)
        assert load_ratchet(snapshot, "h") == (b"", 0)
        assert find_fact(snapshot, LEAVING) is None
        calls = snapshot.rows("SELECT call_id, state FROM link_calls ORDER BY call_id")
        assert calls == [("c1", "INDETERMINATE"), ("c2", "QUEUED")], "the hub had the one, and never saw the other"
        assert snapshot.rows("SELECT call_id FROM link_received_calls") == [("done",)]
        assert snapshot.rows("SELECT count(*) FROM _honker_stream WHERE topic = 'calls>hub'") == [(2,)]
        assert snapshot.rows("SELECT name, topic FROM _honker_stream_consumers") == [(CALLEE, "calls@hub")]


def dying_at(step: int, patch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Let the process die before the given step of whatever is written; how many there were is returned."""
    done = 0

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def perhaps(*arguments: Any, **named: Any) -> Any:
            nonlocal done
            done += 1
            if done == step:
                raise KeyboardInterrupt
            return real(*arguments, **named)

        return perhaps

    patch.setattr(Database, "transaction", counted(Database.transaction))
    patch.setattr(Database, "barrier", counted(Database.barrier))
    patch.setattr(Path, "unlink", counted(Path.unlink))
    for where in ("sync.spoke.leave.sync", "sync.spoke.device_keys.sync"):
        patch.setattr(where, counted(sync))
    return lambda: done


@pytest.mark.parametrize("how", ["leaves again", "joins"])
def test_wherever_it_breaks_off_it_is_joined_or_left(tmp_path: Path, how: str) -> None:
    steps, halves = 0, 0
    while True:
        steps += 1
        node = joined(tmp_path / str(steps))
        hub_file = node.folder / "hub.json"
        with pytest.MonkeyPatch.context() as patch:
            count = dying_at(steps, patch)
            try:
                leaves(node)
            except KeyboardInterrupt:
                pass
            else:
                check_left(node)
                node.db.close()
                break
            assert count() == steps
        assert is_joined(node) or not hub_file.exists()
        halves += not hub_file.exists()
        if how == "joins" and not hub_file.exists():
            finish_leaving(node.db, hub_file, node.key, 7)  # what joining calls first
        elif how == "joins":
            finish_leaving(node.db, hub_file, node.key, 7)
            assert is_joined(node), "that it wanted to leave is forgotten; the key is still the hub's"
            leaves(node)
        else:
            leaves(node)
        check_left(node)
        node.db.close()
    assert steps > 10
    assert halves > 3
