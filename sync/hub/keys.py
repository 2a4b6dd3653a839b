"""From a key to a tenant: the seed's authentication flow, and keys for spokes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from storage.engine import Database, Snapshot, Transaction
from storage.identity.accounts import Account, create_account, find_account
from storage.identity.api_keys import KeyInfo, create_api_key, list_keys, verify_key
from storage.identity.errors import KeyRefusedError, UnknownIdentityError
from storage.identity.organizations import Organization, add_member, check_name, create_organization, find_organization
from sync.link.errors import UnauthorizedError

OPERATOR = "hub@localhost"
"""The account of whoever works on the hub itself."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a key belongs to, and which tenant's file it opens."""

    account_id: str
    name: str
    tenant: str
    key: KeyInfo


@dataclass(frozen=True, slots=True)
class SpokeKey:
    """A key of a spoke, without its secret. Times are unix seconds."""

    id: str
    spoke: str
    tenant: str
    enabled: bool
    created_at: int
    expires_at: int | None
    last_used_at: int | None


def operator(tx: Transaction) -> Account:
    """The operator's account, made when it is missing."""
    try:
        return find_account(tx, OPERATOR)
    except UnknownIdentityError:
        return create_account(tx, OPERATOR, "Hub operator", "admin")


def create_key(
    db: Database,
    spoke: str,
    tenant: str = "local",
    *,
    expires_at: int | None = None,
    scopes: Sequence[str] | None = None,
) -> str:
    """Make a key for a spoke and return it; it cannot be shown again. `scopes`: what the spoke may call on the hub.

    Makes the tenant's organisation, its owner and the spoke's service account where they are missing.

    Raises:
        IdentityError: a name is not one.
    """
    check_name(spoke)
    check_name(tenant)
    with db.transaction() as tx:
        boss = operator(tx)
        org = open_organization(tx, tenant, boss)
        account = _account(tx, f"{spoke}@{tenant}.spoke", spoke, boss)
        add_member(tx, org.id, account.id, actor_id=boss.id)
        return create_api_key(tx, account.id, actor_id=boss.id, name=spoke, expires_at=expires_at, scopes=scopes).secret


def authenticate(source: Snapshot, key: str, now: int) -> Principal:
    """Follow a key to its tenant: key hash, account, membership.

    Args:
        source: a snapshot of `system.db`.
        key: what the caller showed.
        now: unix seconds.

    Raises:
        UnauthorizedError: unknown, disabled, expired, revoked, or of no tenant; the same words for all of them.
    """
    try:
        found = verify_key(source, key, now)
    except KeyRefusedError as error:
        raise UnauthorizedError(str(error)) from error
    rows = source.rows(
        "SELECT a.id, a.display_name, o.slug FROM accounts a JOIN organization_members m ON m.account_id = a.id"
        " JOIN organizations o ON o.id = m.org_id WHERE a.id = ? ORDER BY o.created_at, o.rowid LIMIT 1",
        (found.owner_id,),
    )
    if not rows:
        raise UnauthorizedError("this key opens nothing here")
    account_id, name, tenant = rows[0]
    return Principal(account_id, name, tenant, found)


def list_spoke_keys(source: Snapshot) -> list[SpokeKey]:
    """Every key with the tenant that it opens, oldest first."""
    tenants = {
        str(account): str(slug)
        for account, slug in source.rows(
            "SELECT m.account_id, o.slug FROM organization_members m JOIN organizations o ON o.id = m.org_id"
            " ORDER BY o.created_at DESC, o.rowid DESC"
        )
    }
    return [
        SpokeKey(
            key.id,
            key.name or "",
            tenants.get(key.owner_id, ""),
            key.enabled and key.revoked_at is None,
            key.created_at,
            key.expires_at,
            key.last_used_at,
        )
        for key in list_keys(source)
    ]


def _account(tx: Transaction, email: str, name: str, boss: Account) -> Account:
    try:
        return find_account(tx, email)
    except UnknownIdentityError:
        return create_account(tx, email, name, "service", actor_id=boss.id)


def open_organization(tx: Transaction, slug: str, boss: Account) -> Organization:
    """A tenant's organisation, made when it is missing.

    Raises:
        IdentityError: the name is none.
    """
    try:
        return find_organization(tx, slug)
    except UnknownIdentityError:
        return create_organization(tx, slug, boss.id)
