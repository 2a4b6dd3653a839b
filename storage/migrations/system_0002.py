"""Migration 2 of `system.db`: join tokens, devices and their ratchets (`docs/decisions/0011-joining.md`)."""

from __future__ import annotations

SQL = """
CREATE TABLE join_tokens (
  id TEXT NOT NULL PRIMARY KEY,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  owner_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
  org_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  proof_key BLOB NOT NULL,
  node_id TEXT,
  labels TEXT NOT NULL DEFAULT '{}',
  scopes TEXT NOT NULL DEFAULT '[]',
  uses_left INTEGER NOT NULL DEFAULT 1,
  expires_at INTEGER NOT NULL,
  revoked_at INTEGER
);
CREATE INDEX idx_join_tokens_owner_id ON join_tokens(owner_id);
CREATE INDEX idx_join_tokens_org_id ON join_tokens(org_id);
CREATE TABLE devices (
  id TEXT NOT NULL PRIMARY KEY,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  owner_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE RESTRICT,
  org_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE RESTRICT,
  name TEXT NOT NULL,
  public_key BLOB NOT NULL,
  next_public_key BLOB,
  token_id TEXT NOT NULL,
  labels TEXT NOT NULL DEFAULT '{}',
  scopes TEXT NOT NULL DEFAULT '[]',
  enabled INTEGER NOT NULL DEFAULT 1,
  key_not_after INTEGER NOT NULL,
  revoked_at INTEGER
);
CREATE INDEX idx_devices_owner_id ON devices(owner_id);
CREATE INDEX idx_devices_org_id ON devices(org_id);
CREATE TABLE ratchets (
  node_id TEXT NOT NULL PRIMARY KEY,
  current BLOB NOT NULL,
  next BLOB,
  older BLOB NOT NULL,
  epoch INTEGER NOT NULL,
  last_seen_ms INTEGER NOT NULL,
  races_ms TEXT NOT NULL DEFAULT '[]'
) WITHOUT ROWID;
"""
