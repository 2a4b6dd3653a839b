"""Join tokens: each lets a machine become a device of a tenant, once unless it says otherwise, for a short time.

What is stored is a key derived from the token's secret: it checks proofs, and the token cannot be made from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from storage.engine import Snapshot, Transaction
from storage.engine.payload import dumps
from storage.identity.audit import audit
from storage.identity.errors import IdentityError, TakenError, UnknownIdentityError
from storage.identity.organizations import find_organization
from storage.scopes import is_scope

TTL_S = 3_600
CREDENTIAL = "join_token"


@dataclass(frozen=True, slots=True)
class JoinToken:
    """A token without its secret. Times are unix seconds."""

    id: str
    owner_id: str
    org_id: str
    tenant: str
    proof_key: bytes = field(repr=False)
    node_id: str | None
    """The only node that may join with it, also in the place of an older key of that node."""
    labels: Mapping[str, str]
    scopes: tuple[str, ...]
    uses_left: int
    created_at: int
    expires_at: int
    revoked_at: int | None

    def valid(self, now: int) -> bool:
        """Whether it is neither revoked nor past its date; it may be used up."""
        return self.revoked_at is None and now < self.expires_at


def create_join_token(
    tx: Transaction,
    token_id: str,
    proof_key: bytes,
    org: str,
    *,
    actor_id: str,
    expires_at: int,
    uses: int = 1,
    node_id: str | None = None,
    labels: Mapping[str, str] | None = None,
    scopes: Sequence[str] = (),
) -> JoinToken:
    """Store a token for a tenant.

    Raises:
        UnknownIdentityError: there is no such organisation.
        IdentityError: a scope is none, or there are no uses.
    """
    found = find_organization(tx, org)
    bad = [scope for scope in scopes if not is_scope(scope)]
    if bad or uses < 1:
        raise IdentityError(f"no scope: {', '.join(bad)}; write noun:verb" if bad else "a token is used at least once")
    if tx.rows("SELECT 1 FROM join_tokens WHERE id = ?", (token_id,)):
        raise TakenError("there is a token of that id already")
    tx.execute(
        "INSERT INTO join_tokens (id, owner_id, org_id, proof_key, node_id, labels, scopes, uses_left, expires_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            token_id,
            actor_id,
            found.id,
            proof_key,
            node_id,
            dumps(dict(labels or {})),
            dumps(list(scopes)),
            uses,
            expires_at,
        ),
    )
    _audit(
        tx, "created", token_id, found.id, actor_id, {"uses": uses, "expiresAt": expires_at, "nodeId": node_id or ""}
    )
    return find_join_token(tx, token_id)


_SELECT = (
    "SELECT t.id, t.owner_id, t.org_id, o.slug, t.proof_key, t.node_id, t.labels, t.scopes, t.uses_left, t.created_at,"
    " t.expires_at, t.revoked_at FROM join_tokens t JOIN organizations o ON o.id = t.org_id"
)


def find_join_token(source: Snapshot | Transaction, token_id: str) -> JoinToken:
    """Return a token by its id, or by the only beginning of one (6 characters at least).

    Raises:
        UnknownIdentityError: there is none, or there are several.
    """
    rows = source.rows(
        f"{_SELECT} WHERE t.id = ?1 OR (length(?1) >= 6 AND substr(t.id, 1, length(?1)) = ?1) LIMIT 2", (token_id,)
    )
    if len(rows) != 1:
        raise UnknownTokenError(f"{'no token' if not rows else 'several tokens are meant by'} {token_id[:60]!r}")
    return _token(rows[0])


def list_join_tokens(source: Snapshot | Transaction) -> list[JoinToken]:
    """Every token, oldest first."""
    return [_token(row) for row in source.rows(f"{_SELECT} ORDER BY t.rowid")]


def use_join_token(tx: Transaction, token: JoinToken, *, actor_id: str, node_id: str) -> bool:
    """Use a token up by one; False when nothing was left of it."""
    used = tx.rows(
        "UPDATE join_tokens SET uses_left = uses_left - 1, updated_at = unixepoch() WHERE id = ? AND uses_left > 0"
        " AND revoked_at IS NULL RETURNING id",
        (token.id,),
    )
    if used:
        _audit(tx, "used", token.id, token.org_id, actor_id, {"nodeId": node_id})
    return bool(used)


def revoke_join_token(tx: Transaction, token_id: str, *, actor_id: str, now: int) -> bool:
    """End a token at once; False when it was ended before. Devices that joined with it stay.

    Raises:
        UnknownIdentityError: there is no such token.
    """
    token = find_join_token(tx, token_id)
    if token.revoked_at is not None:
        return False
    tx.execute("UPDATE join_tokens SET revoked_at = ?, updated_at = unixepoch() WHERE id = ?", (now, token.id))
    _audit(tx, "revoked", token.id, token.org_id, actor_id, {})
    return True


class UnknownTokenError(UnknownIdentityError):
    """There is no such join token."""

    hint = "`spoke hub token list` shows the tokens that there are"


def _audit(
    tx: Transaction, verb: str, token_id: str, org_id: str, actor_id: str, details: Mapping[str, object]
) -> None:
    audit(
        tx,
        f"{CREDENTIAL}.{verb}",
        actor_id,
        credential_id=token_id,
        credential_type=CREDENTIAL,
        org_id=org_id,
        details=details,
    )


def _token(row: Sequence[object]) -> JoinToken:
    token_id, owner, org, tenant, proof_key, node_id, labels, scopes, *numbers = row
    return JoinToken(
        str(token_id),
        str(owner),
        str(org),
        str(tenant),
        bytes(proof_key),  # type: ignore[call-overload]
        node_id if isinstance(node_id, str) else None,
        json.loads(str(labels)),
        tuple(json.loads(str(scopes))),
        *numbers,  # type: ignore[arg-type]
    )
