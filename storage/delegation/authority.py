"""What a delegation gives, now: what the giver may pass on in its own tenant at this moment, within the limits.

A delegation gives nothing unless `system.db` says that it is active, both accounts are active members, and both files
hold exactly what `system.db` says: a trace that somebody widened, or one that a restored backup brought back, is worth
nothing before it is even removed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TypeAlias

from storage.delegation.intents import (
    Intent,
    active_delegations,
    find_delegation,
    inactive_accounts,
    parties,
    party,
)
from storage.delegation.traces import key_of, look, wanted
from storage.engine import Database
from storage.graphs.acl import NOTHING, Acl, Authority, Delegation, Principal, authority_of, evaluate, load
from storage.graphs.errors import NotFoundError
from storage.graphs.membership import GRAPH
from storage.graphs.queries import Source
from storage.identity.accounts import find_account
from storage.identity.organizations import find_organization

Opened: TypeAlias = Callable[[str], AbstractContextManager[Database]]
"""Opens a tenant's file by its slug, or lends the handle that is open."""


def passed_on(acl: Acl, intent: Intent) -> Authority:
    """What a delegation passes on out of the giver's ACL graph, whether or not its record is in there."""
    key = key_of(intent.id)
    limits = {name: frozenset(actions) for name, actions in intent.resources.items()}
    edge = Delegation(f"account:{intent.from_account_id}", key, frozenset(intent.scopes), limits)
    with_edge = replace(
        acl,
        principals={**acl.principals, key: Principal(key, "service", key)},
        delegations=[*(other for other in acl.delegations if other.target != key), edge],
    )
    return evaluate(with_edge)[key]


def could_pass_on(giver_file: Source, intent: Intent, inactive: frozenset[str]) -> Authority:
    """`passed_on`, read from the giver's file."""
    return passed_on(load(giver_file, GRAPH, inactive), intent)


def authority_of_delegation(system: Database, opened: Opened, delegation_id: str) -> Authority:
    """What one delegation gives now, as scopes and resources of the giver's tenant.

    Raises:
        UnknownDelegationError: there is none.
    """
    with system.snapshot() as snapshot:
        intent = find_delegation(snapshot, delegation_id)
        giver, taker = parties(snapshot, intent)
        inactive = inactive_accounts(snapshot)
    if intent.state != "active" or giver.slug is None or taker.slug is None:
        return NOTHING
    if (giver.status, taker.status) != ("active", "active"):
        return NOTHING
    with opened(taker.slug) as db, db.snapshot() as theirs:
        if look(theirs, intent.id) != wanted(intent, "taker"):
            return NOTHING
    with opened(giver.slug) as db, db.snapshot() as ours:
        if look(ours, intent.id) != wanted(intent, "giver"):
            return NOTHING
        return could_pass_on(ours, intent, inactive)


def authority_in(system: Database, opened: Opened, account: str, tenant: str) -> Authority:
    """What an account may do in a tenant: of its own as a member, and by delegation from members of it.

    Args:
        system: `system.db`.
        opened: the tenants' files.
        account: id or address.
        tenant: id or slug of the organisation whose resources are acted on.

    Raises:
        UnknownIdentityError: no such account or organisation.
    """
    with system.snapshot() as snapshot:
        who, org = find_account(snapshot, account), find_organization(snapshot, tenant)
        member = party(snapshot, org.id, who.id).status == "active"
        given = active_delegations(snapshot, org.id, who.id) if who.status == "active" else []
        inactive = inactive_accounts(snapshot)
    found = NOTHING
    if member:
        with opened(org.slug) as db, db.snapshot() as own:
            try:
                found = authority_of(own, who.id, inactive)
            except NotFoundError:
                found = NOTHING  # a member whom the file's ACL graph does not know yet
    for intent in given:
        found = found.united(authority_of_delegation(system, opened, intent.id))
    return found
