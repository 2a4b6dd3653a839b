"""Migrations of `tenant-{orgId}.db`, oldest first."""

from __future__ import annotations

from storage.tables import link, metagraph, node, sessions

MIGRATIONS = (node.DDL + metagraph.DDL + sessions.DDL + link.DDL,)
