"""What a spoke may do on its hub: what the keys of its account grant, now."""

from __future__ import annotations

from storage.engine import Snapshot
from storage.identity.api_keys import list_keys
from storage.identity.devices import list_devices, standing
from storage.operations.spec import Identity


def account_of(tenant: Snapshot, node_id: str) -> str | None:
    """The account of a node that was here, or None."""
    rows = tenant.rows("SELECT account_id FROM link_spokes WHERE node_id = ?", (node_id,))
    return str(rows[0][0]) if rows else None


def authority(system: Snapshot, account_id: str, now: int) -> Identity | None:
    """The identity of an account, with the scopes of those of its keys and devices that work; None when none does.

    A key that was made without scopes opens the link and grants nothing. `now` is unix seconds.
    """
    active = system.rows("SELECT 1 FROM accounts WHERE id = ? AND status = 'active'", (account_id,))
    keys = [
        key
        for key in list_keys(system)
        if key.owner_id == account_id
        and key.enabled
        and key.revoked_at is None
        and (key.expires_at is None or key.expires_at > now)
    ]
    devices = [
        device
        for device in list_devices(system)
        if device.account_id == account_id and standing(device, now) == "active"
    ]
    if not active or not (keys or devices):
        return None
    granted = [scope for key in keys for scope in key.scopes or ()] + [s for device in devices for s in device.scopes]
    return Identity(account_id, tuple(sorted(set(granted))))
