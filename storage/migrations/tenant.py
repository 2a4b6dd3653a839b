"""Migrations of `tenant-{orgId}.db`, oldest first."""

from __future__ import annotations

from storage.projections import call_graph
from storage.tables import link, metagraph, node, projections, sessions

MIGRATIONS = (node.DDL + metagraph.DDL + sessions.DDL + projections.DDL + link.DDL + call_graph.SEED,)
