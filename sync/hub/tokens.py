"""Join tokens as the hub's operator makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from storage.engine import Database
from storage.identity.join_tokens import TTL_S, create_join_token
from sync.hub.keys import open_organization, operator
from sync.link.token import ID_BYTES, SECRET_BYTES, Token, make


def create_token(
    db: Database,
    pin: bytes | None,
    tenant: str = "local",
    *,
    random: Callable[[int], bytes],
    now: int,
    ttl_s: int = TTL_S,
    uses: int = 1,
    node_id: str | None = None,
    labels: Mapping[str, str] | None = None,
    scopes: Sequence[str] = (),
) -> Token:
    """Make a token and return it; it cannot be shown again. Makes the tenant's organisation where it is missing.

    Raises:
        IdentityError: the tenant's name is none, a scope is none, or there are no uses.
    """
    made = make(pin, random(ID_BYTES + SECRET_BYTES))
    with db.transaction() as tx:
        boss = operator(tx)
        org = open_organization(tx, tenant, boss)
        create_join_token(
            tx,
            made.id,
            made.proof_key,
            org.id,
            actor_id=boss.id,
            expires_at=now + ttl_s,
            uses=uses,
            node_id=node_id,
            labels=labels,
            scopes=scopes,
        )
    return made
