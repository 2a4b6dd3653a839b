"""Who may open a session: signature, standing, ratchet; what is stored and what is in the trail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from storage.engine import Database
from storage.identity.accounts import set_status
from storage.identity.devices import GRACE_S, KEY_LIFETIME_S, enrol_device, find_device, revoke_device
from storage.identity.join_tokens import find_join_token
from storage.tenants import open_system_database, open_tenant_database
from sync.hub.admission import (
    Admission,
    Greeting,
    Refusal,
    admit_device,
    confirm_session,
    judge_session,
    note_alive,
    rotate,
)
from sync.hub.keys import operator
from sync.hub.ratchets import load_ratchet, save_ratchet
from sync.link.device import DeviceKey, request_rotation, sign_hello
from sync.link.errors import SupersededError, UnauthorizedError
from sync.link.ratchet import RatchetState, begin, hash_of
from sync.spoke.device_keys import DeviceKeys
from sync.spoke.ratchet import load_ratchet as load_mine
from sync.spoke.ratchet import save_ratchet as save_mine
from tests.sync.joining import token, trail

NOW = 1_800_000_000
MS = NOW * 1_000
KEY, NEW = DeviceKey.generate(), DeviceKey.generate()


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Database]:
    db = open_system_database(tmp_path / "system.db")
    made = token(db, None, now=NOW)
    with db.transaction() as tx:
        enrol_device(tx, find_join_token(tx, made.id), "node-1", "workshop", KEY.public, NOW)
        save_ratchet(tx, "node-1", begin(b"first"))
    yield db
    db.close()


def greeting(ratchet: bytes = b"first", epoch: int = 0, key: DeviceKey = KEY, node: str = "node-1") -> Greeting:
    signature = sign_hello(key, b"nonce", "hub-1", node, hash_of(ratchet), b"boot")
    return Greeting(node, "hub-1", b"nonce", ratchet, epoch, b"boot", signature)


@dataclass
class Hub:
    db: Database

    def admit(
        self, said: Greeting, at_ms: int = MS, *, live: bool = False, fresh: bytes = b"fresh"
    ) -> Admission | Refusal:
        with self.db.transaction() as tx:
            return admit_device(tx, said, at_ms, live=live, fresh=fresh)

    def code(self, said: Greeting, at_ms: int = MS, *, live: bool = False) -> str:
        result = self.admit(said, at_ms, live=live)
        return result.error.code if isinstance(result, Refusal) else "ok"


def test_a_device_is_admitted_and_its_ratchet_moves(system: Database) -> None:
    hub = Hub(system)
    first = hub.admit(greeting(), fresh=b"second")
    assert isinstance(first, Admission)
    assert (first.device.id, first.verdict.kind, first.verdict.state.epoch, first.standing) == (
        "node-1",
        "continued",
        1,
        "active",
    )
    with system.transaction() as tx:
        confirm_session(tx, "node-1", 1, MS)
        note_alive(tx, "node-1", 1, MS + 5)
        note_alive(tx, "node-1", 0, MS + 50)
        state = load_ratchet(tx, "node-1")
    assert state == RatchetState(hash_of(b"second"), None, (hash_of(b"first"),), 1, MS + 5)
    assert hub.code(greeting(b"second", 1), live=True) == "ok"
    with system.transaction() as tx, pytest.raises(SupersededError):
        confirm_session(tx, "node-1", 1, MS)
    with system.transaction() as tx, pytest.raises(LookupError):
        confirm_session(tx, "nothing", 1, MS)


def test_copies_and_restored_ones_are_in_the_trail(system: Database) -> None:
    hub = Hub(system)
    assert hub.code(greeting()) == "ok"
    with system.transaction() as tx:
        confirm_session(tx, "node-1", 1, MS)
    assert hub.code(greeting(), live=True) == "IDENTITY_CONFLICT"
    assert hub.code(greeting(), MS + 60_000) == "IDENTITY_CONFLICT"
    assert hub.code(greeting(), MS + 600_000) == "ok"
    assert hub.code(greeting(b"unknown", 40), MS + 600_000) == "ok"
    assert [action for action, _ in trail(system, "device.", "hub.")][1:] == [
        "device.copied",
        "device.copied",
        "device.restored",
        "hub.restored",
    ]


def test_who_is_not_admitted_leaves_no_trace(system: Database) -> None:
    hub = Hub(system)
    with system.snapshot() as snapshot:
        before = load_ratchet(snapshot, "node-1")
    good = greeting()
    for bad in (
        greeting(key=NEW),
        greeting(node="nothing"),
        replace(good, node_id="node-2"),
        replace(good, nonce=b"other"),
        replace(good, hub_id="other"),
        replace(good, ratchet=b"other"),
        replace(good, boot_id=b"other"),
        replace(good, signature=b""),
    ):
        assert hub.code(bad) == "UNAUTHORIZED"
    assert hub.code(good, (NOW + KEY_LIFETIME_S + GRACE_S) * 1_000) == "KEY_EXPIRED"
    with system.transaction() as tx:
        device = find_device(tx, "node-1")
        assert device is not None
        set_status(tx, device.account_id, "suspended", actor_id=operator(tx).id)
    assert hub.code(good) == "UNAUTHORIZED"
    with system.transaction() as tx:
        set_status(tx, device.account_id, "active", actor_id=operator(tx).id)
        revoke_device(tx, "node-1", actor_id=operator(tx).id, now=NOW)
    assert hub.code(good) == "REVOKED"
    with system.snapshot() as snapshot:
        assert load_ratchet(snapshot, "node-1") == before


def test_a_key_is_replaced_also_after_its_date(system: Database) -> None:
    hub = Hub(system)
    late = NOW + KEY_LIFETIME_S + 5
    old = hub.admit(greeting(), late * 1_000)
    assert isinstance(old, Admission)
    assert old.standing == "renew_only"
    with system.transaction() as tx:
        for bad in (request_rotation(NEW, KEY, "hub-1", "node-1"), request_rotation(KEY, NEW, "hub-2", "node-1")):
            with pytest.raises(UnauthorizedError):
                rotate(tx, "hub-1", "node-1", bad, late)
        with pytest.raises(UnauthorizedError):
            rotate(tx, "hub-1", "node-1", request_rotation(KEY, KEY, "hub-1", "node-1"), late)
        rotate(tx, "hub-1", "node-1", request_rotation(KEY, NEW, "hub-1", "node-1"), late)
    both = hub.admit(greeting(b"fresh", 1), late * 1_000)
    assert isinstance(both, Admission), "the old key still works"
    new = hub.admit(greeting(b"fresh", 2, NEW), late * 1_000)
    assert isinstance(new, Admission)
    assert (new.standing, new.device.key_not_after) == ("active", late + KEY_LIFETIME_S)
    assert hub.code(greeting(b"fresh", 3), late * 1_000) == "UNAUTHORIZED", "the old one is gone"


def test_a_node_with_an_api_key_has_a_ratchet_too(system: Database) -> None:
    with system.transaction() as tx:
        who = operator(tx).id
        first = judge_session(tx, "node-7", b"", 0, MS, live=False, fresh=b"a", actor_id=who)
        again = judge_session(tx, "node-7", b"", 0, MS, live=False, fresh=b"b", actor_id=who)
        confirm_session(tx, "node-7", 2, MS)
        copy = judge_session(tx, "node-7", b"", 0, MS, live=True, fresh=b"c", actor_id=who)
    assert [verdict.kind for verdict in (first, again, copy)] == ["first", "continued", "conflict"]


# -- what the spoke keeps --------------------------------------------------------------------------------------------


def test_the_spoke_keeps_a_ratchet_for_each_hub(tmp_path: Path) -> None:
    db = open_tenant_database(tmp_path / "t.db")
    with db.transaction() as tx:
        assert load_mine(tx, "hub-1") == (b"", 0)
        save_mine(tx, "hub-1", b"\x00\xff", 7)
        save_mine(tx, "hub-2", b"two", 1)
        save_mine(tx, "hub-1", b"\x01", 8)
    with db.snapshot() as snapshot:
        assert [load_mine(snapshot, hub) for hub in ("hub-1", "hub-2")] == [(b"\x01", 8), (b"two", 1)]
    db.close()


def test_whatever_breaks_during_a_rotation_a_key_that_works_is_there(system: Database, tmp_path: Path) -> None:
    path = tmp_path / "device.pem"
    KEY.save(path)
    keys = DeviceKeys(path)
    assert keys.previous() is None
    asked = keys.begin_rotation("hub-1", "node-1")
    assert DeviceKeys(path).begin_rotation("hub-1", "node-1") == asked, "broke off, asks for the same"
    assert keys.current() == KEY
    with system.transaction() as tx:
        rotate(tx, "hub-1", "node-1", asked, NOW)
        rotate(tx, "hub-1", "node-1", asked, NOW)  # the answer was lost
    new = DeviceKeys(path).finish_rotation()
    assert new.public == asked.public
    assert keys.current() == new
    assert keys.previous() == KEY
    assert Hub(system).code(greeting(key=new)) == "ok"
    assert {file.name for file in tmp_path.glob("device*")} == {"device.pem", "device.pem.previous"}
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in tmp_path.glob("device*"))
