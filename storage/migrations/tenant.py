"""Migrations of `tenant-{orgId}.db`, oldest first."""

from __future__ import annotations

from storage.migrations import graph_types_0001, tenant_0001, tenant_0002, tenant_0003, tenant_0004, tenant_0005

MIGRATIONS = (
    tenant_0001.SQL + graph_types_0001.SQL,
    tenant_0002.SQL,
    tenant_0003.SQL,
    tenant_0004.SQL,
    tenant_0005.SQL,
)
