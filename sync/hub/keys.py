"""API keys: made once, stored as SHA-256, and the way from a key to a tenant (the seed's authentication flow)."""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from dataclasses import dataclass

from storage.engine import Database, Snapshot, Transaction
from storage.engine.errors import UsageError
from sync.link.errors import UnauthorizedError

PREFIX = "alk_"
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,46}[a-z0-9])?")
"""Names of tenants and spokes: they become parts of file names and addresses."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a key belongs to, and which tenant's file it opens."""

    account_id: str
    name: str
    tenant: str


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key, without its secret. Times are unix seconds."""

    id: str
    spoke: str
    tenant: str
    enabled: bool
    created_at: int
    last_used_at: int | None


def hash_of(key: str) -> str:
    """What is stored of a key. A fast hash is right: the key has 256 random bits (ADR-050)."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def create_key(db: Database, spoke: str, tenant: str = "local") -> str:
    """Make a key for a spoke and return it; it cannot be shown again.

    Makes the tenant's organisation, its owner and the spoke's service account where they are missing.

    Raises:
        UsageError: a name is not one.
    """
    for name in (spoke, tenant):
        if not NAME.fullmatch(name):
            raise UsageError(f"{name!r} is not a name: small letters, digits and '-', at most 48")
    key = PREFIX + secrets.token_urlsafe(32)
    with db.transaction() as tx:
        owner = _account(tx, "hub@localhost", "Hub operator", "admin")
        org = _organization(tx, tenant, owner)
        account = _account(tx, f"{spoke}@{tenant}.spoke", spoke, "service")
        tx.execute(
            "INSERT OR IGNORE INTO organization_members (id, org_id, account_id, membership_level)"
            " VALUES (?, ?, ?, 'member')",
            (str(uuid.uuid4()), org, account),
        )
        tx.execute(
            "INSERT INTO api_keys (id, owner_id, key_hash, name) VALUES (?, ?, ?, ?)",
            (str(uuid.uuid4()), account, hash_of(key), spoke),
        )
    return key


def authenticate(source: Snapshot, key: str, now: int) -> Principal:
    """Follow a key to its tenant: key hash, account, membership.

    Args:
        source: a snapshot of `system.db`.
        key: what the caller showed.
        now: unix seconds.

    Raises:
        UnauthorizedError: unknown, disabled, expired or revoked; the same words for all of them.
    """
    rows = source.rows(
        "SELECT a.id, a.display_name, o.slug FROM api_keys k"
        " JOIN accounts a ON a.id = k.owner_id AND a.status = 'active'"
        " JOIN organization_members m ON m.account_id = a.id"
        " JOIN organizations o ON o.id = m.org_id"
        " WHERE k.key_hash = ? AND k.enabled = 1 AND k.revoked_at IS NULL"
        " AND (k.expires_at IS NULL OR k.expires_at > ?) ORDER BY o.created_at LIMIT 1",
        (hash_of(key), now),
    )
    if not rows:
        raise UnauthorizedError("this key opens nothing here")
    return Principal(*rows[0])


def list_keys(source: Snapshot) -> list[KeyInfo]:
    """Every key, oldest first."""
    return [
        KeyInfo(row[0], row[1], row[2], bool(row[3]), int(row[4]), row[5])
        for row in source.rows(
            "SELECT k.id, k.name, o.slug, k.enabled AND k.revoked_at IS NULL, k.created_at, k.last_used_at"
            " FROM api_keys k JOIN organization_members m ON m.account_id = k.owner_id"
            " JOIN organizations o ON o.id = m.org_id ORDER BY k.rowid"
        )
    ]


def _account(tx: Transaction, email: str, name: str, level: str) -> str:
    tx.execute(
        "INSERT OR IGNORE INTO accounts (id, email, display_name, access_level) VALUES (?, ?, ?, ?)",
        (str(uuid.uuid4()), email, name, level),
    )
    return str(tx.rows("SELECT id FROM accounts WHERE email = ?", (email,))[0][0])


def _organization(tx: Transaction, slug: str, owner: str) -> str:
    tx.execute(
        "INSERT OR IGNORE INTO organizations (id, name, slug, owner_id) VALUES (?, ?, ?, ?)",
        (str(uuid.uuid4()), slug, slug, owner),
    )
    return str(tx.rows("SELECT id FROM organizations WHERE slug = ?", (slug,))[0][0])
