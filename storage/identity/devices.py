"""Devices: the machines that joined, each with a public key, in one tenant.

A device has an account of its own; its rights are those of the account, narrowed to the scopes of its token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from storage.engine import Snapshot, Transaction
from storage.engine.payload import dumps
from storage.identity.accounts import create_account
from storage.identity.audit import audit
from storage.identity.errors import IdentityError, TakenError, UnknownIdentityError
from storage.identity.join_tokens import JoinToken
from storage.identity.organizations import add_member

KEY_LIFETIME_S = 180 * 86_400
RENEW_AFTER_S = 90 * 86_400
"""A key that is this old is replaced when the device is online."""
GRACE_S = 400 * 86_400
"""For so long after its date a key still opens a session in which it can be replaced, and nothing else."""
CREDENTIAL = "device"

Standing: TypeAlias = Literal["active", "renew_only", "expired", "revoked"]


class UnknownDeviceError(UnknownIdentityError):
    """There is no such device."""

    hint = "`spoke hub devices` shows the nodes that joined"


@dataclass(frozen=True, slots=True)
class Device:
    """A machine that joined; `id` is its node id. Times are unix seconds."""

    id: str
    account_id: str
    org_id: str
    tenant: str
    name: str
    public_key: bytes
    next_public_key: bytes | None
    """The successor, from when it was asked for until the first session that shows it; both open sessions."""
    token_id: str
    labels: Mapping[str, str]
    scopes: tuple[str, ...]
    enabled: bool
    created_at: int
    key_not_after: int
    revoked_at: int | None


def standing(device: Device, now: int, shown: bytes | None = None) -> Standing:
    """What a session of the device may do.

    Args:
        device: as it is stored.
        now: unix seconds.
        shown: the public key that signed HELLO; the successor of an expired key is active.
    """
    if device.revoked_at is not None or not device.enabled:
        return "revoked"
    if now < device.key_not_after or (shown is not None and shown == device.next_public_key):
        return "active"
    return "renew_only" if now < device.key_not_after + GRACE_S else "expired"


def renewal_due(device: Device, now: int) -> bool:
    """Whether the device should ask for a new key."""
    return now >= device.key_not_after - KEY_LIFETIME_S + RENEW_AFTER_S


_SELECT = (
    "SELECT d.id, d.owner_id, d.org_id, o.slug, d.name, d.public_key, d.next_public_key, d.token_id, d.labels,"
    " d.scopes, d.enabled, d.created_at, d.key_not_after, d.revoked_at"
    " FROM devices d JOIN organizations o ON o.id = d.org_id"
)


def find_device(source: Snapshot | Transaction, node_id: str) -> Device | None:
    """Return the device of a node id, or None."""
    rows = source.rows(f"{_SELECT} WHERE d.id = ?", (node_id,))
    return _device(rows[0]) if rows else None


def name_device(source: Snapshot | Transaction, which: str) -> Device:
    """Return the device that a person means: a node id, the only beginning of one, or the name of only one.

    A whole node id is never ambiguous: a node chooses its name, and could choose another's id.

    Raises:
        UnknownDeviceError: there is none, or there are several.
    """
    exact = find_device(source, which)
    if exact is not None:
        return exact
    rows = source.rows(
        f"{_SELECT} WHERE (length(?1) >= 6 AND substr(d.id, 1, length(?1)) = ?1)"
        " OR (d.name = ?1 AND d.revoked_at IS NULL) LIMIT 2",
        (which,),
    )
    if len(rows) != 1:
        raise UnknownDeviceError(f"{'no device' if not rows else 'several devices are meant by'} {which[:60]!r}")
    return _device(rows[0])


def list_devices(source: Snapshot | Transaction) -> list[Device]:
    """Every device, oldest first."""
    return [_device(row) for row in source.rows(f"{_SELECT} ORDER BY d.rowid")]


def enrol_device(tx: Transaction, token: JoinToken, node_id: str, name: str, public_key: bytes, now: int) -> Device:
    """Make a node a device of the token's tenant, or give a device of it a new date.

    A node that is a device already keeps its account. Another key in the place of its own, or an end of its revocation,
    needs a token that was made for this node.

    Raises:
        TakenError: the node belongs to another tenant or has another key, or it is revoked.
    """
    ends = now + KEY_LIFETIME_S
    known = find_device(tx, node_id)
    if known is None:
        account = create_account(tx, f"{node_id}@{token.tenant}.device", name, "service", actor_id=token.owner_id)
        add_member(tx, token.org_id, account.id, actor_id=token.owner_id)
        tx.execute(
            "INSERT INTO devices (id, owner_id, org_id, name, public_key, token_id, labels, scopes, key_not_after)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                node_id,
                account.id,
                token.org_id,
                name,
                public_key,
                token.id,
                dumps(dict(token.labels)),
                dumps(list(token.scopes)),
                ends,
            ),
        )
    else:
        same = known.public_key == public_key and known.revoked_at is None
        if known.org_id != token.org_id or not (same or token.node_id == node_id):
            raise TakenError(f"node {node_id} is known already: make a token for it")
        tx.execute(
            "UPDATE devices SET name = ?, public_key = ?, next_public_key = NULL, token_id = ?, labels = ?, scopes = ?,"
            " key_not_after = ?, enabled = 1, revoked_at = NULL, updated_at = unixepoch() WHERE id = ?",
            (name, public_key, token.id, dumps(dict(token.labels)), dumps(list(token.scopes)), ends, node_id),
        )
    device = find_device(tx, node_id)
    assert device is not None, "it was just written"
    _audit(tx, "enrolled", device, device.account_id, {"tokenId": token.id, "again": known is not None})
    return device


def revoke_device(tx: Transaction, which: str, *, actor_id: str, now: int) -> tuple[Device, bool]:
    """End a device at once, and tell `device:revoked`; the bool is False when it was ended before.

    Raises:
        UnknownDeviceError: there is no such device.
    """
    device = name_device(tx, which)
    if device.revoked_at is not None:
        return device, False
    tx.execute(
        "UPDATE devices SET enabled = 0, revoked_at = ?, next_public_key = NULL, updated_at = unixepoch() WHERE id = ?",
        (now, device.id),
    )
    _audit(tx, "revoked", device, actor_id, {})
    tx.notify("device:revoked", {"nodeId": device.id, "tenant": device.tenant})
    return device, True


def note_successor(tx: Transaction, node_id: str, old: bytes, new: bytes, now: int) -> Device:
    """Take a new key beside the old one; the caller has checked both signatures. Asking again replaces the new one.

    Raises:
        UnknownDeviceError: there is no such device.
        IdentityError: it is revoked or expired, `old` is not its key, or `new` is.
    """
    device = find_device(tx, node_id)
    if device is None:
        raise UnknownDeviceError(f"no device {node_id[:60]!r}")
    if standing(device, now) not in ("active", "renew_only") or old != device.public_key or new == old:
        raise IdentityError(f"node {node_id} cannot have this key now")
    if new != device.next_public_key:
        tx.execute("UPDATE devices SET next_public_key = ?, updated_at = unixepoch() WHERE id = ?", (new, node_id))
        _audit(tx, "successor_noted", device, device.account_id, {"publicKey": new.hex()})
    found = find_device(tx, node_id)
    assert found is not None, "it was just read"
    return found


def note_session(tx: Transaction, device: Device, shown: bytes, now: int) -> Device:
    """A session was accepted: when it showed the successor, the old key ends and the new one has its full time."""
    if shown != device.next_public_key:
        return device
    moved = tx.rows(
        "UPDATE devices SET public_key = ?1, next_public_key = NULL, key_not_after = ?2, updated_at = unixepoch()"
        " WHERE id = ?3 AND next_public_key = ?1 AND revoked_at IS NULL RETURNING id",
        (shown, now + KEY_LIFETIME_S, device.id),
    )
    if moved:
        _audit(tx, "rotated", device, device.account_id, {"publicKey": shown.hex()})
    found = find_device(tx, device.id)
    assert found is not None, "devices are not deleted"
    return found


def _audit(tx: Transaction, verb: str, device: Device, actor_id: str, details: Mapping[str, object]) -> None:
    audit(
        tx,
        f"{CREDENTIAL}.{verb}",
        actor_id,
        credential_id=device.id,
        credential_type=CREDENTIAL,
        org_id=device.org_id,
        details=details,
    )


def _device(row: Sequence[object]) -> Device:
    node, owner, org, tenant, name, public, successor, token, labels, scopes, enabled, *times = row
    return Device(
        str(node),
        str(owner),
        str(org),
        str(tenant),
        str(name),
        bytes(public),  # type: ignore[call-overload]
        successor if isinstance(successor, bytes) else None,
        str(token),
        json.loads(str(labels)),
        tuple(json.loads(str(scopes))),
        bool(enabled),
        *times,  # type: ignore[arg-type]
    )
