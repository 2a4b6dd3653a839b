"""Migration 5 of a tenant file: what runs, and in which process (`storage.running`)."""

from __future__ import annotations

SQL = """
CREATE TABLE running (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  process TEXT NOT NULL,
  PRIMARY KEY (kind, id),
  CHECK (kind IN ('call', 'session'))
) WITHOUT ROWID;
"""
