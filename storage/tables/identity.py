"""Accounts, organisations, keys, devices and the audit trail of the hub's system file (`reference/alkdev.md` 1.8).

`info={"hidden": True}` marks what no generated operation shows or takes: hashes, and keys that proofs are checked with.
"""

from __future__ import annotations

import sqlalchemy as sa

from storage.tables.columns import EMPTY, NONE, Flag, Json, common, integer, one_of, reference, text

_ON = sa.text("1")
_HIDDEN = {"hidden": True}


def add(metadata: sa.MetaData) -> None:
    """The identity tables, and what the hub knows of its tenants' files."""
    sa.Table(
        "hub_facts", metadata, sa.Column("name", sa.Text, primary_key=True), text("value"), sqlite_with_rowid=False
    )
    sa.Table(
        "accounts",
        metadata,
        *common(),
        sa.Column("email", sa.Text, nullable=False, unique=True),
        text("display_name", null=True),
        text("access_level", default="user"),
        text("status", default="active"),
        one_of("access_level", "admin", "user", "service"),
        one_of("status", "active", "suspended", "deactivated"),
    )
    sa.Table(
        "organizations",
        metadata,
        *common(),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("slug", sa.Text, nullable=False, unique=True),
        reference("owner_id", "accounts.id", "RESTRICT"),
        sa.Index("idx_organizations_owner_id", "owner_id"),
    )
    sa.Table(
        "organization_members",
        metadata,
        *common(),
        reference("org_id", "organizations.id", "CASCADE"),
        reference("account_id", "accounts.id", "CASCADE"),
        text("membership_level"),
        one_of("membership_level", "owner", "admin", "member"),
        sa.UniqueConstraint("org_id", "account_id"),
        sa.Index("idx_organization_members_account_id", "account_id"),
    )
    sa.Table(
        "api_keys",
        metadata,
        *common(),
        reference("owner_id", "accounts.id", "CASCADE"),
        sa.Column("key_hash", sa.Text, nullable=False, unique=True, info=_HIDDEN),
        text("name", null=True),
        sa.Column("enabled", Flag, nullable=False, server_default=_ON),
        integer("expires_at", null=True),
        integer("revoked_at", null=True),
        text("rotated_to_id", null=True),
        integer("last_used_at", null=True),
        sa.Index("idx_api_keys_owner_id", "owner_id"),
    )
    sa.Table(
        "peer_credentials",
        metadata,
        *common(),
        reference("owner_id", "accounts.id", "CASCADE"),
        text("credential_type"),
        sa.Column("fingerprint", sa.Text, nullable=False, unique=True),
        text("public_key_data"),
        text("name", null=True),
        sa.Column("enabled", Flag, nullable=False, server_default=_ON),
        integer("expires_at", null=True),
        integer("revoked_at", null=True),
        one_of("credential_type", "ssh_key", "cert_authority"),
        sa.Index("idx_peer_credentials_owner_id", "owner_id"),
    )
    sa.Table(
        "join_tokens",
        metadata,
        *common(),
        reference("owner_id", "accounts.id", "CASCADE"),
        reference("org_id", "organizations.id", "CASCADE"),
        sa.Column("proof_key", sa.LargeBinary, nullable=False, info=_HIDDEN),
        text("node_id", null=True),
        sa.Column("labels", Json, nullable=False, server_default=EMPTY),
        sa.Column("scopes", Json, nullable=False, server_default=NONE),
        integer("uses_left", default=1),
        integer("expires_at"),
        integer("revoked_at", null=True),
        sa.Index("idx_join_tokens_owner_id", "owner_id"),
        sa.Index("idx_join_tokens_org_id", "org_id"),
    )
    sa.Table(
        "devices",
        metadata,
        *common(),
        reference("owner_id", "accounts.id", "RESTRICT"),
        reference("org_id", "organizations.id", "RESTRICT"),
        text("name"),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("next_public_key", sa.LargeBinary, nullable=True),
        text("token_id"),
        sa.Column("labels", Json, nullable=False, server_default=EMPTY),
        sa.Column("scopes", Json, nullable=False, server_default=NONE),
        sa.Column("enabled", Flag, nullable=False, server_default=_ON),
        integer("key_not_after"),
        integer("revoked_at", null=True),
        sa.Index("idx_devices_owner_id", "owner_id"),
        sa.Index("idx_devices_org_id", "org_id"),
    )
    sa.Table(
        "ratchets",
        metadata,
        sa.Column("node_id", sa.Text, primary_key=True),
        sa.Column("current", sa.LargeBinary, nullable=False, info=_HIDDEN),
        sa.Column("next", sa.LargeBinary, nullable=True, info=_HIDDEN),
        sa.Column("older", sa.LargeBinary, nullable=False, info=_HIDDEN),
        integer("epoch"),
        integer("last_seen_ms"),
        sa.Column("races_ms", Json, nullable=False, server_default=NONE),
        sqlite_with_rowid=False,
    )
    sa.Table(
        "audit_logs",
        metadata,
        *common(),
        text("action"),
        reference("owner_id", "accounts.id", "RESTRICT"),
        text("credential_id", null=True),
        text("credential_type", null=True),
        reference("org_id", "organizations.id", "SET NULL", null=True),
        sa.Column("details", Json, nullable=False, server_default=EMPTY),
        sa.Index("idx_audit_logs_owner_id", "owner_id"),
        sa.Index("idx_audit_logs_org_id", "org_id"),
        sa.Index("idx_audit_logs_created_at", "created_at"),
    )
    sa.Table(
        "tenant_files",
        metadata,
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("slug", sa.Text, nullable=False, unique=True),
        integer("schema_version", null=True),
        text("state"),
        text("error", null=True),
        integer("updated_at"),
        one_of("state", "current", "waiting", "failed"),
        sqlite_with_rowid=False,
    )
