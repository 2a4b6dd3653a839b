"""Delegations from a principal of one tenant to a principal of another, as `system.db` wants them.

Accounts and organisations are named without foreign keys: a delegation outlives whom it names, as history.
"""

from __future__ import annotations

import sqlalchemy as sa

from storage.tables.columns import EMPTY, NONE, Json, common, integer, one_of, text


def add(metadata: sa.MetaData) -> None:
    """`delegations`."""
    sa.Table(
        "delegations",
        metadata,
        *common(),
        text("from_org_id"),
        text("from_account_id"),
        text("to_org_id"),
        text("to_account_id"),
        sa.Column("scopes", Json, nullable=False, server_default=NONE),
        sa.Column("resources", Json, nullable=False, server_default=EMPTY),
        text("state"),
        integer("attempts", default=0),
        text("error", null=True),
        integer("applied_at", null=True),
        one_of("state", "pending", "active", "revoking", "revoked", "failed"),
        sa.Index("idx_delegations_to", "to_account_id", "from_org_id"),
        sa.Index("idx_delegations_state", "state"),
    )
