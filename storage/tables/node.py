"""Who this copy of the file is: a handful of named facts."""

from __future__ import annotations

DDL = """
CREATE TABLE node_facts (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;
"""
