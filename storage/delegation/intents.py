"""The table `delegations` of `system.db`: what is wanted, and how far it is.

| state | means | goes on to |
|---|---|---|
| `pending` | wanted, and not known to be in both tenants' files | `active`, `failed`, `revoking` |
| `active` | in both files | `pending` when a file lost it, `revoking` |
| `revoking` | gives nothing any more; traces may be left | `revoked` |
| `revoked`, `failed` | over | |

What is over never comes back. Every change of state is in the audit trail, in the transaction of the change.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from storage.background import ask
from storage.delegation.errors import DelegationError, UnknownDelegationError
from storage.engine import Snapshot, Transaction
from storage.engine.payload import dumps
from storage.identity.accounts import find_account
from storage.identity.audit import audit
from storage.identity.organizations import find_organization
from storage.scopes import is_scope

State: TypeAlias = Literal["pending", "active", "revoking", "revoked", "failed"]
Source: TypeAlias = Snapshot | Transaction

QUEUE = "delegation"
"""Jobs `{task: "settle", id}` (one), `{task: "ends"}` (whose principals are gone), `{task: "reconcile"}` (all)."""
LIVE = ("pending", "active")
ACTIONS = ("read", "write", "execute", "*")


@dataclass(frozen=True, slots=True)
class Intent:
    """A delegation as `system.db` wants it; times are unix seconds."""

    id: str
    from_org_id: str
    from_account_id: str
    to_org_id: str
    to_account_id: str
    scopes: tuple[str, ...]
    resources: dict[str, list[str]]
    state: State
    attempts: int
    error: str | None
    created_at: int
    applied_at: int | None
    """When both files had it for the first time."""

    @property
    def live(self) -> bool:
        """Whether it is wanted in the files."""
        return self.state in LIVE


@dataclass(frozen=True, slots=True)
class Party:
    """An end of a delegation as `system.db` knows it now."""

    slug: str | None
    """None: the organisation is gone, and its file cannot be named."""
    status: str | None
    """Of the account; None: it is no member."""

    @property
    def gone(self) -> str | None:
        """Why a delegation of this party ends; None while it does not. Who is suspended may come back."""
        if self.slug is None:
            return "the organisation is gone"
        if self.status is None:
            return f"the account is no member of {self.slug}"
        return f"the account of {self.slug} is deactivated" if self.status == "deactivated" else None


_COLUMNS = (
    "id, from_org_id, from_account_id, to_org_id, to_account_id, scopes, resources, state, attempts, error,"
    " created_at, applied_at"
)


def create_delegation(
    tx: Transaction,
    giver: tuple[str, str],
    taker: tuple[str, str],
    scopes: Sequence[str],
    resources: Mapping[str, Sequence[str]],
    *,
    actor_id: str,
) -> Intent:
    """Want a delegation; the job that brings it into both files commits with it.

    Args:
        tx: a transaction of `system.db`.
        giver: organisation (id or slug) and account (id or address) that delegates.
        taker: organisation and account that may act for the giver.
        scopes: what it may do, at most; what the giver lacks is not given.
        resources: `"type:id" -> actions`, at most; a resource that is not named is not given.
        actor_id: the account that asks for it.

    Raises:
        UnknownIdentityError: no such organisation or account.
        DelegationError: the ends are in one tenant, an account is no active member, nothing is delegated, or a scope,
            resource or action is none.
    """
    ends = [(find_organization(tx, org), find_account(tx, account)) for org, account in (giver, taker)]
    (from_org, from_account), (to_org, to_account) = ends
    if from_org.id == to_org.id:
        raise DelegationError(f"both are of {from_org.slug}: within a tenant an edge `delegates` of its ACL graph does")
    for org, account in ends:
        if party(tx, org.id, account.id).status != "active":
            raise DelegationError(f"{account.email} is no active member of {org.slug}")
    _check(scopes, resources)
    new = str(uuid.uuid4())
    _insert(tx, new, (from_org.id, from_account.id, to_org.id, to_account.id), scopes, resources, "pending", None)
    return _changed(tx, new, "created", actor_id, {})


def revoke_delegation(tx: Transaction, which: str, *, actor_id: str, reason: str | None = None) -> bool:
    """End a delegation: it gives nothing as soon as this commits; its traces go by the job that commits with it.

    Returns False when it was over before.

    Raises:
        UnknownDelegationError: there is none.
    """
    intent = find_delegation(tx, which)
    return intent.live and move(
        tx, intent, "revoking", "revoking", actor_id, error=reason, details={"reason": reason} if reason else {}
    )


def end_gone(tx: Transaction, *, actor_id: str) -> int:
    """Revoke every delegation an end of which is gone: deactivated, no member any more; returns how many."""
    return sum(
        revoke_delegation(tx, intent.id, actor_id=actor_id, reason=reason)
        for intent in list_delegations(tx)
        if intent.live and (reason := why_gone(tx, intent)) is not None
    )


def adopt(
    tx: Transaction,
    delegation_id: str,
    ends: tuple[str, str, str, str],
    scopes: Sequence[str],
    resources: Mapping[str, Sequence[str]],
    found_in: str,
    *,
    actor_id: str,
) -> bool:
    """Note a delegation that a tenant's file has and this file does not know as one that is over: its traces go.

    That is how it looks when `system.db` came back from a backup. It is not believed: whether it was revoked since
    cannot be known, and whoever may write into a tenant's graph could have made it up. False when it is known by now.
    """
    if tx.rows("SELECT 1 FROM delegations WHERE id = ?", (delegation_id,)):
        return False
    reason = f"found in the file of {found_in}, unknown to system.db"
    _insert(tx, delegation_id, ends, scopes, resources, "revoked", reason)
    _changed(tx, delegation_id, "unknown", actor_id, {"tenant": found_in})
    return True


def move(
    tx: Transaction,
    intent: Intent,
    to: State,
    verb: str,
    actor_id: str,
    *,
    error: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> bool:
    """Change the state, if it still is what `intent` says; audited, and a job looks at it again unless it rests now."""
    applied = int(to == "active")
    if not tx.rows(
        "UPDATE delegations SET state = ?1, error = ?2, attempts = 0, updated_at = unixepoch(),"
        " applied_at = CASE WHEN ?3 THEN coalesce(applied_at, unixepoch()) ELSE applied_at END"
        " WHERE id = ?4 AND state = ?5 RETURNING id",
        (to, error, applied, intent.id, intent.state),
    ):
        return False
    _changed(tx, intent.id, verb, actor_id, details or {})
    return True


def note_failure(tx: Transaction, delegation_id: str, error: str) -> None:
    """Write down that settling it failed; it is tried again."""
    tx.execute(
        "UPDATE delegations SET attempts = attempts + 1, error = ?, updated_at = unixepoch() WHERE id = ?",
        (error, delegation_id),
    )


def audit_delegation(tx: Transaction, intent: Intent, verb: str, actor_id: str, details: Mapping[str, Any]) -> None:
    """An entry `delegation.VERB` of the audit trail."""
    known = party(tx, intent.from_org_id, intent.from_account_id).slug is not None
    about = {
        "id": intent.id,
        "from": f"{intent.from_org_id}/{intent.from_account_id}",
        "to": f"{intent.to_org_id}/{intent.to_account_id}",
        **details,
    }
    audit(tx, f"delegation.{verb}", actor_id, org_id=intent.from_org_id if known else None, details=about)


# -- reading ---------------------------------------------------------------------------------------------------------


def find_delegation(source: Source, which: str) -> Intent:
    """Return a delegation by its id or the only beginning of one (6 characters or more).

    Raises:
        UnknownDelegationError: there is none, or there are several.
    """
    rows = source.rows(
        f"SELECT {_COLUMNS} FROM delegations"
        " WHERE id = ?1 OR (length(?1) >= 6 AND substr(id, 1, length(?1)) = ?1) ORDER BY id <> ?1 LIMIT 2",
        (which,),
    )
    if len(rows) != 1 and not (rows and rows[0][0] == which):
        raise UnknownDelegationError(f"{'no delegation' if not rows else 'several delegations begin with'} {which!r}")
    return _intent(rows[0])


def list_delegations(source: Source) -> list[Intent]:
    """Every delegation, oldest first."""
    return [_intent(row) for row in source.rows(f"SELECT {_COLUMNS} FROM delegations ORDER BY rowid")]


def active_delegations(source: Source, from_org_id: str, to_account_id: str) -> list[Intent]:
    """The active delegations of a tenant's principals to an account."""
    rows = source.rows(
        f"SELECT {_COLUMNS} FROM delegations WHERE to_account_id = ? AND from_org_id = ? AND state = 'active'",
        (to_account_id, from_org_id),
    )
    return [_intent(row) for row in rows]


