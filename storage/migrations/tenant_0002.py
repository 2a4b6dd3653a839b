"""Migration 2 of a tenant file: what the drop folder has read, and which events importers have written."""

from __future__ import annotations

SQL = """
CREATE TABLE ingest_files (
  id INTEGER PRIMARY KEY,
  device INTEGER NOT NULL,
  inode INTEGER NOT NULL,
  head BLOB NOT NULL,
  name TEXT NOT NULL,
  offset INTEGER NOT NULL,
  line INTEGER NOT NULL,
  events INTEGER NOT NULL,
  rejected INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);
CREATE INDEX idx_ingest_files_inode ON ingest_files(device, inode);
CREATE TABLE ingest_rejects (
  file_id INTEGER NOT NULL REFERENCES ingest_files(id) ON DELETE CASCADE,
  line INTEGER NOT NULL,
  reason TEXT NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (file_id, line)
) WITHOUT ROWID;
CREATE TABLE import_events (
  id BLOB PRIMARY KEY
) WITHOUT ROWID;
"""
