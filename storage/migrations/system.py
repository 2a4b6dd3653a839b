"""Migrations of the hub's `system.db`, oldest first."""

from __future__ import annotations

from storage.migrations import graph_types_0001, system_0001, system_0002, system_0003

MIGRATIONS = (system_0001.SQL + graph_types_0001.SQL, system_0002.SQL, system_0003.SQL)