def party(source: Source, org_id: str, account_id: str) -> Party:
    """What is known of an end."""
    rows = source.rows(
        "SELECT o.slug, a.status FROM organizations o"
        " LEFT JOIN organization_members m ON m.org_id = o.id AND m.account_id = ?2"
        " LEFT JOIN accounts a ON a.id = m.account_id WHERE o.id = ?1",
        (org_id, account_id),
    )
    return Party(*rows[0]) if rows else Party(None, None)


def parties(source: Source, intent: Intent) -> tuple[Party, Party]:
    """Giver and taker."""
    return (
        party(source, intent.from_org_id, intent.from_account_id),
        party(source, intent.to_org_id, intent.to_account_id),
    )


def why_gone(source: Source, intent: Intent) -> str | None:
    """Why the delegation ends by itself; None while it does not."""
    giver, taker = parties(source, intent)
    return giver.gone or taker.gone


def inactive_accounts(source: Source) -> frozenset[str]:
    """The ids of the accounts that may do nothing now."""
    return frozenset(str(row[0]) for row in source.rows("SELECT id FROM accounts WHERE status <> 'active'"))


# -- inside ----------------------------------------------------------------------------------------------------------


def _check(scopes: Sequence[str], resources: Mapping[str, Sequence[str]]) -> None:
    if not scopes and not resources:
        raise DelegationError("a delegation of nothing: name scopes or resources")
    bad = [scope for scope in scopes if not is_scope(scope)]
    if bad:
        raise DelegationError(f"no scope: {', '.join(bad)}; write noun:verb")
    for name, actions in resources.items():
        if not name.isprintable() or " " in name or (name != "*" and ":" not in name):
            raise DelegationError(f"no resource: {name[:60]!r}; write type:id")
        if not actions or not set(actions) <= set(ACTIONS):
            raise DelegationError(f"{name}: actions are {', '.join(ACTIONS)}, not {', '.join(actions) or 'none'}")


