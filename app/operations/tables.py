"""The operations that are made from the tenant's tables; SQLAlchemy is imported when the first of them is asked for."""

from __future__ import annotations

from sync.calls.registry import Registry

NAMESPACES = (
    "graph_types",
    "node_types",
    "edge_types",
    "graphs",
    "nodes",
    "edges",
    "acl_effective",
    "sessions",
    "messages",
    "parts",
    "imports",
    "import_events",
    "ingest_files",
    "ingest_rejects",
    "node_facts",
    "call_orphans",
    "call_waiting_children",
    "projection_rejects",
    "running",
    "link_generations",
    "link_positions",
    "link_checkpoints",
    "link_status",
    "link_cursors",
    "link_batches",
    "link_spokes",
    "link_gaps",
    "link_quarantine",
    "link_refusals",
    "link_calls",
    "link_received_calls",
    "link_operations",
)
"""The tables of a tenant file (`test_every_table_has_its_operations` compares)."""


def register(registry: Registry) -> None:
    """Add the operations of this module, when they are asked for."""
    registry.register_later(NAMESPACES, _fill)


def _fill(registry: Registry) -> None:
    from storage.operations.tables import all_operations
    from storage.tables import TENANT

    for operation in all_operations(TENANT):
        registry.register(operation.spec, operation.handler)


def system_registry() -> Registry:
    """The operations of the hub's own tables, and of delegation across tenants."""
    from app.operations import delegations
    from storage.operations.tables import all_operations
    from storage.tables import SYSTEM

    registry = Registry()
    for operation in all_operations(SYSTEM):
        registry.register(operation.spec, operation.handler)
    delegations.register(registry)
    return registry
