"""API keys: `alk_` and 256 random bits; shown once, stored as SHA-256 (ADR-050: a fast hash is right for those)."""

from __future__ import annotations

import hashlib
import json
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from storage.background import ask
from storage.engine import Snapshot, Transaction
from storage.engine.payload import dumps
from storage.identity.accounts import find_account
from storage.identity.audit import audit
from storage.identity.errors import IdentityError, KeyRefusedError, UnknownIdentityError
from storage.scopes import is_scope

PREFIX = "alk_"
QUEUE = "key-management"
"""Jobs `{task: "retire", keyId, actorId}` (the grace of a rotated key is over) and `{task: "expire"}`."""
SCOPES = "_keys.scopes"
"""Where a key's scopes are in its metadata; absent: whatever its account may do."""


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key without its secret. Times are unix seconds."""

    id: str
    owner_id: str
    name: str | None
    enabled: bool
    scopes: tuple[str, ...] | None
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    rotated_to_id: str | None
    last_used_at: int | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made: the only moment at which its secret is known."""

    id: str
    secret: str

    def __repr__(self) -> str:
        return f"NewKey(id={self.id!r}, secret=<hidden>)"


def hash_of(secret: str) -> str:
    """What is stored of a key."""
    return "sha256:" + hashlib.sha256(secret.encode()).hexdigest()


def create_api_key(
    tx: Transaction,
    owner: str,
    *,
    actor_id: str,
    name: str | None = None,
    expires_at: int | None = None,
    scopes: Sequence[str] | None = None,
) -> NewKey:
    """Make a key for an account.

    Raises:
        UnknownIdentityError: there is no such account.
        IdentityError: the account is not active, or a scope is none.
    """
    account = find_account(tx, owner)
    if account.status != "active":
        raise IdentityError(f"{account.email} is {account.status}: activate it first")
    bad = [scope for scope in scopes or () if not is_scope(scope)]
    if bad:
        raise IdentityError(f"no scope: {', '.join(bad)}; write noun:verb")
    new = NewKey(str(uuid.uuid4()), PREFIX + secrets.token_urlsafe(32))
    tx.execute(
        "INSERT INTO api_keys (id, owner_id, key_hash, name, expires_at, metadata) VALUES (?, ?, ?, ?, ?, ?)",
        (
            new.id,
            account.id,
            hash_of(new.secret),
            name,
            expires_at,
            dumps({SCOPES: sorted(scopes)} if scopes is not None else {}),
        ),
    )
    audit(
        tx,
        "api_key.created",
        actor_id,
        credential_id=new.id,
        credential_type="api_key",
        details={"accountId": account.id, "name": name, "expiresAt": expires_at},
    )
    return new


_COLUMNS = "id, owner_id, name, enabled, metadata, created_at, expires_at, revoked_at, rotated_to_id, last_used_at"


def find_key(source: Snapshot | Transaction, key_id: str) -> KeyInfo:
    """Return a key by its id, the only beginning of one, or the name of the only key of that name that still works.

    Raises:
        UnknownIdentityError: there is none, or there are several.
    """
    rows = source.rows(
        f"SELECT {_COLUMNS} FROM api_keys WHERE id = ?1 OR (length(?1) >= 6 AND substr(id, 1, length(?1)) = ?1)"
        " OR (name = ?1 AND enabled = 1 AND rotated_to_id IS NULL) LIMIT 2",
        (key_id,),
    )
    if len(rows) != 1:
        raise UnknownIdentityError(f"{'no key' if not rows else 'several keys are meant by'} {key_id!r}")
    return _info(rows[0])


