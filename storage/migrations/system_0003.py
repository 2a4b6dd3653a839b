"""Migration 3 of `system.db`: delegations across tenants."""

from __future__ import annotations

SQL = """
CREATE TABLE delegations (
  id TEXT NOT NULL PRIMARY KEY,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  from_org_id TEXT NOT NULL,
  from_account_id TEXT NOT NULL,
  to_org_id TEXT NOT NULL,
  to_account_id TEXT NOT NULL,
  scopes TEXT NOT NULL DEFAULT '[]',
  resources TEXT NOT NULL DEFAULT '{}',
  state TEXT NOT NULL CHECK (state IN ('pending', 'active', 'revoking', 'revoked', 'failed')),
  attempts INTEGER NOT NULL DEFAULT 0,
  error TEXT,
  applied_at INTEGER
);
CREATE INDEX idx_delegations_to ON delegations(to_account_id, from_org_id);
CREATE INDEX idx_delegations_state ON delegations(state);
"""
