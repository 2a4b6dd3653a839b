"""Migration 6 of a tenant file: events of a received log that came again."""

from __future__ import annotations

SQL = """
ALTER TABLE link_cursors ADD COLUMN duplicates INTEGER NOT NULL DEFAULT 0;
"""