def verify_key(source: Snapshot | Transaction, secret: str, now: int) -> KeyInfo:
    """Return the key that a secret belongs to.

    Args:
        source: where to look.
        secret: what the caller showed.
        now: unix seconds.

    Raises:
        KeyRefusedError: it opens nothing; the same words for every reason.
    """
    columns = ", ".join(f"k.{column}" for column in _COLUMNS.split(", "))
    rows = source.rows(
        f"SELECT {columns} FROM api_keys k JOIN accounts a ON a.id = k.owner_id AND a.status = 'active'"
        " WHERE k.key_hash = ? AND k.enabled = 1 AND k.revoked_at IS NULL"
        " AND (k.expires_at IS NULL OR k.expires_at > ?)",
        (hash_of(secret), now),
    )
    if not rows:
        raise KeyRefusedError("this key opens nothing here")
    return _info(rows[0])


def note_use(tx: Transaction, key: KeyInfo, now: int) -> None:
    """Remember when a key was used last, and tell `auth:key_verified`."""
    tx.execute("UPDATE api_keys SET last_used_at = ? WHERE id = ?", (now, key.id))
    tx.notify("auth:key_verified", {"keyId": key.id, "ownerId": key.owner_id})


def rotate_key(tx: Transaction, key_id: str, *, actor_id: str, now: int, grace_s: int = 86_400) -> NewKey:
    """Make the successor of a key; the old one works for `grace_s` seconds more, then `key-management` retires it.

    Raises:
        UnknownIdentityError: there is no such key.
        IdentityError: it is revoked, or has a successor already.
    """
    old = find_key(tx, key_id)
    if old.revoked_at is not None or not old.enabled:
        raise IdentityError(f"key {old.id} is revoked: create a new one")
    if old.rotated_to_id is not None:
        raise IdentityError(f"key {old.id} was rotated already, to {old.rotated_to_id}")
    new = create_api_key(
        tx, old.owner_id, actor_id=actor_id, name=old.name, expires_at=old.expires_at, scopes=old.scopes
    )
    ends = now + grace_s
    until = ends if old.expires_at is None else min(ends, old.expires_at)
    tx.execute(
        "UPDATE api_keys SET rotated_to_id = ?, expires_at = ?, updated_at = unixepoch() WHERE id = ?",
        (new.id, until, old.id),
    )
    audit(
        tx,
        "api_key.rotated",
        actor_id,
        credential_id=old.id,
        credential_type="api_key",
        details={"to": new.id, "until": until},
    )
    ask(tx, QUEUE, {"task": "retire", "keyId": old.id, "actorId": actor_id}, run_at=until)
    return new


def revoke_key(tx: Transaction, key_id: str, *, actor_id: str, now: int) -> bool:
    """End a key at once; False when it was ended before.

    Raises:
        UnknownIdentityError: there is no such key.
    """
    key = find_key(tx, key_id)
    if key.revoked_at is not None:
        return False
    tx.execute("UPDATE api_keys SET enabled = 0, revoked_at = ?, updated_at = unixepoch() WHERE id = ?", (now, key.id))
    audit(tx, "api_key.revoked", actor_id, credential_id=key.id, credential_type="api_key")
    return True


def expire_keys(tx: Transaction, now: int) -> int:
    """Switch off the keys whose date is past; returns how many. They opened nothing before either."""
    gone = tx.rows(
        "UPDATE api_keys SET enabled = 0, updated_at = unixepoch()"
        " WHERE enabled = 1 AND expires_at IS NOT NULL AND expires_at <= ? RETURNING id, owner_id",
        (now,),
    )
    for key_id, owner_id in gone:
        audit(tx, "api_key.expired", str(owner_id), credential_id=str(key_id), credential_type="api_key")
    return len(gone)


def list_keys(source: Snapshot | Transaction) -> list[KeyInfo]:
    """Every key, oldest first."""
    return [_info(row) for row in source.rows(f"SELECT {_COLUMNS} FROM api_keys ORDER BY rowid")]


def _info(row: Sequence[object]) -> KeyInfo:
    key_id, owner, name, enabled, metadata, *times = row
    scopes = json.loads(str(metadata)).get(SCOPES)
    return KeyInfo(
        str(key_id),
        str(owner),
        name if isinstance(name, str) else None,
        bool(enabled),
        None if scopes is None else tuple(scopes),
        *times,  # type: ignore[arg-type]
    )
