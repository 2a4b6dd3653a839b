"""Accounts: people, and services such as spokes and agents."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from storage.background import ask
from storage.engine import Snapshot, Transaction
from storage.identity.audit import audit
from storage.identity.errors import IdentityError, TakenError, UnknownIdentityError

AccessLevel: TypeAlias = Literal["admin", "user", "service"]
Status: TypeAlias = Literal["active", "suspended", "deactivated"]

QUEUE = "account-maintenance"
"""Jobs `{task: "deactivate", accountId, actorId}`: revoke what a deactivated account still holds."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account."""

    id: str
    email: str
    display_name: str | None
    access_level: AccessLevel
    status: Status


def create_account(
    tx: Transaction,
    email: str,
    display_name: str | None = None,
    access_level: AccessLevel = "user",
    *,
    actor_id: str | None = None,
) -> Account:
    """Create an account. Without an actor it made itself: the first one.

    Raises:
        IdentityError: the address is none.
        TakenError: there is an account of that address.
    """
    check_email(email)
    if tx.rows("SELECT 1 FROM accounts WHERE email = ?", (email,)):
        raise TakenError(f"there is an account {email!r} already")
    account = Account(str(uuid.uuid4()), email, display_name, access_level, "active")
    tx.execute(
        "INSERT INTO accounts (id, email, display_name, access_level) VALUES (?, ?, ?, ?)",
        (account.id, email, display_name, access_level),
    )
    audit(tx, "account.created", actor_id or account.id, details={"accountId": account.id, "email": email})
    tell_created(tx, account.id, email, access_level)
    return account


def check_email(email: str) -> None:
    """Refuse what is no e-mail address."""
    if not 3 <= len(email) <= 254 or "@" not in email[1:-1] or not email.isprintable() or " " in email:
        raise IdentityError(f"{email[:60]!r} is no e-mail address")


def tell_created(tx: Transaction, account_id: str, email: str, access_level: str) -> None:
    """Channel `account:created`."""
    tx.notify("account:created", {"accountId": account_id, "email": email, "accessLevel": access_level})


def tell_updated(tx: Transaction, account_id: str, changes: Mapping[str, Any], actor_id: str) -> None:
    """Channel `account:updated`; a deactivation asks `account-maintenance` to revoke what the account holds."""
    tx.notify("account:updated", {"accountId": account_id, "changes": dict(changes)})
    if changes.get("status") == "deactivated":
        ask(tx, QUEUE, {"task": "deactivate", "accountId": account_id, "actorId": actor_id})


def check_status(tx: Transaction, account_id: str, status: str) -> None:
    """Refuse to deactivate who owns an organisation."""
    owned = [row[0] for row in tx.rows("SELECT slug FROM organizations WHERE owner_id = ?", (account_id,))]
    if status == "deactivated" and owned:
        raise IdentityError(f"the account owns {', '.join(owned)}: transfer the ownership first")


def find_account(source: Snapshot | Transaction, who: str) -> Account:
    """Return an account by id or e-mail address.

    Raises:
        UnknownIdentityError: there is none.
    """
    rows = source.rows(
        "SELECT id, email, display_name, access_level, status FROM accounts WHERE id = ?1 OR email = ?1", (who,)
    )
    if not rows:
        raise UnknownIdentityError(f"no account {who!r}")
    return Account(*rows[0])


def set_status(tx: Transaction, who: str, status: Status, *, actor_id: str) -> Account:
    """Suspend, deactivate or activate an account; its keys open nothing unless it is active.

    Deactivating asks the `account-maintenance` queue to revoke what it holds, in the same transaction.

    Raises:
        UnknownIdentityError: there is none.
        IdentityError: it owns an organisation and would be deactivated.
    """
    account = find_account(tx, who)
    if status == account.status:
        return account
    check_status(tx, account.id, status)
    tx.execute("UPDATE accounts SET status = ?, updated_at = unixepoch() WHERE id = ?", (status, account.id))
    audit(tx, f"account.{status}", actor_id, details={"accountId": account.id, "was": account.status})
    tell_updated(tx, account.id, {"status": status}, actor_id)
    return find_account(tx, account.id)


def finish_deactivation(tx: Transaction, account_id: str, actor_id: str, now: int) -> int:
    """Revoke the keys of a deactivated account and end its memberships; returns how many keys. Idempotent.

    An account that is active again by now keeps everything.
    """
    if find_account(tx, account_id).status != "deactivated":
        return 0
    keys = tx.rows(
        "UPDATE api_keys SET enabled = 0, revoked_at = ?, updated_at = unixepoch()"
        " WHERE owner_id = ? AND revoked_at IS NULL RETURNING id",
        (now, account_id),
    )
    for (key_id,) in keys:
        audit(tx, "api_key.revoked", actor_id, credential_id=str(key_id), credential_type="api_key")
    for (org_id,) in tx.rows("DELETE FROM organization_members WHERE account_id = ? RETURNING org_id", (account_id,)):
        audit(tx, "org.member_removed", actor_id, org_id=str(org_id), details={"accountId": account_id})
    return len(keys)
