"""The metagraph: types of graphs, nodes and edges, and their instances (`reference/alkdev.md` 1.2 and 1.3)."""

from __future__ import annotations

import sqlalchemy as sa

from storage.tables.columns import EMPTY, NONE, Flag, Json, common, integer, one_of, reference, text


def add_types(metadata: sa.MetaData) -> None:
    """The three tables of types; in a tenant file and in the hub's system file."""
    sa.Table(
        "graph_types",
        metadata,
        *common(),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        text("description", default=""),
        sa.Column("config", Json, nullable=False),
        integer("version", default=1),
        text("scope", default="system"),
        one_of("scope", "system", "tenant", "user"),
    )
    sa.Table(
        "node_types",
        metadata,
        *common(),
        reference("graph_type_id", "graph_types.id", "CASCADE"),
        text("name"),
        text("description", default=""),
        sa.Column("schema", Json, nullable=False),
        sa.UniqueConstraint("graph_type_id", "name"),
    )
    sa.Table(
        "edge_types",
        metadata,
        *common(),
        reference("graph_type_id", "graph_types.id", "CASCADE"),
        text("name"),
        text("description", default=""),
        sa.Column("schema", Json, nullable=False),
        sa.Column("allowed_source_types", Json, nullable=False, server_default=NONE),
        sa.Column("allowed_target_types", Json, nullable=False, server_default=NONE),
        sa.UniqueConstraint("graph_type_id", "name"),
    )


def add_instances(metadata: sa.MetaData) -> None:
    """Graphs, nodes and edges. A node's type is in `metadata["_storage.nodeType"]`, an edge's in `attributes.edgeType`
    (ADR-020: there is no column for it). `owner_id` and `project_id` point into other files: no foreign key.
    """
    sa.Table(
        "graphs",
        metadata,
        *common(),
        reference("graph_type_id", "graph_types.id", "SET NULL", null=True),
        text("name"),
        text("description", default=""),
        text("status", default="draft"),
        text("owner_id", null=True),
        text("project_id", null=True),
        one_of("status", "active", "archived", "draft"),
        sa.Index("idx_graphs_graph_type_id", "graph_type_id"),
        sa.Index("idx_graphs_owner_id", "owner_id"),
        sa.Index("idx_graphs_project_id", "project_id"),
        sa.Index("idx_graphs_owner_id_project_id", "owner_id", "project_id"),
    )
    sa.Table(
        "nodes",
        metadata,
        *common(),
        reference("graph_id", "graphs.id", "CASCADE"),
        text("key"),
        sa.Column("attributes", Json, nullable=False, server_default=EMPTY),
        sa.UniqueConstraint("graph_id", "key"),
        sa.Index("idx_nodes_key", "key"),
    )
    sa.Table(
        "edges",
        metadata,
        *common(),
        reference("graph_id", "graphs.id", "CASCADE"),
        text("key", null=True),
        text("source_node_key"),
        text("target_node_key"),
        sa.Column("attributes", Json, nullable=False, server_default=EMPTY),
        sa.Column("undirected", Flag, nullable=False, server_default=sa.text("0")),
        sa.UniqueConstraint("graph_id", "key"),
        sa.ForeignKeyConstraint(["graph_id", "source_node_key"], ["nodes.graph_id", "nodes.key"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["graph_id", "target_node_key"], ["nodes.graph_id", "nodes.key"], ondelete="CASCADE"),
        sa.Index("idx_edges_source", "graph_id", "source_node_key"),
        sa.Index("idx_edges_target", "graph_id", "target_node_key"),
    )
