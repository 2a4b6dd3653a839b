"""The link's own state, beside the events it speaks of and in the same transactions (`docs/decisions/0002-link.md`).

Spoke: which log this is (`link_generations`), what each hub has acknowledged (`link_positions`), hashes of the log at
some positions (`link_checkpoints`), and the state of the link for other processes to read (`link_status`).
Hub: how far each spoke's log has come (`link_cursors`), which of our offsets holds which of its offsets
(`link_batches`), and who is there (`link_spokes`). Times are unix milliseconds.
"""

from __future__ import annotations

DDL = """
CREATE TABLE link_generations (
  topic TEXT PRIMARY KEY,
  generation INTEGER NOT NULL,
  gen_id BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE link_positions (
  hub_id TEXT NOT NULL,
  topic TEXT NOT NULL,
  gen_id BLOB NOT NULL,
  offset INTEGER NOT NULL,
  hash BLOB NOT NULL,
  acked_at INTEGER NOT NULL,
  PRIMARY KEY (hub_id, topic)
) WITHOUT ROWID;
CREATE TABLE link_checkpoints (
  topic TEXT NOT NULL,
  gen_id BLOB NOT NULL,
  offset INTEGER NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY (topic, gen_id, offset)
) WITHOUT ROWID;
CREATE TABLE link_status (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  state TEXT NOT NULL,
  since INTEGER NOT NULL,
  hub_url TEXT NOT NULL,
  hub_id TEXT,
  error_code TEXT,
  error TEXT,
  hint TEXT,
  retry_at INTEGER,
  breaks INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE link_cursors (
  node_id TEXT NOT NULL,
  topic TEXT NOT NULL,
  gen_id BLOB NOT NULL,
  generation INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  hash BLOB NOT NULL,
  events INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (node_id, topic, gen_id)
) WITHOUT ROWID;
CREATE TABLE link_batches (
  node_id TEXT NOT NULL,
  topic TEXT NOT NULL,
  gen_id BLOB NOT NULL,
  first_offset INTEGER NOT NULL,
  source_offsets BLOB NOT NULL,
  PRIMARY KEY (node_id, topic, gen_id, first_offset)
) WITHOUT ROWID;
CREATE TABLE link_spokes (
  node_id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  agent TEXT NOT NULL,
  account_id TEXT NOT NULL,
  connected INTEGER NOT NULL,
  sessions INTEGER NOT NULL,
  connected_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL
) WITHOUT ROWID;
"""
