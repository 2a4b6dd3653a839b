"""The audit trail: a row of `audit_logs` and an event of `audit-events`, in the transaction of what they speak of."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from storage.engine import Transaction
from storage.engine.payload import dumps

STREAM = "audit-events"


def audit(
    tx: Transaction,
    action: str,
    actor_id: str,
    *,
    credential_id: str | None = None,
    credential_type: str | None = None,
    org_id: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> str:
    """Record that an account did something; returns the id of the entry. Never put a secret into `details`.

    Args:
        tx: the transaction of the deed.
        action: `noun.verb`, for instance `api_key.revoked`.
        actor_id: the account that did it.
        credential_id: the key or credential it did it with, or that it is about.
        credential_type: `api_key` or `peer_credential`.
        org_id: the organisation it concerns.
        details: what else there is to know.
    """
    entry = str(uuid.uuid4())
    tx.execute(
        "INSERT INTO audit_logs (id, action, owner_id, credential_id, credential_type, org_id, details)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (entry, action, actor_id, credential_id, credential_type, org_id, dumps(dict(details or {}))),
    )
    event = {
        "id": entry,
        "action": action,
        "actorId": actor_id,
        "credentialId": credential_id,
        "credentialType": credential_type,
        "orgId": org_id,
        "details": dict(details or {}),
    }
    tx.execute(
        "SELECT honker_stream_publish(?, ?, ?)",
        (STREAM, entry, dumps({key: value for key, value in event.items() if value is not None})),
    )
    return entry