def _insert(
    tx: Transaction,
    delegation_id: str,
    ends: tuple[str, str, str, str],
    scopes: Sequence[str],
    resources: Mapping[str, Sequence[str]],
    state: State,
    error: str | None,
) -> None:
    tx.execute(
        "INSERT INTO delegations (id, from_org_id, from_account_id, to_org_id, to_account_id, scopes, resources, state,"
        " error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            delegation_id,
            *ends,
            dumps(sorted(set(scopes))),
            dumps({name: sorted(set(actions)) for name, actions in sorted(resources.items())}),
            state,
            error,
        ),
    )


def _changed(tx: Transaction, delegation_id: str, verb: str, actor_id: str, details: Mapping[str, Any]) -> Intent:
    intent = find_delegation(tx, delegation_id)
    limits = {"scopes": list(intent.scopes), "resources": intent.resources}
    audit_delegation(tx, intent, verb, actor_id, {"state": intent.state, **limits, **details})
    if intent.state in ("pending", "revoking", "failed"):
        ask(tx, QUEUE, {"task": "settle", "id": intent.id}, once=True)
    return intent


def _intent(row: Sequence[Any]) -> Intent:
    ends, (scopes, resources), rest = row[:5], row[5:7], row[7:]
    return Intent(*ends, tuple(json.loads(scopes)), json.loads(resources), *rest)  # type: ignore[call-arg]
