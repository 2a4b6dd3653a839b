"""Accounts, organisations, members and keys: their rules, and that the trail says exactly what happened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.engine import Database
from storage.engine.errors import DatabaseError
from storage.identity.accounts import create_account, find_account, finish_deactivation, set_status
from storage.identity.api_keys import (
    create_api_key,
    expire_keys,
    find_key,
    list_keys,
    note_use,
    revoke_key,
    rotate_key,
    verify_key,
)
from storage.identity.audit import STREAM
from storage.identity.errors import IdentityError, KeyRefusedError, TakenError, UnknownIdentityError
from storage.identity.organizations import (
    add_member,
    create_organization,
    find_organization,
    remove_member,
    transfer_ownership,
)
from storage.tenants import open_system_database

NOW = 1_800_000_000


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = open_system_database(tmp_path / "system.db")
    yield db
    db.close()


def channels(db: Database) -> list[tuple[str, Any]]:
    rows = db.query("SELECT channel, payload FROM _honker_notifications WHERE channel NOT LIKE 'honker:%' ORDER BY id")
    return [(row["channel"], json.loads(row["payload"])) for row in rows]


def trail(db: Database) -> list[str]:
    """The actions, after a look that table and stream say the same."""
    rows = db.query("SELECT id, action FROM audit_logs ORDER BY rowid")
    events = db.stream(STREAM).read()
    assert [(event.payload["id"], event.payload["action"]) for event in events] == [
        (r["id"], r["action"]) for r in rows
    ]
    return [row["action"] for row in rows]


def test_the_life_of_an_organisation(db: Database) -> None:
    with db.transaction() as tx:
        ann = create_account(tx, "ann@example.org", "Ann")
        bob = create_account(tx, "bob@example.org", actor_id=ann.id)
        org = create_organization(tx, "acme", ann.id, name="Acme Inc.")
        add_member(tx, "acme", bob.email, actor_id=ann.id)
        add_member(tx, "acme", bob.id, actor_id=ann.id)  # again: nothing
        with pytest.raises(IdentityError, match="one owner"):
            add_member(tx, "acme", bob.id, "owner", actor_id=ann.id)
        with pytest.raises(IdentityError, match="transfer the ownership"):
            remove_member(tx, "acme", ann.id, actor_id=ann.id)
        with pytest.raises(IdentityError, match="account owns acme"):
            set_status(tx, ann.id, "deactivated", actor_id=ann.id)
        assert transfer_ownership(tx, "acme", bob.id, actor_id=ann.id).owner_id == bob.id
        remove_member(tx, "acme", ann.id, actor_id=bob.id)
        with pytest.raises(UnknownIdentityError):
            remove_member(tx, "acme", ann.id, actor_id=bob.id)
        with pytest.raises(UnknownIdentityError):
            transfer_ownership(tx, "acme", ann.id, actor_id=bob.id)
        assert find_organization(tx, org.id).name == "Acme Inc."
    assert channels(db) == [
        ("account:created", {"accountId": ann.id, "email": "ann@example.org", "accessLevel": "user"}),
        ("account:created", {"accountId": bob.id, "email": "bob@example.org", "accessLevel": "user"}),
        ("org:created", {"orgId": org.id, "slug": "acme", "ownerId": ann.id}),
        ("org:member_added", {"orgId": org.id, "accountId": ann.id, "membershipLevel": "owner"}),
        ("org:member_added", {"orgId": org.id, "accountId": bob.id, "membershipLevel": "member"}),
    ]
    assert trail(db) == [
        "account.created",
        "account.created",
        "org.created",
        "org.member_added",
        "org.member_added",
        "org.transferred",
        "org.member_removed",
    ]


def test_names_that_are_taken_or_none(db: Database) -> None:
    with db.transaction() as tx:
        ann = create_account(tx, "ann@example.org")
        create_organization(tx, "acme", ann.id)
        for bad in ("", "ann", "@", "a b@c", "x" * 260 + "@y", "a\x1b@b.c"):
            with pytest.raises(IdentityError):
                create_account(tx, bad)
        for bad in ("", "Acme", "../etc", "-a", "a/b", "x" * 49):
            with pytest.raises(IdentityError):
                create_organization(tx, bad, ann.id)
        with pytest.raises(TakenError):
            create_account(tx, "ann@example.org")
        with pytest.raises(TakenError):
            create_organization(tx, "acme", ann.id)
        for unknown in (find_account, find_organization, find_key):
            with pytest.raises(UnknownIdentityError):
                unknown(tx, "nobody")
    assert len(trail(db)) == 3


def test_the_life_of_a_key(db: Database) -> None:
    with db.transaction() as tx:
        ann = create_account(tx, "ann@example.org")
        made = create_api_key(tx, ann.id, actor_id=ann.id, name="laptop", expires_at=NOW + 100, scopes=["fs:read"])
        assert made.secret.startswith("alk_")
        assert made.secret not in repr(made)
        assert verify_key(tx, made.secret, NOW).scopes == ("fs:read",)
        note_use(tx, verify_key(tx, made.secret, NOW), NOW)
        assert find_key(tx, made.id[:8]).last_used_at == NOW
        with pytest.raises(KeyRefusedError):
            verify_key(tx, made.secret, NOW + 100)
        new = rotate_key(tx, made.id, actor_id=ann.id, now=NOW, grace_s=50)
        assert verify_key(tx, made.secret, NOW + 49).id == made.id
        assert verify_key(tx, new.secret, NOW + 49).scopes == ("fs:read",)
        with pytest.raises(KeyRefusedError):
            verify_key(tx, made.secret, NOW + 50)
        with pytest.raises(IdentityError, match="rotated already"):
            rotate_key(tx, made.id, actor_id=ann.id, now=NOW)
        assert expire_keys(tx, NOW + 50) == 1
        assert expire_keys(tx, NOW + 50) == 0
        assert revoke_key(tx, new.id, actor_id=ann.id, now=NOW + 60)
        assert not revoke_key(tx, new.id, actor_id=ann.id, now=NOW + 61)
        with pytest.raises(KeyRefusedError):
            verify_key(tx, new.secret, NOW + 61)
        with pytest.raises(IdentityError, match="no scope"):
            create_api_key(tx, ann.id, actor_id=ann.id, scopes=["all of it"])
        assert [(key.enabled, key.revoked_at is None) for key in list_keys(tx)] == [(False, True), (False, False)]
    assert trail(db)[1:] == [
        "api_key.created",
        "api_key.created",
        "api_key.rotated",
        "api_key.expired",
        "api_key.revoked",
    ]
    text = json.dumps(
        [db.query(f"SELECT * FROM {table}") for table in ("api_keys", "audit_logs", "_honker_notifications")]
    )
    assert made.secret not in text
    assert new.secret not in text
    assert db.query("SELECT count(*) AS n FROM _honker_live WHERE queue = 'key-management'") == [{"n": 1}]


def test_a_key_of_an_account_that_is_not_active_opens_nothing(db: Database) -> None:
    with db.transaction() as tx:
        ann = create_account(tx, "ann@example.org")
        bob = create_account(tx, "bob@example.org")
        create_organization(tx, "acme", ann.id)
        add_member(tx, "acme", bob.id, actor_id=ann.id)
        made = create_api_key(tx, bob.id, actor_id=ann.id)
        set_status(tx, bob.id, "suspended", actor_id=ann.id)
        with pytest.raises(KeyRefusedError):
            verify_key(tx, made.secret, NOW)
        set_status(tx, bob.id, "active", actor_id=ann.id)
        assert verify_key(tx, made.secret, NOW).id == made.id
        assert finish_deactivation(tx, bob.id, ann.id, NOW) == 0  # it is active: nothing happens
        set_status(tx, bob.id, "deactivated", actor_id=ann.id)
        assert finish_deactivation(tx, bob.id, ann.id, NOW) == 1
        assert finish_deactivation(tx, bob.id, ann.id, NOW) == 0
        set_status(tx, bob.id, "active", actor_id=ann.id)
        with pytest.raises(KeyRefusedError):
            verify_key(tx, made.secret, NOW)
        assert tx.rows("SELECT count(*) FROM organization_members") == [(1,)]


def test_the_trail_commits_and_rolls_back_with_the_deed(db: Database) -> None:
    with pytest.raises(TakenError), db.transaction() as tx:
        create_account(tx, "ann@example.org")
        create_account(tx, "ann@example.org")
    assert trail(db) == []
    assert db.query("SELECT count(*) AS n FROM accounts") == [{"n": 0}]
    assert channels(db) == []


@pytest.mark.parametrize(
    "sql", ["UPDATE audit_logs SET action = 'x'", "DELETE FROM audit_logs", "UPDATE audit_logs SET details = '{}'"]
)
def test_the_trail_cannot_be_changed(db: Database, sql: str) -> None:
    with db.transaction() as tx:
        create_account(tx, "ann@example.org")
    with pytest.raises(DatabaseError, match="append-only"), db.transaction() as tx:
        tx.execute(sql)
    assert trail(db) == ["account.created"]
