"""Organisations: each is a tenant with a file of its own; and who belongs to them."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Literal, TypeAlias

from storage.engine import Snapshot, Transaction
from storage.identity.accounts import find_account
from storage.identity.audit import audit
from storage.identity.errors import BadNameError, IdentityError, TakenError, UnknownIdentityError

Level: TypeAlias = Literal["owner", "admin", "member"]

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,46}[a-z0-9])?")
"""Names of tenants and spokes: they become parts of file names and addresses."""


@dataclass(frozen=True, slots=True)
class Organization:
    """An organisation; `slug` is part of its file's name."""

    id: str
    name: str
    slug: str
    owner_id: str


def check_name(name: str) -> str:
    """Return a name that may be a slug.

    Raises:
        BadNameError: this one may not.
    """
    if not NAME.fullmatch(name):
        raise BadNameError(f"{name[:60]!r} is not a name: small letters, digits and '-', at most 48")
    return name


def create_organization(tx: Transaction, slug: str, owner: str, *, name: str | None = None) -> Organization:
    """Create an organisation whose owner is its first member.

    Raises:
        IdentityError: the slug is none.
        TakenError: there is one of that name or slug.
        UnknownIdentityError: there is no such owner.
    """
    check_name(slug)
    account = find_account(tx, owner)
    if tx.rows("SELECT 1 FROM organizations WHERE slug = ? OR name = ?", (slug, name or slug)):
        raise TakenError(f"there is an organisation {name or slug!r} already")
    org = Organization(str(uuid.uuid4()), name or slug, slug, account.id)
    tx.execute(
        "INSERT INTO organizations (id, name, slug, owner_id) VALUES (?, ?, ?, ?)",
        (org.id, org.name, slug, account.id),
    )
    audit(tx, "org.created", account.id, org_id=org.id, details={"slug": slug})
    tell_created(tx, org.id, slug, account.id)
    add_member(tx, org.id, account.id, "owner", actor_id=account.id)
    return org


def tell_created(tx: Transaction, org_id: str, slug: str, owner_id: str) -> None:
    """Channel `org:created`."""
    tx.notify("org:created", {"orgId": org_id, "slug": slug, "ownerId": owner_id})


def tell_member(tx: Transaction, org_id: str, account_id: str, level: str) -> None:
    """Channel `org:member_added`; also when a level changes."""
    tx.notify("org:member_added", {"orgId": org_id, "accountId": account_id, "membershipLevel": level})


def find_organization(source: Snapshot | Transaction, which: str) -> Organization:
    """Return an organisation by id or slug.

    Raises:
        UnknownIdentityError: there is none.
    """
    rows = source.rows("SELECT id, name, slug, owner_id FROM organizations WHERE id = ?1 OR slug = ?1", (which,))
    if not rows:
        raise UnknownIdentityError(f"no organisation {which!r}")
    return Organization(*rows[0])


def add_member(tx: Transaction, org: str, account: str, level: Level = "member", *, actor_id: str) -> None:
    """Make an account a member, or change its level.

    Raises:
        UnknownIdentityError: there is no such organisation or account.
        IdentityError: somebody else owns the organisation, or the owner would become less.
    """
    found, member = find_organization(tx, org), find_account(tx, account)
    if (level == "owner") != (member.id == found.owner_id):
        raise IdentityError(f"{found.slug} has one owner: transfer the ownership instead")
    known = tx.rows(
        "SELECT membership_level FROM organization_members WHERE org_id = ? AND account_id = ?", (found.id, member.id)
    )
    if known == [(level,)]:
        return
    tx.execute(
        "INSERT INTO organization_members (id, org_id, account_id, membership_level) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (org_id, account_id) DO UPDATE"
        " SET membership_level = excluded.membership_level, updated_at = unixepoch()",
        (str(uuid.uuid4()), found.id, member.id, level),
    )
    audit(tx, "org.member_added", actor_id, org_id=found.id, details={"accountId": member.id, "level": level})
    tell_member(tx, found.id, member.id, level)


def remove_member(tx: Transaction, org: str, account: str, *, actor_id: str) -> None:
    """End a membership.

    Raises:
        UnknownIdentityError: there is none.
        IdentityError: it is the owner's.
    """
    found, member = find_organization(tx, org), find_account(tx, account)
    if member.id == found.owner_id:
        raise IdentityError(f"{member.email} owns {found.slug}: transfer the ownership first")
    if not tx.rows(
        "DELETE FROM organization_members WHERE org_id = ? AND account_id = ? RETURNING id", (found.id, member.id)
    ):
        raise UnknownIdentityError(f"{member.email} is no member of {found.slug}")
    audit(tx, "org.member_removed", actor_id, org_id=found.id, details={"accountId": member.id})


def transfer_ownership(tx: Transaction, org: str, to: str, *, actor_id: str) -> Organization:
    """Give an organisation to another of its members; the old owner stays as an admin.

    Raises:
        UnknownIdentityError: no such organisation, or no such member.
    """
    found, heir = find_organization(tx, org), find_account(tx, to)
    if heir.id == found.owner_id:
        return found
    if not tx.rows(
        "UPDATE organization_members SET membership_level = 'owner', updated_at = unixepoch()"
        " WHERE org_id = ? AND account_id = ? RETURNING id",
        (found.id, heir.id),
    ):
        raise UnknownIdentityError(f"{heir.email} is no member of {found.slug}; add them first")
    tx.execute(
        "UPDATE organization_members SET membership_level = 'admin', updated_at = unixepoch()"
        " WHERE org_id = ? AND account_id = ?",
        (found.id, found.owner_id),
    )
    tx.execute("UPDATE organizations SET owner_id = ?, updated_at = unixepoch() WHERE id = ?", (heir.id, found.id))
    audit(tx, "org.transferred", actor_id, org_id=found.id, details={"from": found.owner_id, "to": heir.id})
    return find_organization(tx, found.id)
