"""Migration 4 of a tenant file: durable calls, those asked for here and those received, and what spokes offer."""

from __future__ import annotations

_STATES = (
    "state IN ('QUEUED', 'SENT', 'RECEIVED', 'RUNNING', 'DONE', 'FAILED', 'EXPIRED', 'CANCELLED', 'INDETERMINATE',"
    " 'REJECTED')"
)
_CLASSES = "execution IN ('exactly_once_local', 'idempotent', 'at_most_once')"

SQL = f"""
CREATE TABLE link_calls (
  call_id TEXT NOT NULL PRIMARY KEY,
  peer TEXT NOT NULL,
  operation_id TEXT NOT NULL,
  input TEXT,
  execution TEXT,
  state TEXT NOT NULL,
  deadline INTEGER,
  idempotency_key TEXT,
  identity TEXT,
  offset INTEGER,
  result TEXT,
  late_result TEXT,
  recovered INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  ended_at INTEGER,
  CHECK ({_STATES}),
  CHECK ({_CLASSES}),
  UNIQUE (peer, idempotency_key)
) WITHOUT ROWID;
CREATE INDEX idx_link_calls_peer ON link_calls(peer, ended_at, offset);
CREATE INDEX idx_link_calls_deadline ON link_calls(ended_at, deadline);
CREATE TABLE link_received_calls (
  call_id TEXT NOT NULL,
  peer TEXT NOT NULL,
  operation_id TEXT NOT NULL,
  lane TEXT NOT NULL,
  execution TEXT,
  state TEXT NOT NULL,
  deadline INTEGER,
  offset INTEGER NOT NULL,
  request TEXT,
  result TEXT,
  cancelled INTEGER NOT NULL DEFAULT 0,
  received_at INTEGER NOT NULL,
  ended_at INTEGER,
  PRIMARY KEY (call_id, peer),
  CHECK ({_STATES}),
  CHECK ({_CLASSES})
) WITHOUT ROWID;
CREATE INDEX idx_link_received_calls_lane ON link_received_calls(ended_at, peer, lane, offset);
CREATE TABLE link_operations (
  node_id TEXT NOT NULL,
  operation_id TEXT NOT NULL,
  spec TEXT NOT NULL,
  PRIMARY KEY (node_id, operation_id)
) WITHOUT ROWID;
"""
