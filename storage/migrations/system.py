"""Migrations of the hub's `system.db`, oldest first."""

from __future__ import annotations

from storage.tables import identity

MIGRATIONS = (identity.DDL,)
