"""Accounts, organisations, members and keys of the hub's system file (`reference/alkdev.md` 1.8)."""

from __future__ import annotations

from storage.tables.metagraph import COMMON

DDL = f"""
CREATE TABLE hub_facts (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE accounts ({COMMON}
  email TEXT NOT NULL UNIQUE,
  display_name TEXT,
  access_level TEXT NOT NULL DEFAULT 'user' CHECK (access_level IN ('admin', 'user', 'service')),
  status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'deactivated'))
);
CREATE TABLE organizations ({COMMON}
  name TEXT NOT NULL UNIQUE,
  slug TEXT NOT NULL UNIQUE,
  owner_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE RESTRICT
);
CREATE TABLE organization_members ({COMMON}
  org_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  account_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
  membership_level TEXT NOT NULL CHECK (membership_level IN ('owner', 'admin', 'member')),
  UNIQUE (org_id, account_id)
);
CREATE TABLE api_keys ({COMMON}
  owner_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
  key_hash TEXT NOT NULL UNIQUE,
  name TEXT,
  enabled INTEGER NOT NULL DEFAULT 1,
  expires_at INTEGER,
  revoked_at INTEGER,
  rotated_to_id TEXT,
  last_used_at INTEGER
);
CREATE INDEX idx_api_keys_owner_id ON api_keys(owner_id);
CREATE TABLE peer_credentials ({COMMON}
  owner_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
  credential_type TEXT NOT NULL CHECK (credential_type IN ('ssh_key', 'cert_authority')),
  fingerprint TEXT NOT NULL UNIQUE,
  public_key_data TEXT NOT NULL,
  name TEXT,
  enabled INTEGER NOT NULL DEFAULT 1,
  expires_at INTEGER,
  revoked_at INTEGER
);
CREATE TABLE audit_logs ({COMMON}
  action TEXT NOT NULL,
  owner_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE RESTRICT,
  credential_id TEXT,
  credential_type TEXT,
  org_id TEXT REFERENCES organizations(id) ON DELETE SET NULL,
  details TEXT NOT NULL DEFAULT '{{}}'
);
"""
