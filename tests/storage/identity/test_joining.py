"""Join tokens and devices: their rules, and that the trail says exactly what happened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.operations.tables import system_registry
from storage.engine import Database, Transaction
from storage.identity.accounts import create_account
from storage.identity.devices import (
    GRACE_S,
    KEY_LIFETIME_S,
    RENEW_AFTER_S,
    Device,
    UnknownDeviceError,
    enrol_device,
    find_device,
    list_devices,
    name_device,
    note_session,
    note_successor,
    renewal_due,
    revoke_device,
    standing,
)
from storage.identity.errors import IdentityError, TakenError, UnknownIdentityError
from storage.identity.join_tokens import (
    JoinToken,
    create_join_token,
    find_join_token,
    list_join_tokens,
    revoke_join_token,
    use_join_token,
)
from storage.identity.organizations import create_organization
from storage.operations.spec import Identity, OperationContext
from storage.tenants import open_system_database

NOW = 1_800_000_000
OLD, NEW = b"o" * 32, b"n" * 32


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = open_system_database(tmp_path / "system.db")
    with db.transaction() as tx:
        boss = create_account(tx, "boss@example.org", access_level="admin")
        create_organization(tx, "acme", boss.id)
        create_organization(tx, "other", boss.id)
    yield db
    db.close()


def boss(tx: Transaction) -> str:
    return str(tx.rows("SELECT id FROM accounts WHERE email = 'boss@example.org'")[0][0])


def token(tx: Transaction, name: str = "token-one", org: str = "acme", **options: Any) -> JoinToken:
    given = {"actor_id": boss(tx), "expires_at": NOW + 3_600, **options}
    return create_join_token(tx, name, b"p" * 32, org, **given)


def device(tx: Transaction, node: str = "node-1") -> Device:
    return enrol_device(tx, token(tx, f"token-for-{node}"), node, "workshop", OLD, NOW)


def trail(db: Database) -> list[str]:
    rows = db.query("SELECT action FROM audit_logs WHERE credential_type IN ('join_token', 'device') ORDER BY rowid")
    events = [event.payload["action"] for event in db.stream("audit-events").read()]
    actions = [row["action"] for row in rows]
    assert [action for action in events if action.startswith(("join_token.", "device."))] == actions
    return actions


def test_the_life_of_a_token(db: Database) -> None:
    with db.transaction() as tx:
        made = token(tx, uses=2, labels={"site": "north"}, scopes=("fs:read",))
        assert (made.tenant, made.uses_left, made.labels, made.scopes) == (
            "acme",
            2,
            {"site": "north"},
            ("fs:read",),
        )
        assert [made.valid(NOW), made.valid(NOW + 3_600)] == [True, False]
        assert "pppp" not in repr(made)
        assert [use_join_token(tx, made, actor_id=boss(tx), node_id="n") for _ in range(3)] == [True, True, False]
        assert find_join_token(tx, "token-").uses_left == 0
        assert revoke_join_token(tx, "token-one", actor_id=boss(tx), now=NOW) is True
        assert revoke_join_token(tx, "token-one", actor_id=boss(tx), now=NOW) is False
        assert find_join_token(tx, "token-one").valid(NOW) is False
        other = token(tx, "token-two")
        with pytest.raises(UnknownIdentityError, match="several"):
            find_join_token(tx, "token-")
        for unknown in ("token", "nothing", ""):
            with pytest.raises(UnknownIdentityError) as refused:
                find_join_token(tx, unknown)
            assert "spoke hub token list" in refused.value.hint
        revoke_join_token(tx, other.id, actor_id=boss(tx), now=NOW)
        assert not use_join_token(tx, other, actor_id=boss(tx), node_id="n")
        assert [one.id for one in list_join_tokens(tx)] == ["token-one", "token-two"]
    assert trail(db) == [
        "join_token.created",
        "join_token.used",
        "join_token.used",
        "join_token.revoked",
        "join_token.created",
        "join_token.revoked",
    ]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"org": "nothing"}, UnknownIdentityError),
        ({"scopes": ("a b",)}, IdentityError),
        ({"uses": 0}, IdentityError),
        ({"name": "there"}, TakenError),
    ],
)
def test_what_is_no_token(db: Database, options: dict[str, Any], error: type[Exception]) -> None:
    with db.transaction() as tx:
        token(tx, "there")
        with pytest.raises(error):
            token(tx, **options)
    assert len(trail(db)) == 1


def test_the_life_of_a_device(db: Database) -> None:
    with db.transaction() as tx:
        made = device(tx)
        assert made.key_not_after == NOW + KEY_LIFETIME_S
        again = enrol_device(tx, token(tx, "again", scopes=("fs:read",)), "node-1", "bench", OLD, NOW + 5)
        assert (again.account_id, again.name, again.scopes) == (made.account_id, "bench", ("fs:read",))
        with pytest.raises(TakenError):
            enrol_device(tx, token(tx, "elsewhere", "other"), "node-1", "bench", OLD, NOW)
        with pytest.raises(TakenError):
            enrol_device(tx, token(tx, "other key"), "node-1", "bench", NEW, NOW)
        with pytest.raises(TakenError):
            enrol_device(tx, token(tx, "elsewhere-2", "other", node_id="node-1"), "node-1", "bench", NEW, NOW)
        device(tx, "node-2")
        enrol_device(tx, token(tx, "mimic"), "mimic", "node-2", OLD, NOW)
        assert name_device(tx, "node-2").id == "node-2"
        for which in ("node-1", "bench"):
            assert name_device(tx, which).id == "node-1"
        for which in ("node-", "nothing", ""):
            with pytest.raises(UnknownDeviceError):
                name_device(tx, which)
        found, ended = revoke_device(tx, "bench", actor_id=boss(tx), now=NOW)
        assert (found.id, ended) == ("node-1", True)
        assert revoke_device(tx, "node-1", actor_id=boss(tx), now=NOW)[1] is False
        with pytest.raises(TakenError):
            enrol_device(tx, token(tx, "after"), "node-1", "bench", OLD, NOW)
        back = enrol_device(tx, token(tx, "for it", node_id="node-1"), "node-1", "bench", NEW, NOW)
        assert (standing(back, NOW), back.public_key) == ("active", NEW)
        assert [one.id for one in list_devices(tx)] == ["node-1", "node-2", "mimic"]
        assert find_device(tx, "node-") is None
    actions = [action for action in trail(db) if action.startswith("device.")]
    assert actions == ["device.enrolled"] * 4 + ["device.revoked", "device.enrolled"]
    told = db.query("SELECT payload FROM _honker_notifications WHERE channel = 'device:revoked'")
    assert [json.loads(row["payload"]) for row in told] == [{"nodeId": "node-1", "tenant": "acme"}]


def test_both_keys_count_until_the_new_one_is_used(db: Database) -> None:
    with db.transaction() as tx:
        made = device(tx)
        with pytest.raises(IdentityError):
            note_successor(tx, made.id, NEW, OLD, NOW)
        with pytest.raises(IdentityError):
            note_successor(tx, made.id, OLD, OLD, NOW)
        with pytest.raises(UnknownDeviceError):
            note_successor(tx, "nothing", OLD, NEW, NOW)
        note_successor(tx, made.id, OLD, b"x" * 32, NOW)
        both = note_successor(tx, made.id, OLD, NEW, NOW)
        assert note_successor(tx, made.id, OLD, NEW, NOW) == both
        assert note_session(tx, both, OLD, NOW + 1) == both
        moved = note_session(tx, both, NEW, NOW + 9)
        assert (moved.public_key, moved.next_public_key) == (NEW, None)
        assert moved.key_not_after == NOW + 9 + KEY_LIFETIME_S
        assert note_session(tx, both, NEW, NOW + 10) == moved, "once"
        revoke_device(tx, made.id, actor_id=boss(tx), now=NOW)
        with pytest.raises(IdentityError):
            note_successor(tx, made.id, NEW, OLD, NOW)
    assert [action for action in trail(db) if "device" in action] == [
        "device.enrolled",
        "device.successor_noted",
        "device.successor_noted",
        "device.rotated",
        "device.revoked",
    ]


DEVICE = Device("n", "a", "o", "acme", "x", OLD, None, "t", {}, ("*",), True, NOW, NOW, None)


@given(after=st.integers(-2 * KEY_LIFETIME_S, 2 * GRACE_S), revoked=st.booleans(), enabled=st.booleans())
def test_how_a_device_stands(after: int, revoked: bool, enabled: bool) -> None:
    one = replace(DEVICE, revoked_at=NOW if revoked else None, enabled=enabled)
    expected = (
        "revoked"
        if revoked or not enabled
        else "active"
        if after < 0
        else "renew_only"
        if after < 400 * 86_400
        else "expired"
    )
    assert standing(one, NOW + after) == expected
    with_next = standing(replace(one, next_public_key=NEW), NOW + after, NEW)
    assert with_next == ("revoked" if expected == "revoked" else "active")
    assert standing(replace(one, next_public_key=NEW), NOW + after, OLD) == expected
    assert renewal_due(one, NOW + after) == (after >= RENEW_AFTER_S - KEY_LIFETIME_S)


def test_an_expired_key_can_be_replaced_within_the_grace(db: Database) -> None:
    with db.transaction() as tx:
        made = device(tx)
        late = made.key_not_after + GRACE_S
        with pytest.raises(IdentityError):
            note_successor(tx, made.id, OLD, NEW, late)
        both = note_successor(tx, made.id, OLD, NEW, late - 1)
        assert (standing(both, late - 1), standing(both, late - 1, NEW)) == ("renew_only", "active")


def test_operations_show_them_without_what_is_hidden(db: Database) -> None:
    registry = system_registry()
    with db.transaction() as tx:
        device(tx)
        who = Identity(boss(tx), ("*",))
    shown = ""
    for table in ("join_tokens", "devices", "ratchets"):
        page = registry.execute(f"{table}.list", {}, OperationContext("r", who, db=db))
        shown += page.model_dump_json(by_alias=True)
    assert "node-1" in shown
    assert "proofKey" not in shown
    assert "devices.create" not in {spec.operation_id for spec in registry.list()}
