"""Migration 1 of `system.db`: everything that version 0.1.0 has. Published: never edited."""

from __future__ import annotations

SQL = """
CREATE TABLE hub_facts (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE accounts (
  id TEXT NOT NULL PRIMARY KEY,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  email TEXT NOT NULL UNIQUE,
  display_name TEXT,
  access_level TEXT NOT NULL DEFAULT 'user' CHECK (access_level IN ('admin', 'user', 'service')),
  status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'deactivated'))
);
CREATE TABLE organizations (
  id TEXT NOT NULL PRIMARY KEY,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  name TEXT NOT NULL UNIQUE,
  slug TEXT NOT NULL UNIQUE,
  owner_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE RESTRICT
);
CREATE TABLE organization_members (
  id TEXT NOT NULL PRIMARY KEY,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  org_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
  account_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
  membership_level TEXT NOT NULL CHECK (membership_level IN ('owner', 'admin', 'member')),
  UNIQUE (org_id, account_id)
);
CREATE TABLE api_keys (
  id TEXT NOT NULL PRIMARY KEY,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
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
CREATE TABLE peer_credentials (
  id TEXT NOT NULL PRIMARY KEY,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  owner_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
  credential_type TEXT NOT NULL CHECK (credential_type IN ('ssh_key', 'cert_authority')),
  fingerprint TEXT NOT NULL UNIQUE,
  public_key_data TEXT NOT NULL,
  name TEXT,
  enabled INTEGER NOT NULL DEFAULT 1,
  expires_at INTEGER,
  revoked_at INTEGER
);
CREATE TABLE audit_logs (
  id TEXT NOT NULL PRIMARY KEY,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  action TEXT NOT NULL,
  owner_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE RESTRICT,
  credential_id TEXT,
  credential_type TEXT,
  org_id TEXT REFERENCES organizations(id) ON DELETE SET NULL,
  details TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX idx_organizations_owner_id ON organizations(owner_id);
CREATE INDEX idx_organization_members_account_id ON organization_members(account_id);
CREATE INDEX idx_peer_credentials_owner_id ON peer_credentials(owner_id);
CREATE INDEX idx_audit_logs_owner_id ON audit_logs(owner_id);
CREATE INDEX idx_audit_logs_org_id ON audit_logs(org_id);
CREATE INDEX idx_audit_logs_created_at ON audit_logs(created_at);
CREATE TRIGGER audit_logs_are_never_changed
BEFORE UPDATE OF id, metadata, created_at, action, owner_id, credential_id, credential_type, details ON audit_logs
BEGIN SELECT RAISE(ABORT, 'audit_logs is append-only'); END;
CREATE TRIGGER audit_logs_are_never_deleted BEFORE DELETE ON audit_logs
BEGIN SELECT RAISE(ABORT, 'audit_logs is append-only'); END;
CREATE TABLE tenant_files (
  org_id TEXT NOT NULL PRIMARY KEY,
  slug TEXT NOT NULL UNIQUE,
  schema_version INTEGER,
  state TEXT NOT NULL CHECK (state IN ('current', 'waiting', 'failed')),
  error TEXT,
  updated_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE graph_types (
  id TEXT NOT NULL PRIMARY KEY,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  name TEXT NOT NULL UNIQUE,
  description TEXT NOT NULL DEFAULT '',
  config TEXT NOT NULL,
  version INTEGER NOT NULL DEFAULT 1,
  scope TEXT NOT NULL DEFAULT 'system' CHECK (scope IN ('system', 'tenant', 'user'))
);
CREATE TABLE node_types (
  id TEXT NOT NULL PRIMARY KEY,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  graph_type_id TEXT NOT NULL REFERENCES graph_types(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  description TEXT NOT NULL DEFAULT '',
  schema TEXT NOT NULL,
  UNIQUE (graph_type_id, name)
);
CREATE TABLE edge_types (
  id TEXT NOT NULL PRIMARY KEY,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  graph_type_id TEXT NOT NULL REFERENCES graph_types(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  description TEXT NOT NULL DEFAULT '',
  schema TEXT NOT NULL,
  allowed_source_types TEXT NOT NULL DEFAULT '[]',
  allowed_target_types TEXT NOT NULL DEFAULT '[]',
  UNIQUE (graph_type_id, name)
);
"""
