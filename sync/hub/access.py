"""Who may do what on a hub: the identity with which an account's calls into a tenant are checked."""

from __future__ import annotations

from storage.delegation.authority import Opened, authority_in
from storage.engine import Database
from storage.identity.accounts import find_account
from storage.operations.spec import Identity


def identity_in(system: Database, opened: Opened, account: str, tenant: str) -> Identity:
    """The identity of an account that acts in a tenant, a member or not: what it may do there, at this moment.

    Made for each call: it narrows with the authority of whoever delegated, and with accounts that are suspended.

    Raises:
        UnknownIdentityError: no such account or organisation.
    """
    with system.snapshot() as snapshot:
        who = find_account(snapshot, account)
    found = authority_in(system, opened, who.id, tenant)
    resources = {name: sorted(actions) for name, actions in sorted(found.resources.items())}
    return Identity(who.id, sorted(found.scopes), resources)
