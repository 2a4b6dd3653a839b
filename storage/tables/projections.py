"""What the projector keeps beside the rows it makes.

`call_orphans`: outcomes whose `call.requested` has not come yet. `call_waiting_children`: calls whose parent has not
come yet. `projection_rejects`: events that are not of their stream's kind; they are passed over, never lost: the
event stays in its stream, and here stands why it is in no graph.
"""

from __future__ import annotations

DDL = """
CREATE TABLE call_orphans (
  request_id TEXT PRIMARY KEY,
  attributes TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE call_waiting_children (
  parent_id TEXT NOT NULL,
  child_id TEXT NOT NULL,
  graph_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (parent_id, child_id)
) WITHOUT ROWID;
CREATE TABLE projection_rejects (
  topic TEXT NOT NULL,
  offset INTEGER NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (topic, offset)
) WITHOUT ROWID;
"""
