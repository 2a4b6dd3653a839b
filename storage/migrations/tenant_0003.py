"""Migration 3 of a tenant file: generations of logs, gaps, quarantine."""

from __future__ import annotations

SQL = """
ALTER TABLE link_generations RENAME TO link_generations_v2;
CREATE TABLE link_generations (
  topic TEXT NOT NULL,
  number INTEGER NOT NULL,
  gen_id BLOB NOT NULL,
  base INTEGER NOT NULL DEFAULT 0,
  parent BLOB,
  sealed_at INTEGER,
  seen INTEGER NOT NULL DEFAULT 0,
  reason TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (topic, number)
) WITHOUT ROWID;
INSERT INTO link_generations (topic, number, gen_id, reason, created_at)
  SELECT topic, generation, gen_id, 'first', unixepoch() * 1000 FROM link_generations_v2;
DROP TABLE link_generations_v2;
ALTER TABLE link_cursors ADD COLUMN base INTEGER NOT NULL DEFAULT 0;
ALTER TABLE link_cursors ADD COLUMN parent BLOB;
ALTER TABLE link_cursors ADD COLUMN reason TEXT NOT NULL DEFAULT 'first';
ALTER TABLE link_cursors ADD COLUMN opened INTEGER NOT NULL DEFAULT 0;
ALTER TABLE link_cursors ADD COLUMN stable_offset INTEGER;
ALTER TABLE link_cursors ADD COLUMN stable_hash BLOB;
ALTER TABLE link_batches ADD COLUMN last_source INTEGER;
ALTER TABLE link_batches ADD COLUMN hash BLOB;
CREATE INDEX idx_link_batches_last_source ON link_batches(node_id, topic, gen_id, last_source);
CREATE TABLE link_gaps (
  node_id TEXT NOT NULL,
  topic TEXT NOT NULL,
  gen_id BLOB NOT NULL,
  after INTEGER NOT NULL,
  upto INTEGER NOT NULL,
  noted_at INTEGER NOT NULL,
  PRIMARY KEY (node_id, topic, gen_id, after)
) WITHOUT ROWID;
CREATE TABLE link_quarantine (
  node_id TEXT NOT NULL,
  topic TEXT NOT NULL,
  gen_id BLOB NOT NULL,
  offset INTEGER NOT NULL,
  key TEXT,
  payload TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  code TEXT NOT NULL,
  detail TEXT NOT NULL,
  noted_at INTEGER NOT NULL,
  PRIMARY KEY (node_id, topic, gen_id, offset)
) WITHOUT ROWID;
CREATE TABLE link_refusals (
  topic TEXT NOT NULL,
  gen_id BLOB NOT NULL,
  offset INTEGER NOT NULL,
  code TEXT NOT NULL,
  detail TEXT NOT NULL,
  noted_at INTEGER NOT NULL,
  PRIMARY KEY (topic, gen_id, offset)
) WITHOUT ROWID;
ALTER TABLE link_status ADD COLUMN skew_ms INTEGER;
"""
